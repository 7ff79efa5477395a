"""Rows of any language and code go through every filter unharmed, and reach every teacher as they are."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

import selfinstruct.steps
from selfinstruct.errors import SelfInstructError
from selfinstruct.pipeline import execute
from selfinstruct.sample import Message, Sample
from selfinstruct.step import REGISTRY
from selfinstruct.store import Store
from selfinstruct.teachers import Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data" / "noncommercial"
needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the rows lie beside the repository, not in it")
OURS = [
    Sample.of(
        "Résume l'histoire de « L'Été » en une phrase, s'il te plaît.", "", "Un été à Nîmes : ça brûle !"
    ),
    Sample.of("¿Qué significa la palabra «ñoño»?", "", "Soso, de poca sustancia."),
    Sample.of("لخّص الفقرة التالية في جملة واحدة.", "اللُّغَةُ العَرَبِيَّةُ جميلة.", "العربية لغة جميلة."),
    Sample.of("नीचे दिए गए शब्दों को क्रम में लगाइए।", "सेब, आम, केला", "आम, केला, सेब"),
    Sample.of("次の文を英語に訳してください。", "猫が好きです。", "I like cats."),
    Sample.of("บอกชื่อแม่น้ำสามสาย", "", "เจ้าพระยา โขง ปิง"),
    Sample.of(
        "Viết hàm C++ đảo ngược chuỗi.",
        "",
        "#include <algorithm>\nvoid f(std::string& s) {\n\tstd::reverse(s.begin(), s.end());\n}",
    ),
    Sample.of(
        "What does this print?",
        "def f(x):\n    return [i for i in x if i % 2 == 0]\n\nprint(f(range(5)))",
        "[0, 2, 4]",
    ),
    Sample.of("Explique `git rebase -i HEAD~3` 🙂", "", "Réécrit les trois derniers commits."),
]
TALK = Sample(
    (
        Message("user", "你好，请介绍一下泰山。"),
        Message("assistant", "泰山位于山东省泰安市。"),
        Message("user", "它有多高？"),
        Message("assistant", "1545 米。"),
    )
)
# filters that need labels of another step, and the step that looks for what was said before
LABELLED = ("magpie_filter",)


def recorded(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((SHARED / name).read_bytes()).splitlines()]


def through_all_filters(rows: list[Sample], out: Path) -> tuple[list[Sample], Counter[str]]:
    names = [name for name, found in REGISTRY.items() if found.filters and name not in LABELLED]
    assert len(names) >= 10
    steps = [getattr(selfinstruct.steps, name)() for name in sorted(names)]
    done = execute([given(rows), *steps], out=out)
    with Store.read(out) as store:
        reasons = Counter(drop.reason for n in range(len(steps) + 1) for drop in store.drops(n))
    return list(done.samples), reasons


def test_ours_pass_every_filter_unharmed(tmp_path: Path) -> None:
    rows, reasons = through_all_filters([*OURS, TALK], tmp_path)
    assert reasons == {}
    assert rows == [*OURS, TALK]


@needs_data
def test_recorded_chinese_rows_and_code_pass_every_filter_unharmed(tmp_path: Path) -> None:
    """199 Chinese rows of Alpaca and 398 evolved code tasks; what is dropped was read, and is what the filters are for:
    answers that are missing, that repeat the input, or open a web page; near-duplicates; evolved tasks of more than the
    150 words that Self-Instruct allows."""
    chinese = [
        Sample.of(row["instruction"], row["input"], row["output"])
        for row in recorded("alpaca/alpaca_zh_200.jsonl.gz")
    ]
    code = [
        Sample.of(row["instruction"], "", row["output"])
        for row in recorded("evol/evol_codealpaca_round1_first400.jsonl.gz")
    ]
    for name, found, expected in (
        ("zh", chinese, {"empty_output": 1, "echo": 3, "not_novel": 2, "url": 1}),
        ("code", code, {"too_long": 27, "not_novel": 1, "url": 4}),
    ):
        kept, reasons = through_all_filters(found, tmp_path / name)
        assert reasons == expected
        assert [row for row in found if row in kept] == kept


def twice(rows: list[Sample]) -> list[Sample]:
    """A second answer to each prompt."""
    return [*rows, *(row.answer(row.output + " …") for row in rows)]


def marked(rows: list[Sample]) -> list[Sample]:
    """Tasks that wait for their instances."""
    return [Sample.of(row.instruction, meta={"is_classification": False}) for row in rows]


def asked(row: Sample) -> str:
    return row.prompt[-1].content


# Steps that ask about rows: options, what they take, and the text of a row that the teacher has to see.
ASKING: Mapping[
    str, tuple[Mapping[str, Any], Callable[[list[Sample]], list[Sample]], Callable[[Sample], str]]
] = {
    "answers": ({}, list, asked),
    "backtranslate": ({}, list, lambda row: row.output),
    "baize": ({}, list, asked),
    "best_of": ({"verifier": "exact", "draws": 2}, list, asked),
    "classify": ({}, list, lambda row: row.instruction),
    "evol": ({"generations": 1}, list, asked),
    "evol_quality": ({}, list, lambda row: row.output),
    "instances": ({}, marked, lambda row: row.instruction),
    "judge": ({"max_unscored": 1.0}, list, lambda row: row.output),
    "orca": ({}, list, asked),
    "pairwise": ({}, twice, lambda row: row.output),
    "personas": ({}, list, asked),
    "rank": ({}, twice, lambda row: row.output),
    "respond": ({"again": True}, list, asked),
    "self_curate": ({}, list, lambda row: row.output),
    "tag": ({}, list, asked),
    "ultrachat": ({}, list, asked),
    "ultrafeedback": ({}, twice, lambda row: row.output),
}
MASKED = ("translate",)  # shows code as marks, and puts it back: tests/steps/test_translate.py
OTHERS = {  # these make rows of their own, read files or ask nobody; or take rows of another kind, in their own tests
    *(
        "alpaca",
        "self_instruct",
        "cot_self_instruct",
        "magpie",
        "magpie_turns",
        "openings",
        "persona",
        "ground",
    ),
    *("read", "read_documents", "chunk", "template", "layout", "mix", "select", "pairs"),
}


def test_every_step_that_asks_is_here() -> None:
    asking = {name for name, found in REGISTRY.items() if found.forecast is not None and not found.filters}
    assert asking == {*ASKING, *MASKED, *OTHERS}


@pytest.mark.parametrize("name", ASKING)
def test_a_teacher_is_shown_the_text_as_it_is(
    name: str, tmp_path: Path, play: Callable[[Teacher], str]
) -> None:
    options, made, text = ASKING[name]
    teacher = Echo(model="echo")
    step = getattr(selfinstruct.steps, name)(**options)
    with contextlib.suppress(SelfInstructError):  # an echo is no verdict, and some steps say so in the end
        execute([given(made([*OURS, TALK])), step], out=tmp_path, teacher=play(teacher))
    shown = "\n".join(message.content for request in teacher.asked for message in request.messages)
    assert [text(row) for row in [*OURS, TALK] if text(row) not in shown] == []
