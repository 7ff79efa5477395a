"""What an import costs and needs: nothing heavy, and only what is declared."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import selfinstruct

ROOT = Path(selfinstruct.__file__).parent
HEAVY = (
    "torch",
    "datasets",
    "openai",
    "anthropic",
    "transformers",
    "vllm",
    "pandas",
    "trl",
    "peft",
    "accelerate",
)
MODULES = sorted(
    ".".join(("selfinstruct", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if path.name != "__main__.py"
)

# Run in a process of its own: refuses every import of an extra, then of what `argv` names, then says what was loaded.
SCRIPT = """
import importlib, importlib.abc, json, sys, time
heavy, modules, block = json.loads(sys.argv[1])
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in heavy:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
if block:
    sys.meta_path.insert(0, Absent())
times, failed = {}, {}
for module in modules:
    start = time.process_time()
    try:
        importlib.import_module(module)
    except ImportError as error:
        failed[module] = str(error)
    times[module] = time.process_time() - start
print(json.dumps([times, failed, sorted(name for name in heavy if name in sys.modules)]))
"""


def imported(
    modules: list[str], *, block: bool, heavy: Sequence[str] = HEAVY
) -> tuple[dict[str, float], dict[str, str], list[str]]:
    given = json.dumps([heavy, modules, block])
    done = subprocess.run([sys.executable, "-c", SCRIPT, given], capture_output=True, text=True, check=True)
    times, failed, loaded = json.loads(done.stdout)
    return times, failed, loaded


@pytest.mark.parametrize(
    "module", ["selfinstruct", "selfinstruct.document", "selfinstruct.cli", "selfinstruct.steps"]
)
def test_importing_pulls_nothing_heavy_and_is_quick(module: str) -> None:
    """Nothing of torch, datasets, SDKs or pandas; DESIGN's 0.3 s are for a quiet machine, here they are CPU seconds
    times five."""
    times, failed, loaded = imported([module], block=False)
    assert (failed, loaded) == ({}, [])
    assert times[module] < 1.5


def test_the_package_alone_imports_nothing_at_all() -> None:
    code = (
        "import sys; before = set(sys.modules); import selfinstruct;"
        "print(sorted(set(sys.modules) - before - {'selfinstruct'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def undeclared() -> list[str]:
    """The importable packages of this environment that pyproject's core dependencies, and theirs, do not bring."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["project"]
    waiting = [Requirement(each) for each in project["dependencies"]]
    core: set[str] = set()
    while waiting:
        found = waiting.pop()
        name = canonicalize_name(found.name)
        if name in core or (found.marker is not None and not found.marker.evaluate({"extra": ""})):
            continue
        core.add(name)
        waiting += [Requirement(each) for each in metadata.requires(name) or ()]
    return sorted(
        package
        for package, makers in metadata.packages_distributions().items()
        if package != "selfinstruct" and not core & {canonicalize_name(maker) for maker in makers}
    )


def test_every_module_can_be_imported_with_the_declared_dependencies_alone() -> None:
    """All but the files of `train/`, which need torch: no step, teacher or format needs an extra, nor a package that is
    there by chance."""
    absent = undeclared()
    assert {"torch", "openai", "pytest", "hypothesis"} <= set(absent)
    _, failed, _ = imported(MODULES, block=True, heavy=absent)
    assert {
        module: why for module, why in failed.items() if not module.startswith("selfinstruct.train.")
    } == {}


def test_the_blocker_blocks() -> None:
    _, failed, _ = imported(["torch", "openai.types"], block=True)
    assert sorted(failed) == ["openai.types", "torch"]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, atexit, runpy;"
        f"sys.argv = ['selfinstruct', *{arguments!r}];"
        f"atexit.register(lambda: print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules]));"
        "runpy.run_module('selfinstruct', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HEAVY []\n")
