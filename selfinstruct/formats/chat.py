"""Turns as most chat formats have them: under `from` and `value`, or under `role` and `content`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.sample import Message, Role, Sample

SPEAKERS: dict[str, Role] = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
}
_TOOLS = {
    "function",
    "function_call",
    "function_response",
    "observation",
    "tool",
    "tool_call",
    "tool_response",
}
_KEYS = ("from", "value", "role", "content")


def turns(value: Any, name: str) -> tuple[Message, ...]:
    """The messages of the column `name`: a list of objects. Raises DataError without place."""
    if not isinstance(value, list) or not value:
        raise DataError(
            f"`{name}` is no list of messages", f'write "{name}": [{{"from": "human", "value": "..."}}, ...]'
        )
    return tuple(turn(each, f"message {number}") for number, each in enumerate(value, 1))


def turn(value: Any, what: str) -> Message:
    """One message. What it says besides speaker and text could not be kept, so it is refused."""
    if not isinstance(value, Mapping):
        raise DataError(f"{what} is no object", 'write {"from": "human", "value": "..."}')
    speaker = value.get("from", value.get("role"))
    content = value.get("value", value.get("content"))
    if isinstance(speaker, str) and speaker in _TOOLS:
        raise DataError(
            f"{what} is by {speaker!r}: rows with calls of tools are not read",
            "a row here is made of system, user and assistant messages",
        )
    role = SPEAKERS.get(speaker) if isinstance(speaker, str) else None
    if role is None:
        raise DataError(f"{what} is by {speaker!r}", f"known are {', '.join(SPEAKERS)}")
    if not isinstance(content, str):
        raise DataError(f"{what} has no text as its content", "the content of a message is one text")
    extra = [key for key, said in value.items() if key not in _KEYS and not _idle(key, said, role)]
    if extra:
        raise DataError(
            f"{what} has `{extra[0]}`, which is not kept here",
            "a message has a speaker and a text; remove the key, or the rows that need it",
        )
    return Message(role, content)


def _idle(key: str, said: Any, role: Role) -> bool:
    """Whether a key changes nothing: it is null, or the weight in training that the role has anyway."""
    return said is None or (key == "weight" and said == (role == "assistant"))


def in_turn(texts: Any, name: str) -> tuple[Message, ...]:
    """Messages from texts alone: the user begins, and the assistant answers."""
    if not isinstance(texts, list) or not texts:
        raise DataError(f"`{name}` is no list of texts", f'write "{name}": ["question", "answer", ...]')
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise DataError(f"text {number} of `{name}` is none", "question and answer take turns, as texts")
    return tuple(Message("assistant" if place % 2 else "user", text) for place, text in enumerate(texts))


def ordered(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, if an optional system message comes first, and user and assistant then take turns.

    Raises DataError without place.
    """
    start = 1 if messages and messages[0].role == "system" else 0
    for place, message in enumerate(messages[start:]):
        if message.role != ("assistant" if place % 2 else "user"):
            at = f"message {place + start + 1} is by the {message.role}"
            why = f"{at}, and the user has to begin" if place == 0 else f"{at}, which is not its turn"
            raise DataError(
                why, "user and assistant take turns after a system message; mend or remove the row"
            )
    if len(messages) == start:
        raise DataError("no message is by the user", "a conversation needs at least one user message")
    return tuple(messages)


def with_system(system: Any, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with the text of a `system` column, if it has one, as the first."""
    if system is None or system == "":
        return messages
    if not isinstance(system, str):
        raise DataError("`system` is no text", "the system prompt is one text")
    if messages and messages[0].role == "system":
        raise DataError("has a `system` column and a system message", "keep one of the two")
    return (Message("system", system), *messages)


def rest(row: Mapping[str, Any], *used: str) -> dict[str, Any]:
    """The columns that are not `used`, for `meta`."""
    return {key: value for key, value in row.items() if key not in used}


def pair(asked: Sequence[Message], chosen: str, rejected: str, meta: Mapping[str, Any]) -> Sample:
    """A sample that ends with the answer `chosen` and knows the losing answer `rejected`."""
    if asked and asked[-1].role == "assistant":
        raise DataError(
            "the prompt ends with an answer of the assistant", "end the prompt with the user's message"
        )
    return Sample((*ordered(asked), Message("assistant", chosen)), rejected, meta=meta)


def labelled(sample: Sample) -> list[tuple[str, bool]]:
    """The answers that a sample has, each with whether it is a good one. Raises DataError as `fitting` does."""
    fitting(sample)
    good = [(sample.output, True)] if sample.answered else []
    return [*good, (sample.rejected, False)] if sample.rejected is not None else good


def fitting(sample: Sample) -> Sample:
    """The sample, if its speakers take turns. Raises DataError with the mend."""
    try:
        ordered(sample.messages)
    except DataError as error:
        raise DataError(
            f"sample {sample.id}: {error.message}",
            "messages and parquet hold any order: `formats: [messages, parquet]`",
        ) from None
    return sample


def answered(sample: Sample) -> Sample:
    """The sample, if it ends with an answer. Raises DataError with the mend."""
    if not sample.answered:
        raise DataError(
            f"sample {sample.id} has a losing answer and no other",
            "kto and parquet hold such rows: `formats: [kto, parquet]`; or answer them with `respond`",
        )
    return sample


def paired(sample: Sample) -> Sample:
    """The sample, if it has a chosen and a rejected answer. Raises DataError with the mend."""
    if sample.rejected is None:
        raise DataError(
            f"sample {sample.id} has no rejected answer",
            "write another format, or put a step that makes pairs (`pairs`) before `write`",
        )
    return answered(sample)


def openai(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Messages under `role` and `content`."""
    return [{"role": each.role, "content": each.content} for each in messages]
