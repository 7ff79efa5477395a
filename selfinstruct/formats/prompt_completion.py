"""Prompt and completion, as texts or as lists of messages (TRL's prompt-completion form)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.formats import chat
from selfinstruct.formats.files import write_lines
from selfinstruct.sample import Message, Sample


def knows(row: Mapping[str, Any]) -> bool:
    return "prompt" in row and "completion" in row


def sample(row: Mapping[str, Any]) -> Sample:
    """The prompt's messages and the answer; without `completion` the row waits for its answer. Other columns go to
    `meta`. Raises DataError without place.
    """
    messages = asked(row.get("prompt"))
    completion = row.get("completion")
    if isinstance(completion, str):
        messages += (Message("assistant", completion),)
    elif completion is not None:
        messages += chat.turns(completion, "completion")
    return Sample(chat.ordered(messages), meta=chat.rest(row, "prompt", "completion"))


def asked(prompt: Any) -> tuple[Message, ...]:
    """The messages of a `prompt` column: a text is the user's."""
    if isinstance(prompt, str) and prompt.strip():
        return (Message("user", prompt),)
    if not isinstance(prompt, list):
        raise DataError(
            "`prompt` is no text and no list of messages", "every row needs a prompt that is not empty"
        )
    return chat.turns(prompt, "prompt")


def row(sample: Sample) -> dict[str, Any]:
    """Raises DataError if the messages do not take turns, or there is no answer."""
    chat.answered(chat.fitting(sample))
    return {"prompt": chat.openai(sample.prompt), "completion": chat.openai(sample.messages[-1:])}


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines(map(row, samples), file)
