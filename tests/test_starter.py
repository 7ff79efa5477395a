"""What `init` writes can be run as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fakes import ROOT

from selfinstruct import starter
from selfinstruct.document import load
from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import run


def test_both_files_are_there_and_run(tmp_path: Path) -> None:
    made = starter.write(tmp_path / "new" / "folder", force=False)
    assert [path.name for path in made] == ["pipeline.yaml", "seed_tasks.jsonl"]
    assert made[1].read_bytes() == (ROOT / "seeds" / "seed_tasks.jsonl").read_bytes()
    outcome = run(load(made[0], limit=10), tmp_path / "run")
    assert outcome.samples
    assert (tmp_path / "run" / "dataset" / "alpaca.json").is_file()


def test_what_the_comments_suggest_is_a_pipeline_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commented line is taken in, one at a time."""
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    lines = starter.PIPELINE.splitlines()
    offers = [line for line in lines if line.startswith(("#   teacher: ", "# judge: ", "# budget: "))]
    assert len(offers) == 5
    (tmp_path / "seed_tasks.jsonl").write_bytes((ROOT / "seeds" / "seed_tasks.jsonl").read_bytes())
    for offer in offers:
        key, value = next(
            iter(yaml.safe_load(offer.lstrip("# ").partition(" (")[0].partition("    #")[0]).items())
        )
        kept = [line for line in lines if not line.startswith(f"{key}: ")]
        path = tmp_path / "pipeline.yaml"
        path.write_text(f"{key}: {value}\n" + "\n".join(kept))
        assert load(path).models.get(key, load(path).budget) == value


def test_nothing_is_overwritten_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "seed_tasks.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match=r"seed_tasks\.jsonl exists") as raised:
        starter.write(tmp_path, force=False)
    assert "--force" in raised.value.hint
    assert not (tmp_path / "pipeline.yaml").exists()
    assert (tmp_path / "seed_tasks.jsonl").read_text() == "mine"
    starter.write(tmp_path, force=True)
    assert (tmp_path / "seed_tasks.jsonl").read_text() != "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't be written") as raised:
        starter.write(tmp_path / "file" / "inner", force=False)
    assert raised.value.hint == "give another folder"


def test_a_package_without_its_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "__file__", str(tmp_path / "selfinstruct" / "starter.py"))
    with pytest.raises(ConfigError, match="seed tasks that belong to the package are missing"):
        starter.seeds()
