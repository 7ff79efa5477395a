"""Candidate pairs: every stored text that could pass the threshold, and few that could not.

An exact set-similarity join (prefix, length and positional filters: Bayardo et al. 2007, Xiao et al. 2008)
carried over to ROUGE-L. Two texts of m and n tokens pass at threshold t only if their longest common
subsequence has at least need(m, n) = t (m + n) / 2 tokens, and it has at most as many as the two share, in
any order. So

- only lengths with need(m, n) <= min(m, n) can pass;
- with the tokens of each text sorted by one fixed order, two texts that share `need` tokens share one within
  the first m - need + 1 and n - need + 1 of them. Only those, the prefixes, are posted and looked up; sorted
  rarest first, they meet few other texts;
- a shared token at position p of the sorted texts leaves at most length - p tokens to share, itself included;
- two texts that share `need` tokens differ in at most m + n - 2 need, so their 128-bit maps of tokens do as
  well.

All bounds are conservative by a hair, so that rounding can only let a candidate through; the caller decides
each pair exactly. The order of the tokens changes the speed and never the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfinstruct.novelty.vocabulary import Block

Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

_SLACK = 1e-9  # far above the rounding of the float expressions below, far below one token
_SHIFT = 32  # a posting's key is token << 32 | length; a pair is row << 32 | text
_LOW = (1 << _SHIFT) - 1
_CHUNK = 1 << 16  # postings or pairs of maps looked at in one go, so that they stay in the processor's cache
_HITS = 1 << 21  # postings looked at before what they gave is handed on: bounds the list of candidates
_BIT = np.uint8(1)
_TRUE = np.ones(1, bool)
_NONE = np.zeros(0, np.int64)
_ZERO = np.zeros(1, np.int64)


class Prefix(NamedTuple):
    """First occurrences of the tokens in the prefixes of a block's texts: by row, rarest token first."""

    rows: Ints
    tokens: Ints
    positions: Ints


class Pairs(NamedTuple):
    """Candidates: text `rows[k]` of the block against text `texts[k]`, which pass only with `need[k]` common
    tokens."""

    rows: Ints
    texts: Ints
    need: Ints


class Found(NamedTuple):
    """Runs of postings to look at: `counts` from `begin` on, for row `rows` (ascending), which leave a text room
    for `share` more common tokens."""

    rows: Ints
    begin: Ints
    counts: Ints
    share: NDArray[np.float32]

    def ranges(self, count: int) -> list[tuple[int, int]]:
        """The rows 0 to `count` - 1 in ranges of at most _HITS postings, or of one row."""
        ends = self.counts.cumsum()
        if not len(ends) or ends[-1] <= _HITS:
            return [(0, count)]
        after = np.concatenate((_ZERO, ends))[self.rows.searchsorted(np.arange(count), "right")]
        cuts = [0]
        while cuts[-1] < count:
            before = after[cuts[-1] - 1] if cuts[-1] else 0
            cuts.append(max(cuts[-1] + 1, int(after.searchsorted(before + _HITS, "right"))))
        return list(pairwise(cuts))

    def of(self, first: int, last: int) -> Found:
        here = slice(*self.rows.searchsorted((first, last)))
        return Found(self.rows[here], self.begin[here], self.counts[here], self.share[here])


class Join:
    """The stored texts as token maps and postings. Texts are numbered 0, 1, 2... as they are stored.

    A block is first placed behind the stored texts, then paired, then its kept rows are stored. Memory: 25
    bytes per text (up to twice that, the arrays grow by doubling) and 16 bytes per posting, about five
    postings per instruction at 0.7.
    """

    def __init__(self, threshold: float) -> None:
        self.size = 0
        self._half = threshold / 2 * (1 - _SLACK)
        self._posted = (
            0  # texts [0, posted) are found through postings, [posted, size) by comparing their maps
        )
        self._lengths = np.zeros(1024, np.int64)
        self._maps = np.zeros((2, 1024), np.uint64)
        self._spare = np.zeros(1024, np.uint8)  # the text's share of the bits in which two maps may differ
        # Postings sorted by key, so that the lengths that can pass are one range of a token's list.
        self._keys = np.zeros(0, np.int64)
        self._texts = np.zeros(0, np.int32)
        self._room = np.zeros(
            0, np.float32
        )  # tokens left to share, less the share of `need` that its length asks
        self._waiting: list[tuple[Ints, NDArray[np.int32], NDArray[np.float32]]] = []

    def place(self, block: Block) -> Prefix:
        """Write the block behind the stored texts, where `pairs` and `insert` find it."""
        end = self.size + len(block.lengths)
        if end > len(self._lengths):
            self._grow(max(end, 2 * len(self._lengths)))
        here = slice(self.size, end)
        self._lengths[here] = block.lengths
        self._maps[:, here] = block.maps.T
        self._spare[here] = np.minimum((1 - 2 * self._half) * block.lengths, 127)

        keys = block.rows << _SHIFT | (_LOW - block.numbers)
        keys.sort()
        positions = np.arange(len(keys)) - block.starts[block.rows]
        # The shortest text that can pass has n = need(m, n) = m half / (1 - half), the least need of all.
        shortest = np.ceil(block.lengths * (self._half / (1 - self._half)))
        wanted = positions <= (block.lengths - shortest)[block.rows]
        wanted[1:] &= keys[1:] != keys[:-1]
        keys = keys[wanted]
        return Prefix(keys >> _SHIFT, _LOW - (keys & _LOW), positions[wanted])

    def pairs(self, block: Block, prefix: Prefix) -> Iterator[tuple[int, int, Pairs]]:
        """Candidates of the rows from `first` to `last` - 1, for one range of rows after the other: stored
        texts, and, as text size + j, row j before row i of the block; sorted by row and text.

        All rows at once, unless their tokens are in so many stored texts that the list would be long.
        """
        count = len(block.lengths)
        near = self._by_map(count)
        found = self._find(block.lengths[prefix.rows], prefix) if self._posted else None
        for first, last in found.ranges(count) if found else [(0, count)]:
            whole = last - first == count
            pairs = near if whole else near[slice(*near.searchsorted((first << _SHIFT, last << _SHIFT)))]
            if found:
                pairs = np.concatenate((pairs, *self._by_posting(found if whole else found.of(first, last))))
            yield first, last, self._needed(pairs)

    def _needed(self, pairs: Ints) -> Pairs:
        """Distinct pairs of row << 32 | text, sorted, that can still pass by their lengths and maps."""
        if not len(pairs):
            return Pairs(_NONE, _NONE, _NONE)
        pairs.sort()
        pairs = pairs[np.concatenate((_TRUE, pairs[1:] != pairs[:-1]))]
        rows, texts = pairs >> _SHIFT, pairs & _LOW
        m, n = self._lengths[self.size + rows], self._lengths[texts]
        need = np.ceil(self._half * (m + n)).astype(np.int64)
        keep = (self._differ(self.size + rows, texts) <= m + n - 2 * need) & (need <= np.minimum(m, n))
        return Pairs(rows[keep], texts[keep], need[keep])

    def insert(self, block: Block, prefix: Prefix, kept: list[int]) -> None:
        """Store the rows `kept`, ascending, of the block placed last."""
        if len(kept) < len(block.lengths):
            rows = np.array(kept, np.int64)
            old, new = self.size + rows, slice(self.size, self.size + len(rows))
            self._lengths[new] = self._lengths[old]
            self._maps[:, new] = self._maps[:, old]
            self._spare[new] = self._spare[old]
            number = np.full(len(block.lengths), -1)
            number[rows] = np.arange(len(rows))
            held = number[prefix.rows] >= 0
            prefix = Prefix(number[prefix.rows[held]], prefix.tokens[held], prefix.positions[held])
        texts = self.size + prefix.rows
        lengths = self._lengths[texts]
        # A millionth of the length is far above the rounding to 32 bits.
        room = lengths * (1 + 1e-6 - self._half) - prefix.positions
        self._waiting.append(
            (prefix.tokens << _SHIFT | lengths, texts.astype(np.int32), room.astype(np.float32))
        )
        self.size += len(kept)
        if self.size - self._posted > _waiting(self.size):
            self._merge()

    def _grow(self, capacity: int) -> None:
        more = capacity - self.size
        self._lengths = np.concatenate((self._lengths[: self.size], np.zeros(more, np.int64)))
        self._maps = np.concatenate((self._maps[:, : self.size], np.zeros((2, more), np.uint64)), axis=1)
        self._spare = np.concatenate((self._spare[: self.size], np.zeros(more, np.uint8)))

    def _merge(self) -> None:
        keys, texts, room = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        new = self._keys.searchsorted(keys, "right") + np.arange(len(keys))
        old = np.ones(len(self._keys) + len(keys), bool)
        old[new] = False
        self._keys = _interleaved(self._keys, old, keys, new)
        self._texts = _interleaved(self._texts, old, texts[order], new)
        self._room = _interleaved(self._room, old, room[order], new)
        self._waiting.clear()
        self._posted = self.size

    def _differ(self, ours: Ints, theirs: NDArray[Any]) -> NDArray[np.uint8]:
        """The number of bits in which the maps of two texts differ, at most 128, pair by pair."""
        low, high = self._maps
        differ: NDArray[np.uint8] = np.bitwise_count(low[ours] ^ low[theirs])
        differ += np.bitwise_count(high[ours] ^ high[theirs])
        return differ

    def _by_map(self, count: int) -> Ints:
        """Pairs of the placed texts with the texts not posted yet and one another, as row << 32 | text, by
        row."""
        here = slice(self._posted, self.size + count)
        low, high, spare = self._maps[0, here], self._maps[1, here], self._spare[here]
        first = self.size - self._posted
        step = max(1, _CHUNK // len(low))
        found = []
        for begin in range(0, count, step):
            ours = slice(first + begin, first + min(begin + step, count))
            differ = np.bitwise_count(low ^ low[ours, None])
            differ += np.bitwise_count(high ^ high[ours, None])
            # They may differ in m + n - 2 need <= spare m + spare n bits: in whole numbers, floor + floor +
            # 1.
            rows, texts = (differ <= spare + (spare[ours, None] + _BIT)).nonzero()
            rows += begin
            before = (texts < rows + first).nonzero()[0]
            if len(before):
                found.append(rows[before] << _SHIFT | (texts[before] + self._posted))
        return np.concatenate(found) if found else _NONE

    def _find(self, lengths: Ints, prefix: Prefix) -> Found:
        """Where the postings are that a placed text can pass with; `lengths` by token of the prefixes."""
        shortest = (lengths * (self._half / (1 - self._half))).astype(np.int64)
        longest = np.minimum((lengths - prefix.positions) / self._half - lengths, _LOW).astype(np.int64)
        token = prefix.tokens << _SHIFT
        begin = self._keys.searchsorted(token | shortest)
        counts = self._keys.searchsorted(token | longest, "right") - begin
        some = (counts > 0).nonzero()[0]
        share = (self._half * lengths[some]).astype(np.float32)
        return Found(prefix.rows[some], begin[some], counts[some], share)

    def _by_posting(self, found: Found) -> list[Ints]:
        """Pairs of the placed texts with the posted ones, as row << 32 | text."""
        counts = found.counts
        ends = counts.cumsum()
        begin = found.begin - (ends - counts)
        pairs = []
        first = done = 0
        while first < len(counts):
            last = max(first + 1, int(ends.searchsorted(done + _CHUNK, "right")))
            n = counts[first:last]
            hits = np.arange(done, done := int(ends[last - 1])) + begin[first:last].repeat(n)
            fit = (self._room[hits] >= found.share[first:last].repeat(n)).nonzero()[0]
            texts = self._texts[hits[fit]]
            ours = self.size + found.rows[first:last].repeat(n)[fit]
            near = self._differ(ours, texts) <= self._spare[texts] + (self._spare[ours] + _BIT)
            if near.any():
                pairs.append((ours[near] - self.size) << _SHIFT | texts[near])
            first = last
        return pairs


def _waiting(size: int) -> float:
    """How many texts wait to be posted. A waiting one costs every lookup a few ns, a merge every stored text
    100 ns."""
    return 256 + 4 * math.sqrt(size)


def _interleaved(
    old: NDArray[Number], old_places: NDArray[np.bool_], new: NDArray[Number], new_places: Ints
) -> NDArray[Number]:
    merged = np.empty(len(old_places), old.dtype)
    merged[old_places] = old
    merged[new_places] = new
    return merged
