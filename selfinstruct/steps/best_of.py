"""best_of: several answers a prompt, and the best of those that a verifier passes (rejection sampling)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from selfinstruct import verify
from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import PASS, PER_TEXT, READ_AGAIN, Estimate, Outlook, asked, dearest, longest_answer
from selfinstruct.parse import usable, verdict
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, digest, transcript
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion
from selfinstruct.teachers.offline import check as recomputed
from selfinstruct.verify import code, sandbox
from selfinstruct.verify.choice import Drawn, Pick, different, ranked
from selfinstruct.verify.final import statements

Verifier = Literal["number", "label", "exact", "offline", "code", "checks"]
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
_COMPARED: Final = ("number", "label", "exact")


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
        raise ConfigError(
            "nothing says which answers are right", "set `verifier`, or `pick: score` for a judge's choice"
        )
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
        verifier: number, label or exact compare final answers with the reference; offline recomputes the task; code
            runs the answer with its tests; checks runs the row's functions `evaluate(response)`, and more than half
            must say yes
        pick: the first right answer (asked for one after the other until `keep` are right), the shortest right one,
            one of the majority, or the one that the judge scores best
        reference: the key of `meta` that holds the right answer, the tests or the checks; by default `tests`, `checks`,
            or the row's own answer, which is replaced
        labels: the possible answers, for the verifier `label`
        keep: how many different right answers of a prompt to keep, each as a row
        rejected: also put a wrong answer (with `pick: score`, else the worst) into the row, for preference training
        min_share: the share of all draws that a majority needs
        min_worst: with `pick: score`, drop the row when its worst answer scores less (RIP, Yu et al. 2025)
        aspect: what the judge scores, from 0 to 5
        contract: tell the model, outside the row, the form that the verifier reads
        run_code: no; guarded runs code where the sandbox has all its guards; limits makes do with limits of time
            and memory
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

    async def verified(number: int, completion: Completion, sample: Sample, held: Any) -> Drawn:
        """The answer with the verifier's word on it."""
        drawn = Drawn(number)
        try:
            drawn = replace(drawn, text=usable(completion))
            if verifier in _COMPARED:
                drawn = replace(drawn, final=verify.final(verifier, drawn.text, labels))
                right = None if held is None else verify.right(verifier, drawn.text, held, labels)
            elif verifier == "offline":
                right = recomputed(sample.prompt[-1].content, "", _stated(drawn.text))
            elif verifier == "code":
                right = await passes(code.with_tests(drawn.text, "\n".join(held)))
            elif verifier == "checks":
                good = [await passes(code.with_check(drawn.text, each)) for each in held]
                right = sum(good) * 2 > len(good)
            else:
                right = True  # nothing but the judge decides
        except ParseError as error:
            return replace(drawn, fault=error.reason)
        return replace(drawn, right=right)

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
            prompt=transcript(sample.prompt),
            response=drawn.text,
        )
        completion = await run.generate(prompt, by="judge", schema=SCORED, temperature=0.0, max_tokens=300)
        try:
            return replace(drawn, score=verdict(usable(completion), 0, HIGHEST).score)
        except ParseError:
            return drawn

    async def answer(sample: Sample) -> tuple[Sample, Any, list[Completion], list[Drawn]]:
        held = _held(sample, verifier, key)
        fault = _unheld(sample, verifier, pick, held, labels)
        if fault is not None:
            return sample, fault, [], []
        messages = _told(sample.prompt, said)

        async def draw(number: int) -> tuple[Completion, Drawn]:
            completion = await run.generate(
                messages, by=by, draw=number, temperature=temperature, max_tokens=max_tokens
            )
            drawn = await verified(number, completion, sample, held)
            return completion, await scored(drawn, sample) if pick == "score" else drawn

        if pick != "first":
            both = await asyncio.gather(*map(draw, range(draws)))
            return sample, held, [each for each, _ in both], [each for _, each in both]
        completions: list[Completion] = []
        found: list[Drawn] = []
        while len(found) < draws and len(different([each for each in found if each.right])) < keep:
            completion, drawn = await draw(len(found))
            completions.append(completion)
            found.append(drawn)
        return sample, held, completions, found

    right = total = 0
    async for sample, held, completions, found in run.map(answer, samples, window=run.window(window, by)):
        if not found:
            run.drop(sample, held, rule=verifier)
            continue
        total += len(found)
        right += sum(bool(each.right) for each in found)
        try:
            passing, others = ranked(found, pick, min_share=min_share, min_worst=min_worst)
        except ParseError as error:
            said_of = [each.fault or each.final or ("wrong", "right")[bool(each.right)] for each in found]
            run.drop(sample, error.reason, rule=pick, value=error.detail, draws=said_of)
            continue
        chosen = different(passing)[:keep]
        run.made(len(chosen) - 1)
        for place, each in enumerate(chosen):
            row = sample.answer(each.text).note(draws=len(found), passed=len(passing))
            if held is not None and key is None:
                row = row.note(reference=held)
            if rejected and place < len(others):
                row = row.replace(rejected=others[place].text)
            if each.score is not None:
                row = row.score(**{aspect: each.score})
            yield run.trace(row, completions[each.number])
    run.note(draws=total, right=right)


def _held(sample: Sample, verifier: Verifier | None, key: str | None) -> Any:
    """What the row's answers are held to: the reference as text, or the tests or checks as a list of texts."""
    if verifier not in _COMPARED and verifier not in _KEYS:
        return None
    held = sample.meta.get(key) if key is not None else (sample.output or None)
    if verifier in _COMPARED:
        return None if held is None else str(held)
    return [held] if isinstance(held, str) else held


def _unheld(
    sample: Sample, verifier: Verifier | None, pick: Pick, held: Any, labels: Sequence[str]
) -> str | None:
    """Why the row's answers can't be verified, or None: that is known before any is paid for."""
    if verifier == "offline":
        return "unknown_task" if recomputed(sample.prompt[-1].content, "", "") is None else None
    if verifier is None or (held is None and pick == "majority"):
        return None
    if not held:
        return "no_reference"
    if verifier in _COMPARED:
        try:
            verify.final(verifier, held, labels)
        except ParseError:
            return "bad_reference"
        return None
    return None if isinstance(held, list) and all(isinstance(each, str) for each in held) else "bad_reference"


def _stated(text: str) -> str:
    """The final answer that a text states; a text of one line is one. Raises ParseError where there is none."""
    said = statements(text)
    if not said and "\n" in text:
        raise ParseError("no_answer", text[-80:])
    return said[-1] if said else text


def _told(prompt: Sequence[Message], said: str) -> tuple[Message, ...]:
    """The row's messages with what the verifier needs, put behind a system message of the row's own."""
    if not said:
        return tuple(prompt)
    own = [message.content for message in prompt if message.role == "system"]
    rest = [message for message in prompt if message.role != "system"]
    return (Message("system", "\n\n".join([*own, said])), *rest)
