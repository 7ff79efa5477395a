"""Rows that were put into templates elsewhere: P3 (Sanh et al. 2021) and the FLAN collection (Longpre et al. 2023).

P3    {"inputs_pretokenized": "...", "targets_pretokenized": "...", "answer_choices": [...]}
FLAN  {"inputs": "...", "targets": "...", "_task_source": "CoT", "_task_name": "...", "_template_type": "zs_opt"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.formats import chat
from selfinstruct.sample import Message, Sample

_SOURCES = {"cot": "cot", "niv2": "niv2", "flan2021": "flan2021", "t0": "t0", "dialog": "dialog"}
_IDS = ("inputs", "targets")  # texts in FLAN, numbers of tokens in P3


def knows(row: Mapping[str, Any]) -> bool:
    return "inputs_pretokenized" in row or all(isinstance(row.get(name), str) for name in _IDS)


def sample(row: Mapping[str, Any]) -> Sample:
    """Question and answer, stripped. `meta` says, where the row does, `collection`, `task`, and whether it is a
    multiple `choices` question. Other columns go to `meta`, but for P3's numbers of tokens. Raises DataError without
    place; an empty answer is one, as in P3's trec_trec1.
    """
    p3 = "inputs_pretokenized" in row
    names = tuple(name + "_pretokenized" for name in _IDS) if p3 else _IDS
    texts = []
    for name in names:
        text = row.get(name)
        if not isinstance(text, str):
            raise DataError(f"`{name}` is no text", f"a rendered row has {names[0]} and {names[1]}")
        if not text.strip():
            raise DataError(f"`{name}` is empty", "leave the row out")
        texts.append(text.strip())
    meta = chat.rest(row, *_IDS, *names)
    origin = "T0" if p3 else row.get("_task_source")
    for column, name, value in (
        ("_task_source", "collection", _SOURCES.get(str(origin).lower())),
        ("_task_name", "task", row.get("_task_name")),
        ("_template_type", "template", row.get("_template_type")),
    ):
        if value:
            meta.pop(column, None)
            meta[name] = value
    if _listed(row.get("answer_choices"), texts[0]) or "_opt" in str(row.get("_template_type")):
        meta["choices"] = True
    return Sample((Message("user", texts[0]), Message("assistant", texts[1])), meta=meta)


def _listed(choices: Any, text: str) -> bool:
    """Whether the question names its answer choices."""
    if not isinstance(choices, list) or len(choices) < 2:
        return False
    return all(isinstance(each, str) and each.strip().lower() in text.lower() for each in choices)
