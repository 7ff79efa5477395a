"""Pairs of what a run has paid for anyway, each kind from its pipeline file: nobody is asked which answer is better."""

from __future__ import annotations

from pathlib import Path

from fakes import ROOT

from selfinstruct.document import load
from selfinstruct.pipeline import Outcome, run
from selfinstruct.sample import Sample
from selfinstruct.store import Store


def made(name: str, out: Path, limit: int) -> Outcome:
    outcome = run(load(ROOT / "pipelines" / f"{name}.yaml", limit=limit), out)
    assert outcome.samples
    for row in outcome.funnel.steps:
        assert row.came + row.made == row.kept + row.dropped
        assert not (row.name == "pairs" and row.calls)
    return outcome


def dropped(out: Path, name: str, *reasons: str) -> list[Sample]:
    with Store.read(out) as store:
        n = next(record.n for record in store.steps() if record.name == name)
        return [
            drop.sample
            for drop in store.drops(n)
            if drop.reason in reasons and isinstance(drop.sample, Sample) and drop.sample.answered
        ]


def kept(out: Path, name: str) -> list[Sample]:
    with Store.read(out) as store:
        n = next(record.n for record in store.steps() if record.name == name)
        return list(store.samples(n))


def test_an_evolution_against_an_eliminated_sibling(tmp_path: Path) -> None:
    """Its prompt and its answer, and the refusal that another evolution of the same row came to: one pair a root."""
    outcome = made("evol_pairs", tmp_path, 100)
    lost = {(row.meta["root"], row.output) for row in dropped(tmp_path, "evol", "sorry", "refusal")}
    evolved = {row.id: row for row in kept(tmp_path, "judge")}
    roots = [row.meta["root"] for row in outcome.samples]
    assert len(set(roots)) == len(roots) == len({root for root, _ in lost if root in roots})
    for row in outcome.samples:
        chosen = evolved[row.parents[0]]
        assert row.messages == chosen.messages
        assert chosen.scores["accuracy"] >= 4
        assert (row.meta["root"], row.rejected) in lost
        assert row.meta["pair"]["why"] in ("sorry", "refusal")
    assert (tmp_path / "dataset" / "train.parquet").is_file()
    assert (tmp_path / "pairs" / "train.parquet").is_file()


def test_the_judges_best_against_its_worst(tmp_path: Path) -> None:
    """Of all answers to a prompt that the judge scored, those that it turned down included, the best and the worst."""
    outcome = made("preference", tmp_path, 60)
    scored = [*kept(tmp_path, "judge"), *dropped(tmp_path, "judge", "below_min")]
    for row in outcome.samples:
        scores = {each.output: each.scores["accuracy"] for each in scored if each.prompt == row.prompt}
        assert scores[row.output] == max(scores.values()) >= 4
        assert scores[str(row.rejected)] == min(scores.values()) < scores[row.output]


def test_a_corrected_answer_against_its_original(tmp_path: Path) -> None:
    outcome = made("evol_quality", tmp_path, 60)
    originals = {row.prompt: row.output for row in kept(tmp_path, "read")}
    for row in outcome.samples:
        assert row.rejected == originals[row.prompt] != row.output
