"""The index: a pool of texts that answers whether another one is new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

import numpy as np
from rapidfuzz.distance import LCSseq

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.novelty import snapshot
from selfinstruct.novelty.join import Join
from selfinstruct.novelty.rouge import fmeasure, rank
from selfinstruct.novelty.snapshot import Snapshot
from selfinstruct.novelty.vocabulary import Block, Code, Tokens, Vocabulary, unpack

_TEXTS = 512  # in one block: more share the fixed costs of the array operations, but each meets all others
_CHARACTERS = 1 << 18  # in one block of long texts
_LOADED = 1 << 16  # texts stored at once from a saved index


@dataclass(frozen=True, slots=True)
class Match:
    """A stored text and its ROUGE-L F-measure, in [0, 1], with the text that was asked about."""

    score: float
    text: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Similar:
    """The most similar texts, best first, and the mean ROUGE-L over the whole pool (0 when it is empty)."""

    top: list[Match]
    mean: float


class NoveltyIndex:
    """A pool of texts, in order, and the ROUGE-L test against all of it.

    A text is rejected when its score with any stored text is above `threshold` (`strict`, as in the code of
    Self-Instruct and Alpaca), or at it too (`strict=False`, as in the Self-Instruct paper). The decisions are
    exactly those of comparing with every stored text, in order; nothing is approximated.

    `tokens="words"` compares words in any script (`selfinstruct.text.words`); a text without any is compared
    by its visible characters, and an empty one equals other empty ones. `tokens="rouge"` decides exactly as
    rouge_score 0.1.2 without stemmer: its tokens are runs of ASCII letters and digits, so that a text in most
    other scripts has none, scores 0 with everything, and is always new. `tokenless` counts the texts given to
    `add` or `add_if_new` and their bulk forms that had no token by the chosen rule.

    Memory: the texts themselves, and 250 to 400 bytes for each of instruction length, 1 KB more for a long
    one. Not for use from two threads.

    Raises `ConfigError` for a threshold outside (0, 1] or an unknown `tokens`.
    """

    def __init__(self, threshold: float = 0.7, *, strict: bool = True, tokens: Tokens = "words") -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ConfigError(
                f"novelty threshold is {threshold!r}: it must be a number above 0 and at most 1",
                "Self-Instruct and Alpaca use 0.7; a lower threshold rejects more",
            )
        if tokens not in get_args(Tokens):
            raise ConfigError(f"novelty tokens are {tokens!r}", nearest(str(tokens), get_args(Tokens)))
        self.threshold = float(threshold)
        self.strict = bool(strict)
        self.tokens = tokens
        self.tokenless = 0
        # In the same floats, `score >= bar` decides as `score > threshold` or `score >= threshold`.
        self._bar = math.nextafter(self.threshold, 2) if self.strict else self.threshold
        # At a very low threshold nearly every pair is a candidate: fewer at once keep their list small.
        self._most = _TEXTS if self.threshold >= 0.3 else 32
        self._vocabulary = Vocabulary(tokens)
        self._join = Join(self.threshold)
        self._texts: list[str] = []
        self._ids: list[str | None] = []
        self._codes: list[Code] = []
        self._broad: dict[int, int] = {}  # broad maps of long texts

    def __len__(self) -> int:
        """The number of stored texts."""
        return len(self._texts)

    def add_if_new(self, text: str, id: str | None = None) -> Match | None:
        """None if the text was new, and it is now stored; else the stored text that is most similar to it
        (the earliest of those with the highest score), and nothing is stored. Raises `DataError` if it is not
        text."""
        return self.add_all([text], [id])[0]

    def add_all(self, texts: Iterable[str], ids: Iterable[str | None] | None = None) -> list[Match | None]:
        """`add_if_new` for each text in order, with the same answers and several times faster."""
        return [
            match for block, names in _blocks(texts, ids, self._most) for match in self._offer(block, names)
        ]

    def add(self, text: str, id: str | None = None) -> None:
        """Store the text without the test: seeds and references."""
        self.extend([text], [id])

    def extend(self, texts: Iterable[str], ids: Iterable[str | None] | None = None) -> None:
        """`add` for each text."""
        for block, names in _blocks(texts, ids, _TEXTS):
            self._store(self._encode(block, learn=True), block, names)

    def match(self, text: str) -> Match | None:
        """What `add_if_new` would answer; stores nothing."""
        block = self._encode(_checked([text]), learn=False)
        pairs = self._join.pairs(block, self._join.place(block))
        return self._best(block, 0, pairs.texts.tolist(), pairs.need.tolist())

    def similar(
        self, texts: Iterable[str], k: int = 10, *, before: Sequence[int] | None = None
    ) -> list[Similar]:
        """The k most similar stored texts of each text, and its mean score, whatever the threshold.

        With `before`, text i is compared only with the first before[i] stored texts: Self-Instruct and Alpaca
        keep with each accepted instruction its scores with the pool as it stood. Compares every pair, some 20
        ns each in bulk, so give many texts at once. Among equal scores the earlier text comes first.
        """
        texts = _checked(texts)
        limits = [len(self)] * len(texts) if before is None else list(before)
        if len(limits) != len(texts) or not all(0 <= limit <= len(self) for limit in limits):
            raise DataError(
                f"`before` must hold one number from 0 to {len(self)} for each of {len(texts)} texts"
            )
        if k < 0:
            raise ConfigError(f"k is {k}: it can't be negative")
        codes = self._encode(texts, learn=False).codes
        return [
            Similar([self._as_match(score, i) for i, score in zip(r.texts, r.scores, strict=True)], r.mean)
            for r in rank(codes, self._codes, limits, k)
        ]

    def save(self, path: str | Path) -> None:
        """Write the index to one .npz file, whole or not at all."""
        header = {
            "rules": self._vocabulary.rules,
            "tokens": self.tokens,
            "threshold": self.threshold,
            "strict": self.strict,
            "tokenless": self.tokenless,
            "ids": self._ids,
        }
        numbers, lengths = unpack(self._codes)
        snapshot.write(
            Path(path), Snapshot(header, self._texts, list(self._vocabulary.numbers), numbers, lengths)
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The index that `save` wrote. Raises `DataError` when the file is none, is damaged, or was written
        by another version or under other rules of tokenisation."""
        saved = snapshot.read(Path(path))
        header = saved.header
        rules = Vocabulary(header["tokens"]).rules
        if header["rules"] != rules:
            raise DataError(
                f"{path}: its texts were cut into tokens by the rules `{header['rules']}`, "
                f"and this version has `{rules}`",
                "build the index anew from the texts",
            )
        index = cls(header["threshold"], strict=header["strict"], tokens=header["tokens"])
        index.tokenless = header["tokenless"]
        index._vocabulary.numbers = {token: number for number, token in enumerate(saved.vocabulary)}
        for begin in range(0, len(saved.texts), _LOADED):
            here = slice(begin, begin + _LOADED)
            index._store(saved.block(here), saved.texts[here], header["ids"][here])
        return index

    def _encode(self, texts: list[str], *, learn: bool) -> Block:
        cuts = [self._vocabulary.cut(text) for text in texts]
        if learn:
            self.tokenless += sum(not whole for _, whole in cuts)
        return self._vocabulary.encode([tokens for tokens, _ in cuts], learn=learn)

    def _store(self, block: Block, texts: list[str], ids: list[str | None]) -> None:
        self._join.insert(block, self._join.place(block), list(range(len(texts))))
        for row, (text, id) in enumerate(zip(texts, ids, strict=True)):
            self._keep(block, row, text, id)

    def _offer(self, texts: list[str], ids: list[str | None]) -> list[Match | None]:
        block = self._encode(texts, learn=True)
        prefix = self._join.place(block)
        pairs = self._join.pairs(block, prefix)
        size = len(self)
        bounds = pairs.rows.searchsorted(np.arange(len(texts) + 1)).tolist()
        matches: list[Match | None] = []
        kept: list[int] = []
        number = [-1] * len(texts)  # of the kept rows, once stored
        for row in range(len(texts)):
            here = slice(bounds[row], bounds[row + 1])
            against = (text if text < size else number[text - size] for text in pairs.texts[here].tolist())
            match = self._best(block, row, against, pairs.need[here].tolist())
            if match is None:
                number[row] = len(self)
                kept.append(row)
                self._keep(block, row, texts[row], ids[row])
            matches.append(match)
        self._join.insert(block, prefix, kept)
        return matches

    def _keep(self, block: Block, row: int, text: str, id: str | None) -> None:
        if row in block.broad:
            self._broad[len(self)] = block.broad[row]
        self._texts.append(text)
        self._ids.append(id)
        self._codes.append(block.codes[row])

    def _best(self, block: Block, row: int, against: Iterable[int], needs: list[int]) -> Match | None:
        """The best of the candidates: texts, ascending, -1 for a row that was not kept, and their needs."""
        code, broad = block.codes[row], block.broad.get(row)
        best, score = -1, 0.0
        for text, need in zip(against, needs, strict=True):
            if text < 0:
                continue
            other = self._codes[text]
            if (
                broad
                and (others := self._broad.get(text))
                and (broad ^ others).bit_count() > len(code) + len(other) - 2 * need
            ):
                continue
            common = LCSseq.similarity(code, other, score_cutoff=need)
            if (
                common
                and (reached := fmeasure(common, len(code), len(other))) >= self._bar
                and reached > score
            ):
                best, score = text, reached
        return None if best < 0 else self._as_match(score, best)

    def _as_match(self, score: float, text: int) -> Match:
        return Match(score, self._texts[text], self._ids[text])


def _checked(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str):
        raise DataError("one text was given where several are expected", "put it in a list")
    checked = list(texts)
    for i, text in enumerate(checked):
        if not isinstance(text, str):
            raise DataError(f"text {i} is {type(text).__name__}, not text", "leave out rows without text")
    return checked


def _blocks(
    texts: Iterable[str], ids: Iterable[str | None] | None, most: int
) -> Iterator[tuple[list[str], list[str | None]]]:
    """Checked before the first is stored, and cut into blocks of at most `most` texts."""
    checked = _checked(texts)
    names: list[str | None] = [None] * len(checked) if ids is None else list(ids)
    if len(names) != len(checked):
        raise DataError(f"{len(names)} ids for {len(checked)} texts", "give one id, or None, for each text")
    begin = size = 0
    for end, text in enumerate(checked, 1):
        size += len(text)
        if end - begin == most or size >= _CHARACTERS or end == len(checked):
            yield checked[begin:end], names[begin:end]
            begin, size = end, 0
