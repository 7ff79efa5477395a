"""The disclaimer filter: what UltraChat 200k leaves out, and what only sounds like it."""

from __future__ import annotations

from pathlib import Path

import pytest
from given import given

from selfinstruct.pipeline import execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps import disclaimer


def kept(folder: Path, *answers: str) -> bool:
    talk = [
        message for text in answers for message in (Message("user", "Go on?"), Message("assistant", text))
    ]
    outcome = execute([given([Sample(tuple(talk))]), disclaimer()], out=folder)
    assert dict(outcome.funnel.steps[1].drops) == ({} if outcome.samples else {"disclaimer": 1})
    return bool(outcome.samples)


@pytest.mark.parametrize(
    "text",
    [
        "I don't have emotions or opinions, but here is a poem.",
        "As a language model, I do not have personal opinions.",
        "I don’t have feelings.",
        "I do not have the ability to form opinions.",
        "I am unable to experience emotions.",
        "I cannot have personal preferences.",
        "I don't hold any beliefs of my own.",
        "We don't have human emotions.",
        "I lack feelings.",
    ],
)
def test_denials(tmp_path: Path, text: str) -> None:
    assert not kept(tmp_path, "Fine.", text, "And so on.")


@pytest.mark.parametrize(
    "text",
    [
        "I don't have an opinion poll at hand.",
        "They don't have opinions.",
        "Opinions differ.",
        "In the poem the robot says it has no feelings.",
        "I don't share your opinion.",
        "我没有意见。",
        "You do not have preferences set in the file.",
    ],
)
def test_no_denials(tmp_path: Path, text: str) -> None:
    assert kept(tmp_path, text)
