"""classify: is the task classification? (Wang et al. 2022, identify_clf_or_not.py)"""

from __future__ import annotations

from typing import Any, Literal

from selfinstruct.errors import ParseError
from selfinstruct.outlook import Estimate, Outlook, asked
from selfinstruct.parse import usable
from selfinstruct.parse.self_instruct import yes_or_no, yes_paper
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]

PAPER = {
    "temperature": 0,
    "top_p": 0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "max_tokens": 3,
    "stop": ["\n", "Task"],
}
FIXED = {"temperature": 0, "max_tokens": 300}  # one word; the rest is room for a model that reasons
VERDICT = 2  # tokens of one


def _prompt(place: Place, instruction: str, fence: str) -> tuple[Message, ...]:
    return place.prompts.render("self_instruct/classify", instruction=instruction, fence=fence)


def _check(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)
    _prompt(place, "", "")


def _forecast(outlook: Outlook, *, by: RoleName, fidelity: Fidelity, **_: Any) -> Estimate:
    return asked(
        outlook,
        _prompt(outlook.place, "", "0" * 16),
        by=by,
        written=VERDICT,
        max_tokens=int((PAPER if fidelity == "paper" else FIXED)["max_tokens"]),  # type: ignore[call-overload]
        source=f"one call a row; prompt measured, {VERDICT} tokens a verdict",
    )


@step(check=_check, forecast=_forecast)
async def classify(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    fidelity: Fidelity = "fixed",
    window: Count = 256,
) -> Samples:
    """Have the teacher say of each task whether it is classification, as Self-Instruct does (Wang et al. 2022, 2.2).

    The prompt shows 31 tasks with their verdicts, twelve of them yes. The verdict goes into the row's meta as
    `is_classification`, where `instances` looks for it. A row that has one, such as a seed task, passes unasked.

    `fidelity: paper` takes every answer but Yes, yes and YES for a no, a refusal and an empty one included. `fixed`
    drops a row whose verdict can't be read (no_verdict, truncated...), and sets the task's text between marks that it
    can't contain. Equal tasks get one verdict; the original kept the last answer for all tasks of equal text.

    Args:
        by: the role that decides
        fidelity: fixed, or paper for the original's behaviour
        window: rows worked on at a time
    """
    paper = fidelity == "paper"

    async def ask(sample: Sample) -> tuple[Sample, Completion | None]:
        if isinstance(sample.meta.get("is_classification"), bool):
            return sample, None
        prompt = _prompt(run.place, sample.instruction.strip(), "" if paper else sample.id[:16])
        raw = paper and run.teacher(by).raw
        return sample, await run.generate(prompt, by=by, raw=raw, **(PAPER if paper else FIXED))

    count = {True: 0, False: 0}
    async for sample, completion in run.map(ask, samples, window=run.window(window, by)):
        if completion is None:
            verdict = bool(sample.meta["is_classification"])
        else:
            sample = run.trace(sample, completion)
            try:
                verdict = yes_paper(completion.text) if paper else yes_or_no(usable(completion))
            except ParseError as fault:
                run.drop(sample, fault.reason, detail=fault.detail)
                continue
        count[verdict] += 1
        yield sample.note(is_classification=verdict)
    run.note(classification=count[True], other=count[False], fidelity=fidelity)
