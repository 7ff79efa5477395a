"""What the doctor finds on machines of several kinds."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections import namedtuple
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfinstruct import __version__, cli, doctor, pricing

CANARY = "sk-canary-51e27f3a9c"


def found(folder: Path, **environment: str) -> dict[str, doctor.Finding]:
    return {finding.what: finding for finding in doctor.findings(folder, environment)}


def test_this_machine(tmp_path: Path) -> None:
    seen = found(tmp_path)
    assert seen["selfinstruct"].found == __version__
    assert seen["python"].state == "good"
    assert seen["processors"].found == str(os.cpu_count())
    assert seen["memory"].found.endswith(" GiB")
    assert int(seen["memory"].found.split()[0]) >= 1
    assert seen["this folder"].state == "good"


def test_keys_are_said_to_be_set_and_never_shown(tmp_path: Path) -> None:
    seen = found(tmp_path, OPENAI_API_KEY=CANARY)
    assert seen["OPENAI_API_KEY"] == doctor.Finding("good", "OPENAI_API_KEY", "set")
    assert seen["ANTHROPIC_API_KEY"].state == "absent"
    assert seen["ANTHROPIC_API_KEY"].mend == "export ANTHROPIC_API_KEY=... to use that provider"
    assert CANARY not in repr(seen)


def test_a_package_that_is_not_there_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trl" else real(name))
    assert found(tmp_path)["trl"] == doctor.Finding(
        "absent", "trl", "not installed", 'pip install "selfinstruct[train]"'
    )


def test_a_full_disk_and_a_folder_that_is_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10, 9, 1024**3))
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    seen = found(tmp_path)
    assert (seen["free disk"].state, seen["free disk"].found) == ("bad", "1 GiB here")
    assert (seen["this folder"].state, seen["this folder"].mend) == ("bad", "choose another one with --out")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 2
    assert "✗ free disk" in result.stdout


def test_old_prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(date):
        @classmethod
        def today(cls) -> Later:
            return cls(2099, 1, 1)

    monkeypatch.setattr(doctor, "date", Later)
    assert found(tmp_path)["price table"].state == "absent"
    assert str(pricing.as_of()) in found(tmp_path)["price table"].found


@pytest.mark.parametrize(
    ("script", "state", "said"),
    [
        (None, "absent", "none seen"),
        (
            "echo 'NVIDIA H200, 143771 MiB'; echo 'NVIDIA H200, 143771 MiB'",
            "good",
            "NVIDIA H200, 143771 MiB; NVIDIA",
        ),
        ("echo no driver >&2; exit 9", "bad", "nvidia-smi fails: "),
    ],
)
def test_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, state: str, said: str
) -> None:
    if script is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path) + (":/bin:/usr/bin" if script else ""))
    seen = found(tmp_path)["GPU"]
    assert seen.state == state
    assert seen.found.startswith(said)


def test_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    result: Any = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 0
    assert f"✓ {'selfinstruct':<22} {__version__}\n" in result.stdout
    assert f"✓ {'OPENAI_API_KEY':<22} set\n" in result.stdout
