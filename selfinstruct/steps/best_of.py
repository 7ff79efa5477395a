"""best_of: several answers a prompt, and the best of those that a verifier passes (rejection sampling)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct import verify
from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, PER_TEXT, READ_AGAIN, Estimate, Outlook, asked, dearest, longest_answer
from selfinstruct.parse import usable, verdict
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, digest
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion
from selfinstruct.teachers.offline import check as recomputed
from selfinstruct.text import normal_form
from selfinstruct.verify import code, sandbox
from selfinstruct.verify.final import statements

Verifier = Literal["number", "label", "exact", "offline", "code", "checks"]
Pick = Literal["first", "shortest", "majority", "score"]
RunCode = Literal["no", "guarded", "limits"]
Share = Annotated[float, Field(ge=0, le=1)]

ANSWER = 200  # tokens of one, reasoning included (assumption)
VERDICT = 40  # tokens of a judge's verdict (assumption)
HIGHEST = 5  # the judge's scale, from 0
SCORED = {
    "type": "object",
    "properties": {"score": {"type": ["number", "null"]}, "reason": {"type": "string"}},
    "required": ["score", "reason"],
    "additionalProperties": False,
}
_KEYS = {"code": "tests", "checks": "checks"}  # of meta, where `reference` names none
_COMPARED: tuple[Verifier, ...] = ("number", "label", "exact")


@dataclass(frozen=True)
class Drawn:
    """One answer. `right` is None where nobody can tell, and `fault` then says why; `final` is its final answer as it is
    compared with others."""

    completion: Completion
    text: str = ""
    right: bool | None = None
    final: str = ""
    fault: str = ""
    score: float | None = None


def _contract(place: Place, verifier: Verifier | None, labels: Sequence[str], contract: bool) -> str:
    """What is said beside the row's own messages, so that the answer ends in a form that the verifier reads."""
    if not contract or verifier in (None, "checks"):
        return ""
    kind = "exact" if verifier == "offline" else verifier
    return place.prompts.render("best_of/final", kind=kind, labels=labels, task="")[0].content


def _judging(place: Place, aspect: str) -> tuple[Message, ...]:
    return place.prompts.render(
        "judge/accuracy", aspect=aspect, low="0", high=str(HIGHEST), fence="0" * 16, prompt="", response=""
    )


def _check(
    place: Place,
    *,
    draws: int,
    verifier: Verifier | None,
    pick: Pick,
    labels: Sequence[str],
    keep: int,
    min_worst: float | None,
    aspect: str,
    contract: bool,
    run_code: RunCode,
    by: RoleName,
    **_: Any,
) -> None:
    place.role(by)
    _contract(place, verifier, labels, contract)
    if verifier is None and pick != "score":
        raise ConfigError("nothing says which answers are right", "set `verifier`, or `pick: score` for a judge's choice")
    if pick == "majority" and verifier not in _COMPARED:
        raise ConfigError(
            f"a majority of answers that {verifier} looks at can't be counted",
            f"set `verifier` to how final answers are compared: {', '.join(_COMPARED)}",
        )
    if verifier == "label" and len(set(labels)) < 2:
        raise ConfigError("the verifier `label` needs the labels", "labels: [yes, no]")
    if keep > draws:
        raise ConfigError(f"{keep} answers can't be kept of {draws}", "raise `draws`")
    if min_worst is not None and pick != "score":
        raise ConfigError("`min_worst` looks at scores, and nothing is scored", "set `pick: score`")
    if pick == "score":
        place.role("judge")
        _judging(place, aspect)
    if verifier in _KEYS:
        _check_sandbox(run_code)


def _check_sandbox(run_code: RunCode) -> None:
    if run_code == "no":
        raise ConfigError(
            "code that a model wrote would be run, and that is off",
            "read docs/recipes/best_of.md#running-code, then set `run_code: guarded`",
        )
    sandbox.require()
    missing = [name for name, holds in sandbox.guards()._asdict().items() if not holds]
    if run_code == "guarded" and missing:
        raise ConfigError(
            f"the sandbox can't guard {', '.join(missing)} on this system",
            "run it on Linux 5.13 or newer, in a container that you can lose, or accept that with `run_code: limits`",
        )


def _forecast(
    outlook: Outlook,
    *,
    draws: int,
    verifier: Verifier | None,
    pick: Pick,
    labels: Sequence[str],
    keep: int,
    rejected: bool,
    aspect: str,
    contract: bool,
    by: RoleName,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    place, rows = outlook.place, outlook.rows
    frame = [Message("system", _contract(place, verifier, labels, contract))]
    calls = (1, min(2, draws), draws) if pick == "first" else (draws, draws, draws)
    estimate = asked(
        outlook,
        frame,
        by=by,
        written=ANSWER,
        max_tokens=max_tokens,
        calls=calls,
        source=f"{'up to ' * (pick == 'first')}{draws} calls a row; {ANSWER} tokens an answer (assumption)",
    )
    limit = longest_answer(place.role(by), max_tokens)
    longest = None
    if limit is not None and rows.longest is not None:
        longest = rows.longest + (1 + rejected) * (limit * READ_AGAIN + PER_TEXT)
    count = rows.count.times(PASS, 1 if keep == 1 else keep / 2, keep)
    after = replace(
        rows,
        count=count,
        tokens=rows.tokens + ANSWER,
        longest=longest,
        text=None if longest is None or count.ceiling is None else longest * count.ceiling,
        waiting=0.0,
    )
    if pick == "score":
        shown = replace(rows, longest=longest, text=None, tokens=rows.tokens + ANSWER)
        judged = asked(
            replace(outlook, rows=shown),
            _judging(place, aspect),
            by="judge",
            written=VERDICT,
            max_tokens=300,
            calls=(draws * PASS, draws, draws),
            schema=SCORED,
        )
        estimate = replace(estimate.plus(judged), role=dearest(place, by, "judge"))
    return replace(estimate, rows=after)


@step(check=_check, forecast=_forecast)
async def best_of(
    run: Run,
    samples: Samples,
    *,
    draws: Count = 4,
    verifier: Verifier | None = None,
    pick: Pick = "first",
    reference: str | None = None,
    labels: tuple[str, ...] = (),
    keep: Count = 1,
    rejected: bool = False,
    min_share: Share = 0.5,
    min_worst: float | None = None,
    aspect: str = "accuracy",
    contract: bool = True,
    run_code: RunCode = "no",
    seconds: Count = 5,
    by: RoleName = "teacher",
    temperature: float | None = 0.7,
    max_tokens: Count | None = 2048,
    window: Count = 64,
) -> Samples:
    """Ask for several answers to each prompt and keep the best that a verifier passes; a row without one is dropped.

    Rejection sampling (RFT, Yuan et al. 2023), self-consistency (Wang et al. 2022) with `pick: majority`, best of n by
    a judge with `pick: score`. The same request is drawn several times. An answer whose final answer can't be read is
    not right, is not guessed at, and counts among the draws. A row is dropped when no answer passes (no_right_answer),
    no majority is large enough (no_majority), the majority differs from the row's reference (not_the_reference), or
    the worst answer scores too little (low_worst). Nobody judges what has nothing to be held to: no_reference,
    bad_reference (it can't be read), unknown_task (offline), unscored.

    Args:
        draws: answers a prompt at most
        verifier: number, label or exact compare final answers with the reference; offline recomputes the task; code runs the answer with its tests; checks runs the row's functions `evaluate(response)` and passes when more than half say yes
        pick: first right one (asked for one after the other until `keep` are right), shortest right one, one of the majority, or the one that the judge scores best
        reference: the key of `meta` that holds the right answer (the tests, the checks); by default `tests`, `checks`, or the row's own answer, which is replaced
        labels: the possible answers, for the verifier `label`
        keep: how many different right answers of a prompt to keep, each as a row
        rejected: also put an answer that did not pass (with `pick: score`, the worst) into the row, for preference training
        min_share: the share of all draws that a majority needs
        min_worst: with `pick: score`, drop the row when its worst answer scores less (RIP, Yu et al. 2025)
        aspect: what the judge scores, from 0 to 5
        contract: tell the model, outside the row, the form that the verifier reads
        run_code: no; guarded runs code where the sandbox has all its guards; limits makes do with limits of time and memory
        seconds: processor time that a program may take
        by: the role that answers
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer
        window: rows worked on at a time
    """
    said = _contract(run.place, verifier, labels, contract)
    key = reference or _KEYS.get(verifier or "")
    programs = asyncio.Semaphore(os.cpu_count() or 1)

    async def passes(program: str) -> bool:
        async def ran() -> str:
            async with programs:
                return (await asyncio.to_thread(sandbox.run, program, seconds=seconds)).outcome

        # kept, so that a busy machine can't change what was found once
        return bool(await run.memo(["ran", digest(program), seconds], ran) == "passed")

    async def verified(drawn: Drawn, sample: Sample, held: Any) -> Drawn:
        """The answer with the verifier's word on it."""
        try:
            text = usable(drawn.completion)
            drawn = replace(drawn, text=text)
            if verifier in ("number", "label", "exact"):
                drawn = replace(drawn, final=verify.final(verifier, text, labels))
                return drawn if held is None else replace(drawn, right=verify.right(verifier, text, held, labels))
            if verifier == "offline":
                finals = statements(text)
                task = sample.prompt[-1].content
                return replace(drawn, right=any(recomputed(task, "", each) for each in (finals[-1:] or [text])))
            if verifier == "code":
                return replace(drawn, right=await passes(code.tested(text, "\n".join(held))))
            if verifier == "checks":
                good = [await passes(code.checked(text, each)) for each in held]
                return replace(drawn, right=sum(good) * 2 > len(good))
        except ParseError as error:
            return replace(drawn, fault=error.reason)
        return replace(drawn, right=True)  # nothing but the judge decides

    async def scored(drawn: Drawn, sample: Sample) -> Drawn:
        if not drawn.right:
            return drawn
        fence = digest([sample.id, drawn.text])[:16]
        prompt = run.render(
            "judge/accuracy",
            aspect=aspect,
            low="0",
            high=str(HIGHEST),
            fence=fence,
            prompt="\n\n".join(f"{message.role}: {message.content}" for message in sample.prompt),
            response=drawn.text,
        )
        completion = await run.generate(prompt, by="judge", schema=SCORED, temperature=0.0, max_tokens=300)
        try:
            return replace(drawn, score=verdict(usable(completion), 0, HIGHEST).score)
        except ParseError:
            return drawn

    async def answer(sample: Sample) -> tuple[Sample, str | Any, list[Drawn]]:
        held = sample.meta.get(key) if key is not None else (sample.output or None)
        fault = _unheld(verifier, pick, held, sample, labels)
        if fault is not None:
            return sample, fault, []
        if verifier in _KEYS:
            held = [held] if isinstance(held, str) else list(held)
        elif held is not None:
            held = str(held)
        messages = _told(sample.prompt, said)

        async def draw(number: int) -> Drawn:
            completion = await run.generate(
                messages, by=by, draw=number, temperature=temperature, max_tokens=max_tokens
            )
            drawn = await verified(Drawn(completion), sample, held)
            return await scored(drawn, sample) if pick == "score" else drawn

        if pick != "first":
            return sample, held, list(await asyncio.gather(*map(draw, range(draws))))
        found: list[Drawn] = []
        for number in range(draws):
            if len(_different([each for each in found if each.right])) >= keep:
                break
            found.append(await draw(number))
        return sample, held, found

    right = drawn_in_all = 0
    async for sample, held, found in run.map(answer, samples, window=run.window(window, by)):
        if not found:
            run.drop(sample, held, verifier=verifier)
            continue
        drawn_in_all += len(found)
        right += sum(bool(each.right) for each in found)
        try:
            ranked, others = _ranked(found, pick, verifier, held, labels, min_share, min_worst)
        except ParseError as error:
            run.drop(sample, error.reason, **_seen(found), detail=error.detail)
            continue
        chosen = _different(ranked)[:keep]
        run.made(len(chosen) - 1)
        for place, each in enumerate(chosen):
            row = sample.answer(each.text).note(draws=len(found), right=sum(bool(one.right) for one in found))
            if held is not None and key is None:
                row = row.note(reference=held)
            if rejected and place < len(others):
                row = row.replace(rejected=others[place].text)
            if each.score is not None:
                row = row.score(**{aspect: each.score})
            yield run.trace(row, each.completion)
    run.note(draws=drawn_in_all, right=right)


def _unheld(verifier: Verifier | None, pick: Pick, held: Any, sample: Sample, labels: Sequence[str]) -> str | None:
    """Why the row's answers can't be verified, or None: that is known before any is paid for."""
    if verifier in ("number", "label", "exact"):
        if held is None:
            return None if pick == "majority" else "no_reference"
        try:
            verify.final(verifier, str(held), labels)
        except ParseError:
            return "bad_reference"
    elif verifier == "offline":
        return "unknown_task" if recomputed(sample.prompt[-1].content, "", "") is None else None
    elif verifier in _KEYS:
        if not held:
            return "no_reference"
        whole = isinstance(held, str) or (isinstance(held, list) and all(isinstance(each, str) for each in held))
        return None if whole else "bad_reference"
    return None


def _told(prompt: Sequence[Message], said: str) -> tuple[Message, ...]:
    """The row's messages with what the verifier needs, put behind a system message of the row's own."""
    if not said:
        return tuple(prompt)
    own = [message.content for message in prompt if message.role == "system"]
    rest = [message for message in prompt if message.role != "system"]
    return (Message("system", "\n\n".join([*own, said])), *rest)


def _ranked(
    found: list[Drawn],
    pick: Pick,
    verifier: Verifier | None,
    held: Any,
    labels: Sequence[str],
    min_share: float,
    min_worst: float | None,
) -> tuple[list[Drawn], list[Drawn]]:
    """The answers that pass, the best first, and those that do not, for `rejected`. Raises ParseError with the reason
    to drop the row."""
    whole = [each for each in found if each.text]
    if pick == "majority":
        finals = [each.final for each in whole if each.final]
        if not finals:
            raise ParseError("no_majority", "no answer can be read")
        winner = verify.majority(finals)
        share = finals.count(winner) / len(found)
        if share < min_share:
            raise ParseError("no_majority", f"{share:.2f} of the draws say {winner}")
        passing = [each for each in whole if each.final == winner]
        if held is not None and not passing[0].right:
            raise ParseError("not_the_reference", f"{share:.2f} of the draws say {winner}")
        return passing, [each for each in whole if each.final != winner]
    passing = [each for each in whole if each.right]
    others = [each for each in whole if not each.right]
    if pick == "score":
        if min_worst is not None and any(each.score is None for each in passing):
            raise ParseError("unscored", "the worst answer is not known")
        passing = sorted((e for e in passing if e.score is not None), key=lambda each: -(each.score or 0))
        if min_worst is not None and passing and (passing[-1].score or 0) < min_worst:
            raise ParseError("low_worst", f"{passing[-1].score:g} is below {min_worst:g}")
        if not passing and verifier is None:
            raise ParseError("unscored", "no answer has a score")
        others = others or [each for each in reversed(passing) if each.score != passing[0].score]
    if not passing:
        raise ParseError("no_right_answer", f"of {len(found)}")
    return sorted(passing, key=lambda each: len(each.text)) if pick == "shortest" else passing, others


def _different(found: Sequence[Drawn]) -> list[Drawn]:
    """Each text once."""
    different: dict[str, Drawn] = {}
    for each in found:
        different.setdefault(normal_form(each.text), each)
    return list(different.values())


def _seen(found: Sequence[Drawn]) -> dict[str, Any]:
    """What became of each draw, for the drop."""
    return {"draws": len(found), "answers": [each.fault or each.final or str(each.right) for each in found]}
