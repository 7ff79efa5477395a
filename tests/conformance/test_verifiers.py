"""The verifiers against recorded labels from outside this project."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import verify
from selfinstruct.errors import ParseError
from selfinstruct.verify.code import with_check, with_tests
from selfinstruct.verify.sandbox import run

SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded data lie beside the repository, not in it"
)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((SHARED / name).read_bytes()).splitlines()]


def test_gsm8k_solutions_are_labelled_as_openai_labelled_them() -> None:
    """800 model solutions to 200 questions, with `is_correct`: 800 agree. 5 carry no answer that can be read (they were
    cut); all five are labelled wrong."""
    seen: Counter[str] = Counter()
    for row in rows("human/gsm8k_solutions_labelled_200.jsonl.gz"):
        for solution in (value for value in row.values() if isinstance(value, dict)):
            try:
                right = verify.right("number", solution["solution"], row["ground_truth"])
            except ParseError:
                right = False
                seen["unread"] += 1
            seen["agree" if right == solution["is_correct"] else "differ"] += 1
    assert seen == {"agree": 800, "unread": 5}


def test_gsm8k_answers_of_flan() -> None:
    """300 answers with their rationales: 286 rationales end in the answer, 13 in no single number ("4 packs of 10
    cupcakes"), and one row is wrong itself: its rationale says 4 cavities, its answer column 16."""
    seen: Counter[str] = Counter()
    text = gzip.decompress((SHARED / "flan/cot/gsm8k_train_300.tsv.gz").read_bytes()).decode()
    for line in text.splitlines():
        _, answer, rationale = line.split("\t")
        assert verify.right("number", f"{rationale}\n#### {answer}", answer)
        try:
            right = verify.right("number", rationale, answer)
            seen["right" if right else "wrong"] += 1
        except ParseError:
            seen["unread"] += 1
    assert seen == {"right": 286, "unread": 13, "wrong": 1}


def test_multiple_choice_of_flan() -> None:
    """300 AQuA answers "(C)" and 300 StrategyQA answers, each put behind its rationale as chain-of-thought sets do."""
    for name, labels in (("aqua", "ABCDE"), ("strategyqa", ("yes", "no"))):
        text = gzip.decompress((SHARED / f"flan/cot/{name}_train_300.tsv.gz").read_bytes()).decode()
        for line in text.splitlines():
            _, answer, rationale = line.split("\t")
            for form in ("{} So the answer is {}.", "{}\nAnswer: {}", "{}\n#### {}"):
                found = verify.final("label", form.format(rationale, answer), tuple(labels))
                assert found == answer.strip("()"), rationale


DOCTESTS = (
    "import doctest, sys\nran = doctest.testmod(sys.modules['answer'])\n"
    "assert ran.attempted, 'no examples'\nassert not ran.failed, ran\n"
)
# The examples in these docstrings are no doctests: 47 is wrong in the benchmark, the others leave out or reword the
# output.
ODD = {47, 51, 65, 108, 113, 116, 128, 145, 156, 162}


def test_humaneval_solutions_pass_their_examples_and_mutants_fail() -> None:
    """164 canonical solutions run to their end in the sandbox. 76 have examples that doctest finds; 66 pass them, and
    those 66 fail when their bodies return nothing. (This copy of the benchmark has no other tests.)"""
    programs = [row["text"] for row in rows("eval_prompts/humaneval_164.jsonl.gz")]

    def judged(text: str) -> tuple[str, str]:
        ran = run(with_tests(text, DOCTESTS))
        return ran.outcome, ran.detail

    with ThreadPoolExecutor(2) as pool:
        plain = list(pool.map(lambda text: run(with_tests(text, "")).outcome, programs))
        ran = list(pool.map(judged, programs))
        passed = [place for place, (outcome, _) in enumerate(ran) if outcome == "passed"]
        mutants = list(pool.map(lambda place: judged(mutant(programs[place])), passed))
    assert plain == ["passed"] * 164
    assert len(passed) == 66
    odd = {
        place for place, (outcome, why) in enumerate(ran) if outcome == "failed" and "no examples" not in why
    }
    assert odd == ODD
    assert {outcome for outcome, _ in mutants} == {"failed"}
    assert all("no examples" not in why for _, why in mutants)


def mutant(text: str) -> str:
    """The last function of the file returns something else: its name is bound to a stub with the same examples."""
    name = text.rpartition("\ndef ")[2].partition("(")[0]
    return f"{text}\nexamples = {name}.__doc__\ndef {name}(*_):\n    return 'no'\n{name}.__doc__ = examples\n"


def test_autoif_verifiers_score_their_cases_as_recorded() -> None:
    """44 verifier functions of 20 instructions, run in the sandbox on the cases recorded with them: each has the
    recorded accuracy."""
    count = 0
    for row in rows("judge/autoif_query_rft.jsonl.gz"):
        for function, accuracy in row["eval_func"]:
            found = [
                (run(with_check(text, function)).outcome == "passed") == expected
                for text, expected in row["cases"]
            ]
            assert sum(found) / len(found) == pytest.approx(accuracy)
            count += 1
    assert count == 44
