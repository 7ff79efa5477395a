"""pairs: of the answers to one prompt a better and a worse one, for preference training; and what length has to do
with it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.outlook import READ_AGAIN, Estimate, Outlook, Range
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample, question
from selfinstruct.step import Samples, step

Against = Literal["worst", "random", "all"]
PAIRED = 0.25  # pairs for each row that comes: one of four answers (assumption)


def _check(
    place: Place,
    *,
    by: str | None,
    dropped: tuple[str, ...],
    parents: bool,
    margin: float,
    at_least: float | None,
    **_: Any,
) -> None:
    if by is None and not dropped and not parents:
        raise ConfigError(
            "nothing says which answer is better",
            "name a score (by: accuracy), reasons under which earlier steps dropped rows (dropped: [below_min]),"
            " or set parents: true",
        )
    if by is None and (margin or at_least is not None):
        raise ConfigError("`margin` and `at_least` are about a score", "name it: by: accuracy")


def _forecast(
    outlook: Outlook, *, dropped: tuple[str, ...], parents: bool, against: Against, **_: Any
) -> Estimate:
    rows = outlook.rows
    came = rows.count
    most = came.ceiling
    if against == "all":
        # rows that came as pairs pass
        most = None if most is None or dropped or parents else max(most, most * (most - 1) // 2)
    return Estimate(
        replace(
            rows,
            count=Range(0, round(came.expected * PAIRED), most),
            # the losing answer is part of the row
            longest=None if rows.longest is None or dropped or parents else rows.longest * READ_AGAIN,
            text=None,
        ),
        source=f"{PAIRED:g} pairs a row (assumption)",
    )


@dataclass(frozen=True, eq=False)
class _Answer:
    """An answer that came, or that an earlier step had (`why`: the reason for which it was dropped, or `parent`)."""

    row: Sample
    why: str = ""

    def score(self, by: str | None) -> float | None:
        return None if by is None else self.row.scores.get(by)


@dataclass(frozen=True, eq=False)
class _Pair:
    chosen: _Answer
    rejected: _Answer
    gap: float | None  # how much better the chosen one's score is; None where no score says so

    def row(self) -> Sample:
        better, worse = self.chosen.row, self.rejected.row
        told: dict[str, Any] = {
            "gap": self.gap,
            "rejected_scores": dict(worse.scores),
            "why": self.rejected.why,
        }
        pair = {name: value for name, value in told.items() if value not in (None, {}, "")}
        made = better.replace(rejected=worse.output, parents=(better.id, worse.id))
        return made.note(pair=pair) if pair else made


@step(check=_check, forecast=_forecast)
async def pairs(
    run: Run,
    samples: Samples,
    *,
    by: str | None = None,
    dropped: tuple[str, ...] = (),
    parents: bool = False,
    per: str | None = None,
    against: Against = "worst",
    margin: Annotated[float, Field(ge=0)] = 0.0,
    at_least: float | None = None,
    longer_at_most: Annotated[float, Field(gt=0, le=1)] | None = None,
) -> Samples:
    """Make chosen and rejected answers of rows with the same prompt; asks nobody.

    An answer is better than another with a lower score `by`, such as the judge's accuracy. Answers that an earlier
    step of this run dropped can lose, too, and were paid for: `dropped` names the reasons. With `parents` the answer
    that a row was made from loses to it, as a corrected one to its original. Without `by` only these make pairs.

    `against` says which: the best answer against the worst (as in Magpie, Xu et al. 2024), or against another drawn
    at random (UltraFeedback as binarised for Zephyr, Tunstall et al. 2023), or every two (InstructGPT, Ouyang et al.
    2022: K ranked answers give K x (K - 1) / 2 comparisons). Equal scores make no pair.

    The row of a pair is the chosen one with the other as `rejected`; its meta holds the difference in score. A row
    that is in a pair as the rejected one ends here (paired), as does one in none: alone (no other answer to its
    prompt), same_answer, tied (no difference, or less than `margin`), below_min (better than others, and below
    `at_least`), unscored, or unpaired (not taken, or nothing loses to it). A row that came as a pair passes.

    Judges like long answers. The note says in how many pairs the chosen one is longer (in characters), how many times
    as long it is in the median, and how length and score correlate within a prompt. With `longer_at_most` pairs are
    dropped, those first whose chosen answer is longest beside its rejected one, until that share is reached
    (longer_chosen).

    Args:
        by: the score that says which answer is better
        dropped: reasons for which earlier steps of this run dropped rows; such rows lose to those that came
        parents: the rows named as a row's parents lose to it
        per: a key of `meta`; rows with the same value there are paired instead of those with the same prompt, under the
            chosen row's prompt
        against: what the best answer is paired with: worst or random; or all, for every two answers
        margin: the least difference in score that makes a pair
        at_least: the lowest score of a chosen answer
        longer_at_most: the highest share of pairs whose chosen answer is the longer one
    """
    made: list[Sample] = []
    groups: dict[str, list[_Answer]] = {}
    async for sample in samples:
        if not sample.answered:
            raise DataError(
                f"a row has no answer: {sample.instruction[:60]!r}",
                "put a step `answers` or `respond` before `pairs`",
            )
        if sample.rejected is not None:
            made.append(sample)
        elif by is not None and by not in sample.scores:
            run.drop(sample, "unscored", rule=by)
        else:
            groups.setdefault(question(sample, per), []).append(_Answer(sample))
    behind = _behind(run, groups, dropped, parents, per)
    for answer in behind:
        groups[question(answer.row, per)].append(answer)
    run.made(len(behind))
    scored: list[list[_Answer]] = []
    for group in groups.values():
        answers = _distinct(run, group)
        scored.append(answers)
        found = list(_better(answers, by, margin, against))
        good = [pair for pair in found if at_least is None or (pair.chosen.score(by) or 0.0) >= at_least]
        taken = _choose(run, good, against)
        winners, losers = {pair.chosen for pair in taken}, {pair.rejected for pair in taken}
        made += [pair.row() for pair in taken]
        run.made(len(taken) - len(winners))
        for answer in answers:
            if answer in winners:
                continue
            if answer in losers:
                reason = "paired"
            elif len(answers) == 1:
                reason = "alone"
            elif by is not None and not found:
                reason = "tied"
            else:
                reason = "below_min" if found and not good else "unpaired"
            run.drop(answer.row, reason, rule=by, value=answer.score(by))
    balance = _balance(made, longer_at_most)
    kept = []
    for place, row in enumerate(made):
        if place in balance:
            run.drop(row, "longer_chosen", rule="longer_at_most", value=_ratio(row), threshold=longer_at_most)
        else:
            kept.append(row)
            yield row
    run.note(**_report(kept, scored, by))
    if (dropped or parents) and not behind:
        run.note(warning="no earlier step has an answer to these prompts under `dropped` or `parents`")


def _behind(
    run: Run, groups: Mapping[str, Sequence[_Answer]], dropped: Sequence[str], parents: bool, per: str | None
) -> list[_Answer]:
    """Answers of earlier steps to the prompts that came, which lose to those that came."""

    def stands(row: Sample | str) -> TypeGuard[Sample]:
        return (
            isinstance(row, Sample) and row.answered and row.rejected is None and question(row, per) in groups
        )

    found: dict[str, _Answer] = {}
    if dropped:
        for drop in run.lost():
            if drop.reason in dropped and stands(drop.sample):
                found.setdefault(drop.sample.id, _Answer(drop.sample, drop.reason))
    if parents:
        came = [answer.row for group in groups.values() for answer in group]
        wanted = {id for row in came for id in row.parents} - {row.id for row in came}
        for row in run.earlier():
            if row.id in wanted and stands(row):
                found.setdefault(row.id, _Answer(row, "parent"))
    return list(found.values())


def _distinct(run: Run, group: Sequence[_Answer]) -> list[_Answer]:
    """Without those that say what an earlier one of the group says."""
    texts: set[str] = set()
    found = []
    for answer in group:
        text = answer.row.output.strip()
        if text in texts:
            run.drop(answer.row, "same_answer")
        else:
            found.append(answer)
        texts.add(text)
    return found


def _better(answers: Sequence[_Answer], by: str | None, margin: float, against: Against) -> Iterator[_Pair]:
    """Every two answers of which one is better: of all that came, or of the best of them (the first of equals)."""
    came = [answer for answer in answers if not answer.why]
    if against != "all":
        came = [max(came, key=lambda answer: answer.score(by) or 0.0)]
    for chosen, rejected in product(came, answers):
        ours, theirs = chosen.score(by), rejected.score(by)
        if ours is not None and theirs is not None:
            if ours > theirs and ours - theirs >= margin:
                yield _Pair(chosen, rejected, ours - theirs)
        elif rejected.why:
            yield _Pair(chosen, rejected, None)


def _choose(run: Run, good: Sequence[_Pair], against: Against) -> Sequence[_Pair]:
    if against == "all" or not good:
        return good
    if against == "random":
        return [run.rng("rival", good[0].chosen.row.id).choice(good)]
    return [max(good, key=lambda pair: math.inf if pair.gap is None else pair.gap)]


def _longer(row: Sample) -> bool:
    return len(row.output) > len(row.rejected or "")


def _ratio(row: Sample) -> float:
    """How many times as long the chosen answer is, in characters."""
    return max(1, len(row.output)) / max(1, len(row.rejected or ""))


def _balance(pairs: Sequence[Sample], most: float | None) -> set[int]:
    """The places of the pairs that are in the way of at most that share of longer chosen answers."""
    longer = sorted(
        (place for place, row in enumerate(pairs) if _longer(row)), key=lambda place: -_ratio(pairs[place])
    )
    out = 0
    while most is not None and len(longer) - out > round(most * (len(pairs) - out), 9):
        out += 1
    return set(longer[:out])


def _report(pairs: Sequence[Sample], scored: Sequence[Sequence[_Answer]], by: str | None) -> dict[str, Any]:
    """What length has to do with it, for the note, the screen and the card."""
    if not pairs:
        return {"pairs": 0, "headline": "no pairs", "warning": "no two answers to one prompt make a pair"}
    longer = sum(map(_longer, pairs)) / len(pairs)
    shorter = sum(len(row.output) < len(row.rejected or "") for row in pairs) / len(pairs)
    ratio = statistics.median(map(_ratio, pairs))
    together = _together(scored, by)
    said = (
        f"{len(pairs):,} pair{'s' * (len(pairs) != 1)}; the chosen answer is longer in {longer:.0%}, shorter in"
        f" {shorter:.0%}, and {ratio:.2f} times as long in the median"
    )
    if together is not None:
        said += f"; within a prompt, length and {by} correlate by {together:+.2f}"
    return {
        "pairs": len(pairs),
        "longer_chosen": round(longer, 4),
        "shorter_chosen": round(shorter, 4),
        "median_length_ratio": round(ratio, 4),
        "length_correlation": None if together is None else round(together, 4),
        "headline": said,
        "card": f"Pairs: {said}.",
    }


def _together(scored: Sequence[Sequence[_Answer]], by: str | None) -> float | None:
    """Pearson's r of log length and score, each less its mean over the answers to the prompt; None where either is the
    same throughout."""
    sizes: list[float] = []
    scores: list[float] = []
    for group in scored:
        found = [
            (math.log1p(len(each.row.output)), score)
            for each in group
            if (score := each.score(by)) is not None
        ]
        if len(found) > 1:
            mean_size, mean_score = (statistics.fmean(column) for column in zip(*found, strict=True))
            sizes += [size - mean_size for size, _ in found]
            scores += [score - mean_score for _, score in found]
    spread = math.sqrt(math.fsum(x * x for x in sizes) * math.fsum(y * y for y in scores))
    if spread < 1e-12:
        return None
    return math.fsum(x * y for x, y in zip(sizes, scores, strict=True)) / spread
