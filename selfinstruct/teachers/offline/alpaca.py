"""Writes Alpaca tasks: numbered blocks to be continued, or one JSON object."""

from __future__ import annotations

import json
import re
from random import Random

from selfinstruct.teachers import Request
from selfinstruct.teachers.offline.faults import Draft
from selfinstruct.teachers.offline.part import Answer, Asked, Writer

_OPEN = re.compile(r"#{3}\s*(\d+)\.\s*Instruction:\s*\Z")
_COUNT = re.compile(r"\b(\d+)\s+(?:\w+\s+)?tasks?\b")
_JSON = re.compile(r"""["']tasks["']\s*:""")
_BLOCKS = 20  # tasks of the published prompt, three of them examples
_OBJECTS = 17
_REPEATS = 0.1  # completions that write "4. Instruction:" again
_FENCED = 0.2  # JSON answers inside a code fence, where nothing holds the model to a schema
_CUT = 0.5  # of the damaged completions: cut in the middle; the rest is one of the rarer kinds


def continued(asked: Asked) -> Answer | None:
    """The numbered blocks that the prompt opens."""
    if not asks_blocks(asked.text):
        return None
    return Answer(*blocks(asked.text, asked.writer, asked.rng))


def as_json(asked: Asked) -> Answer | None:
    """The tasks as one JSON object."""
    if not asks_json(asked.request, asked.text):
        return None
    return Answer(*objects(asked.request, asked.text, asked.writer, asked.rng, structured=asked.held))


def asks_blocks(text: str) -> bool:
    """Whether the prompt ends with an open block, `###` and `4. Instruction:`."""
    return _OPEN.search(text) is not None


def asks_json(request: Request, text: str) -> bool:
    """Whether a JSON object with a list `tasks` of instruction, input and output is asked for."""
    properties = (request.schema or {}).get("properties", {})
    return "tasks" in properties or (
        _JSON.search(text) is not None and '"instruction"' in text and '"output"' in text
    )


def blocks(text: str, writer: Writer, rng: Random) -> tuple[str, bool]:
    """The continuation of `text` up to its last task, and whether it was cut in the middle."""
    opened = _OPEN.search(text)
    first = int(opened[1]) if opened else 1
    count = _COUNT.search(text)
    total = int(count[1]) if count else _BLOCKS
    out = []
    for number, draft in enumerate(writer.drafts(max(total - first + 1, 1), rng), first):
        out.append(_block(draft, number, first=number == first))
    body = "".join(out)
    if rng.random() < _REPEATS:
        body = f"{first}. Instruction:" + body
    if writer.damaged(rng):
        if rng.random() < _CUT:
            return body[: rng.randrange(len(body) // 3, len(body) - 10)], True
        return rng.choice(("", "###", body.replace("###", "---"), "Here are the tasks:\n" + body)), False
    return body + ("\n###" if rng.random() < 0.3 else ""), False


def _block(draft: Draft, number: int, *, first: bool) -> str:
    shown = number + (0 if first else draft.number)  # the first number stands in the prompt
    lines = []
    if not first:
        lines = ["", "###", "###"] if draft.doubled else ["", "###"]
    lines.append(f"{'' if first else f'{shown}. Instruction:'} {draft.instruction}")
    if draft.without != "input":
        lines.append(f"{shown}. Input:")
    lines.append(draft.input or "<noinput>")
    if draft.without != "output":
        lines.append(f"{shown}. Output:")
    lines.append(draft.output)
    return "\n".join(lines)


def objects(
    request: Request, text: str, writer: Writer, rng: Random, *, structured: bool
) -> tuple[str, bool]:
    """One JSON object {"tasks": [...]}, and whether it was cut in the middle.

    `structured`: the answer is held to a schema, so that only its values go wrong, never its shape.
    """
    count = _COUNT.search(text)
    rows = []
    for draft in writer.drafts(int(count[1]) if count else _OBJECTS, rng):
        row = {"instruction": draft.instruction, "input": draft.input, "output": draft.output}
        if not structured:
            row.pop(draft.without, None)
        rows.append(row)
    body = json.dumps({"tasks": rows}, ensure_ascii=False, indent=None if rng.random() < 0.5 else 2)
    damaged = writer.damaged(rng)
    if damaged and rng.random() < _CUT:
        return body[: rng.randrange(len(body) // 3, len(body) - 10)], True
    if structured:
        return body, False
    if damaged:
        return rng.choice(("", body[:-1], body.replace('": ', '" ', 3), "I have no tasks to offer.")), False
    if rng.random() < _FENCED:
        body = f"```json\n{body}\n```"
    return body, False
