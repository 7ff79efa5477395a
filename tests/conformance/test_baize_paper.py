"""Baize's `paper` against its published rule (preprocess.py), worked by hand on transcripts of each kind.

The collected transcripts themselves lie in no snapshot. Compared, through the step: 8 transcripts; differences 0.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Echo
from given import given

from selfinstruct.parse.baize import transcript
from selfinstruct.pipeline import execute
from selfinstruct.sample import Sample
from selfinstruct.steps.baize import baize
from selfinstruct.teachers import Completion, Teacher

A, B, C = ("[Human] a\n[AI] 1\n", "[Human] b\n[AI] 2\n", "[Human] c\n[AI] 3\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (A + B + C, [("a", "1"), ("b", "2")]),  # the last piece is always left out
        (A + B + "[Human] c", [("a", "1"), ("b", "2")]),
        (A, []),
        ("Sure!\n" + A + B, [("a", "1")]),  # what stands before the first mark is left out
        (A + "[Human] b\n" + C, [("a", "1")]),  # no answer: the end
        (A + "[Human] b\n[AI] 2\n[AI] 2\n" + C, [("a", "1")]),  # two answers: the end
        ("[Human] what is [AI]?\n[AI] 1\n" + B + C, []),  # a mark inside a text: the end
        ("[Human]\n[AI] 1\n" + B, [("", "1")]),  # nobody looks at what is said
    ],
)
def test_the_published_rule(
    tmp_path: Path, play: Callable[[Teacher], str], text: str, expected: list[tuple[str, str]]
) -> None:
    steps = [given([Sample.of("a")]), baize(fidelity="paper")]
    outcome = execute(steps, out=tmp_path / "run", teacher=play(Echo(Completion(text))))
    said = [message.content for row in outcome.samples for message in row.messages]
    assert list(zip(said[::2], said[1::2], strict=True)) == expected
    assert dict(outcome.funnel.steps[1].drops) == ({} if expected else {"no_exchange": 1})


def test_what_fixed_repairs() -> None:
    talk, fault = transcript(A + B + C, cut=False)
    assert (len(talk), fault) == (6, None)
    talk, _ = transcript("[Human] what is [AI]?\n[AI] 1\n" + B, cut=False)
    assert talk[0].content == "what is [AI]?"
    assert len(talk) == 4
