"""layout: each row's task in one of thirteen layouts (Wang et al. 2022, prepare_for_finetuning.py)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

from selfinstruct.outlook import Estimate, Outlook
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Fidelity = Literal["fixed", "paper"]

WITH_INPUT = (
    "{instruction}\nInput: {input}\nOutput:",
    "{instruction}\n\nInput: {input}\n\nOutput:",
    "Task: {instruction}\nInput: {input}\nOutput:",
    "{instruction}\n\n{input}\n\nOutput:",
    "{instruction}\n\n{input}\n\n",
    "{instruction}\n{input}\n\n",
    "Task: {instruction}\n\n{input}\n\n",
)
WITHOUT_INPUT = (
    "{instruction} Output:",
    "{instruction}\nOutput:",
    "{instruction}\n\nOutput:",
    "{instruction}\n",
    "{instruction}\n\n",
    "Task: {instruction}\n\n",
)
END_OF_TEXT = "<|endoftext|>"  # GPT-3's
_ADDED = 64  # bytes that a layout adds at most

_NAMES = re.compile(r"\b\w++:")
_NAMES_FIXED = re.compile(r"\b\w++:(?=\s)")
_FIELD = re.compile(r"[^\W\d]\w{0,29}:[ \t]++(?=\S)")


def _forecast(outlook: Outlook, **_: Any) -> Estimate:
    rows = outlook.rows
    return Estimate(
        replace(
            rows,
            longest=None if rows.longest is None else rows.longest + _ADDED,
            text=None
            if rows.most is None or rows.count.ceiling is None
            else rows.most + _ADDED * rows.count.ceiling,
        )
    )


@step(forecast=_forecast)
async def layout(run: Run, samples: Samples, *, fidelity: Fidelity = "fixed") -> Samples:
    """Write each row's task in one of Self-Instruct's thirteen layouts, drawn at random, and shuffle the rows.

    Seven layouts join instruction and input, six are for tasks without input: with or without "Task:", "Input:" and
    "Output:", on lines of their own or not, so that a student depends on none of them (Wang et al. 2022, section 2.3).
    In half of the rows the name of an input's only field is left out ("Review: ..."), and blank lines are closed up.
    Rows that come out equal are dropped (duplicate). The task as it was is kept in the row's meta, under `task`. A
    conversation of several messages stays as it is.

    `fidelity: paper` writes the completions of GPT-3's fine-tuning, with a blank before and an end-of-text mark behind,
    and takes whatever stands before the only `word:` for a field name, "10:" in 10:30 included. `fixed` leaves the
    answer as it is, since a chat template has marks of its own, and takes a name from the start of an input only.

    Args:
        fidelity: fixed, or paper for the original's behaviour
    """
    paper = fidelity == "paper"
    rows: list[Sample] = []
    seen: dict[tuple[str, str], str] = {}
    untouched = 0
    async for sample in samples:
        if not sample.answered or len(sample.messages) != 2:
            untouched += 1
            rows.append(sample)
            continue
        pair = _paper(run, sample) if paper else _fixed(run, sample)
        if pair in seen:
            run.drop(sample, "duplicate", similar_to=seen[pair])
            continue
        task = {"instruction": sample.instruction, "input": sample.input, "output": sample.output}
        row = Sample.of(pair[0], output=pair[1], meta=sample.meta, parents=[sample.id])
        row = row.replace(scores=sample.scores, rejected=sample.rejected).note(task=task)
        seen[pair] = row.id
        rows.append(row)
    run.rng("shuffle").shuffle(rows)
    run.note(fidelity=fidelity, untouched=untouched)
    for sample in rows:
        yield sample


def _fixed(run: Run, sample: Sample) -> tuple[str, str]:
    rng, given = run.rng("layout", sample.id), sample.input
    if rng.random() < 0.5:
        found = _FIELD.match(given)
        if found and len(set(_NAMES_FIXED.findall(given))) == 1:
            given = given[found.end() :]
        given = given.replace("\n\n", "\n")
    layout = rng.choice(WITH_INPUT if given.strip() else WITHOUT_INPUT).rstrip()
    return layout.format(instruction=sample.instruction, input=given), sample.output


def _paper(run: Run, sample: Sample) -> tuple[str, str]:
    rng, given = run.rng("layout", sample.id), sample.input
    if rng.random() < 0.5:
        if len(set(_NAMES.findall(given))) == 1:
            given = given.partition(":")[2]
        given = given.strip().replace("\n\n", "\n")
    layout = rng.choice(WITH_INPUT if given.strip() else WITHOUT_INPUT)
    prompt = layout.format(instruction=sample.instruction.strip(), input=given.strip())
    return prompt, " " * prompt.endswith("Output:") + sample.output.strip() + END_OF_TEXT
