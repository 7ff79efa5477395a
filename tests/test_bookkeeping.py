"""Before and after a run, as a user meets it: the plan, the plan against actual, the next plan, the user's prices."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT
from loopback import Loopback
from typer.testing import CliRunner

from selfinstruct import bookkeeping, cli, doctor, pricing, priors
from selfinstruct.pipeline import Pipeline
from selfinstruct.steps import read
from selfinstruct.teachers.offline import OfflineTeacher

SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def small(teacher: str = "offline", n: int = 20) -> Path:
    text = f"name: small\nteacher: {teacher}\nsteps:\n  - read: {{path: {SEEDS}}}\n  - alpaca: {{n: {n}}}\n"
    Path("p.yaml").write_text(text)
    return Path("p.yaml")


def do(*arguments: Any) -> Any:
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_plan_says_low_expected_and_ceiling_and_where_each_comes_from() -> None:
    """20 tasks: two calls with 17 kept, five with 27 % of 17, 50 a task (and 64 on their way) at the most."""
    teacher = "{model: openai/x, base_url: 'http://localhost:1/v1', price: {input: 1, output: 4}, rpm: 2}"
    said = do("plan", small(teacher), "--out", "r")
    assert said.exit_code == 0, said.output
    assert ["calls", "2", "5", f"{20 * 50 - 1 + 64:,}"] in lines(said.stdout)
    assert "Alpaca's figures" in said.stdout
    assert "price: given in the pipeline" in said.stdout
    assert "about 2 min: 2 requests a minute" in said.stdout  # five calls at two a minute: 150 s
    assert "one new task in 50 calls (`patience`)" in said.stdout
    assert "every call paid for 6 times" in said.stdout
    assert "disk: about" in said.stdout
    # 5 x 17 x 85 tokens at 4 dollars a million are 2.9 cents; the bound on what one call may bring is 4096
    (cost,) = (line for line in lines(said.stdout) if line[:1] == ["cost"])
    assert cost[3] != "no"


def test_where_nothing_bounds_an_answer_the_plan_says_so() -> None:
    teacher = (
        "{model: openai/x, base_url: 'http://localhost:1/v1', price: {input: 1, output: 4},"
        " params: {max_tokens: null}}"
    )
    said = do("plan", small(teacher), "--out", "r")
    (cost,) = (line for line in lines(said.stdout) if line[:1] == ["cost"])
    assert cost[-2:] == ["no", "bound"]
    assert said.stdout.count("no bound") == 4  # tokens out and cost of the step, and the sums of both


def test_a_disk_that_is_too_small_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
    assert "only 1.0 kB are free there" in do("plan", small(), "--out", "r").stderr


def test_after_the_run_the_plan_stands_beside_what_came_of_it_and_the_next_plan_knows() -> None:
    ran = do("run", small(), "--out", "r")
    assert ran.exit_code == 0, ran.output
    shown = do("show", "r")
    for said in (ran, shown):
        assert "plan against actual" in said.stdout
        assert ["calls", "5", "2", "0.40"] in lines(
            said.stdout
        )  # the offline teacher's tasks are nearly all kept
    other = do("plan", small(n=40), "--out", "elsewhere")
    assert "measured in an earlier run" in other.stdout
    assert ["calls", "3", "4", f"{40 * 50 - 1 + 64:,}"] in lines(other.stdout)  # twice the two calls
    assert "SEED" not in priors.file().read_text().upper()


def test_a_run_that_asks_nobody_compares_nothing() -> None:
    Path("p.yaml").write_text(f"name: p\nsteps:\n  - read: {{path: {SEEDS}}}\n")
    assert "plan against actual" not in do("run", "p.yaml", "--out", "r").stdout
    assert not priors.file().exists()


def test_planning_a_run_asks_nothing_of_the_server() -> None:
    with Loopback(OfflineTeacher()) as server:
        of = Pipeline(
            "p", (read(path=str(SEEDS)),), {"teacher": {"model": "openai/x", "base_url": server.url}}
        )
        rows, facts, old = bookkeeping.begin(of, Path("r"), date(2026, 11, 25))
        assert server.asked == []
    assert ([row.name for row in rows], old) == (["read"], [])
    assert facts["plan"][0]["rows"] == 175


def test_a_pipeline_that_cant_be_planned_is_left_to_the_runs_own_checks() -> None:
    said = do("run", small().rename("q.yaml"), "--set", "read.path=nowhere.jsonl", "--out", "r")
    assert said.exit_code == 2
    assert said.stderr.count("error:") == 1
    assert "step 1 (read)" in said.stderr


def test_the_users_table_beside_the_pipeline_and_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    day = date.today() - timedelta(days=61)
    Path("prices.toml").write_text(f'as_of = {day}\n[offline]\n"x" = {{ input = 1, output = 4 }}\n')
    assert "unknown entry `offline`" in do("plan", small(), "--out", "r").stderr
    with Loopback(OfflineTeacher()) as server:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        row = f'"x@{host}" = {{ input = 1, output = 4 }}'
        Path("prices.toml").write_text(f"as_of = {day}\n[openai]\n{row}\n")
        file = small(f"{{model: openai/x, base_url: '{server.url}'}}")
        planned = do("plan", file, "--out", "r")
        ran = do("run", file, "--out", "r")
    assert f"price: prices.toml {day}" in planned.stdout
    assert f"prices are of {day}, 61 days old" in planned.stdout
    assert f"warning: prices are of {day}, 61 days old" in ran.stderr
    assert "$0.0" in ran.stdout
    (found,) = (each for each in doctor.findings(Path(), {}) if each.what == "prices.toml")
    assert (found.state, found.found) == ("absent", pricing.aged(date.today(), day))


def test_doctor_reads_the_users_table() -> None:
    def finding() -> doctor.Finding:
        (found,) = (each for each in doctor.findings(Path(), {}) if each.what == "prices.toml")
        return found

    Path("prices.toml").write_text('[openai]\n"x" = { input = 1, output = 4 }\n')
    assert finding() == doctor.Finding("good", "prices.toml", "yours, of 1 models")
    Path("prices.toml").write_text("[openai\n")
    assert finding().state == "bad"


def test_a_run_that_was_killed_as_its_file_was_made_goes_on() -> None:
    """The file is there, and nothing is in it yet; to a reader it looks like one of an older version."""
    Path("r").mkdir()
    (Path("r") / "run.db").touch()
    said = do("run", small(), "--out", "r")
    assert said.exit_code == 0, said.output
