"""Seed tasks (Wang et al. 2022, Self-Instruct): a hand-written task with one or more worked instances.

{"id": "seed_task_0", "name": "...", "instruction": "...", "instances": [{"input": "", "output": "..."}],
 "is_classification": false}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.formats.files import Fault
from selfinstruct.sample import Sample
from selfinstruct.text import normal_form


def sample(row: Mapping[str, Any]) -> Sample:
    """The first instance becomes input and output; all of them are in `meta["instances"]`.

    `meta` also holds `seed_id`, `name`, `is_classification` and unknown columns, as far as the row has them.
    Raises DataError without place.
    """
    for name, kind, what in (
        ("id", str, "text"),
        ("name", str, "text"),
        ("is_classification", bool, "true or false"),
    ):
        if row.get(name) is not None and not isinstance(row[name], kind):
            raise DataError(f"`{name}` is {row[name]!r}", f"`{name}` must be {what}")
    instruction, instances = row.get("instruction"), row.get("instances")
    if not isinstance(instruction, str) or not instruction.strip():
        raise DataError("`instruction` is missing or empty", "every seed task needs an instruction")
    if not isinstance(instances, list) or not instances:
        raise DataError(
            "`instances` is no list with an instance", 'write "instances": [{"input": "", "output": "..."}]'
        )
    for number, each in enumerate(instances, 1):
        if not isinstance(each, Mapping) or not isinstance(each.get("input", ""), str):
            raise DataError(
                f"instance {number} has no text as `input`", 'write {"input": "", "output": "..."}'
            )
        if not isinstance(each.get("output"), str) or not each["output"].strip():
            raise DataError(
                f"instance {number} has no `output`", "an instance shows a right answer: write it"
            )
    for name in ("input", "seed_id"):  # `meta` needs these two names itself
        if name in row:
            raise DataError(
                f"has a column `{name}` beside `instances`", "rename it, or move it into an instance"
            )
    meta = {"seed_id" if key == "id" else key: value for key, value in row.items() if key != "instruction"}
    first = instances[0]
    return Sample.of(instruction, first.get("input", ""), first["output"], meta=meta)


def distinct(rows: Iterable[tuple[str, Sample | Fault]], path: Path) -> Iterator[tuple[str, Sample | Fault]]:
    """The rows, with a second seed of the same id or the same instruction (in normal form) a Fault.

    A seed that occurs twice is drawn twice as often as an example, so it is a mistake rather than a habit.
    """
    seen: dict[tuple[str, str], str] = {}
    for place, item in rows:
        if isinstance(item, Fault):
            yield place, item
            continue
        keys = [("instruction", normal_form(item.instruction))]
        if item.meta.get("seed_id") is not None:
            keys.append(("id", item.meta["seed_id"]))
        again = next((key for key in keys if key in seen), None)
        if again is None:
            seen.update(dict.fromkeys(keys, place))
            yield place, item
        else:
            message = f"has the same {again[0]} as {seen[again]}: {again[1][:60]!r}"
            yield place, Fault(path, place, message, "remove one of the two", item.instruction, "duplicate")
