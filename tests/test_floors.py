"""The house stands: a file imports only from floors below its own (docs/design.md)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import selfinstruct

ROOT = Path(selfinstruct.__file__).parent
FLOORS = (
    "errors text",
    "sample",
    "teachers prompts heuristics coverage novelty formats",
    "parse pricing",
    "store limits budget",
    "funnel tally batching",
    "run actual",
    "outlook roles growth",
    "step card train",
    "steps priors",
    "pipeline reference",
    "document plan rehearsal starter doctor",
    "pilot",
    "screen bookkeeping",
    "look why",
    "cli",
    "__main__",
)
FLOOR = {unit: floor for floor, units in enumerate(FLOORS) for unit in units.split()}
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    """The modules of ours that a file names in an import, anywhere in it: parts behind `selfinstruct.`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (
                name.name.removeprefix("selfinstruct.") for name in node.names if "selfinstruct." in name.name
            )
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            if node.module == "selfinstruct":
                yield from (name.name for name in node.names if name.name != "__version__")
            elif (node.module or "").startswith("selfinstruct."):
                base = str(node.module).removeprefix("selfinstruct.")
                yield base
                for name in node.names:
                    path = ROOT / base.replace(".", "/") / name.name
                    if path.is_dir() or path.with_suffix(".py").is_file():
                        yield f"{base}.{name.name}"


def faults(file: str, source: str) -> list[str]:
    unit = file.split("/")[0].removesuffix(".py")
    found = []
    for module in imported(source):
        other = module.split(".")[0]
        if other == unit != "steps":
            continue
        if other == unit and file != "steps/__init__.py":
            found.append(f"{file}: steps import no step, but for {module}")
        elif other != unit and FLOOR[other] >= FLOOR[unit]:
            found.append(f"{file} (floor {FLOOR[unit]}) imports {module} (floor {FLOOR[other]})")
        elif unit == "train" and other in ("run", "store"):
            found.append(f"{file}: train imports neither run nor store")
    return found


def test_every_file_has_its_floor_and_every_floor_its_files() -> None:
    units = {file.split("/")[0].removesuffix(".py") for file in FILES}
    assert units - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_a_file_imports_only_from_floors_below(file: str) -> None:
    assert faults(file, (ROOT / file).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("sample.py", "from selfinstruct.run import Run"),
        ("store.py", "import selfinstruct.run"),
        ("budget.py", "from selfinstruct import store"),
        ("steps/judge.py", "from selfinstruct.steps.select import select"),
        ("steps/judge.py", "from selfinstruct.steps import select"),
        ("train/sft.py", "def f():\n    from selfinstruct.run import Run"),
        ("train/sft.py", "from selfinstruct.store import Store"),
        ("pipeline.py", "from selfinstruct.cli import main"),
        ("teachers/openai.py", "from selfinstruct.parse import usable"),
    ],
)
def test_a_wrong_import_is_seen(file: str, source: str) -> None:
    assert len(faults(file, source)) >= 1


def test_the_package_itself_imports_nothing() -> None:
    assert list(imported((ROOT / "__init__.py").read_text("utf-8"))) == []


def test_the_floors_are_those_of_the_design() -> None:
    page = (ROOT.parent / "docs" / "design.md").read_text("utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ") and line.count("|") == 4]
    told = [set(re.findall(r"`(\w+)(?:/|\.py)`", row[2])) for row in rows]
    assert told[-len(FLOORS) :] == [set(units.split()) for units in FLOORS]
