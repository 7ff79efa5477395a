"""Stored texts as token numbers: which of them another text passes the threshold with, and by how much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, get_args

import numpy as np
from rapidfuzz.distance import LCSseq

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.novelty.join import Join, Prefix
from selfinstruct.novelty.rouge import fmeasure
from selfinstruct.novelty.vocabulary import Block, Code, Tokens, Vocabulary

_TEXTS = 512  # in one block: more share the fixed costs of the array operations, but each meets all others
_CHARACTERS = 1 << 18  # in one block of long texts


class Candidates(NamedTuple):
    """For row `row` of a block: the texts that it could pass with, ascending, and the common tokens needed.

    Texts from the size of the pool on are rows of the block itself, before `row`.
    """

    row: int
    texts: list[int]
    needs: list[int]


class Pool:
    """Texts numbered 0, 1, 2... as they are stored, without the texts themselves.

    A block is encoded and placed, its candidates are looked at, then the rows to keep are stored. Raises
    `ConfigError` for a threshold outside (0, 1] or unknown `tokens`.
    """

    def __init__(self, threshold: float, *, strict: bool, tokens: Tokens) -> None:
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise ConfigError(
                f"novelty threshold is {threshold!r}: it must be a number above 0 and at most 1",
                "Self-Instruct and Alpaca use 0.7; a lower threshold rejects more",
            )
        if tokens not in get_args(Tokens):
            raise ConfigError(f"novelty tokens are {tokens!r}", nearest(str(tokens), get_args(Tokens)))
        self.threshold = float(threshold)
        # In the same floats, `score >= bar` decides as `score > threshold` or `score >= threshold`.
        self.bar = math.nextafter(self.threshold, 2) if strict else self.threshold
        # At a very low threshold nearly every pair is a candidate: fewer at once keep their list small.
        self.most = _TEXTS if self.threshold >= 0.3 else 32
        self.vocabulary = Vocabulary(tokens)
        self.join = Join(self.threshold)
        self.codes: list[Code] = []
        self.tokenless = 0  # learnt texts without a token by the rules
        self._broad: dict[int, int] = {}  # broad maps of long texts

    def __len__(self) -> int:
        return len(self.codes)

    def encode(self, texts: list[str], *, learn: bool) -> Block:
        cuts = [self.vocabulary.cut(text) for text in texts]
        if learn:
            self.tokenless += sum(not whole for _, whole in cuts)
        return self.vocabulary.encode([tokens for tokens, _ in cuts], learn=learn)

    def candidates(self, block: Block, prefix: Prefix) -> Iterator[Candidates]:
        """Of every row of the block, in order."""
        for first, last, pairs in self.join.pairs(block, prefix):
            bounds = pairs.rows.searchsorted(np.arange(first, last + 1)).tolist()
            for row in range(first, last):
                here = slice(bounds[row - first], bounds[row - first + 1])
                yield Candidates(row, pairs.texts[here].tolist(), pairs.need[here].tolist())

    def passing(
        self, block: Block, row: int, texts: Iterable[int], needs: list[int]
    ) -> Iterator[tuple[int, float]]:
        """Those of the texts that the row passes the threshold with, and their scores. A text of -1 is passed
        over; `texts` is read one at a time, so that what follows from one answer can spare the next."""
        code, broad = block.codes[row], block.broad.get(row)
        for text, need in zip(texts, needs, strict=True):
            if text < 0:
                continue
            other = self.codes[text]
            if (
                broad
                and (others := self._broad.get(text))
                and (broad ^ others).bit_count() > len(code) + len(other) - 2 * need
            ):
                continue
            common = LCSseq.similarity(code, other, score_cutoff=need)
            if common and (score := fmeasure(common, len(code), len(other))) >= self.bar:
                yield text, score

    def keep(self, block: Block, row: int) -> None:
        """Number the row, so that later rows of its block can meet it; `Join.insert` follows for the block."""
        if row in block.broad:
            self._broad[len(self.codes)] = block.broad[row]
        self.codes.append(block.codes[row])


def checked(texts: Iterable[str]) -> list[str]:
    """The texts as a list. Raises `DataError` for what is not text."""
    if isinstance(texts, str):
        raise DataError("one text was given where several are expected", "put it in a list")
    found = list(texts)
    for i, text in enumerate(found):
        if not isinstance(text, str):
            raise DataError(f"text {i} is {type(text).__name__}, not text", "leave out rows without text")
    return found


def named(texts: list[str], ids: Iterable[str | None] | None) -> list[str | None]:
    """The ids as a list, one for each text. Raises `DataError` if their number differs."""
    names: list[str | None] = [None] * len(texts) if ids is None else list(ids)
    if len(names) != len(texts):
        raise DataError(f"{len(names)} ids for {len(texts)} texts", "give one id, or None, for each text")
    return names


def blocks(texts: list[str], most: int) -> Iterator[slice]:
    """Consecutive parts of at most `most` texts, and of fewer long ones."""
    begin = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if end - begin == most or size >= _CHARACTERS or end == len(texts):
            yield slice(begin, end)
            begin, size = end, 0
