"""Plays Self-Instruct's teacher: continues a list of tasks, tells classification from other tasks, writes instances."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random

from selfinstruct.teachers.offline.catalog import FAMILIES, recognise
from selfinstruct.teachers.offline.family import Family, Task
from selfinstruct.teachers.offline.faults import Draft, mistake
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.respond import REFUSAL

_OPEN = re.compile(r"^(\d{1,3})\.\s*\Z", re.MULTILINE)
_TOTAL = re.compile(r"\blist of (\d{1,3})\b")
_COUNT = re.compile(r"\b(\d{1,3}) new tasks\b")
_LAST = 16  # tasks of the published list
_NEW = 8
_NEEDS_INPUT = 0.35  # of the tasks written, at least: their instruction alone can't be answered
_AGAIN = 0.1  # completions that write the first number again
_CUT = 0.5  # of the damaged completions
_QUESTION = "Is it classification?"
_MOST = 4  # instances of a task
_OPENED: tuple[tuple[Family, int], ...] = tuple(
    (family, place)
    for family in FAMILIES.values()
    for place, phrasing in enumerate(family.phrasings)
    if phrasing.opening is not None
)


def instructions(asked: Asked) -> Answer | None:
    """More tasks for a numbered list that the prompt opens, or as {"instructions": [...]}."""
    as_json = '{"instructions":' in asked.text
    opened = _OPEN.search(asked.text)
    if not as_json and (opened is None or _TOTAL.search(asked.text) is None):
        return None
    rng = asked.rng
    count = _COUNT.search(asked.text)
    total = _TOTAL.search(asked.text)
    first = int(opened[1]) if opened else 1
    last = int(total[1]) if total else _LAST
    drafts = _drafts(asked, int(count[1]) if count else _NEW if as_json else max(last - first + 1, 1))
    damaged = asked.writer.damaged(rng)
    if as_json:
        body = json.dumps({"instructions": [draft.instruction for draft in drafts]}, ensure_ascii=False)
        return _json(body, damaged, asked)
    lines = [
        f"{number + draft.number}. {' '.join(draft.instruction.split())}"
        for number, draft in enumerate(drafts, first)
    ]
    body = "\n".join(lines)
    if damaged and rng.random() < _CUT:
        return Answer(body[: rng.randrange(len(body) // 3, len(body) - 5)], cut=True)
    if damaged:
        plain = "\n".join(line.partition(" ")[2] for line in lines)
        return Answer(
            rng.choice(("", plain, "Here are the tasks:\n" + body, "I have no more tasks to offer."))
        )
    return Answer(body if rng.random() < _AGAIN else body.partition(".")[2])


def _drafts(asked: Asked, n: int) -> list[Draft]:
    """Drafts of which a share has an instruction that needs an input; classification alone, where that is asked."""
    rng, writer = asked.rng, asked.writer
    only = "classification task" in asked.text
    opened = [each for each in _OPENED if not only or each[0].labels]
    labelled = [family for family in FAMILIES.values() if family.labels]
    drafts = writer.drafts(n, rng)
    for place in range(n):
        needs_input = rng.random() < _NEEDS_INPUT
        if rng.random() < writer.malformed or not (only or needs_input):
            continue
        family, phrasing = rng.choice(opened) if needs_input else (rng.choice(labelled), None)
        drafts[place] = Draft.of(family.make(rng, phrasing))
    return drafts


def classified(asked: Asked) -> Answer | None:
    """Yes or No, to the task that the prompt ends with."""
    if not asked.text.rstrip().endswith(_QUESTION):
        return None
    family, _ = _known(_task(asked.text) or "", asked.rng)
    verdict = bool(family and family.labels)
    if asked.rng.random() < asked.writer.wrong / 4:
        verdict = not verdict
    said = "Yes" if verdict else "No"
    if asked.rng.random() < asked.writer.malformed:
        said = asked.rng.choice((f"**{said}**.", f"{said}, I think so.", "That depends on the labels.", ""))
    return Answer(said)


def instances(asked: Asked) -> Answer | None:
    """Worked examples of the task that the prompt ends with: input first, label first, or as {"instances": [...]}."""
    text = asked.text
    as_json = '{"instances":' in text
    labels_first = "\nClass label:" in text
    instruction = _task(text) if as_json or labels_first or "\nExample 1\nInput:" in text else None
    if instruction is None:
        return None
    rng = asked.rng
    pairs = _spoilt(_pairs(instruction, asked), asked)
    damaged = asked.writer.damaged(rng)
    if as_json:
        rows = [{"input": given, "output": output} for given, output in pairs]
        return _json(json.dumps({"instances": rows}, ensure_ascii=False), damaged, asked)
    parts = []
    for number, (given, output) in enumerate(pairs, 1):
        if labels_first:
            parts.append("\n".join(["Class label: " + output, *([given] if given else [])]))
        elif given:
            parts.append(f"Example {number}\nInput: {given}\nOutput: {output}")
        else:
            parts.append("Output: " + output)
    body = "\n".join(parts)
    if damaged and rng.random() < _CUT:
        return Answer(body[: rng.randrange(len(body) // 2, len(body))], cut=True)
    if damaged:
        return Answer(
            rng.choice(("", body.replace("Output:", "Result -").replace("Class label:", "Label -")))
        )
    return Answer(body)


def _json(body: str, damaged: bool, asked: Asked) -> Answer:
    if damaged and asked.rng.random() < _CUT:
        return Answer(body[: asked.rng.randrange(len(body) // 3, len(body) - 2)], cut=True)
    return Answer(asked.rng.choice(("", body[:-1])) if damaged and not asked.held else body)


def _task(text: str) -> str | None:
    """The task that a prompt ends with, between marks or behind "Task:"."""
    body = text.rstrip().removesuffix(_QUESTION).rstrip()
    if body.endswith(" task>"):
        inside, _, closing = body.rpartition("\n</")
        _, found, task = inside.rpartition(f"<{closing}\n")
    else:
        _, found, task = body.rpartition("\nTask: ")
    return task.strip() if found else None


def _known(instruction: str, rng: Random) -> tuple[Family | None, list[Task]]:
    """The family of an instruction and what it asks: one task where it says everything, else some with inputs."""
    found = recognise(instruction)
    answer = found[0].answer(found[1]) if found else None
    if found and answer is not None:
        return found[0], [Task(instruction, "", answer, found[0].name)]
    for family in dict.fromkeys(family for family, _ in _OPENED):
        drawn = [family.given(instruction, rng) for _ in range(rng.randint(2, _MOST))]
        tasks = [task for task in drawn if task is not None]
        if tasks:
            return family, tasks
    return None, []


def _pairs(instruction: str, asked: Asked) -> list[tuple[str, str]]:
    family, tasks = _known(instruction, asked.rng)
    if family is None:
        return [("", REFUSAL)]
    if family.labels:  # one for each label
        tasks = list({task.output: task for task in tasks}.values())
    return [
        (
            task.input,
            mistake(task, asked.rng, family.labels)
            if asked.rng.random() < asked.writer.wrong
            else task.output,
        )
        for task in tasks
    ]


def _spoilt(pairs: Sequence[tuple[str, str]], asked: Asked) -> list[tuple[str, str]]:
    """Some with the faults that instances of real models have."""
    rng, out = asked.rng, []
    for given, output in pairs:
        out.append((given, output))
        if rng.random() < asked.writer.malformed:
            kind = rng.randrange(5)
            if kind == 0:
                out[-1] = (given or output, given or output)  # says the same twice
            elif kind == 1:
                out[-1] = (given, "")
            elif kind == 2:
                out[-1] = (given, "The answer is:")
            elif kind == 3:
                out.append((given, output))
            else:
                out.append((given, output + " or not"))  # contradicts the one before
    return out
