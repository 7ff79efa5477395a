"""Which texts of a set resemble one another: groups for a person to look at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from selfinstruct.novelty.pool import Pool, blocks, checked, named
from selfinstruct.novelty.vocabulary import Code, Tokens


class Link(NamedTuple):
    """Two texts by their places in the set, the earlier first, and their ROUGE-L, which passes the threshold."""

    score: float
    earlier: int
    later: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """Two texts or more that hang together by `links`, one fewer than there are texts.

    `places` are places in the set, ascending; `texts` and `ids` go with them. Any two are joined by a chain of
    links, so that the first and the last of a long chain may have little in common. Pairs above the threshold
    that would close a circle are not listed.
    """

    places: tuple[int, ...]
    texts: tuple[str, ...]
    ids: tuple[str | None, ...]
    links: tuple[Link, ...]


def clusters(
    texts: Iterable[str],
    threshold: float = 0.7,
    *,
    ids: Iterable[str | None] | None = None,
    strict: bool = True,
    tokens: Tokens = "words",
    progress: Callable[[int], object] | None = None,
) -> list[Cluster]:
    """The connected components of all pairs of texts whose ROUGE-L is above the threshold (at it, too, with
    `strict=False`), the largest first and then by their first text. Texts that stand alone are left out.

    Exact: of all pairs, only those are not compared that cannot pass, or whose texts hang together already.
    `progress` is called with the number of texts done. Tokens, threshold and errors are those of `NoveltyIndex`;
    memory is as for an index that holds every text.
    """
    texts = checked(texts)
    names = named(texts, ids)
    pool = Pool(threshold, strict=strict, tokens=tokens)
    if pool.bar > 1:
        return []
    groups = Groups(len(texts))
    group = groups.of
    first: dict[Code, int] = {}  # place of the first of equal texts; only that one is stored
    stored: list[int] = []  # places of the stored texts
    for here in blocks(texts, pool.most):
        block = pool.encode(texts[here], learn=True)
        prefix = pool.join.place(block)
        size = len(pool)
        kept: list[int] = []
        number = [-1] * len(block.codes)  # of the kept rows, once stored
        for row, found, needs in pool.candidates(block, prefix):
            place = here.start + row
            code = block.codes[row]
            if code and (twin := first.setdefault(code, place)) != place:
                groups.join(1.0, twin, place)
                continue
            against = (text if text < size else number[text - size] for text in found)
            apart = (-1 if text < 0 or group[stored[text]] == group[place] else text for text in against)
            for text, score in pool.passing(block, row, apart, needs):
                groups.join(score, stored[text], place)
            number[row] = len(pool)
            kept.append(row)
            stored.append(place)
            pool.keep(block, row)
        pool.join.insert(block, prefix, kept)
        if progress is not None:
            progress(here.stop)
    return [
        Cluster(
            tuple(places),
            tuple(texts[place] for place in places),
            tuple(names[place] for place in places),
            tuple(links),
        )
        for places, links in groups.found()
    ]


class Groups:
    """Which places hang together, and by which links: at first each is a group of its own."""

    def __init__(self, size: int) -> None:
        self.of = list(range(size))  # the group of each place
        self._places: dict[int, list[int]] = {}  # of the groups of more than one place
        self._links: dict[int, list[Link]] = defaultdict(list)

    def join(self, score: float, earlier: int, later: int) -> None:
        """Make one group of two: the smaller joins the larger, so that no place moves often."""
        large, small = self.of[earlier], self.of[later]
        ours, theirs = (self._places.pop(group, [group]) for group in (large, small))
        if len(ours) < len(theirs):
            large, small, ours, theirs = small, large, theirs, ours
        for place in theirs:
            self.of[place] = large
        ours += theirs
        self._places[large] = ours
        self._links[large] += [*self._links.pop(small, ()), Link(score, earlier, later)]

    def found(self) -> list[tuple[list[int], list[Link]]]:
        """The places, ascending, and the links, by their later place, of each group of two places or more; the
        largest group first."""
        both = [
            (sorted(self._places[group]), sorted(links, key=lambda link: (link.later, link.earlier)))
            for group, links in self._links.items()
        ]
        return sorted(both, key=lambda one: (-len(one[0]), one[0][0]))
