"""The error family: its tree, its exit codes, its messages and hints."""

from __future__ import annotations

import pytest

from selfinstruct import errors
from selfinstruct.errors import ParseError, SelfInstructError, TeacherError, TransientError, nearest

EXIT_CODES = {  # DESIGN 6
    "ConfigError": 2,
    "DataError": 2,
    "StoreError": 2,
    "TeacherError": 3,
    "TransientError": 3,
    "BudgetReached": 4,
    "Paused": 75,
}


def test_every_error_for_the_user_ends_with_its_own_exit_code() -> None:
    family = {
        name: found.exit_code
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, SelfInstructError) and found is not SelfInstructError
    }
    assert family == EXIT_CODES
    assert 0 not in family.values()


@pytest.mark.parametrize("name", sorted(EXIT_CODES))
def test_an_error_carries_what_is_wrong_and_what_to_do(name: str) -> None:
    error = getattr(errors, name)("seeds.jsonl: line 3 is no JSON", "mend the line")
    assert (str(error), error.message, error.hint) == (
        "seeds.jsonl: line 3 is no JSON",
        "seeds.jsonl: line 3 is no JSON",
        "mend the line",
    )
    assert getattr(errors, name)("no hint needed").hint == ""


def test_a_transient_error_says_how_long_to_wait_and_whether_to_ask_for_less() -> None:
    plain = TransientError("connection lost")
    assert isinstance(plain, TeacherError)
    assert (plain.retry_after, plain.overloaded) == (None, False)
    busy = TransientError("429", "wait", retry_after=2.5, overloaded=True)
    assert (busy.retry_after, busy.overloaded, busy.hint) == (2.5, True, "wait")


def test_a_parse_error_is_a_fact_about_a_completion_and_no_failure_of_the_run() -> None:
    error = ParseError("bad_json", "line 1")
    assert not isinstance(error, SelfInstructError)
    assert (error.reason, error.detail, str(error)) == ("bad_json", "line 1", "bad_json: line 1")
    assert str(ParseError("no_score")) == "no_score"


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("generation", ["ops", "generations"], "did you mean `generations`? (known: generations, ops)"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("anything", [], "it takes none"),
    ],
)
def test_the_nearest_known_word(word: str, known: list[str], hint: str) -> None:
    assert nearest(word, known) == hint
    assert nearest(word, iter(known)) == hint
