"""The index: a pool of texts that answers whether another one is new."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.novelty import snapshot
from selfinstruct.novelty.pool import Pool, blocks, checked, named
from selfinstruct.novelty.rouge import rank
from selfinstruct.novelty.snapshot import Snapshot
from selfinstruct.novelty.vocabulary import Block, Tokens, Vocabulary, unpack

_LOADED = 1 << 16  # texts stored at once from a saved index


@dataclass(frozen=True, slots=True)
class Match:
    """A stored text and its ROUGE-L F-measure, in [0, 1], with the text that was asked about."""

    score: float
    text: str
    id: str | None = None

    def detail(self, threshold: float) -> dict[str, Any]:
        """What a drop for it says."""
        return {
            "rule": "rouge_l",
            "value": self.score,
            "threshold": threshold,
            "similar_to": self.id,
            "similar": self.text,
        }


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
        self._pool = Pool(threshold, strict=strict, tokens=tokens)
        self.threshold = self._pool.threshold
        self.strict = bool(strict)
        self.tokens = tokens
        self._texts: list[str] = []
        self._ids: list[str | None] = []

    def __len__(self) -> int:
        """The number of stored texts."""
        return len(self._texts)

    @property
    def tokenless(self) -> int:
        return self._pool.tokenless

    def add_if_new(self, text: str, id: str | None = None) -> Match | None:
        """None if the text was new, and it is now stored; else the stored text that is most similar to it
        (the earliest of those with the highest score), and nothing is stored. Raises `DataError` if it is not
        text."""
        return self.add_all([text], [id])[0]

    def add_all(
        self,
        texts: Iterable[str],
        ids: Iterable[str | None] | None = None,
        *,
        progress: Callable[[int], object] | None = None,
    ) -> list[Match | None]:
        """`add_if_new` for each text in order, with the same answers and several times faster.

        `progress` is called with the number of texts done, every few hundred texts.
        """
        texts = checked(texts)
        names = named(texts, ids)
        matches: list[Match | None] = []
        for here in blocks(texts, self._pool.most):
            matches += self._offer(texts[here], names[here])
            if progress is not None:
                progress(len(matches))
        return matches

    def add(self, text: str, id: str | None = None) -> None:
        """Store the text without the test: seeds and references."""
        self.extend([text], [id])

    def extend(self, texts: Iterable[str], ids: Iterable[str | None] | None = None) -> None:
        """`add` for each text."""
        texts = checked(texts)
        names = named(texts, ids)
        for here in blocks(texts, self._pool.most):
            self._store(self._pool.encode(texts[here], learn=True), texts[here], names[here])

    def match(self, text: str) -> Match | None:
        """What `add_if_new` would answer; stores nothing."""
        block = self._pool.encode(checked([text]), learn=False)
        ((row, texts, needs),) = self._pool.candidates(block, self._pool.join.place(block))
        return self._best(block, row, texts, needs)

    def similar(
        self, texts: Iterable[str], k: int = 10, *, before: Sequence[int] | None = None
    ) -> list[Similar]:
        """The k most similar stored texts of each text, and its mean score, whatever the threshold.

        With `before`, text i is compared only with the first before[i] stored texts: Self-Instruct and Alpaca
        keep with each accepted instruction its scores with the pool as it stood. Compares every pair, some 20
        ns each in bulk, so give many texts at once. Among equal scores the earlier text comes first.
        """
        texts = checked(texts)
        limits = [len(self)] * len(texts) if before is None else list(before)
        if len(limits) != len(texts) or not all(0 <= limit <= len(self) for limit in limits):
            raise DataError(
                f"`before` must hold one number from 0 to {len(self)} for each of {len(texts)} texts"
            )
        if k < 0:
            raise ConfigError(f"k is {k}: it can't be negative")
        codes = self._pool.encode(texts, learn=False).codes
        return [
            Similar([self._as_match(score, i) for i, score in zip(r.texts, r.scores, strict=True)], r.mean)
            for r in rank(codes, self._pool.codes, limits, k)
        ]

    def save(self, path: str | Path) -> None:
        """Write the index to one .npz file, whole or not at all."""
        header = {
            "rules": self._pool.vocabulary.rules,
            "tokens": self.tokens,
            "threshold": self.threshold,
            "strict": self.strict,
            "tokenless": self.tokenless,
            "ids": self._ids,
        }
        numbers, lengths = unpack(self._pool.codes)
        snapshot.write(
            Path(path), Snapshot(header, self._texts, list(self._pool.vocabulary.numbers), numbers, lengths)
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
        index._pool.tokenless = header["tokenless"]
        index._pool.vocabulary.numbers = {token: number for number, token in enumerate(saved.vocabulary)}
        for begin in range(0, len(saved.texts), _LOADED):
            here = slice(begin, begin + _LOADED)
            index._store(saved.block(here), saved.texts[here], header["ids"][here])
        return index

    def _store(self, block: Block, texts: list[str], ids: list[str | None]) -> None:
        self._pool.join.insert(block, self._pool.join.place(block), list(range(len(texts))))
        for row, (text, id) in enumerate(zip(texts, ids, strict=True)):
            self._keep(block, row, text, id)

    def _offer(self, texts: list[str], ids: list[str | None]) -> list[Match | None]:
        pool, size = self._pool, len(self)
        block = pool.encode(texts, learn=True)
        prefix = pool.join.place(block)
        matches: list[Match | None] = []
        kept: list[int] = []
        number = [-1] * len(texts)  # of the kept rows, once stored
        for row, found, needs in pool.candidates(block, prefix):
            against = (text if text < size else number[text - size] for text in found)
            match = self._best(block, row, against, needs)
            if match is None:
                number[row] = len(self)
                kept.append(row)
                self._keep(block, row, texts[row], ids[row])
            matches.append(match)
        pool.join.insert(block, prefix, kept)
        return matches

    def _keep(self, block: Block, row: int, text: str, id: str | None) -> None:
        self._pool.keep(block, row)
        self._texts.append(text)
        self._ids.append(id)

    def _best(self, block: Block, row: int, against: Iterable[int], needs: list[int]) -> Match | None:
        """The best of the candidates, and the earliest of equals."""
        best, score = -1, 0.0
        for text, reached in self._pool.passing(block, row, against, needs):
            if reached > score:
                best, score = text, reached
        return None if best < 0 else self._as_match(score, best)

    def _as_match(self, score: float, text: int) -> Match:
        return Match(score, self._texts[text], self._ids[text])
