"""One row, seen closely."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ROOT
from rich.console import Console

from selfinstruct.errors import ConfigError
from selfinstruct.look import sight
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.sample import Message, Sample
from selfinstruct.steps import alpaca, judge, read, select
from selfinstruct.store import Drop, Filed, Store
from selfinstruct.teachers import Completion, Request


def seen(store: Store, n: int, row: int, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(sight(store, n, row, **options))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    out = tmp_path_factory.mktemp("run")
    steps = read(path=str(ROOT / "seeds/seed_tasks.jsonl")), alpaca(n=200), judge(), select(at_least=5)
    run(Pipeline("small", steps, {"teacher": {"model": "offline", "faults": 0.3}}), out)
    with Store.read(out) as store:
        yield store


def test_a_made_row_with_its_parents_and_its_requests(store: Store) -> None:
    sample = next(store.samples(2, 6, 1))
    text = seen(store, 2, 7)
    assert text.startswith(f"row 7 of {store.count(2)}  {sample.id}")
    assert "accuracy: " in text
    assert "judgement: " in text
    for parent in sample.parents:
        found = store.find(parent)
        assert found is not None
        assert f"{parent[:8]}  {found[2].instruction[:40]}" in text
    for part in (
        "request of alpaca",
        "request of judge",
        "draw: 0, temperature: ",
        "asked (system)",
        "answered (stop",
    ):
        assert part in text
    assert sample.instruction[:30] in text.partition("made from")[0]


def test_a_dropped_row_says_why_and_what_it_resembles(store: Store) -> None:
    places = [place for place, drop in enumerate(store.drops(1), start=1) if drop.reason == "not_novel"]
    drop = next(store.drops(1, places[0] - 1))
    text = seen(store, 1, places[0], dropped=True)
    assert text.startswith("dropped: not_novel (rule: rouge_l, value: 0.")
    assert drop.detail["similar"][:30] in text
    assert "request of alpaca" in text


def test_a_text_that_never_became_a_row_is_shown_with_its_request(store: Store) -> None:
    drops = list(store.drops(1))
    (place, drop) = next((p, d) for p, d in enumerate(drops, start=1) if isinstance(d.sample, str))
    text = seen(store, 1, place, dropped=True)
    assert text.startswith(f"dropped: {drop.reason} (")
    assert "the text" in text
    assert "asked (user)" in text


def test_there_is_no_such_row(store: Store) -> None:
    with pytest.raises(ConfigError, match="so there is no row 201") as raised:
        sight(store, 1, 201)
    assert raised.value.hint == "count from 1 to 200"
    with pytest.raises(ConfigError, match="dropped 0 rows, so there is no row 1") as raised:
        sight(store, 0, 1, dropped=True)
    assert raised.value.hint == "look at what it kept without --dropped"


def test_rows_of_any_shape(tmp_path: Path) -> None:
    """A conversation, a rejected answer, parents and requests of elsewhere, and columns that only look like ours."""
    asked = Request("m\x1b", (Message("user", "Why?\x1b"),), params={"stop": ["\x1b"]})
    talk = Sample(
        (Message("system", "Be brief."), Message("user", "Hi [bold]you[/]"), Message("assistant", "Hi.")),
        rejected="Hello there.",
        scores={"style": 4.25},
        meta={
            "requests": {"orca[/]": "feed", "[/] filed": asked.key},
            "tags": ["a", {"b": 1}],
            "na\x1bme": "x.json",
        },
        parents=("c0ffee" * 5,),
    )
    foreign = Sample.of("Do.", "", "Done.", meta={"requests": "none [/red]", "other": None})
    with Store.open(tmp_path) as store:
        asyncio.run(store.put(asked, Filed(Completion("So.\x1b"), 2_000_000, 0.5)))
        store.begin(0, "read", {}, "f")
        store.add(0, [(0, talk), (1, foreign)], [(0, Drop("odd", {"why": "[/]\x1b[2J"}, "text\x1b[2J"))])
    with Store.read(tmp_path) as store:
        text, other, drop = seen(store, 0, 1), seen(store, 0, 2), seen(store, 0, 1, dropped=True)
    for part in (
        "system",
        "Hi [bold]you[/]",
        "rejected",
        "Hello there.",
        "style: 4.25",
        'tags: ["a", {"b": 1}]',
    ):
        assert part in text
    assert "c0ffeec0  (not in this run)" in text
    assert "orca[/]: request feed is not in this run" in text
    assert "requests: none [/red]" in other
    for part in ("request of [/] filed", "asked (user)", "answered (stop, 0 + 0 tokens, $0.002, 0.5 s)"):
        assert part in text
    assert "\x1b" not in text + other + drop
    assert "dropped: odd (why: [/]�[2J)" in drop


def test_several_requests_of_one_step_are_shown_in_order_and_nothing_twice(tmp_path: Path) -> None:
    first = (Message("user", "Why?"),)
    second = (*first, Message("assistant", "So."), Message("user", "And then?"))
    asked = [Request("m", first), Request("m", second)]
    talk = Sample(
        (*second, Message("assistant", "Enough.")),
        meta={"requests": {"ultrachat": [each.key for each in asked]}},
    )
    lost = Sample.of("Do.", "", "Done.", meta={"requests": {"ultrachat": [asked[0].key, "feed"]}})
    with Store.open(tmp_path) as store:
        for request, text in zip(asked, ("So.", "Enough."), strict=True):
            asyncio.run(store.put(request, Filed(Completion(text), 0, 0.5)))
        store.begin(0, "ultrachat", {}, "f")
        store.add(0, [(0, talk), (1, lost)], [])
    with Store.read(tmp_path) as store:
        text, other = seen(store, 0, 1), seen(store, 0, 2)
    _, one, two = re.split("request [12] of 2 of ultrachat", text)
    assert "Why?" in one
    assert "So." in one
    assert "after 2 messages shown above" in two
    assert "Why?" not in two
    assert "And then?" in two
    assert "Enough." in two
    assert "ultrachat: request feed is not in this run" in other
