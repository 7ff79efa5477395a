"""Task files of Super-NaturalInstructions (Wang et al. 2022): one JSON object a file, a definition and many instances.

{"Definition": ["..."], "Categories": [...], "Domains": [...], "Input_language": ["English"], ...,
 "Positive Examples": [{"input", "output", "explanation"}, ...], "Negative Examples": [...],
 "Instances": [{"id", "input", "output": ["...", ...]}, ...]}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.formats import files
from selfinstruct.formats.files import CLIP, Fault, Row
from selfinstruct.sample import Sample

# The keys that a file of this format begins with; rows of other formats have none of them.
_HEAD = re.compile(rb'\{\s*"(?:Contributors|Definition)"\s*:')
_EXAMPLES = {"positive": "Positive Examples", "negative": "Negative Examples"}
_LANGUAGES = ("Input_language", "Output_language", "Instruction_language")


def recognised(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a task file."""
    return _HEAD.match(head) is not None


def rows(path: Path) -> Iterator[Row]:
    """One row an instance: its own columns and its task's. An instance that can't be used is a Fault.

    The task is named by the file: the object doesn't say. Raises DataError when the task itself can't be used.
    """
    task = _task(path, files.json_object(path))
    instances = task.pop("instances")
    for number, each in enumerate(instances, 1):
        place = f"instance {number}"
        try:
            yield place, {**task, **_instance(each)}
        except DataError as error:
            yield place, Fault(path, place, error.message, error.hint, str(each)[:CLIP])


def sample(row: Mapping[str, Any]) -> Sample:
    """Definition, input, and the first of the outputs. All columns are in `meta["row"]`, for a template."""
    meta = {
        "task": row["task"],
        "collection": "niv2",
        "categories": row["categories"],
        "domains": row["domains"],
        "languages": row["languages"],
        "row": dict(row),
    }
    if row["id"] is not None:
        meta["instance"] = row["id"]
    return Sample.of(row["definition"], row["input"], row["output"], meta=meta)


def _task(path: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    definition, instances = value.get("Definition"), value.get("Instances")
    if isinstance(definition, list):
        definition = definition[0] if definition else None
    if not isinstance(definition, str) or not definition.strip():
        raise DataError(f"{path}: has no `Definition` that is text", "every task file defines its task")
    if not isinstance(instances, list) or not instances:
        raise DataError(f"{path}: `Instances` is no list with an instance", "a task file holds its instances")
    examples = {name: _examples(path, key, value.get(key)) for name, key in _EXAMPLES.items()}
    return {
        "task": path.name.partition(".json")[0],
        "definition": definition.strip(),
        **examples,
        "categories": _texts(path, value, "Categories"),
        "domains": _texts(path, value, "Domains"),
        "languages": sorted({each for key in _LANGUAGES for each in _texts(path, value, key)}),
        "instances": instances,
    }


def _texts(path: Path, value: Mapping[str, Any], key: str) -> list[str]:
    found = value.get(key) or []
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise DataError(f"{path}: `{key}` is no list of texts", "write it as in the other task files")
    return found


def _examples(path: Path, key: str, value: Any) -> list[dict[str, str]]:
    if not isinstance(value or [], list):
        raise DataError(
            f"{path}: `{key}` is no list", 'write [{"input": ..., "output": ..., "explanation": ...}]'
        )
    found = []
    for number, each in enumerate(value or [], 1):
        if not isinstance(each, Mapping) or not isinstance(each.get("input"), str):
            raise DataError(f"{path}: `{key}`: example {number} has no text as `input`", "mend or remove it")
        output, explanation = each.get("output"), each.get("explanation") or ""
        if isinstance(output, list):  # some tasks list several right ones here, too
            output = output[0] if output else None
        if not isinstance(output, str) or not isinstance(explanation, str):
            raise DataError(
                f"{path}: `{key}`: example {number} has no text as `output` or `explanation`",
                "mend or remove it",
            )
        found.append(
            {"input": each["input"].strip(), "output": output.strip(), "explanation": explanation.strip()}
        )
    return found


def _instance(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("input"), str):
        raise DataError("has no text as `input`", 'write {"input": "...", "output": ["..."]}')
    outputs = value.get("output")
    outputs = [outputs] if isinstance(outputs, str) else outputs
    if not isinstance(outputs, list) or not all(isinstance(each, str) for each in outputs):
        raise DataError("`output` is no list of texts", 'write {"input": "...", "output": ["..."]}')
    outputs = [each.strip() for each in outputs if each.strip()]
    if not outputs:
        raise DataError("`output` is empty", "leave the instance out")
    name = value.get("id")
    return {
        "id": name if isinstance(name, str) else None,
        "input": value["input"].strip(),
        "output": outputs[0],
        "outputs": outputs,
    }
