"""The dataset card: true, repeatable, and safe whatever a row holds."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from selfinstruct import card
from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.sample import Message, Sample

ABOUT = "The offline teacher is a procedure; it is not a language model."


def step(name: str, **changes: Any) -> StepRow:
    row = StepRow(
        n=0,
        name=name,
        options={},
        came=0,
        made=0,
        kept=0,
        drops={},
        pending=0,
        calls=0,
        input_tokens=0,
        output_tokens=0,
        cost_nano=0,
        seconds=12.5,
        facts={},
        done=True,
    )
    return replace(row, **changes)


def source(license: str | None, name: str = "seeds.jsonl") -> StepRow:
    facts = {"source": name, "license": license, "rows": 175, "sha256": "ab" * 32}
    return step(
        "read", options={"path": "/home/ada/seeds.jsonl", "limit": None}, made=175, kept=175, facts=facts
    )


GROW = step(
    "alpaca",
    options={"n": 2, "threshold": 0.7},
    came=175,
    made=9,
    kept=2,
    drops={"seed_task": 175, "not_novel": 6, "too_short": 1},
    calls=3,
    input_tokens=1234,
    output_tokens=5678,
    cost_nano=12_300_000,
    facts={"threshold": 0.7, "tokens": "words"},
)
ROWS = [Sample.of("Add the numbers.", "1 2", "3"), Sample.of("Say hello.", "", "Hello.")]
FUNNEL = Funnel(
    "tiny",
    "0.1.0",
    {"teacher": "offline"},
    {"offline": ABOUT},
    (source("apache-2.0"), GROW),
    {"teacher": "offline"},
)
FORMATS = ("alpaca", "messages", "parquet")


def made(funnel: Funnel = FUNNEL, rows: list[Sample] = ROWS, **options: Any) -> str:
    return card.render(funnel, rows, **{"formats": FORMATS, **options})


def block(text: str) -> dict[str, Any]:
    start, head, _ = text.split("---\n", 2)
    assert start == ""
    found = yaml.safe_load(head)
    assert isinstance(found, dict)
    return found


def test_the_block_for_the_hub() -> None:
    found = block(made(language=("en", "fr")))
    assert found["license"] == "apache-2.0"
    assert found["language"] == ["en", "fr"]
    assert found["size_categories"] == ["n<1K"]
    assert found["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "train.parquet"}]}
    ]
    assert "language" not in block(made())


@pytest.mark.parametrize(
    ("count", "category"),
    [(999, "n<1K"), (1_000, "1K<n<10K"), (52_002, "10K<n<100K"), (100_000, "100K<n<1M")],
)
def test_size_categories(count: int, category: str) -> None:
    """The Hub's own names and bounds."""
    assert block(made(rows=ROWS[:1] * count))["size_categories"] == [category]


@pytest.mark.parametrize(
    ("formats", "main"),
    [
        (("messages", "alpaca"), "messages.jsonl"),
        (("alpaca",), "alpaca.json"),
        (("preference", "sharegpt"), "preference.jsonl"),
        (("parquet", "sharegpt_preference"), "train.parquet"),
    ],
)
def test_one_file_is_the_data_set(formats: tuple[str, ...], main: str) -> None:
    text = made(formats=formats)
    assert block(text)["configs"][0]["data_files"][0]["path"] == main
    assert ("train.parquet" in text) == ("parquet" in formats)


@pytest.mark.parametrize(
    ("lost", "said", "tags"),
    [
        ((), "2 rows for instruction tuning, 1 of them with an input.", ["instruction-tuning"]),
        (
            (0,),
            "2 rows for instruction tuning, 1 of them with an input, 1 with a rejected answer.",
            ["instruction-tuning", "preference"],
        ),
        (
            (0, 1),
            "2 rows for preference tuning, 1 of them with an input, 2 with a rejected answer.",
            ["preference"],
        ),
    ],
)
def test_it_says_what_the_rows_are_for(lost: tuple[int, ...], said: str, tags: list[str]) -> None:
    rows = [row.replace(rejected="no") if place in lost else row for place, row in enumerate(ROWS)]
    text = made(rows=rows)
    assert said in text
    assert block(text)["tags"] == [*tags, "synthetic", "selfinstruct"]


def test_it_says_what_was_done() -> None:
    text = made()
    assert "2 rows for instruction tuning, 1 of them with an input." in text
    assert "- teacher: `offline`" in text
    assert ABOUT in text
    assert "| alpaca | 175 | 9 | 182 | 2 | 3 | 1,234 | 5,678 | $0.0123 |" in text
    assert "- alpaca: seed_task 175, not_novel 6, too_short 1" in text
    assert "ROUGE-L F1 to each one kept before is not above 0.7, counted over the words of any script" in text
    assert "- `seeds.jsonl`: 175 rows, licence: `apache-2.0`, SHA-256 `abab" in text
    assert "with selfinstruct 0.1.0:" in text
    recipe = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert recipe
    assert yaml.safe_load(recipe[1]) == {
        "teacher": "offline",
        "steps": [{"read": {"path": "seeds.jsonl"}}, {"alpaca": {"n": 2, "threshold": 0.7}}],
    }


def test_no_time_no_folder_and_no_unfinished_step() -> None:
    slower = replace(
        FUNNEL, steps=(*(replace(row, seconds=99.0) for row in FUNNEL.steps), step("write", done=False))
    )
    assert made(slower) == made()
    assert "/home/ada" not in made()


def test_an_unknown_price_is_not_zero() -> None:
    text = made(replace(FUNNEL, steps=(replace(GROW, cost_nano=None),)))
    assert "| 5,678 | unknown |" in text
    assert "| 5,678 | $0 |" in made(replace(FUNNEL, steps=(replace(GROW, cost_nano=0),)))


def test_a_model_is_not_said_to_repeat_itself() -> None:
    other = replace(FUNNEL, teachers={"teacher": "openai/gpt-x"}, about={})
    assert "a model answers differently" in made(other)
    assert "not a language model" not in made(other)
    assert "offline teacher" not in made(other)
    none = replace(FUNNEL, teachers={}, about={}, steps=(source("mit"),))
    assert "No model took part" in made(none)


@pytest.mark.parametrize(
    ("licenses", "expected"),
    [
        (["apache-2.0"], "apache-2.0"),
        (["MIT", "cc-by-4.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["cc-by-sa-4.0", "cc0-1.0"], "cc-by-sa-4.0"),
        (["apache-2.0", None], "unknown"),
        ([], "unknown"),
        (["apache-2.0", "Ada's own terms"], "other"),
    ],
)
def test_the_licence_is_that_of_the_strictest_source(licenses: list[str | None], expected: str) -> None:
    sources = tuple(source(license, f"{n}.jsonl") for n, license in enumerate(licenses))
    text = made(replace(FUNNEL, steps=sources))
    assert block(text)["license"] == expected
    assert f"Licence of this set: `{expected}` (" in text
    assert block(made(replace(FUNNEL, steps=sources), license="odc-by"))["license"] == "odc-by"


def test_two_sources_of_one_name_both_count() -> None:
    assert block(made(replace(FUNNEL, steps=(source(None), source("mit")))))["license"] == "unknown"


def test_a_row_cannot_break_out_of_its_block() -> None:
    evil = "```\n# Injected\n<script>alert(1)</script>\n`````\n---\nlicense: mit\n---"
    text = made(rows=[Sample.of(evil, evil, evil)])
    assert block(text)["license"] == "apache-2.0"
    fence = re.search(r"^(`{6,})json\n(.*?)\n\1$", text, re.DOTALL | re.MULTILINE)
    assert fence
    assert json.loads(fence[2]) == {"instruction": evil, "input": evil, "output": evil}
    assert "<script>" not in text.replace(fence[0], "")


def test_names_cannot_become_markup() -> None:
    named = replace(
        FUNNEL, pipeline="<b>x</b>\n# y | z", steps=(source("mit", "a`b"), step("my_step", drops={"a|b": 1}))
    )
    text = made(named)
    assert "\n# \\<b\\>x\\</b\\> \\# y \\| z\n" in text
    assert "- my_step: a\\|b 1" in text
    assert "``a`b``" in text
    assert block(text)["pretty_name"] == "<b>x</b> # y | z"


def test_a_conversation_is_shown_turn_by_turn() -> None:
    talk = Sample(
        tuple(Message(role, role[0] * 2_000) for role in ("system", "user", "assistant", "user", "assistant"))
    )
    text = made(rows=[talk])
    shown = re.search(r"```json\n(.*?)\n```", text, re.DOTALL)
    assert shown
    example = json.loads(shown[1])
    assert list(example) == ["1 system", "2 user", "3 assistant", "4 user", "5 assistant"]
    assert len(example["1 system"]) < 2_000
    assert "2 answers in all" in text
