"""The command line as a user meets it: what is printed, where, and with which exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fakes import ROOT, Echo, python
from loopback import Loopback
from typer.testing import CliRunner

from selfinstruct import __version__, cli
from selfinstruct.errors import TransientError
from selfinstruct.sample import Sample
from selfinstruct.store import Store
from selfinstruct.teachers.offline import OfflineTeacher

SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"
COMMANDS = (
    "run",
    "plan",
    "show",
    "look",
    "why",
    "check",
    "repair",
    "steps",
    "prompts",
    "init",
    "doctor",
    "schema",
)
CANARY = "sk-canary-7f3a9c51e2"


class Said(NamedTuple):
    code: int
    out: str
    err: str


def do(*arguments: str | Path) -> Said:
    """Run a command in this process. A traceback of anything but our own exits is the test's failure."""
    result = CliRunner().invoke(cli.app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Said(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


SMALL = f"""\
name: small
teacher: offline
steps:
  - read: {{path: {SEEDS}}}
  - alpaca: {{n: 20}}
  - judge
  - select: {{at_least: 4}}
  - write
"""


def pipeline(text: str = SMALL) -> Path:
    path = Path("p.yaml")
    path.write_text(text)
    return path


def served(url: str, more: str = "") -> Path:
    """The small pipeline with its teacher behind HTTP."""
    model = f'{{model: openai/some-model, base_url: "{url}"{more}}}'
    return pipeline(SMALL.replace("teacher: offline", f"teacher: {model}"))


# what is there


def test_help_names_every_command_and_nothing_is_cut_off() -> None:
    said = do("--help")
    assert said.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} +\S.*[^.]\.$", said.out, re.MULTILINE), f"{name} has no whole sentence"
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    said = do(command, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: selfinstruct {command} ") or said.out.startswith("Usage: root ")
    for line in re.findall(r"^  -.*", said.out, re.MULTILINE):
        assert re.match(r"  --[a-z-]+(=?[ ][A-Z.=]+)?  +\S", line), line


def test_the_version() -> None:
    assert do("--version") == (0, f"selfinstruct {__version__}\n", "")


@pytest.mark.parametrize("wrong", [["runn"], ["run"], ["run", "p.yaml", "--bogus"], ["look", "x", "y", "0"]])
def test_wrong_usage_is_2_and_shows_the_usage(wrong: list[str]) -> None:
    said = do(*wrong)
    assert said.code == 2
    assert "Usage:" in said.err
    assert said.out == ""


def test_help_in_a_process_of_its_own_loads_no_step_and_is_quick() -> None:
    start = time.perf_counter()
    seen = "-X importtime".split()
    done = subprocess.run(
        [sys.executable, *seen, "-m", "selfinstruct", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    spent = time.perf_counter() - start
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {
        "torch",
        "datasets",
        "openai",
        "anthropic",
        "transformers",
        "trl",
        "numpy",
        "pyarrow",
        "pydantic",
    }
    assert modules & heavy == set()
    assert not {name for name in modules if name.startswith("selfinstruct.steps")}
    sys.stdout.write(f"selfinstruct --help: {spent:.2f} s\n")
    assert spent < 5


# the way through: init, plan, run, show, look


def test_from_init_to_look() -> None:
    assert do("init", "made").code == 0
    planned = do("plan", "made/pipeline.yaml", "--limit", "20")
    assert planned.code == 0
    assert "nothing was sent" in planned.out
    ran = do("run", "made/pipeline.yaml", "--limit", "20", "--out", "r")
    assert ran.code == 0
    assert ran.err == ""
    shown = do("show", "r")
    assert shown.code == 0
    table = shown.out.partition("\n")[2].strip()  # without the line that says which run it is
    assert table
    assert table in ran.out
    looked = do("look", "r", "alpaca", "3")
    assert looked.code == 0
    for part in (
        "row 3 of 20",
        "user",
        "assistant",
        "made from",
        "request of alpaca",
        "asked (user)",
        "answered (stop",
    ):
        assert part in looked.out


def test_what_a_run_prints_without_a_terminal() -> None:
    """Plain lines, no colours, no cursor movements, and the counts that the table repeats."""
    said = do("run", pipeline(), "--out", "r")
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    lines = said.out.splitlines()
    assert lines[0] == f"selfinstruct {__version__}: small (teacher offline) in r"
    seeds = len(SEEDS.read_text("utf-8").splitlines())
    assert lines[1:3] == [
        "[1/5] read",
        f"[1/5] read: 0 in, {seeds} made, 0 dropped, {seeds} kept, " + lines[2][-5:],
    ]
    assert f"[2/5] alpaca: {seeds} rows to work on" in lines
    assert re.search(
        r"^\[2/5\] alpaca: .* 20 kept, \d+ calls?, [\d.]+k tokens, \$0, [\d.]+ s$", said.out, re.MULTILINE
    )
    assert "is not a language model" in said.out
    again = do("run", pipeline(), "--out", "r")
    assert again.code == 0
    assert again.out.count("(from before)") == 5


def test_a_line_now_and_then_while_a_step_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "EVERY", 0.05)
    with Loopback(OfflineTeacher(), latency=0.1) as server:
        said = do("run", served(server.url, ", concurrency: 2"), "--out", "r", "--limit", "8")
    assert said.code == 0
    found = re.findall(r"^\[\d/5\] (?:alpaca|judge): \d+%, .* so far", said.out, re.MULTILINE)
    assert len(found) > 2


def test_fresh_works_everything_out_anew_and_asks_nothing() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url)
        first = do("run", file, "--out", "r")
        asked = len(server.asked)
        again = do("run", file, "--out", "r", "--fresh")
        assert (first.code, again.code) == (0, 0)
        assert len(server.asked) == asked > 0
    assert "(from before)" not in again.out
    rows = [re.sub(r" [\d.]+ s\b", "", line) for line in first.out.splitlines() if " kept" in line]
    assert rows == [re.sub(r" [\d.]+ s\b", "", line) for line in again.out.splitlines() if " kept" in line]


def test_set_and_limit_reach_the_run() -> None:
    said = do("run", pipeline(), "--out", "r", "--limit", "5", "--set", "select.at_least=0")
    assert said.code == 0
    with Store.read(Path("r")) as store:
        options = {record.name: record.options for record in store.steps()}
    assert options["alpaca"]["n"] == 5
    assert options["select"]["at_least"] == 0


def test_the_runs_folder_is_in_data_unless_given() -> None:
    assert do("run", pipeline(), "--limit", "3").code == 0
    assert Path("data/small/run.db").is_file()


def test_a_warning_of_a_step_is_shown_at_the_end() -> None:
    rows = "".join(
        json.dumps({"instruction": text, "input": "", "output": "да"}, ensure_ascii=False) + "\n"
        for text in ("Напиши стих", "Назови город", "Спой песню")
    )
    Path("rows.jsonl").write_text(rows, "utf-8")
    said = do(
        "run", pipeline("steps:\n  - read: {path: rows.jsonl}\n  - novelty: {tokens: rouge}\n"), "--out", "r"
    )
    assert said.code == 0
    assert "warning: novelty: " in said.err
    assert "tokens: words" in said.err


# plan


def test_plan_sends_nothing_and_makes_no_folder() -> None:
    with Loopback(OfflineTeacher()) as server:
        said = do("plan", served(server.url), "--out", "r")
        assert said.code == 0
        assert server.asked == []
    assert not Path("r").exists()
    assert "nothing was sent" in said.out


def test_plan_says_what_is_on_file_and_what_is_left() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url)
        do("run", file, "--out", "r")
        asked = len(server.asked)
        said = do("plan", file, "--out", "r")
        changed = do("plan", file, "--out", "r", "--set", "judge.aspect=style")
        assert len(server.asked) == asked
    assert said.out.count("done in the run here") == 5
    assert f"on file: {asked} answers" in said.out
    assert changed.out.count("done in the run here") == 2
    assert "judge   openai/some-model" in changed.out


def test_plan_shows_the_table_before_it_refuses() -> None:
    """Without a key the figures can be seen all the same."""
    said = do("plan", pipeline(SMALL.replace("offline", "openai/gpt-5-mini")))
    assert said.code == 2
    assert re.search(r"^alpaca *\n  rows +20 +20 +20$", said.out, re.MULTILINE)
    assert "prices are of" in said.out
    assert "OPENAI_API_KEY is not set" in said.err


def test_plan_of_an_unpriced_model_says_how_to_price_it() -> None:
    said = do(
        "plan", pipeline(SMALL.replace("offline", "{model: openai/x, base_url: 'https://far.example/v1'}"))
    )
    assert "unpriced: set `price: {input: ..., output: ...}`" in said.out


# show and look


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    assert do("run", pipeline(), "--out", "r").code == 0
    return tmp_path / "r"


def test_show_prints_drops_as_json_lines(ran: Path) -> None:
    said = do("show", ran, "--drops", "alpaca")
    rows = [json.loads(line) for line in said.out.splitlines()]
    with Store.read(ran) as store:
        assert len(rows) == store.reasons(1).total() > 100
    assert {row["reason"] for row in rows} >= {"seed_task"}
    assert Sample.from_row(rows[0]["row"]).instruction
    assert said == do("show", ran, "--drops", "2")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["show", "nowhere"], "nowhere: holds no run", "the folder that `selfinstruct run` wrote to"),
        (["show", "r", "--drops", "jugde"], "no step `jugde`", "did you mean `judge`?"),
        (["look", "r", "jugde"], "no step `jugde`", "did you mean `judge`?"),
        (["look", "r", "9"], "no step `9`", "known: alpaca, judge, read, select, write"),
        (["look", "r", "alpaca", "21"], "kept 20 rows, so there is no row 21", "count from 1 to 20"),
        (["look", "r", "read", "1", "--dropped"], "dropped 0 rows", "without --dropped"),
        (["steps", "jugde"], "no step `jugde`", "did you mean `judge`?"),
        (["prompts", "alpaca/block"], "no prompt 'alpaca/block'", "did you mean `alpaca/blocks`?"),
    ],
)
def test_a_wrong_name_gets_the_right_one(ran: Path, arguments: list[str], message: str, hint: str) -> None:
    said = do(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert message in said.err.splitlines()[0]
    assert hint in said.err.splitlines()[1]


def test_a_step_that_stands_twice_is_named_by_number() -> None:
    text = f"steps:\n  - read: {{path: {SEEDS}}}\n  - answered\n  - echo\n  - answered\n"
    do("run", pipeline(text), "--out", "r")
    said = do("look", "r", "answered")
    assert said.code == 2
    assert "stands 2 times" in said.err
    assert "2, 4" in said.err
    assert do("look", "r", "4").code == 0


def test_steps_and_prompts_list_and_print() -> None:
    assert re.search(r"^  judge +Score the last answer", do("steps").out, re.MULTILINE)
    told = do("steps", "select").out
    for part in ("select\n", "k: whole number ≥ 1 | null, default null", "how many rows at most"):
        assert part in told
    assert "judge/accuracy\n" in do("prompts").out
    assert "=== user ===" in do("prompts", "judge/accuracy").out


def test_a_prompt_beside_the_pipeline_wins() -> None:
    Path("prompts/judge").mkdir(parents=True)
    Path("prompts/judge/accuracy.md").write_text("=== user ===\nmine\n")
    assert do("prompts", "judge/accuracy").out == "=== user ===\nmine\n"


def test_the_schema_is_json() -> None:
    assert json.loads(do("schema").out)["title"] == "selfinstruct pipeline"


# exit codes of runs that end early


def test_2_an_error_in_the_pipeline_names_file_line_and_mend() -> None:
    said = do("run", pipeline("teacher: offline\nsteps:\n  - read: {path: x}\n  - alpacca: {n: 3}\n"))
    assert said.code == 2
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: p.yaml:4: step 2: there is no step `alpacca`",
        "",
        "    - alpacca: {n: 3}",
        "",
        *[line for line in said.err.splitlines() if line.startswith("  hint: did you mean `alpaca`?")],
    ]


def test_3_the_provider_refuses_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 401 that repeats the key, as some servers do: the key is in nothing that is printed or written."""
    monkeypatch.setenv("SOME_KEY", CANARY)
    body = json.dumps(
        {"error": {"message": f"Incorrect API key provided: {CANARY}", "type": "auth"}}
    ).encode()
    with Loopback() as server:
        server.script = [(401, {"content-type": "application/json"}, body)] * 200
        file = served(server.url, ", key_env: SOME_KEY, concurrency: 1")
        said = do("run", file, "--out", "r")
        assert len(server.heads) == 1  # after that answer nothing more is sent
        debug = do_raw("run", file, "--out", "r", "--debug")
        assert f"Bearer {CANARY}" in {head.get("authorization") for head in server.heads}
    assert said.code == 3
    assert said.err.startswith("error: ")
    assert "hint: " in said.err
    assert "SOME_KEY" in said.err
    assert CANARY not in said.out + said.err + debug
    assert CANARY.encode() not in b"".join(
        path.read_bytes() for path in Path("r").rglob("*") if path.is_file()
    )


def do_raw(*arguments: str | Path) -> str:
    """Everything that a command prints in a process of its own, its traceback included."""
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_no_command_prints_a_key(monkeypatch: pytest.MonkeyPatch, ran: Path) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SOME_KEY"):
        monkeypatch.setenv(name, CANARY)
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", key_env: SOME_KEY")
        runs: list[list[str | Path]] = [
            ["run", file, "--out", "s"],
            ["plan", file, "--out", "s"],
            ["show", "s"],
            ["show", "s", "--drops", "alpaca"],
            ["look", "s", "judge"],
            ["look", "s", "alpaca", "--dropped"],
            ["steps", "alpaca"],
            ["prompts", "alpaca/blocks"],
            ["doctor"],
            ["schema"],
            ["init", "made"],
            ["run", pipeline(SMALL.replace("offline", "openai/gpt-5-mini")), "--budget", "0"],
        ]
        for arguments in runs:
            said = do(*arguments)
            assert CANARY not in said.out + said.err, arguments
    assert CANARY.encode() not in Path("s/run.db").read_bytes()


def test_4_the_budget_is_reached_and_a_higher_one_goes_on() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", concurrency: 1, price: {input: 1, output: 4}")
        said = do("run", file, "--out", "r", "--budget", "0.02", "--set", "alpaca.n=60")
        assert said.code == 4
        assert said.err.startswith("paused: the budget of $0.02 is reached")
        assert "raise --budget" in said.err
        shown = do("show", "r")
        assert "alpaca:  not finished" in shown.out
        assert "… alpaca" in shown.out
        (row,) = [line.split() for line in shown.out.splitlines() if line.startswith("… alpaca")]
        assert row[-5:-2] == [str(len(server.paid)), "1.4k", "$0.0035"]  # calls, tokens, cost
        on = do("run", file, "--out", "r", "--set", "alpaca.n=60")
        assert on.code == 0
        assert len(server.paid) == len(set(server.paid))
    assert "not finished" not in do("show", "r").out


def test_4_a_cap_in_tokens_for_one_step() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", concurrency: 1")
        said = do("run", file, "--out", "r", "--budget", "judge.tokens=2_500")
        assert said.code == 4
        assert said.err.startswith("paused: the budget of `judge` of 2,500 tokens is reached")
        assert do("run", file, "--out", "r", "--budget", "judges=5").code == 2
        assert do("run", file, "--out", "r", "--budget", "judge=five").code == 2
        assert do("run", file, "--out", "r").code == 0


def test_check_and_repair() -> None:
    file = pipeline()
    do("run", file, "--out", "r")
    said = do("check", "r")
    assert (said.code, said.err) == (0, "")
    assert re.fullmatch(r"r: whole \(\d+ answers, 5 steps\)\n", said.out)
    assert do("repair", "r").out == "r: whole; nothing to repair\n"
    before = {path: path.read_bytes() for path in Path("r/dataset").iterdir()}
    data = Path("r/run.db").read_bytes()
    at = data.index(b"You grade answers")
    Path("r/run.db").write_bytes(data[:at] + b"I" + data[at + 1 :])
    said = do("check", "r")
    assert said.code == 2
    assert "completions: the row" in said.out
    assert (
        said.err == "error: r: is damaged\n  hint: `selfinstruct repair r` saves all answers that are whole\n"
    )
    said = do("repair", "r")
    assert said.code == 0
    assert re.search(r"^lost: 1 answer, which the next run asks for again$", said.out, re.MULTILINE)
    assert "the damaged file is now r/damaged-" in said.out
    assert do("check", "r").code == 0
    assert do("run", file, "--out", "r").code == 0
    assert {path: path.read_bytes() for path in Path("r/dataset").iterdir()} == before
    assert do("repair", "nowhere").code == 2


def test_what_a_change_comes_to_is_said_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", price: {input: 1, output: 4}")
        assert "on file" not in do("run", file, "--out", "r").out
        kept = len(server.paid)
        said = do("run", file, "--out", "r", "--set", "4.at_least=3")
        assert "on file: 0 answers reused, nothing to ask (select: at_least changed)" in said.out
        assert len(server.paid) == kept
        file = pipeline(
            file.read_text()
            .replace("- judge", "- judge: {aspect: style}")
            .replace("at_least: 4", "at_least: 0, by: style")
        )
        said = do("plan", file, "--out", "r")
        asks = re.search(
            r"on file: 0 answers reused, (\d+) to ask, about \$0\.\d+ \(judge: aspect changed", said.out
        )
        assert asks, said.out
        do("run", file, "--out", "r", "--yes")
        assert len(server.paid) == kept + int(asks[1])


def test_a_budget_with_an_unknown_price_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    said = do("run", pipeline(SMALL.replace("offline", "openai/gpt-99").replace("name", "budget: 5\nname")))
    assert said.code == 2
    assert "no price is known for openai/gpt-99" in said.err
    assert "price: {input: 1, output: 5}" in said.err


def test_75_a_server_that_is_down_pauses_the_run(play: Callable[[Any], str], impatient: None) -> None:
    name = play(Echo(*[TransientError("the server is down")] * 1_000))
    said = do("run", pipeline(SMALL.replace("offline", name)), "--out", "r")
    assert said.code == 75
    assert said.err.startswith("paused: echo gave no usable answer in 6 attempts: the server is down")
    assert "run the same command again" in said.err


def test_130_begun_in_the_background_of_a_script() -> None:
    """A shell lets what it starts with & ignore SIGINT; SIGTERM must end the run as gently as ever."""
    with Loopback(OfflineTeacher(), latency=0.3) as server:
        file = served(server.url, ", concurrency: 2")
        ignoring = (
            "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN);"
            " os.execv(sys.executable, sys.argv[1:])"
        )
        process = python("-c", ignoring, sys.executable, "-m", "selfinstruct", "run", str(file), "--out", "r")
        while len(server.paid) < 3:
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        with Store.read(Path("r")) as store:
            assert store.spent().calls == len(server.paid)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_130_interrupted_in_the_middle(sent: signal.Signals) -> None:
    with Loopback(OfflineTeacher(), latency=0.3) as server:
        file = served(server.url, ", concurrency: 2")
        process = python("-m", "selfinstruct", "run", str(file), "--out", "r")
        while len(server.paid) < 3 or not server.in_flight:  # something is on its way when the signal comes
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert re.sub(r"for [12] answers?", "for N", err) == (
            "warning: stopping: up to 20 s for N in flight\n"
            "interrupted: every answer so far is kept; the same command goes on\n"
        )
        paid = len(server.paid)
        with Store.read(Path("r")) as store:
            assert store.spent().calls == paid  # what was in flight was waited for and filed
        assert do("run", file, "--out", "r").code == 0
        assert len(server.paid) == len(set(server.paid)) > paid
    assert "Traceback" not in out


def test_a_second_process_on_the_same_run_is_told_who_is_there() -> None:
    with Loopback(OfflineTeacher(), latency=0.3) as server:
        file = served(server.url, ", concurrency: 1")
        process = python("-m", "selfinstruct", "run", str(file), "--out", "r")
        while not server.paid:
            time.sleep(0.02)
            assert process.poll() is None, process.communicate()
        said = do("run", file, "--out", "r")
        shown = do("show", "r")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert said.code == 2
    assert said.err.startswith(f"error: r: process {process.pid} on ")
    assert "is working on this run" in said.err
    assert shown.code == 0  # looking on is allowed
    assert "alpaca:  not finished" in shown.out


def test_another_pipelines_folder_and_a_newer_versions(ran: Path) -> None:
    said = do("run", pipeline(SMALL.replace("small", "other")), "--out", "r")
    assert said.code == 2
    assert "r: holds a run of the pipeline `small`, not of `other`" in said.err
    assert "--out" in said.err
    with sqlite3.connect(ran / "run.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for arguments in (["run", pipeline(), "--out", "r"], ["show", "r"], ["look", "r", "alpaca"]):
        said = do(*arguments)
        assert said.code == 2
        assert "made by a newer version (its format is 99" in said.err
        assert "pip install -U selfinstruct" in said.err


def test_a_folder_that_cannot_be_written() -> None:
    Path("file").write_text("in the way")
    for out in ("file", "file/inner"):
        said = do("run", pipeline(), "--out", out)
        assert said.code == 2
        assert f"{out}: can't be written" in said.err
        assert "choose another folder with --out" in said.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission() -> None:
    Path("shut").mkdir(mode=0o500)
    said = do("run", pipeline(), "--out", "shut/r")
    assert said.code == 2
    assert "shut/r: can't be written (Permission denied)" in said.err


def test_only_debug_shows_a_traceback() -> None:
    file = pipeline("steps:\n  - nothing\n")
    plain, debug = do_raw("run", file), do_raw("run", file, "--debug")
    assert "Traceback" not in plain
    assert plain.startswith("error: p.yaml:2: ")
    assert "Traceback (most recent call last)" in debug
    assert "ConfigError: p.yaml:2: " in debug


# every error of the seed file, before any call


GOOD = [json.loads(line) for line in SEEDS.read_text("utf-8").splitlines()[:5]]


def lines(*rows: Any) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (None, "seeds.jsonl: there is no such file", "did you mean `seed.jsonl`?"),
        ("", "seeds.jsonl: is empty", "at least one row"),
        ("\n\n", "seeds.jsonl: ", "at least one row"),
        (lines(*GOOD[:3], '{"id": "x", "instr'), "seeds.jsonl: line 4: is not JSON", "on_error: skip"),
        (lines(*GOOD[:3], {"id": "x", "instruction": "Do."}), "seeds.jsonl: line 4: ", "instances"),
        (lines(*GOOD[:3], [1]), "seeds.jsonl: line 4: is a list", "must be one JSON object"),
        (
            lines(*GOOD, GOOD[0]),
            "seeds.jsonl: line 6: has the same instruction as line 1",
            "remove one of the two",
        ),
        (lines(*GOOD[:2]), "2 seed tasks came in, and each prompt shows 3", "lower `examples`"),
        (
            lines({"prompt": "x"}),
            "seeds.jsonl: line 1: is of no known format: its keys are 'prompt'",
            "formats:",
        ),
    ],
    ids=["missing", "empty", "blank", "torn", "no instances", "no object", "twice", "too few", "other keys"],
)
def test_a_faulty_seed_file_is_said_before_any_call(content: str | None, message: str, hint: str) -> None:
    Path("seed.jsonl").write_text("{}\n")
    if content is not None:
        Path("seeds.jsonl").write_text(content)
    with Loopback(OfflineTeacher()) as server:
        said = do("run", served(server.url), "--out", "r", "--set", "read.path=seeds.jsonl")
        assert server.asked == []
    assert said.code == 2
    assert message in said.err.splitlines()[0]
    assert hint in said.err


def test_faulty_rows_are_left_out_on_request_and_kept_as_drops() -> None:
    Path("seeds.jsonl").write_text(lines(*GOOD, '{"torn', GOOD[0]))
    more = ["--set", "read.path=seeds.jsonl", "--set", "read.on_error=skip", "--limit", "3"]
    assert do("run", pipeline(), "--out", "r", *more).code == 0
    drops = [json.loads(line) for line in do("show", "r", "--drops", "read").out.splitlines()]
    assert [(drop["reason"], drop["place"]) for drop in drops] == [
        ("malformed", "line 6"),
        ("duplicate", "line 7"),
    ]


# data that would like to steer the terminal


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\r\x08"


def test_data_cannot_steer_the_terminal() -> None:
    row = {
        "instruction": f"Say {HOSTILE}",
        "input": HOSTILE,
        "output": f"done {HOSTILE}",
        f"extra{HOSTILE}": HOSTILE,
        "requests": "[/red] a column of the data's own",
    }
    other = {"instruction": "Say it, too.", "input": "", "output": f"{HOSTILE} je ľahké"}
    Path("rows.jsonl").write_text(lines(row, other, other))
    text = 'name: "n\\x1b[2J"\nsteps:\n  - read: {path: rows.jsonl}\n  - novelty\n'
    ran = do("run", pipeline(text), "--out", "r")
    assert ran.code == 0
    seen = [ran, do("show", "r"), do("look", "r", "read"), do("look", "r", "novelty", "--dropped")]
    seen += [do("show", "r", "--drops", "novelty")]
    for said in seen:
        assert said.code == 0
        found = re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said.out + said.err)
        assert found == []
    assert "a column of the data's own" in seen[2].out
    dropped = json.loads(seen[4].out)
    assert dropped["row"]["messages"][1]["content"] == other["output"]  # harmless, and nothing is lost
    assert "je ľahké" in seen[4].out  # and readable


def test_an_error_cannot_steer_it_either() -> None:
    Path("rows.jsonl").write_text(json.dumps({f"\x1b[2J{HOSTILE}": 1}, ensure_ascii=False) + "\n")
    said = do("run", pipeline("steps:\n  - read: {path: rows.jsonl}\n"), "--out", "r")
    assert said.code == 2
    assert "\x1b" not in said.err


def test_a_terminal_that_knows_only_ascii_is_no_reason_to_fail(ran: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "show", str(ran)],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}
        | {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"? alpaca" in done.stdout


# the pilot


def test_a_pilot_sends_what_it_may_and_prints_the_interval() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", price: {input: 100, output: 400}")
        said = do("plan", file, "--out", "r", "--pilot", "20", "--set", "alpaca.n=300")
        assert said.code == 0
        assert len(server.paid) == 20
        assert "nothing was sent" not in said.out
        found = re.search(
            r"^pilot: 20 requests sent, at most 20 were allowed; the run uses the answers\. "
            r"All of it: \$([\d.]+) to \$([\d.]+) \(95 % interval\), \$([\d.]+) expected$",
            said.out,
            re.MULTILINE,
        )
        assert found
        low, high, expected = map(float, found.groups())
        assert low < expected < high
        assert "pilot of 20: " in said.out
        assert do("run", file, "--out", "r", "--set", "alpaca.n=300").code == 0
        assert len(server.paid) == len(set(server.paid))


def test_a_pilot_that_is_too_small_says_so_and_one_without_a_price_counts_tokens() -> None:
    said = do("plan", pipeline(), "--out", "r", "--pilot", "1")
    assert said.code == 0
    assert "pilot: 1 request sent, at most 1 were allowed" in said.out
    assert "Too few to tell what all of it takes: allow more" in said.out
    said = do("plan", pipeline(), "--out", "s", "--pilot", "10")
    assert re.search(r"All of it: [\d.]+k? to [\d.]+k tokens \(95 % interval\)", said.out)


def test_a_pilot_obeys_the_budget() -> None:
    with Loopback(OfflineTeacher()) as server:
        file = served(server.url, ", price: {input: 1, output: 4}")
        said = do("plan", file, "--out", "r", "--pilot", "20", "--budget", "0.001")
        assert said.code == 4
        assert said.err.startswith("paused: the budget of $0.001 is reached")
        assert server.paid == []
