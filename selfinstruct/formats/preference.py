"""Preference pairs: `chosen` and `rejected`, in the forms that are about.

{prompt, chosen, rejected}             texts or lists of messages (TRL)
{chosen: [...], rejected: [...]}       two whole conversations that differ in the last answer (UltraFeedback)
{conversations, chosen: {from, value}, rejected: {...}}                    (LLaMA-Factory, ShareGPT)
{instruction, input, chosen, rejected}                                     (LLaMA-Factory, Alpaca)
{chosen, rejected}                     two whole transcripts with "Human:" and "Assistant:" (HH, Bai et al. 2022)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from selfinstruct.errors import DataError
from selfinstruct.formats import alpaca, chat, prompt_completion, sharegpt
from selfinstruct.formats.files import write_lines
from selfinstruct.sample import Message, Sample

_ANSWERS = ("chosen", "rejected")
_SPEAKER = re.compile(r"\n\n(Human|Assistant):")
_ROLES = {"Human": "human", "Assistant": "gpt"}


def knows(row: Mapping[str, Any]) -> bool:
    return all(name in row for name in _ANSWERS)


def sample(row: Mapping[str, Any]) -> Sample:
    """The conversation with the chosen answer; the losing one is `rejected`. Other columns go to `meta`.

    Raises DataError without place.
    """
    chosen, rejected = (_answer(row, name) for name in _ANSWERS)
    if len(chosen) == len(rejected) == 1:
        return _answered(row, chosen[0].content, rejected[0].content)
    if chosen[:-1] != rejected[:-1] or len(chosen) == 1:
        raise DataError(
            "`chosen` and `rejected` differ before their last message",
            "a pair is one conversation with two last answers; shorten both to the first answer that differs",
        )
    asked = chosen[:-1]
    system = row.get("system")
    if asked[0].role != "system":
        asked = chat.with_system(system, asked)
    elif system not in (None, "", asked[0].content):
        raise DataError("has a `system` column and another system message", "keep one of the two")
    meta = chat.rest(row, *_ANSWERS, "system")
    for name, again in (("prompt", asked), ("messages", chosen)):  # UltraFeedback says them twice
        if name in meta and _same(meta[name], again):
            del meta[name]
    return chat.pair(asked, chosen[-1].content, rejected[-1].content, meta)


def _answer(row: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """What a column holds: one answer, or a whole conversation that ends with it."""
    value = row.get(name)
    if isinstance(value, str):
        transcript = value.startswith(("\n\nHuman:", "\n\nAssistant:")) and not _asks(row)
        found = transcribed(value) if transcript else (Message("assistant", value),)
    elif isinstance(value, Mapping):
        found = (chat.turn(value, f"`{name}`"),)
    elif isinstance(value, list):
        found = chat.turns(value, name)
    else:
        raise DataError(
            f"`{name}` is {alpaca.shown(value)}", f"`{name}` is a text, a message or a list of messages"
        )
    if found[-1].role != "assistant":
        raise DataError(f"`{name}` does not end with an answer of the assistant", "mend or remove the row")
    return found


def transcribed(text: str) -> tuple[Message, ...]:
    """The messages of a transcript in HH's way. One space after the colon belongs to the mark."""
    parts = _SPEAKER.split(text)
    if parts[0] or len(parts) < 3:
        raise DataError(
            'does not begin with "\\n\\nHuman:"', "a transcript has each speaker after a blank line"
        )
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return tuple(
        chat.turn({"from": _ROLES[who], "value": said.removeprefix(" ")}, who) for who, said in pairs
    )


def _asks(row: Mapping[str, Any]) -> bool:
    return any(row.get(name) for name in ("prompt", "instruction", *sharegpt.COLUMNS))


def _answered(row: Mapping[str, Any], chosen: str, rejected: str) -> Sample:
    """The pair of two last answers to what another column asks."""
    column = next((name for name in ("prompt", *sharegpt.COLUMNS, "instruction") if row.get(name)), None)
    if column is None:
        raise DataError(
            "nothing says what was asked", "name the column that does: `columns: {prompt: question}`"
        )
    if column == "instruction":
        return alpaca.sample({**chat.rest(row, *_ANSWERS), "output": chosen}).replace(rejected=rejected)
    prompt = row[column]
    if column != "prompt":
        asked = chat.turns(prompt, column)
    elif isinstance(prompt, str) and prompt.startswith("\n\nHuman:"):
        asked = transcribed(prompt)
        if asked[-1] == Message("assistant", ""):  # the mark before the answer
            asked = asked[:-1]
    else:
        asked = prompt_completion.asked(prompt)
    meta = chat.rest(row, *_ANSWERS, column, "system")
    return chat.pair(chat.with_system(row.get("system"), asked), chosen, rejected, meta)


def _same(value: Any, messages: tuple[Message, ...]) -> bool:
    """Whether a column says nothing but what these messages say."""
    return value in (chat.openai(messages), messages[-1].content)


def row(sample: Sample) -> dict[str, Any]:
    """TRL's conversational form. Raises DataError if there are no two answers."""
    chat.paired(chat.fitting(sample))
    rejected = Message("assistant", str(sample.rejected))
    return {
        "prompt": chat.openai(sample.prompt),
        "chosen": chat.openai(sample.messages[-1:]),
        "rejected": chat.openai([rejected]),
    }


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines(map(row, samples), file)
