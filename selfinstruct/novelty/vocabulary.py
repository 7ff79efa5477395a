"""Texts to numbers: how a text is cut into tokens, and the token's number, from which everything else is
made."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selfinstruct.text import WORDS_VERSION, symbols, words

Tokens = Literal["words", "rouge"]
# A text as rapidfuzz compares it: one character per token, or plain numbers once Unicode has no more
# characters.
Code = str | tuple[int, ...]

_ROUGE = re.compile("[a-z0-9]+")
_SURROGATES = 0xD800  # code points that a decoder refuses: numbers from here on are moved up by _GAP
_GAP = 0x800
_CHARACTERS = 0x110000 - _GAP
_ONE = np.uint64(1)
_LONG = 64  # tokens, above which a text has a broad map
_BROAD = 12  # a broad map has 2 ** 12 bits
# Odd, so that multiplying by them spreads all bits.
_MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive texts as arrays. `numbers` holds the token numbers of all texts one after the other and
    `rows` the text that each belongs to; text i has `lengths[i]` of them, from `starts[i]` on. `maps` holds
    two words of 64 bits per text: bit k of the 128 is set when the text has a token whose number is k modulo
    128. In a long text all are; `broad` holds, for the rows of long texts, maps of 4,096 bits
    (`broad_map`)."""

    codes: list[Code]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    maps: NDArray[np.uint64]
    broad: dict[int, int]


class Vocabulary:
    """Numbers tokens as they come; within one batch, the more frequent first. So a higher number means a
    rarer token (nearly), and the frequent ones are Latin-1 characters, which rapidfuzz compares fastest."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.numbers: dict[str, int] = {}

    @property
    def rules(self) -> str:
        """The rules that cut the texts; words depend on the Unicode tables of this Python."""
        return (
            "rouge"
            if self.tokens == "rouge"
            else f"words {WORDS_VERSION}, Unicode {unicodedata.unidata_version}"
        )

    def cut(self, text: str) -> tuple[list[str], bool]:
        """The tokens of `text`, and whether it has any by the rules.

        `rouge` is rouge_score's default tokenizer. A text without words is compared by its visible
        characters, and an empty one by a single token of its own, so that it equals other empty texts.
        """
        if self.tokens == "rouge":
            found = _ROUGE.findall(text.lower())
            return found, bool(found)
        found = words(text)
        return (found, True) if found else (symbols(text) or [""], False)

    def encode(self, texts: Sequence[list[str]], *, learn: bool) -> Block:
        """Texts given as tokens. Without `learn`, unknown tokens get numbers for this block only."""
        flat = list(chain.from_iterable(texts))
        known = self.numbers
        fresh = [token for token in flat if token not in known]
        if fresh:
            first = len(known)
            if not learn:
                known = {token: known[token] for token in flat if token in known}
            known.update((t, n) for n, (t, _) in enumerate(Counter(fresh).most_common(), first))
        numbers = np.fromiter(map(known.__getitem__, flat), np.int64, len(flat))
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return pack(numbers, lengths)


def pack(numbers: NDArray[np.int64], lengths: NDArray[np.int64]) -> Block:
    """A block from its token numbers and the number of tokens of each text."""
    ends = lengths.cumsum()
    starts = ends - lengths
    rows = np.arange(len(lengths)).repeat(lengths)
    maps = np.zeros(2 * len(lengths), np.uint64)
    np.bitwise_or.at(maps, 2 * rows + (numbers >> 6 & 1), _ONE << (numbers & 63).view(np.uint64))
    points = numbers
    highest = int(numbers.max()) if len(numbers) else 0
    if highest >= _SURROGATES:
        points = np.where(numbers < _SURROGATES, numbers, numbers + _GAP)
    bounds = zip(starts.tolist(), ends.tolist(), strict=True)
    codes: list[Code]
    if highest < _CHARACTERS:
        whole = points.astype("<u4").tobytes().decode("utf-32-le")
        codes = [whole[a:b] for a, b in bounds]
    else:
        beyond = (numbers >= _CHARACTERS).tolist()
        plain = points.tolist()
        codes = [tuple(plain[a:b]) if any(beyond[a:b]) else "".join(map(chr, plain[a:b])) for a, b in bounds]
    long = (lengths > _LONG).nonzero()[0].tolist()
    broad = {row: broad_map(numbers[starts[row] : ends[row]]) for row in long}
    return Block(codes, lengths, starts, rows, numbers, maps.reshape(-1, 2), broad)


def broad_map(numbers: NDArray[np.int64]) -> int:
    """The parities of a text's tokens, the second "the" being another token than the first, over 4,096
    places.

    The maps of two texts differ in at most as many bits as the texts in tokens, counted with their
    repetitions: what is common falls out of both, so that unlike a map of mere presence it doesn't fill up.
    """
    ordered = np.sort(numbers)
    index = np.arange(len(ordered))
    first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    repetition = index - np.maximum.accumulate(np.where(first, index, 0))
    mixed = ordered.astype(np.uint64) * _MIX[0] + repetition.astype(np.uint64) * _MIX[1]
    bits = np.bincount((mixed >> np.uint64(64 - _BROAD)).astype(np.int64), minlength=1 << _BROAD) & 1
    return int.from_bytes(np.packbits(bits.astype(np.uint8)).tobytes(), "big")


def unpack(codes: Sequence[Code]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The token numbers and lengths that `pack` made the codes from."""
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    flat = (p if isinstance(p, int) else ord(p) for code in codes for p in code)
    points = np.fromiter(flat, np.int64, int(lengths.sum()))
    return np.where(points < _SURROGATES, points, points - _GAP), lengths
