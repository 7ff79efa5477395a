"""What nobody may get out of us, or make us do: keys, paths, links, bombs, and regular expressions that never end."""

from __future__ import annotations

import ast
import base64
import importlib
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from fakes import ROOT
from loopback import Loopback

from selfinstruct import cli
from selfinstruct.document import load
from selfinstruct.errors import ConfigError, StoreError
from selfinstruct.pipeline import execute
from selfinstruct.steps import read, write
from selfinstruct.store import FILE, Store
from selfinstruct.store.repair import purge
from selfinstruct.teachers.connect import check, connect
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.offline import OfflineTeacher

CANARY = "sk-canary-9c41d07be88a"
COMMANDS = sorted(typer.main.get_group(cli.app).commands)
FILES = sorted((ROOT / "selfinstruct").rglob("*.py"))


# S1 keys


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder in which every command was run with a key in hand, and what each said. Servers repeat the key, a step of
    the user's falls over, and the libraries below were asked to log all they do.
    """
    here = tmp_path_factory.mktemp("canary")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OPENAI_LOG": "debug",
        "ANTHROPIC_LOG": "debug",
        **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SOME_KEY"), CANARY),
    }
    environment.pop("OPENAI_BASE_URL", None)
    echo = json.dumps(
        {"error": {"message": f"Incorrect API key provided: {CANARY}", "type": "auth"}}
    ).encode()
    said: dict[str, str] = {}

    def do(name: str, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "selfinstruct", *arguments],
            env=environment,
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )
        said[name] = done.stdout + done.stderr

    steps = f"steps:\n  - read: {{path: {ROOT / 'seeds' / 'seed_tasks.jsonl'}}}\n  - alpaca: {{n: 5}}\n"
    with Loopback(OfflineTeacher()) as server, Loopback() as rude:
        rude.script = [(401, {"content-type": "application/json"}, echo)] * 500
        model = '{model: openai/m, base_url: "%s", key_env: SOME_KEY}'
        (here / "mine.py").write_text(
            "import os\nfrom selfinstruct.step import step\n\n@step\nasync def fall(run, samples):\n"
            '    """Falls over, with the key at hand."""\n    key = os.environ["SOME_KEY"]\n'
            "    async for sample in samples:\n        raise RuntimeError('fell')\n        yield sample\n"
        )
        (here / "p.yaml").write_text(f"name: p\nteacher: {model % server.url}\n{steps}  - judge\n  - write\n")
        (here / "rude.yaml").write_text(f"name: rude\nteacher: {model % rude.url}\n{steps}")
        (here / "fall.yaml").write_text(f"name: fall\nuse: [mine.py]\nteacher: offline\n{steps}  - fall\n")
        for way, variable in (
            ("openai/gpt-4o-mini", "OPENAI_BASE_URL"),
            ("anthropic/claude-x", "ANTHROPIC_BASE_URL"),
        ):
            environment[variable] = rude.url
            name = way.partition("/")[0]
            (here / f"{name}.yaml").write_text(f"name: {name}\nteacher: {way}\n{steps}")
            do(f"run {name}", "run", f"{name}.yaml", "--debug")
            del environment[variable]
        do("run", "run", "p.yaml", "--out", "r")
        do("run rude", "run", "rude.yaml", "--debug")
        do("run fall", "run", "fall.yaml", "--debug")
        with Store.read(here / "r") as store:
            (row,) = store.samples(2, 0, 1)
        for name, arguments in {
            "plan": ["p.yaml", "--out", "r"],
            "show": ["r"],
            "look": ["r", "judge"],
            "why": ["r", row.id],
            "check": ["r"],
            "repair": ["r"],
            "steps": ["alpaca"],
            "prompts": ["alpaca/blocks"],
            "init": ["made"],
            "doctor": [],
            "schema": [],
        }.items():
            do(name, name, *arguments)
        assert {head.get("authorization") for head in server.heads} == {f"Bearer {CANARY}"}
        assert CANARY in "".join(head.get("authorization", "") for head in rude.heads)
    yield here, said
    do("purge", "purge", "r", "--yes")


def test_s1_the_key_is_in_nothing_that_is_printed(told: tuple[Path, dict[str, str]]) -> None:
    _, said = told
    assert {name.partition(" ")[0] for name in said} | {"purge"} == set(COMMANDS)
    assert "RuntimeError: fell" in said["run fall"]
    assert "[key]" in said["run rude"]
    coded = base64.b64encode(CANARY.encode()).decode().rstrip("=")
    for name, text in said.items():
        assert CANARY not in text, name
        assert coded not in text, name


def test_s1_the_key_is_in_nothing_that_is_written(told: tuple[Path, dict[str, str]]) -> None:
    here, _ = told
    files = [path for path in here.rglob("*") if path.is_file()]
    assert any(path.name == FILE for path in files)
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


def test_s1_a_key_in_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")
    file.chmod(0o600)
    teacher = connect({"model": "openai/m", "base_url": "http://localhost:1", "key_file": str(file)})
    check(teacher)
    assert isinstance(teacher.at, Endpoint)  # type: ignore[attr-defined]
    assert teacher.at.key == CANARY  # type: ignore[attr-defined]
    assert CANARY not in repr(teacher.at)  # type: ignore[attr-defined]
    assert CANARY not in teacher.at.quote(f"your key {CANARY} is wrong")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "can't be read"),
        (lambda path: path.mkdir(), "is not a plain file"),
        (lambda path: path.symlink_to("/etc/hostname"), "is not a plain file"),
        (
            lambda path: (path.write_text("k"), path.chmod(0o644)),
            r"others may read or change it \(mode 0644\)",
        ),
        (
            lambda path: (path.write_text("k"), path.chmod(0o620)),
            r"others may read or change it \(mode 0620\)",
        ),
        (lambda path: (path.write_text(" \n"), path.chmod(0o600)), "is empty"),
        (lambda path: (path.write_text("a b"), path.chmod(0o600)), "characters no key has"),
    ],
)
def test_s1_a_key_file_that_cannot_be_trusted(tmp_path: Path, make: object, message: str) -> None:
    file = tmp_path / "key"
    make(file)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=message) as wrong:
        check(connect({"model": "anthropic/m", "key_file": str(file)}))
    assert wrong.value.hint


def test_s1_one_place_for_a_key() -> None:
    with pytest.raises(ConfigError, match="both key_env and key_file"):
        connect({"model": "openai/m", "key_file": "k", "key_env": "K"})


# S7 paths


def test_s7_what_a_run_holds_is_its_owners_even_in_a_folder_that_others_may_enter(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    before = os.umask(0)
    try:
        with Store.open(folder) as store:
            store.set_fact("a", 1)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys((FILE, f"{FILE}-wal", f"{FILE}-shm", "lock", "holder"), 0o600)


@pytest.mark.parametrize("name", [FILE, "holder"])
def test_s7_no_link_is_followed(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).symlink_to(victim)
    with pytest.raises(StoreError):
        Store.open(folder)
    assert victim.read_text() == "mine"


# S9 bombs


def test_s9_a_pipeline_that_unfolds_without_end(tmp_path: Path) -> None:
    lines = ["steps: [echo]", "teacher: {model: offline, params: {a0: &a0 [x]"]
    lines += [f"  , a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join([*lines, "}}"]))
    began = time.monotonic()
    with pytest.raises(ConfigError, match="its aliases unfold to more than 100,000 values"):
        load(file)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 1_000_001, "is longer than 1,000,000 characters"),
        ("steps: " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
    ],
)
def test_s9_a_pipeline_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file)


def patterns() -> dict[str, tuple[re.Pattern[str], str]]:
    """Every regular expression that a module of the package holds, by where it stands, with the way it is used."""
    found = {}
    for path in FILES:
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module.endswith("__main__") or "/train/" in path.as_posix():
            continue
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                used = set(re.findall(rf"\b{name}\.(\w+)\(", path.read_text("utf-8")))
                way = "fullmatch" if used == {"fullmatch"} else "match" if used == {"match"} else "finditer"
                found[f"{module}.{name}"] = value, way
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):  # and those written where they are used
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr in ("match", "fullmatch", "search", "sub", "split", "findall", "finditer")
                and isinstance(node.args[0], ast.Constant)
            ):
                way = node.func.attr if node.func.attr in ("match", "fullmatch") else "finditer"
                flags = re.MULTILINE if "MULTILINE" in ast.dump(node) else 0
                found[f"{module}:{node.lineno}"] = re.compile(str(node.args[0].value), flags), way
    return found


def hostile(pattern: str) -> Iterator[str]:
    """Texts that make careless expressions try everything: what the pattern itself names, over and over."""
    words = {
        "a",
        " ",
        "0",
        "-",
        "\t",
        "\n",
        ".",
        "#",
        "{",
        "(",
        "a ",
        "0.",
        "1. Instruction:",
        "score: ",
        "*",
        "_",
        "<",
        "é",
    }
    words |= {word for word in re.findall(r"[A-Za-z]{2,}|[^\w\s\\]", pattern) if len(word) < 20}
    yield from words


@pytest.mark.parametrize("place", sorted(patterns()))
def test_s9_no_expression_takes_more_than_linear_time(place: str) -> None:
    """Twice the text takes about twice the time; four times (and ten milliseconds) would be quadratic."""
    pattern, way = patterns()[place]
    for word in hostile(pattern.pattern):
        took = []
        for size in (10_000, 20_000):
            text = (word * (size // len(word) + 1))[:size] + "\x00"
            took.append(min(_timed(getattr(pattern, way), text) for _ in range(2)))
        assert took[1] < max(0.1, 3.2 * took[0]), f"{word!r}: {took}"


def _timed(match: Callable[[str], Any], text: str) -> float:
    began = time.process_time()
    found = match(text)
    if found is not None and not isinstance(found, re.Match):
        for _ in found:
            pass
    return time.process_time() - began


# S10, S11


def test_s11_nothing_reports_home() -> None:
    """No module of the package imports what sends usage figures, or opens an address that is not a teacher's."""
    senders = {
        "posthog",
        "sentry_sdk",
        "segment",
        "mixpanel",
        "opentelemetry",
        "requests",
        "urllib3",
        "http",
        "httpx",
    }
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & senders, path
            assert not any(name.startswith("urllib.request") for name in names), path


def test_s11_purge_leaves_the_exports_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Store.open(folder) as store:
        store.set_fact("secret", "what was asked")
        with pytest.raises(StoreError, match="is working on this run"):
            purge(folder)
    (folder / "dataset").mkdir()
    (folder / "dataset" / "alpaca.json").write_text("[]")
    (folder / "damaged-20260101T000000.db").write_text("what was asked")
    purge(folder)
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert left == ["dataset/alpaca.json", "holder", "lock"]
    assert not any(b"asked" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    with pytest.raises(StoreError, match="holds no run"):
        purge(folder)
    Store.open(folder).close()  # a new run may begin there


@pytest.mark.parametrize("name", ["../../up", "..", "a/b", "a\\b", ""])
def test_s7_a_pipelines_name_is_no_path(tmp_path: Path, name: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps({"name": name, "steps": ["echo"]}))
    with pytest.raises(ConfigError, match="`name` must be a plain name"):
        load(file)


@pytest.mark.parametrize("way", ["../../esc", "..", "link", "link/below"])
def test_s7_exports_stay_in_the_runs_folder(tmp_path: Path, way: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "link").symlink_to(outside)
    source = tmp_path / "rows.jsonl"
    source.write_text(json.dumps({"instruction": "Say it.", "input": "", "output": "It."}) + "\n")
    with pytest.raises(ConfigError, match="leads out of the run's folder"):
        execute([read(path=str(source)), write(out=way)], out=run)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "esc").exists()
    execute([read(path=str(source)), write(out=str(outside / "mine"))], out=run)  # the user's own word
    assert (outside / "mine" / "alpaca.json").is_file()


def test_s10_link_local_addresses_get_no_plain_http() -> None:
    for host in ("169.254.169.254", "[fe80::1]"):
        with pytest.raises(ConfigError, match="unencrypted"):
            connect({"model": "openai/m", "base_url": f"http://{host}/v1"})
