"""Reasons about example tasks, plans, and writes a new task of the family of one of them, with its answer."""

from __future__ import annotations

import re

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.faults import Draft, mistake, spoil
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.reasoning import solution

_EXAMPLE = re.compile(r"<(?P<fence>[^\s<>]{1,64}) example>\n(?P<text>.*?)\n</(?P=fence) example>", re.DOTALL)


def planned(asked: Asked) -> Answer | None:
    """Analysis, plan and task between marks; solution and answer, too, where the contract names them."""
    text, rng, writer = asked.text, asked.rng, asked.writer
    if not all(f"<{part}>" in text for part in ("analysis", "plan", "task")):
        return None
    known = [recognise(match["text"].strip()) for match in _EXAMPLE.finditer(text)]
    families = [found[0] for found in known if found is not None and found[0] in writer.families]
    family = rng.choice(families or list(writer.families))
    task = family.make(rng)
    answer = mistake(task, rng, family.labels) if rng.random() < writer.wrong else task.output
    prompt = task.prompt
    if rng.random() < writer.malformed:
        spoilt = spoil(Draft.of(task), [], rng)
        prompt = f"{spoilt.instruction}\n\n{spoilt.input}".strip()
    read = recognise(task.prompt)
    steps = solution(family, read[1], answer, rng) if read else f"The rule gives {answer}."
    parts = [
        ("analysis", "The examples state everything that is needed, and exactly one answer is right."),
        (
            "plan",
            f"I take the kind of task `{family.name}`, choose other words and values, and work the answer out.",
        ),
        ("task", prompt),
    ]
    if "<answer>" in text:
        parts += [("solution", steps), ("answer", answer)]
    if rng.random() < writer.malformed:  # a part is forgotten
        parts.pop(rng.randrange(2, len(parts)))
    body = "\n".join(f"<{name}>{value}</{name}>" for name, value in parts)
    if writer.damaged(rng):
        return Answer(body[: len(body) * 2 // 3], cut=True)
    return Answer(body)
