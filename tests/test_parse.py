"""Completions to values: what is read, what is refused, and that nothing is ever guessed."""

from __future__ import annotations

import gzip
import json
import math
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse import (
    Task,
    backtranslate,
    blocks,
    blocks_paper,
    dialogue,
    evol,
    ground,
    json_object,
    judgments,
    magpie,
    persona,
    self_instruct,
    tasks,
    translate,
    usable,
    verdict,
)
from selfinstruct.teachers import Completion

SHARED = Path(__file__).parents[2] / "shared" / "data"


def recorded(name: str) -> list[dict[str, Any]]:
    path = SHARED / name
    if not path.is_file():
        pytest.skip(f"{name}: the recorded judgements lie beside the repository, not in it")
    data = path.read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def reason_of(read: Callable[..., object], *given: object) -> str:
    """The reason of the ParseError, or what was read."""
    try:
        return f"read {read(*given)!r}"
    except ParseError as error:
        return error.reason


# usable


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (Completion("half an ans", "length"), "truncated"),
        (Completion("", "length"), "truncated"),
        (Completion("some text", "filtered"), "filtered"),
        (Completion("", "rejected", refusal="too long"), "rejected"),
        (Completion(""), "empty_output"),
        (Completion(" \n\t "), "empty_output"),
        (Completion("", refusal="I can't help with that"), "empty_output"),
    ],
)
def test_an_answer_that_did_not_end_by_itself_is_no_answer(completion: Completion, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        usable(completion)
    assert caught.value.reason == reason
    assert caught.value.detail == (completion.refusal or "")


def test_a_whole_answer_is_stripped_and_otherwise_untouched() -> None:
    assert usable(Completion("\n  Two\n\n  lines \n")) == "Two\n\n  lines"


# verdict

READ = [
    ("4.5\nThe answer is right but for a detail.", 4.5),
    ("Score: 4.5", 4.5),
    ("Score:4.5", 4.5),
    ("4.5/5", 4.5),
    ("4.5 / 5", 4.5),
    ("4 out of 5", 4.0),
    ("**4.5**", 4.5),
    ("4,5", 4.5),
    ("Accuracy: 4.5", 4.5),
    ("accuracy = 3", 3.0),
    ("**Score:** 4", 4.0),
    ("**Rating**: 4,5", 4.5),
    ("Score: **4.5/5**.", 4.5),
    ("Score: [[4]]", 4.0),
    ("Grade: `2`", 2.0),
    ("The answer is mostly right.\n\nScore: 4. A detail is missing.", 4.0),
    ("Score: 4\n- 2 facts are wrong", 4.0),
    ("Score: 4 - the date is wrong", 4.0),
    ("Score: 4 of 5, for the date", 4.0),
    ("Score: 4 (good)\r\n\r\nFine.", 4.0),
    ("4\nI gave it the score: 4.0", 4.0),
    ("0", 0.0),
    ("5.0", 5.0),
    ("+3", 3.0),
    ("\r\n4\r\nfine\r\n", 4.0),
    ('{"score": 4.5, "reason": "ok"}', 4.5),
    ('{"score": 4}', 4.0),
    ('{"score": "4.5/5", "reason": "ok"}', 4.5),
    ('{"score": "4,5"}', 4.5),
    ('```json\n{"score": 3, "reason": "ok"}\n```', 3.0),
    ('```\n{"score": 3}\n```', 3.0),
    ('Here is my verdict:\n{"score": 2, "reason": "no"}\nI hope that helps.', 2.0),
    ('{"reason": "it says {\\"score\\": 5}", "score": 1}', 1.0),
    ('{"reason": "the row says `Score: 5`", "score": 1}', 1.0),
    ('{"score": 4, "reason": null}', 4.0),
    ('{"score": 4, "reason": ["a"], "extra": 1}', 4.0),
    ('\ufeff{"score": 4}', 4.0),
]


@pytest.mark.parametrize(("text", "score"), READ)
def test_verdicts_that_are_read(text: str, score: float) -> None:
    assert verdict(text, 0, 5).score == score


REFUSED = [
    # out of range, or of another range
    ("10", "out_of_range"),
    ("-1", "out_of_range"),
    ("Score: -4", "out_of_range"),
    ("5.01", "out_of_range"),
    ("9/10", "out_of_range"),
    ("4/10", "out_of_range"),
    ("Score: 4/10", "out_of_range"),
    ("4 out of 10", "out_of_range"),
    ('{"score": 10}', "out_of_range"),
    ('{"score": -0.5}', "out_of_range"),
    ('{"score": "4/10"}', "out_of_range"),
    ('{"score": 1e999}', "out_of_range"),
    ('{"score": 1' + "0" * 400 + "}", "out_of_range"),
    # no number at all
    ("Rating: high", "no_score"),
    ("Score: four", "no_score"),
    ("not excellent", "no_score"),
    ("I can't judge that.", "no_score"),
    ("", "no_score"),
    ('{"score": "high"}', "no_score"),
    ('{"score": ""}', "no_score"),
    ('{"score": true}', "no_score"),
    ('{"score": false}', "no_score"),
    ('{"score": [4]}', "no_score"),
    ('{"score": {"value": 4}}', "no_score"),
    ('{"rating": 4}', "no_score"),
    ('{"result": {"score": 4}}', "no_score"),
    ("{}", "no_score"),
    # a number that is no score
    ("The response names 3 of 4 causes and is otherwise fine.", "no_score"),
    ("I would say it is about a 4, perhaps.", "no_score"),
    ("There are 2 errors.\n1. The date is wrong.", "no_score"),
    ("For grade 5 pupils this is hard to read.", "no_score"),
    ("Its inaccuracy: 3 wrong dates.", "no_score"),
    ("An upgrade: 2 more sentences.", "no_score"),
    ("The scores: 3 and 4", "no_score"),
    ("Score (0-5): high", "no_score"),
    ("Score (0-5): 4", "no_score"),
    ("Score:\n1. It is right.", "no_score"),
    ("3 of the 4 facts are right", "no_score"),
    # numbers that are part of another one, or of several
    ("4-5", "no_score"),
    ("3 to 4", "no_score"),
    ("Score: 3-4", "no_score"),
    ("Score: 3 to 4", "no_score"),
    ("Score: 3 or 4", "no_score"),
    ("Score: 3–4", "no_score"),
    ("Score: 1e5", "no_score"),
    ("Score: 3.5.1", "no_score"),
    ("Score: 3x", "no_score"),
    ("Score: 3+1", "no_score"),
    ("Score: 3 + 1", "no_score"),
    ("Score: 3 and 4", "no_score"),
    ("Score: 3 of many", "no_score"),
    ("Score: 3%", "no_score"),
    ("3%", "no_score"),
    ("4,500", "no_score"),
    ("Score: 4,500", "no_score"),
    ("Score: 12345", "no_score"),
    ("Score: <4", "no_score"),
    ("Score: ~4", "no_score"),
    ("~4", "no_score"),
    ("- 4", "no_score"),
    ("−4", "no_score"),
    ("8 9\nBoth are fine", "no_score"),
    ("Score: 4 out of ten", "no_score"),
    ("NaN", "no_score"),
    ("Infinity", "no_score"),
    # two
    ("4\nScore: 2", "two_scores"),
    ("Score: 4\nRating: 2", "two_scores"),
    ("Score: 4 ... no, score: 3", "two_scores"),
    ('{"score": 5}\n{"score": 1}', "two_objects"),
    ('{"score": 1} {"score": 1}', "two_objects"),
    ('[{"score": 5}, {"score": 1}]', "two_objects"),
    ('```json\n{"score": 5}\n```\nOr rather\n```json\n{"score": 1}\n```', "two_objects"),
    ('{"score": 1}\n```json\n{"score": 5}\n```', "two_objects"),
    ('```json\n{"score": 5}\n```\n{"score": 1}', "two_objects"),
    ('{"score": 5, "score": 1}', "bad_json"),
    # broken
    ('{"score": NaN}', "bad_json"),
    ('{"score": Infinity}', "bad_json"),
    ('{"score": -Infinity}', "bad_json"),
    ('{"score": 4, "reason": "cut he', "bad_json"),
    ("{'score': 4}", "bad_json"),
    ("{score: 4}", "bad_json"),
    ('{"score": 04}', "bad_json"),
    ('{"score": 4,}', "bad_json"),
    ("{", "bad_json"),
    ('{"score": ' + "[" * 150_000, "bad_json"),
    ('{"score": ' + "[" * 5_000 + "]" * 5_000 + "}", "bad_json"),
    ('{"score": 1' + "0" * 5_000 + "}", "bad_json"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=[text[:40] for text, _ in REFUSED])
def test_verdicts_that_are_refused(text: str, reason: str) -> None:
    assert reason_of(verdict, text, 0, 5) == reason


def test_the_same_text_counts_on_the_scale_it_was_asked_for() -> None:
    assert verdict("10", 0, 10).score == 10
    assert verdict("9/10", 1, 10).score == 9
    assert verdict("Score: -2", -3, 3).score == -2
    assert reason_of(verdict, "0", 1, 10) == "out_of_range"
    assert verdict("85", 0, 100).score == 85


def test_the_reason_goes_with_the_score() -> None:
    assert verdict('{"score": 4, "reason": "One date is wrong."}', 0, 5).reason == "One date is wrong."
    assert verdict('{"score": 4, "reason": 7}', 0, 5).reason == ""
    assert (
        verdict("4\nOne date is wrong.\nThe rest holds.", 0, 5).reason
        == "One date is wrong.\nThe rest holds."
    )
    assert verdict("One date is wrong. Score: 4", 0, 5).reason == "One date is wrong. Score: 4"


def test_a_judge_that_withholds_its_verdict_gives_no_number() -> None:
    assert verdict('{"score": null, "reason": "no ground truth"}', 0, 5) == (None, "no ground truth")


@given(st.sampled_from([0, 1, 2.5, 4, 5]), st.text(), st.text(alphabet=st.characters(exclude_characters="{")))
def test_any_reason_can_stand_in_the_json(score: float, why: str, prose: str) -> None:
    answer = json.dumps({"score": score, "reason": why})
    assert verdict(answer, 0, 5) == (score, why)
    assert verdict(f"{prose}\n{answer}\n{prose}", 0, 5) == (score, why)
    assert verdict(f"```json\n{answer}\n```", 0, 5) == (score, why)


def test_recorded_autoif_judgements() -> None:
    """All 20 of 20 recorded answers of AutoIF's judge ("... Score: 8") are read as the number they end with."""
    rows = recorded("permissive/judge/autoif_scores.jsonl")
    texts = [
        answer for row in rows for answer in ([row["gen"]] if isinstance(row["gen"], str) else row["gen"])
    ]
    assert len(rows) == 20
    for text in texts:
        expected = float(re.findall(r"Score:\s*(\d+)", text)[-1])
        assert verdict(text, 0, 10).score == expected


def test_recorded_mtbench_judgements_are_read_right_or_not_at_all() -> None:
    """800 recorded answers "Rating: [[8.5]]" of MT-bench's judge: none is read as another score than the stored one."""
    rows = recorded("permissive/judge/mtbench_gpt4_single.jsonl.gz")
    assert len(rows) == 800
    read = 0
    for row in rows:
        try:
            score = verdict(row["judgment"], 1, 10).score
        except ParseError:
            continue
        read += 1
        assert score == row["score"]
    assert read > 0.9 * len(rows)  # the others have code with braces in them


def test_recorded_failures_of_mtbench_are_no_scores() -> None:
    """The 4 answers "$ERROR$" among 330 are refused, where the original stored -1."""
    rows = [
        row
        for row in recorded("permissive/judge/mtbench_gpt4_single_with_errors.jsonl.gz")
        if row["judgment"] == "$ERROR$"
    ]
    assert len(rows) == 4
    assert {reason_of(verdict, row["judgment"], 1, 10) for row in rows} == {"no_score"}


def test_recorded_pairwise_reviews_are_refused_rather_than_guessed() -> None:
    """1,040 recorded reviews of two answers ("8 9\\n..."): no first number passes for the score of one."""
    rows = recorded("permissive/judge/vicuna_reviews_gpt4.jsonl.gz")
    assert len(rows) == 1040
    read = [row["text"] for row in rows if reason_of(verdict, row["text"], 1, 10).startswith("read")]
    assert read == []


# verdict under mutation


def strict_score(text: str) -> float | None:
    """What a strict reader may take for the score, by another way than ours: the only JSON object, or all numbers that
    stand alone behind a label or on the first line, when they agree; where nothing says "score", before these the one
    number in double brackets."""
    marked = {float(found) for found in re.findall(r"\[\[(\d{1,4}(?:\.\d{1,4})?)\]\]", text)}
    if len(marked) == 1 and '"score"' not in text:
        return marked.pop()
    if "{" in text:
        start, depth, quoted, skip = text.index("{"), 0, False, False
        for end in range(start, len(text)):
            sign = text[end]
            if skip:
                skip = False
            elif quoted:
                skip, quoted = sign == "\\", sign != '"'
            elif sign == '"':
                quoted = True
            elif sign in "{}":
                depth += 1 if sign == "{" else -1
                if not depth:
                    break
        else:
            return None
        if "{" in text[end + 1 :]:
            return None
        try:
            score = json.loads(text[start : end + 1], strict=False).get("score")
        except ValueError:
            return None
        if isinstance(score, str):
            return plain_number(score)
        return float(score) if type(score) in (int, float) and math.isfinite(score) else None
    first = text.strip().split("\n")[0]
    numbers = [plain_number(first)]
    for label in re.finditer(r"(?i)\b(?:score|rating|grade|accuracy)\b", text):
        rest = text[label.end() :].lstrip(DRESS)
        if rest[:1] in (":", "=", "："):
            numbers.append(leading_number(rest[1:].split("\n")[0]))
    found = {number for number in numbers if number is not None}
    return found.pop() if len(found) == 1 else None


DRESS = " \t\r*_`\"'“”()[]"


def plain_number(text: str) -> float | None:
    """The number that is all of `text`."""
    bare = text.strip(DRESS + "!").removesuffix(".").rstrip(DRESS)
    bare = re.sub(r"(?i)\s*(/|(out )?of)\s*5$", "", bare)
    return float(bare.replace(",", ".")) if re.fullmatch(r"[+-]?\d{1,4}(\.\d{1,4}|,\d\d?)?", bare) else None


def leading_number(line: str) -> float | None:
    """The number that a line begins with, when the first word after it is no part of it."""
    head, *tail = re.sub(r"(?i)\s*(/|(out )?of\b)\s*", "/", line.strip(DRESS)).split(maxsplit=1)[:2] or [""]
    rest = tail[0].lower() if tail else ""
    joined = re.match(r"(to|or|and)?[^\w]*\d", rest) or rest[:1] in ("%", "/")
    return None if joined else plain_number(re.sub(r"[.,;:!]{1,3}$", "", head.strip(DRESS)))


MUTANTS = [
    "{",
    "}",
    '"',
    "\\",
    "\n",
    "4",
    "5",
    ".",
    ",",
    "/",
    "-",
    "%",
    ":",
    "Score:",
    "null",
    "[",
    "]",
    " ",
    "e9",
    "*",
    "\u0664",
]


def mutated(text: str, rng: random.Random) -> str:
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at, to = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
        match rng.randrange(5):
            case 0:
                text = text[:at] + rng.choice(MUTANTS) + text[at:]
            case 1:
                text = text[:at] + text[min(to, at + 3) :]
            case 2:
                text = text[:at]
            case 3:
                text = text[:to] + text[at:]
            case 4:
                text = text + rng.choice(("\n", " ", "")) + rng.choice(READ)[0]
    return text


def test_ten_thousand_mutated_verdicts() -> None:
    """Of 10,000 damaged verdicts none raises anything but ParseError, none is out of range, none is read as a number
    that a strict reader would not read, and 99 % take less than 50 ms."""
    rng = random.Random(20)
    originals = [text for text, _ in READ] + [text for text, _ in REFUSED if len(text) < 1_000]
    times = []
    reasons = set()
    read = 0
    for _ in range(10_000):
        text = mutated(rng.choice(originals), rng)
        start = time.perf_counter()
        try:
            score, _ = verdict(text, 0, 5)
        except ParseError as error:
            reasons.add(error.reason)
            continue
        finally:
            times.append(time.perf_counter() - start)
        if score is None:
            assert "null" in text
            continue
        read += 1
        assert 0 <= score <= 5
        assert score == strict_score(text), text
    assert reasons == {"no_score", "two_scores", "out_of_range", "two_objects", "bad_json"}
    assert read > 1_500  # the oracle had work
    assert sorted(times)[9_900] < 0.050


@given(st.text(), st.floats(-10, 10), st.floats(0, 10))
def test_no_text_makes_the_verdict_raise_anything_else(text: str, low: float, span: float) -> None:
    try:
        score, _ = verdict(text, low, low + span)
    except ParseError:
        return
    assert score is None or low <= score <= low + span


# JSON


def test_a_code_fence_inside_a_json_text_is_text() -> None:
    code = "```python\nprint('{}')\n```"
    answer = json.dumps({"tasks": [{"instruction": "Print braces.", "input": "", "output": code}]}, indent=1)
    assert tasks(answer) == [Task("Print braces.", "", code)]
    assert tasks(f"```json\n{answer}\n```") == [Task("Print braces.", "", code)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_json"),
        ("[1, 2]", "no_json"),
        ("no braces", "no_json"),
        ("a {b} c", "bad_json"),
        ('{"a": 1} {', "two_objects"),
    ],
)
def test_no_object_or_several(text: str, reason: str) -> None:
    assert reason_of(json_object, text) == reason


def test_a_line_break_as_it_is_inside_a_text() -> None:
    """Models write texts of several lines into JSON without escaping them."""
    raw = '{"tasks": [{"instruction": "List.", "input": "", "output": "1. one\n2. two\r\n\t3. three"}]}'
    assert tasks(raw) == [Task("List.", "", "1. one\n2. two\r\n\t3. three")]
    assert json_object('{"a": "x\ny", "b": ["\n"]}') == {"a": "x\ny", "b": ["\n"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x,\n "b": "y"}',  # a quote is missing: where did the text end?
        '{"a": "x\n}',
        '{"a": "x\n", b": 1}',
        '{"a": x\n}',
    ],
)
def test_over_a_line_break_nothing_is_guessed(text: str) -> None:
    assert reason_of(json_object, text) == "bad_json"


def test_every_reader_of_json_takes_line_breaks_as_they_are() -> None:
    """The same answer with its line breaks escaped and as they are, to each parser that reads JSON."""
    line = "one\ntwo\tthree"
    answers: list[tuple[Any, dict[str, Any]]] = [
        (tasks, {"tasks": [dict.fromkeys(Task._fields, line)]}),
        (lambda text: verdict(text, 0, 5), {"reason": line, "score": 4}),
        (dialogue.items, {"items": [line]}),
        (lambda text: magpie.tag(text, "quality"), {"explanation": line, "quality": "good"}),
        (lambda text: backtranslate.instruction(text, "x"), {"instruction": line}),
        (lambda text: translate.translation(text, line, []), {"translation": line + "!"}),
        (self_instruct.listed, {"instructions": [line]}),
        (self_instruct.examples, {"instances": [{"input": line, "output": line}]}),
        (ground.pairs, {"pairs": [dict.fromkeys(ground.Pair._fields, line)]}),
        (lambda text: persona.instructions(text, 1), {"instructions": [line]}),
        (persona.persona, {"persona": line}),
        (evol.equal, {"reason": line, "verdict": "Equal"}),
        (judgments.claims, {"reason": line, "better": "1"}),
        (
            lambda text: judgments.ratings(text, 1, 1, 5),
            {"ratings": [{"id": 1, "rationale": line, "rating": 4}]},
        ),
    ]
    for read, answer in answers:
        escaped = json.dumps(answer)
        raw = escaped.replace("\\n", "\n").replace("\\t", "\t")
        assert raw != escaped
        assert read(raw) == read(escaped)


def test_one_broken_item_costs_one_item() -> None:
    items: list[Any] = [
        {"instruction": "Add 1 and 2.", "input": "", "output": "3"},
        {"instruction": "No output here.", "input": ""},
        {"instruction": "A number for an output.", "input": "", "output": 3},
        "not an object",
        None,
        {"instruction": " Name a colour. ", "input": "<NoInput>", "output": "Red\n", "extra": 1},
    ]
    found = tasks(json.dumps({"tasks": items}))
    assert [item.reason if isinstance(item, ParseError) else item for item in found] == [
        Task("Add 1 and 2.", "", "3"),
        *["bad_item"] * 4,
        Task("Name a colour.", "", "Red"),
    ]


@pytest.mark.parametrize("text", ['{"tasks": {}}', '{"tasks": "none"}', '{"items": []}', "{}"])
def test_an_object_without_the_list(text: str) -> None:
    assert reason_of(tasks, text) == "bad_json"


# blocks: rendering as the prompt asks for it

Row = tuple[str, str, str]


def rendered(rows: list[Row], first: int = 4, *, header: bool = False) -> str:
    """A completion that continues "###\\n4. Instruction:", as Alpaca's layout is described."""
    out = f"{first}. Instruction:" if header else ""
    for k, (instruction, given_input, output) in enumerate(rows, first):
        if k > first:
            out += f"\n###\n{k}. Instruction:"
        out += f" {instruction}\n{k}. Input:\n{given_input or '<noinput>'}\n{k}. Output:\n{output}"
    return out


ROWS: list[Row] = [
    ("Name the capital of France.", "", "Paris"),
    ("Add the prices.", "apples $3.20\npears $20.", "$23.20\nIn 2020. it was 19."),
    ("总结这段话。", "今天天气很好。", "天气好。"),
    ('Erkläre, was "Übung" heißt.', "", "Wiederholtes Tun, um besser zu werden."),
    ("Write two headings.", "", "# One\n## Two\n\ntext\n### Three ###\nmore"),
    ("Compare C++ and C#.", "C##", "C++ is older."),
]


def read(items: list[Task | ParseError]) -> list[Row | str]:
    return [item.reason if isinstance(item, ParseError) else (item[0], item[1], item[2]) for item in items]


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("end", ["", "\n###", "\n###\n", "\n\n### \n###", "\n##"])
def test_blocks_round_trip(header: bool, end: str) -> None:
    assert read(blocks(rendered(ROWS, header=header) + end, 4, cut=False)) == ROWS


def test_blocks_round_trip_with_windows_line_ends() -> None:
    simple = [row for row in ROWS if not any("\n" in part for part in row)]
    text = (rendered(simple) + "\n###\n###\n").replace("\n", "\r\n")
    assert read(blocks(text, 4, cut=False)) == simple


def test_blocks_may_begin_with_a_separator_or_a_heading() -> None:
    text = "###\n" + rendered(ROWS, header=True)
    assert read(blocks(text, 4, cut=False)) == ROWS
    text = rendered(ROWS, header=True).replace("\n###\n", "\n\n### ")
    assert read(blocks("### " + text, 4, cut=False)) == ROWS


def test_a_cut_completion_loses_its_last_block_and_no_other() -> None:
    text = rendered(ROWS)
    for length in range(1, len(text)):
        found = read(blocks(text[:length], 4, cut=True))
        assert found[-1] == "truncated"
        assert found[:-1] == ROWS[: len(found) - 1]


def test_a_wrong_number_costs_one_block() -> None:
    text = rendered(ROWS).replace("6. Input:", "16. Input:")
    assert read(blocks(text, 4, cut=False)) == [*ROWS[:2], "bad_number", *ROWS[3:]]


def test_a_list_numbered_otherwise_is_read_all_the_same() -> None:
    for shift in (1, 5, 96):  # from 5, 9 and 100: beyond the total, too
        text = rendered(ROWS, 4 + shift, header=True)
        assert read(blocks(text, 4, cut=False)) == ROWS
    skipping = rendered(ROWS[:2]) + "\n###\n" + rendered(ROWS[2:], 9, header=True)
    assert read(blocks(skipping, 4, cut=False)) == ROWS


@pytest.mark.parametrize("label", ["Instruction", "Input", "Output"])
def test_a_missing_label_costs_its_block_alone(label: str) -> None:
    text = rendered(ROWS, header=True).replace(f"7. {label}:\n", "").replace(f"7. {label}:", "")
    found = read(blocks(text, 4, cut=False))
    assert "bad_block" in found
    if (
        label == "Instruction"
    ):  # its text runs into the block before it, which can't be told from a longer answer
        assert [row for row in found if row != "bad_block"] == [*ROWS[:2], *ROWS[4:]]
    else:
        assert found == [*ROWS[:3], "bad_block", *ROWS[4:]]


def test_prose_before_the_list_costs_the_prompts_own_number_only() -> None:
    found = read(blocks("Sure, here are the tasks:\n\n" + rendered(ROWS, header=True), 4, cut=False))
    assert found == ["bad_block", *ROWS]


@pytest.mark.parametrize("text", ["", "###", "No tasks today.", "4. Output: lonely", "\n\n", "4."])
def test_a_completion_without_a_task_gives_a_reason(text: str) -> None:
    found = blocks(text, 4, cut=False)
    assert [type(item) for item in found] == [ParseError] * len(found)
    assert found


@pytest.mark.parametrize("word", ["<noinput>", "<NoInput>", "<NOINPUT>", " <noinput> "])
def test_no_input_in_any_case(word: str) -> None:
    text = rendered([("Name a colour.", word, "Red")])
    assert blocks(text, 4, cut=False) == [Task("Name a colour.", "", "Red")]
    assert blocks_paper(text, 4, cut=False) == [Task("Name a colour.", "", "Red")]


PLAIN = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")) | st.sampled_from("\n#20. "),
    max_size=60,
).map(str.strip)


def free_of_labels(text: str) -> bool:
    framed = text.startswith("##") or re.search(r"(?:^|\n)[ \t]*#{2,}[ \t]*\Z", text)
    return bool(text) and not framed and not re.search(r"\d\.[ \t]*(Instruction|Input|Output)", text)


FIELD = PLAIN.filter(free_of_labels)
TASKS = st.lists(
    st.tuples(FIELD, st.just("") | FIELD.filter(lambda text: text.lower() != "<noinput>"), FIELD),
    min_size=1,
    max_size=6,
)


@given(TASKS)
def test_blocks_round_trip_for_any_text(rows: list[Row]) -> None:
    assert read(blocks(rendered(rows), 4, cut=False)) == rows
    assert read(blocks(rendered(rows, header=True), 4, cut=False)) == rows


LOOSE = st.lists(
    st.sampled_from(
        ["###", "\n###\n", "4", "5", "6", "14", "15", ".", ". ", ".\n", "Instruction:", "Input:", "Output:"]
    )
    | st.sampled_from(
        ["4. Input: a\n4. Output: b\n###\n5. Instruction: c\n5. Input: <noinput>\n5. Output: d"]
    )
    | st.text(max_size=5),
    max_size=40,
).map("".join)


@given(LOOSE, st.booleans())
def test_no_text_makes_blocks_raise(text: str, cut: bool) -> None:
    for item in (*blocks(text, 4, cut=cut), *blocks_paper(text, 4, cut=cut)):
        assert isinstance(item, Task | ParseError)


def test_degenerate_completions_take_no_time() -> None:
    """What a model in a loop writes until max_tokens (16,000 characters) is read in less than half a second."""
    for unit in (
        "\n",
        " ",
        "#",
        "\n##",
        "\n## ",
        "\n##  x",
        "###",
        "4.",
        "{",
        "[",
        '{"',
        "```json\n",
        "Score: ",
        "4. Input:\n",
        "Score:    *",
    ):
        text = "4. Instruction: a\n4. Input:\nb\n4. Output:\n##" + unit * (16_000 // len(unit)) + "x"
        start = time.perf_counter()
        blocks(text, 4, cut=False)
        blocks_paper(text, 4, cut=False)
        reason_of(verdict, text, 0, 5)
        assert time.perf_counter() - start < 0.5, unit


# blocks_paper against another statement of the same rule


def restated(text: str, first: int, cut: bool) -> Iterator[Row]:
    """The published rule: the label is prepended, the text falls apart at ###, the last piece of a cut answer goes, and
    piece i counts when its labels with number i are exactly three. Written with find, not with re.split."""
    whole = f"{first}. Instruction:{text}"
    pieces = whole.split("###")
    if cut:
        pieces = pieces[:-1]
    for number, piece in enumerate(pieces, first):
        spans = []
        at = 0
        while (at := piece.find(f"{number}.", at)) >= 0:
            begin, at = at, at + len(f"{number}.")
            gap = piece[at:]
            rest = gap.lstrip()
            if rest != gap:
                label = next(
                    (word for word in ("Instruction:", "Input:", "Output:") if rest.startswith(word)), ""
                )
                if label:
                    at += len(gap) - len(rest) + len(label)
                    spans.append((begin, at))
        if len(spans) == 3:
            (_, a), (b, c), (d, e) = spans
            given_input = piece[c:d].strip()
            yield (
                piece[a:b].strip(),
                "" if given_input.lower() == "<noinput>" else given_input,
                piece[e:].strip(),
            )


@given(LOOSE | TASKS.map(rendered), st.booleans())
def test_paper_blocks_follow_the_original_rule(text: str, cut: bool) -> None:
    ours = [tuple(item) for item in blocks_paper(text, 4, cut=cut) if isinstance(item, Task)]
    assert ours == list(restated(text, 4, cut))


def test_paper_blocks_follow_the_original_rule_on_ten_thousand_damaged_lists() -> None:
    rng = random.Random(7)
    kept = 0
    for _ in range(10_000):
        text = mutated(rendered(ROWS), rng)
        cut = rng.random() < 0.3
        ours = [tuple(item) for item in blocks_paper(text, 4, cut=cut) if isinstance(item, Task)]
        assert ours == list(restated(text, 4, cut))
        kept += len(ours)
    assert kept > 10_000


def test_paper_loses_every_block_after_a_skipped_number() -> None:
    text = rendered(ROWS[:2]) + "\n###\n" + rendered(ROWS[2:4], 7, header=True)
    assert read(blocks_paper(text, 4, cut=False)) == [*ROWS[:2], "bad_block", "bad_block"]


def test_paper_takes_14_for_4() -> None:
    """The original looks for "4. Instruction:" anywhere, so that a block numbered 14 passes for block 4."""
    text = rendered(ROWS[:2], 4).replace("5. ", "15. ")
    assert read(blocks_paper(text, 4, cut=False)) == [
        ROWS[0],
        ("Add the prices.\n1", "apples $3.20\npears $20.\n1", "$23.20\nIn 2020. it was 19."),
    ]


def test_paper_cuts_an_answer_at_its_heading_and_loses_the_blocks_after_it() -> None:
    cut_short = (*ROWS[4][:2], "# One\n## Two\n\ntext")
    assert read(blocks_paper(rendered(ROWS), 4, cut=False)) == [*ROWS[:4], cut_short, *["bad_block"] * 3]


def test_paper_counts_no_task_between_or_after_separators() -> None:
    assert read(blocks_paper(rendered(ROWS[:2]) + "\n###\n", 4, cut=False)) == ROWS[:2]
    assert read(blocks_paper(rendered(ROWS[:2]) + "\n###\n", 4, cut=True)) == ROWS[:2]


def test_bold_labels_are_read() -> None:
    text = " Name a colour.\n**4. Input:**\n<noinput>\n**4. Output**:\nred\n###\n**5. Instruction:** Name a fruit.\n"
    text += "5. **Input:** <noinput>\n5. **Output:** fig"
    assert blocks(text, 4, cut=False) == [Task("Name a colour.", "", "red"), Task("Name a fruit.", "", "fig")]


def test_a_bad_block_carries_its_own_text() -> None:
    text = " Name a colour.\n4. Input:\n<noinput>\n###\n5. Instruction: Name a fruit.\n5. Input:\n\n5. Output:\nfig"
    bad, good = blocks(text, 4, cut=False)
    assert isinstance(bad, ParseError)
    assert bad.text == "4. Instruction:  Name a colour.\n4. Input:\n<noinput>\n###\n"
    assert good == Task("Name a fruit.", "", "fig")


def test_ten_thousand_damaged_lists_in_json() -> None:
    """What is read is what any JSON reader finds that lets line ends stand in texts, from the first brace on."""
    rng = random.Random(8)
    whole = json.dumps(
        {"tasks": [dict(zip(Task._fields, row, strict=True)) for row in ROWS]}, ensure_ascii=False
    )
    originals = [whole, f"Here they are:\n```json\n{whole}\n```\n", whole.replace('"output"', '"Output"', 1)]
    kept = 0
    for _ in range(10_000):
        text = mutated(rng.choice(originals), rng)
        start = time.perf_counter()
        try:
            found = tasks(text)
        except ParseError:
            continue
        finally:
            assert time.perf_counter() - start < 5
        items = json.JSONDecoder(strict=False).raw_decode(text, text.index("{"))[0]["tasks"]
        assert len(found) == len(items)
        for task, item in zip(found, items, strict=True):
            sound = isinstance(item, dict) and all(
                isinstance(item.get(name), str) for name in ("instruction", "input", "output")
            )
            assert isinstance(task, Task) == sound
            if isinstance(task, Task):
                kept += 1
                given_input = item["input"].strip()
                expected = "" if given_input.lower() == "<noinput>" else given_input
                assert task == (item["instruction"].strip(), expected, item["output"].strip())
    assert kept > 5_000


def test_a_line_end_inside_a_text_of_json_is_what_it_is() -> None:
    assert tasks('{"tasks": [{"instruction": "Fix it.", "input": "if x:\n\treturn", "output": "a\nb"}]}') == [
        Task("Fix it.", "if x:\n\treturn", "a\nb")
    ]


def test_ten_thousand_damaged_lists_in_blocks() -> None:
    """A task that is read stands in the text between its own three labels, in their order."""
    rng = random.Random(9)
    kept = 0
    for _ in range(10_000):
        text = mutated(rendered(ROWS), rng)
        for task in blocks(text, 4, cut=rng.random() < 0.3):
            if isinstance(task, ParseError):
                continue
            kept += 1
            at = text.find(task.instruction)
            assert at >= 0
            assert task.output in text[at + len(task.instruction) :]
            assert task.input in text
    assert kept > 10_000
