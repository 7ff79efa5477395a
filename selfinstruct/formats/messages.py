"""Chat rows: `{"messages": [{"role": ..., "content": ...}, ...]}`, as TRL and the chat APIs read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.formats import chat
from selfinstruct.formats.files import write_lines
from selfinstruct.sample import ROLES, Message, Sample


def sample(row: Mapping[str, Any]) -> Sample:
    """A conversation; other columns of the row go to `meta`. Raises DataError without place."""
    return Sample(conversation(row.get("messages")), meta={k: v for k, v in row.items() if k != "messages"})


def conversation(messages: Any) -> tuple[Message, ...]:
    """Messages of role and content. Other keys of a message could not be kept, so they are refused."""
    if not isinstance(messages, list) or not messages:
        raise DataError(
            "`messages` is no list of messages", 'write [{"role": "user", "content": "..."}, ...]'
        )
    turns = []
    for number, each in enumerate(messages, 1):
        if not isinstance(each, Mapping):
            raise DataError(f"message {number} is no object", 'write {"role": "user", "content": "..."}')
        extra = sorted(
            key for key, value in each.items() if key not in ("role", "content") and value is not None
        )
        if extra:
            raise DataError(
                f"message {number} has `{extra[0]}`, which is not kept here",
                "a message has a role and a text; remove the key, or the rows that need it",
            )
        role, content = each.get("role"), each.get("content")
        if role not in ROLES:
            raise DataError(f"message {number} has the role {role!r}", f"roles are {', '.join(ROLES)}")
        if not isinstance(content, str):
            raise DataError(
                f"message {number} has no text as `content`", "the content of a message is one text"
            )
        turns.append(Message(role, content))
    if not any(turn.role == "user" for turn in turns):
        raise DataError("no message is by the user", "a conversation needs at least one user message")
    return tuple(turns)


def row(sample: Sample) -> dict[str, list[dict[str, str]]]:
    return {"messages": chat.openai(sample.messages)}


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines(map(row, samples), file)
