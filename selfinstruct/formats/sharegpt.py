"""ShareGPT rows: `{"conversations": [{"from": "human", "value": ...}, ...]}`, with an optional `system` and `tools`.

The same with answers to choose from, as LLaMA-Factory reads it: `sharegpt_preference` (Rafailov et al. 2023, DPO) and
`sharegpt_kto` (Ethayarajh et al. 2024).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from selfinstruct.formats import chat
from selfinstruct.formats.files import write_lines
from selfinstruct.sample import Message, Sample

NAMES = {"user": "human", "assistant": "gpt", "system": "system"}
COLUMNS = ("conversations", "conversation", "messages")


def knows(row: Mapping[str, Any]) -> bool:
    if "conversations" in row or "conversation" in row:
        return True
    turns = row.get("messages")
    return isinstance(turns, list) and bool(turns) and isinstance(turns[0], Mapping) and "from" in turns[0]


def sample(row: Mapping[str, Any]) -> Sample:
    """A conversation, with the column `system` as its first message; other columns go to `meta`.

    Raises DataError without place.
    """
    column = next((name for name in COLUMNS if name in row), COLUMNS[0])
    messages = chat.with_system(row.get("system"), chat.turns(row.get(column), column))
    return Sample(chat.ordered(messages), meta=chat.rest(row, column, "system"))


def row(sample: Sample) -> dict[str, Any]:
    """Raises DataError if the messages do not take turns, or there is no answer."""
    chat.answered(chat.fitting(sample))
    tools = sample.meta.get("tools")
    return {"conversations": said(sample.messages), **({"tools": tools} if isinstance(tools, str) else {})}


def preference(sample: Sample) -> dict[str, Any]:
    chat.paired(chat.fitting(sample))
    return {
        "conversations": said(sample.prompt),
        "chosen": {"from": "gpt", "value": sample.output},
        "rejected": {"from": "gpt", "value": sample.rejected},
    }


def labelled(sample: Sample) -> list[dict[str, Any]]:
    """A row for each answer that the sample has."""
    asked = said(sample.prompt)
    return [
        {"conversations": [*asked, {"from": "gpt", "value": text}], "label": label}
        for text, label in chat.labelled(sample)
    ]


def said(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"from": NAMES[each.role], "value": each.content} for each in messages]


def write(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines(map(row, samples), file)


def write_preference(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines(map(preference, samples), file)


def write_labelled(samples: Iterable[Sample], file: BinaryIO) -> None:
    write_lines((each for one in samples for each in labelled(one)), file)
