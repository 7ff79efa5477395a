"""What may not stand in the package, and what must be in it when it is shipped."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ROOT

PACKAGE = ROOT / "selfinstruct"
FILES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
LONGEST = 600  # lines

MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "compile": "runs text as code",
    "__import__": "hides an import",
    "hash": "differs from process to process",
    "os.system": "goes through a shell",
    "os.popen": "goes through a shell",
    "yaml.load": "can build any object; safe_load can't",
    "torch.load": "unpickles",
    "tempfile.mktemp": "is a race",
    "random.seed": "is shared by everyone",
}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def faults(file: str, source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        place = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            yield from (f"{place} imports {n.name}" for n in node.names if n.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"{place} imports {node.module}"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{place} has a bare except"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            if name in CALLS:
                yield f"{place} calls {name}, which {CALLS[name]}"
            if name in ("print", "input") and file != "cli.py":
                yield f"{place} calls {name}; only the command line speaks"
            if name in ("sys.exit", "exit", "quit", "os._exit") and file != "cli.py":
                yield f"{place} calls {name}; only the command line exits"
            for keyword in node.keywords:
                true = isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                if true and keyword.arg in ("trust_remote_code", "shell"):
                    yield f"{place} sets {keyword.arg}"
    for number, line in enumerate(source.splitlines(), start=1):
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{file}:{number} leaves work behind"


@pytest.mark.parametrize("file", FILES)
def test_the_package_is_clean(file: str) -> None:
    source = (PACKAGE / file).read_text("utf-8")
    assert list(faults(file, source)) == []
    assert len(source.splitlines()) <= LONGEST


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "eval('1')",
        "exec('1')",
        "import os\nos.system('ls')",
        "import yaml\nyaml.load('x')",
        "hash('x')",
        "print('x')",
        "import sys\nsys.exit(1)",
        "model(trust_remote_code=True)",
        "run('ls', shell=True)",
        "try:\n    pass\nexcept:\n    pass",
        "x = 1  # TODO: y",
    ],
)
def test_what_is_not_allowed_is_seen(source: str) -> None:
    assert len(list(faults("x.py", source))) == 1


def test_the_command_line_may_print() -> None:
    assert list(faults("cli.py", "print('x')")) == []


def test_everything_that_the_package_needs_is_shipped() -> None:
    """The wheel takes the whole package folder, whatever a file's kind, and the seeds from beside it."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert build["wheel"]["packages"] == ["selfinstruct"]
    assert build["wheel"]["force-include"] == {"seeds": "selfinstruct/seeds"}
    assert not {"exclude", "include", "only-include"} & set(build["wheel"])
    ignored = (ROOT / ".gitignore").read_text("utf-8").split()  # hatch leaves out what git ignores
    for kind in ("prompts/alpaca/blocks.md", "formats/templates/qa.yaml", "prices.toml", "py.typed"):
        assert (PACKAGE / kind).is_file()
        assert not any(Path(kind).match(pattern) for pattern in ignored)
    assert (ROOT / "seeds" / "seed_tasks.jsonl").is_file()
    shipped = set(build["sdist"]["include"])
    assert {
        "selfinstruct",
        "seeds",
        "pipelines",
        "tests",
        "docs",
        "benchmarks",
        "Makefile",
        "constraints.txt",
    } <= shipped


def test_no_path_of_a_machine_and_no_key_is_in_the_repository() -> None:
    suspects = re.compile(r"/home/\w+|/Users/\w+|\bsk-[A-Za-z0-9_-]{16,}")
    found = []
    for folder in ("selfinstruct", "docs", "pipelines", "seeds", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".yaml", ".toml", ".jsonl") and path.name != "test_hygiene.py":
                for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
                    if match := suspects.search(line):
                        found.append(f"{path.relative_to(ROOT)}:{number} {match[0][:12]}")
    assert found == []
