"""One JSON object, said as models say it: mostly bare, now and then broken, dressed up or left out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.teachers.offline.part import Answer, Asked


def said(asked: Asked, answer: Mapping[str, Any]) -> Answer:
    """The object as text; malformed at the set rate, unless the answer is held to a schema."""
    body = json.dumps(answer, ensure_ascii=False)
    if asked.held or asked.rng.random() >= asked.writer.malformed:
        return Answer(body)
    kind = asked.rng.randrange(6)
    if kind == 0:
        return Answer(body[: len(body) * 2 // 3], cut=True)
    return Answer(
        (
            f"Here it is:\n{body}\nI hope that helps.",
            f"```json\n{body}\n```",
            body.replace('"', "'"),
            body.replace('": ', '" ', 1),
            next((str(value) for value in answer.values() if value), ""),
        )[kind - 1]
    )


def contract(asked: Asked) -> str:
    """What the system message says about the answer; no row's text stands in it."""
    return next((message.content for message in asked.request.messages if message.role == "system"), "")


def marked(text: str, part: str) -> str | None:
    """The text between the marks of a part, `<mark part>` and `</mark part>`."""
    found = re.search(
        rf"<(?P<fence>[^\s<>]{{1,64}}) {part}>\n(?P<text>.*?)\n</(?P=fence) {part}>", text, re.DOTALL
    )
    return found["text"] if found else None
