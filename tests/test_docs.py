"""The docs name everything, and what they show works."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml
from fakes import ROOT, own_steps
from typer.testing import CliRunner

import selfinstruct
from selfinstruct import cli, reference
from selfinstruct.budget import Caps
from selfinstruct.document import KEYS, load
from selfinstruct.prompts import Prompts
from selfinstruct.roles import Settings, role
from selfinstruct.step import REGISTRY

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = "\n".join(page.read_text("utf-8") for page in PAGES)
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


class Block(NamedTuple):
    """A fenced block: where it stands, its language, and what follows it on the fence (`needs=run`, `file=x.py`)."""

    page: str
    line: int
    language: str
    marks: dict[str, str]
    text: str


def blocks(*languages: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in re.finditer(r"^```(\w+)(.*)\n((?s:.*?))^```$", text, re.MULTILINE):
            marks = dict(mark.partition("=")[::2] for mark in match[2].split())
            line = text[: match.start()].count("\n") + 2
            found.append(Block(page.relative_to(ROOT).as_posix(), line, match[1], marks, match[3]))
    return [block for block in found if block.language in languages]


def run_mine() -> None:
    """The run that the docs speak of, in data/mine."""
    text = "name: mine\nteacher: offline\nsteps:\n  - read: {path: seeds/seed_tasks.jsonl}\n"
    Path("p.yaml").write_text(text + "  - alpaca: {n: 20}\n  - judge\n  - write\n")
    assert CliRunner().invoke(cli.app, ["run", "p.yaml", "--out", "data/mine"]).exit_code == 0


def name(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with what a checkout has, in which blocks may leave what they like."""
    for folder in ("seeds", "pipelines", "data/sample"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    for each in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(each, raising=False)
    with own_steps():
        yield tmp_path


# everything is named


@pytest.mark.parametrize("step", sorted(REGISTRY))
def test_every_step_and_option_is_in_the_page_of_steps(step: str) -> None:
    page = (ROOT / "docs" / "steps.md").read_text("utf-8")
    section = page.partition(f"\n## {step}\n")[2].partition("\n## ")[0]
    assert section
    assert [
        option for option in REGISTRY[step].options.model_fields if f"| `{option}` |" not in section
    ] == []


def test_the_page_of_steps_is_up_to_date() -> None:
    """`python -m selfinstruct.reference > docs/steps.md` makes it."""
    assert (ROOT / "docs" / "steps.md").read_text("utf-8") == reference.page()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_option_is_named(command: str) -> None:
    assert f"`selfinstruct {command}" in WRITTEN
    options = [each for param in COMMANDS[command].params for each in param.opts if each.startswith("--")]
    assert [option for option in options if not re.search(rf"{option}\b", WRITTEN)] == []


def test_every_prompt_pipeline_key_role_setting_and_exit_code_is_named() -> None:
    assert [each for each in Prompts().names() if f"`{each}`" not in WRITTEN] == []
    assert [path.name for path in (ROOT / "pipelines").glob("*.yaml") if path.name not in WRITTEN] == []
    assert [key for key in KEYS if not re.search(rf"(^{key}:|`{key}:?`)", WRITTEN, re.MULTILINE)] == []
    assert [
        key for key in Settings.model_fields if not re.search(rf"^  {key}: ", WRITTEN, re.MULTILINE)
    ] == []
    resume = (ROOT / "docs" / "resume.md").read_text("utf-8")
    assert re.findall(r"^\| (\d+) \|", resume, re.MULTILINE) == ["0", "1", "2", "3", "4", "75", "130"]


def test_every_make_target_is_named() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony
    assert [target for target in phony[1].split() if f"make {target}" not in WRITTEN] == []


def test_the_changelog_has_this_version() -> None:
    assert f"\n## {selfinstruct.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")


# links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if re.match(r"https?://", target):
            continue
        file, _, section = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists():
            lost.append(target)
        elif section:
            heads = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
            if section not in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}:
                lost.append(target)
    assert lost == []


# blocks


@pytest.mark.parametrize("block", blocks("python"), ids=name)
def test_python_blocks_run(block: Block, checkout: Path) -> None:
    if block.marks.get("needs") == "run":
        pytest.importorskip("datasets")
        run_mine()
    Path("block.py").write_text(block.text)
    done = subprocess.run(
        [sys.executable, "block.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(checkout / "hub")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def alternatives(text: str) -> list[str]:
    """A block that offers several lines of one key says `# or` between them."""
    return re.split(r"^# or\b.*\n", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("block", "text"),
    [(block, text) for block in blocks("yaml") for text in alternatives(block.text)],
    ids=lambda each: name(each) if isinstance(each, Block) else "",
)
def test_yaml_blocks_load(block: Block, text: str, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in blocks("python"):
        if "file" in code.marks:
            Path(code.marks["file"]).write_text(code.text)
    if before := block.marks.get("needs"):  # a run of that pipeline
        made = CliRunner().invoke(cli.app, ["run", f"pipelines/{before}.yaml", "--limit", "9"])
        assert made.exit_code == 0, made.output
    Path("my_module.py").write_text(_TEACHER)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    if re.search(r"^steps:", text, re.MULTILINE):
        Path("p.yaml").write_text(text)
        pipeline = load(Path("p.yaml"))
        place = pipeline.place(Path("run"))
        for each in pipeline.steps:
            each.check(place)
        return
    for key, value in yaml.safe_load(text).items():
        assert key in KEYS
        if key in ("teacher", "judge", "user", "student"):
            role(key, value)
        if key == "budget":
            Caps.of(value)


@pytest.mark.parametrize("block", [each for each in blocks("yaml") if "\nuse:" in each.text], ids=name)
def test_recipes_of_ones_own_run(block: Block, checkout: Path) -> None:
    """The step stays under 40 lines, rows come out, and they add up."""
    for code in blocks("python"):
        if "file" in code.marks:
            assert len(code.text.splitlines()) < 40
            Path(code.marks["file"]).write_text(code.text)
    Path("p.yaml").write_text(block.text)
    done = CliRunner().invoke(cli.app, ["run", "p.yaml", "--out", "mine"])
    assert done.exit_code == 0, done.output
    found = json.loads(Path("mine/dataset/alpaca.json").read_text("utf-8"))
    assert len(found) > 100
    assert CliRunner().invoke(cli.app, ["run", "p.yaml", "--out", "mine", "--fresh"]).exit_code == 0
    assert json.loads(Path("mine/dataset/alpaca.json").read_text("utf-8")) == found


_TEACHER = """
class MyTeacher:
    model, structured, raw = "mine", False, False
    def __init__(self, temper: str = "") -> None: ...
    async def complete(self, request): ...
    async def close(self): ...
"""


@pytest.mark.parametrize("block", blocks("json"), ids=name)
def test_json_blocks_are_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("sql"), ids=name)
def test_sql_blocks_run(block: Block, checkout: Path) -> None:
    run_mine()
    db = sqlite3.connect("file:data/mine/run.db?mode=ro", uri=True)
    for query in re.sub(r"^--.*$", "", block.text, flags=re.MULTILINE).split(";"):
        if query.strip():
            rows = db.execute(query).fetchall()
            assert rows, query
            assert all(value is not None for row in rows for value in row), query
    db.close()


def commands() -> list[tuple[str, list[str]]]:
    """Every `selfinstruct` command line in a shell block, with continued lines joined."""
    found = []
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = re.sub(r"\s+#.*$", "", line).partition(" | ")[0].partition(" > ")[0]
            if words.startswith("selfinstruct "):
                found.append((name(block), words))
    return [(place, shlex.split(words)[1:]) for place, words in found]


@pytest.mark.parametrize(("place", "words"), commands(), ids=[place for place, _ in commands()])
def test_shell_lines_are_understood(place: str, words: list[str], checkout: Path) -> None:
    """Their commands, options and `--set`s exist; what they read may be the reader's own file, so nothing is run."""
    command = COMMANDS[words[0]]
    context = command.make_context(words[0], list(words[1:]), resilient_parsing=False)
    values = context.params
    if "pipeline" in values:
        path = Path(values["pipeline"])
        if path.name == "p.yaml":  # the reader's own
            path.write_text("teacher: offline\nsteps: [{alpaca: {n: 1}}, write, judge, words]\n")
        load(path, values["sets"], values["limit"])


def test_nothing_is_left_to_fill_in() -> None:
    """Words in capitals that stand for something to come: a line of one word."""
    stubs = [
        f"{page.name}: {line}"
        for page in PAGES
        for line in page.read_text("utf-8").splitlines()
        if re.fullmatch(r"[A-Z]{4,}", line) or re.search(r"\b(TODO|FIXME|XXX|TBD)\b|being written", line)
    ]
    assert stubs == []
