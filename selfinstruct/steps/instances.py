"""instances: worked examples of each task (Wang et al. 2022, generate_instances.py and prepare_for_finetuning.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from selfinstruct.errors import DataError, ParseError
from selfinstruct.outlook import PASS, PER_TEXT, READ_AGAIN, Estimate, Outlook, asked, longest_answer
from selfinstruct.parse import parts
from selfinstruct.parse.self_instruct import (
    Instance,
    examples,
    instance_faults,
    labelled,
    labelled_paper,
    worked,
    worked_paper,
)
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, numbered, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]

PAPER = {"temperature": 0, "top_p": 0, "frequency_penalty": 0, "presence_penalty": 1.5}
LENGTH = {True: 300, False: 350}  # max_tokens of the original, for classification tasks and for others
FIXED = {"temperature": 0, "max_tokens": 2048}
INSTANCE = 70  # tokens of one, on average (assumption)
PER_TASK = 1.6  # instances of a task: 82,439 of 52,445 (section 3)


def _schema(classification: bool) -> dict[str, Any]:
    """The label of a classification task is written before the input that it belongs to."""
    names = ("output", "input") if classification else ("input", "output")
    item = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": list(names),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"instances": {"type": "array", "items": item}},
        "required": ["instances"],
        "additionalProperties": False,
    }


SCHEMAS = {kind: _schema(kind) for kind in (True, False)}


def _prompt(
    place: Place, instruction: str, fence: str, *, classification: bool, as_json: bool, most: int
) -> tuple[Message, ...]:
    slots: dict[str, Any] = {"instruction": instruction, "fence": fence, "most": most}
    if as_json:
        return place.prompts.render("self_instruct/instances_json", classification=classification, **slots)
    name = "output_first" if classification else "input_first"
    return place.prompts.render(f"self_instruct/{name}", **slots)


def _check(place: Place, *, by: RoleName, fidelity: Fidelity, most: int, **_: Any) -> None:
    as_json = place.role(by).teacher.structured and fidelity == "fixed"
    for kind in (True, False):
        _prompt(place, "", "", classification=kind, as_json=as_json, most=most)


def _forecast(outlook: Outlook, *, by: RoleName, fidelity: Fidelity, most: int, **_: Any) -> Estimate:
    rows, role = outlook.rows, outlook.place.role(by)
    as_json = role.teacher.structured and fidelity == "fixed"
    frames = [
        _prompt(outlook.place, "", "0" * 16, classification=kind, as_json=as_json, most=most)
        for kind in (True, False)
    ]
    max_tokens = LENGTH[False] if fidelity == "paper" else int(FIXED["max_tokens"])
    share = rows.waiting
    estimate = asked(
        outlook,
        max(frames, key=lambda frame: len(frame[-1].content.encode())),
        by=by,
        written=round(INSTANCE * PER_TASK),
        max_tokens=max_tokens,
        calls=(share, share, 1 if share else 0),
        schema=SCHEMAS[True] if as_json else None,
        source=f"one call a task; prompt measured, {PER_TASK} instances of {INSTANCE} tokens a task (assumption)",
    )
    limit = longest_answer(role, max_tokens)
    answer = None if limit is None else limit * READ_AGAIN + PER_TEXT
    count = rows.count
    return replace(
        estimate,
        rows=replace(
            rows,
            count=count.times(PASS, 1 + share * (min(PER_TASK, most) - 1), most if share else 1),
            tokens=rows.tokens + round(INSTANCE * share),
            longest=None if rows.longest is None or answer is None else rows.longest + answer,
            text=None
            if rows.most is None or answer is None or count.ceiling is None
            else most * rows.most + count.ceiling * answer,
            waiting=0.0,
        ),
    )


@step(check=_check, forecast=_forecast)
async def instances(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    most: Count = 5,
    fidelity: Fidelity = "fixed",
    window: Count = 256,
) -> Samples:
    """Have the teacher write instances of each task, as Self-Instruct does (Wang et al. 2022, 2.2); one row each.

    A task that `classify` calls classification gets its labels first, and an input for each; any other task gets
    inputs first, and their outputs. An instance is dropped when it is cut (truncated), when input and output are the
    same (echo), when there is no output (empty_output), or when one ends in a colon (open_end). When two instances of a
    task have the same input and different outputs, all of the task's are dropped (conflict). Rows with an answer pass.

    `fidelity: paper` reads as the original does: "Example" and "Output:" divide a text wherever they occur. `fixed`
    reads labels at the start of a line, asks for JSON where the teacher can be held to a schema, sets the task between
    marks that it can't contain, and counts two labels of a classification task without any input as a conflict, too.
    In both, which `most` of too many instances are taken does not hang on the order of a set, as it did in the
    original, and rows come in the order in which they were written. The original allowed 300 tokens, not 350, for all
    of a batch of five tasks when one was classification; here each task has its own limit.

    Args:
        by: the role that writes
        most: instances of one task at most
        fidelity: fixed, or paper for the original's behaviour
        window: tasks worked on at a time
    """
    paper = fidelity == "paper"
    teacher = run.teacher(by)
    as_json = teacher.structured and not paper
    raw = paper and teacher.raw

    async def ask(item: tuple[Sample, int]) -> tuple[Sample, int, Completion | None]:
        sample, draw = item
        if sample.answered or not _is_task(sample):
            return sample, draw, None
        kind = _kind(sample)
        prompt = _prompt(
            run.place,
            sample.instruction.strip(),
            "" if paper else sample.id[:16],
            classification=kind,
            as_json=as_json,
            most=most,
        )
        if raw:  # a line that is not ended would be continued
            prompt = (*prompt[:-1], Message("user", prompt[-1].content + "\n"))
        params: dict[str, Any] = dict(FIXED)
        if paper:
            params = {**PAPER, "max_tokens": LENGTH[kind], "stop": [f"Example {most + 1}", "Task:"]}
        completion = await run.generate(
            prompt, by=by, draw=draw, raw=raw, schema=SCHEMAS[kind] if as_json else None, **params
        )
        return sample, draw, completion

    tasks = rows = 0
    async for task, draw, completion in run.map(ask, numbered(samples), window=run.window(window, by)):
        if completion is None:
            if task.answered:
                yield task
            else:
                run.drop(task, "not_a_task", detail="a task is one message, without an input")
            continue
        kind = _kind(task)
        found = _read(completion, kind, as_json=as_json, paper=paper)
        run.made(len(found) - 1)  # the task becomes its instances
        whole = [each for each in found if isinstance(each, Instance)]
        reasons = iter(instance_faults(whole, contradictory_labels=kind and not paper))
        kept: list[Sample] = []
        for each in found:
            if isinstance(each, ParseError):
                gone = run.trace(task, completion) if each is found[0] and not whole else each.text
                run.drop(gone, each.reason, detail=each.detail, request=completion.key)
                continue
            row = run.trace(
                Sample.of(task.instruction, each.input, each.output, meta=task.meta, parents=[task.id]),
                completion,
            )
            reason = next(reasons)
            if reason is None:
                kept.append(row)
            else:
                run.drop(row, reason)
        places = range(len(kept))
        taken = set(run.rng("instances", task.id, draw).sample(places, min(most, len(kept))))
        for place, row in enumerate(kept):
            if place in taken:
                yield row
            else:
                run.drop(row, "surplus", rule="most", threshold=most)
        tasks += bool(kept)
        rows += len(taken)
    run.note(tasks=tasks, instances=rows, fidelity=fidelity)


def _is_task(sample: Sample) -> bool:
    return len(sample.messages) == 1 and not sample.input


def _kind(sample: Sample) -> bool:
    kind = sample.meta.get("is_classification")
    if not isinstance(kind, bool):
        raise DataError(
            f"nothing says whether this task is classification: {sample.instruction[:60]!r}",
            "put a `classify` step before `instances`",
        )
    return kind


def _read(completion: Completion, kind: bool, *, as_json: bool, paper: bool) -> list[Instance | ParseError]:
    if as_json:
        return parts(completion, examples)
    by_kind = {True: labelled_paper, False: worked_paper} if paper else {True: labelled, False: worked}
    return parts(completion, by_kind[kind], paper=paper)
