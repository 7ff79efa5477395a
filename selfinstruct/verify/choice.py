"""Which of several answers to one prompt is taken, once a verifier or a judge has looked at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from selfinstruct.errors import ParseError
from selfinstruct.text import normal_form

Pick = Literal["first", "shortest", "majority", "score"]


@dataclass(frozen=True)
class Drawn:
    """An answer: the `number` of its draw and its text, empty where there is none to be used.

    `right` is None where nobody can tell, and `fault` then says why; `final` is its final answer as it is compared with
    others, `score` the judge's.
    """

    number: int
    text: str = ""
    right: bool | None = None
    final: str = ""
    fault: str = ""
    score: float | None = None


def majority(answers: Sequence[str]) -> str:
    """The answer that most give; of equals, the one that came first (self-consistency, Wang et al. 2022)."""
    return max(answers, key=answers.count)


def different(found: Sequence[Drawn]) -> list[Drawn]:
    """Each text once."""
    kept: dict[str, Drawn] = {}
    for each in found:
        kept.setdefault(normal_form(each.text), each)
    return list(kept.values())


def ranked(
    found: Sequence[Drawn], pick: Pick, *, min_share: float = 0.0, min_worst: float | None = None
) -> tuple[list[Drawn], list[Drawn]]:
    """The answers that pass, the best first, and those known to be wrong (with `score`: worse), the worst first.

    Of equals the earlier one is better. `right` says of each answer whether it passes and, with `majority`, whether it
    is the reference, where there is one.

    Raises ParseError with the reason to take none: no_right_answer, no_majority, not_the_reference, unscored,
    low_worst.
    """
    if pick == "majority":
        return _majority(found, min_share)
    passing = [each for each in found if each.right]
    wrong = [each for each in found if each.right is False]
    if not passing:
        raise ParseError("no_right_answer", f"{len(wrong)} of {len(found)} are wrong")
    if pick == "score":
        return _scored(passing, wrong, min_worst)
    return sorted(passing, key=lambda each: len(each.text)) if pick == "shortest" else passing, wrong


def _majority(found: Sequence[Drawn], min_share: float) -> tuple[list[Drawn], list[Drawn]]:
    read = [each for each in found if each.final]
    if not read:
        raise ParseError("no_majority", "no answer can be read")
    winner = majority([each.final for each in read])
    passing = [each for each in read if each.final == winner]
    said = f"{len(passing)} of {len(found)} say {winner[:80]}"
    if len(passing) < min_share * len(found):
        raise ParseError("no_majority", said)
    if passing[0].right is False:
        raise ParseError("not_the_reference", said)
    return passing, [each for each in read if each.final != winner]


def _scored(
    passing: Sequence[Drawn], wrong: list[Drawn], min_worst: float | None
) -> tuple[list[Drawn], list[Drawn]]:
    scores = {each.number: each.score for each in passing if each.score is not None}
    if not scores or (min_worst is not None and len(scores) < len(passing)):
        raise ParseError("unscored", f"{len(passing) - len(scores)} of {len(passing)} have no score")
    best, worst = max(scores.values()), min(scores.values())
    if min_worst is not None and worst < min_worst:
        raise ParseError("low_worst", f"{worst:g} is below {min_worst:g}")
    order = sorted((each for each in passing if each.number in scores), key=lambda each: -scores[each.number])
    return order, wrong or [each for each in reversed(order) if scores[each.number] < best]
