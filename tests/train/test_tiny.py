"""The tiny student: its tokenizer loses nothing, and the same text makes the same student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import chat

from selfinstruct.train import Chat

pytest.importorskip("torch")


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(alphabet=st.one_of(st.sampled_from(" \n\tab.,"), st.characters(exclude_categories=["Cs"])))
)
def test_any_text_comes_back_as_it_was(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_a_word_of_the_training_text_is_one_token_wherever_a_line_has_it(tokenizer: Any) -> None:
    def ids(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    (first,) = ids("list")
    assert ids("list\nlist list") == [first, *ids("\n"), first, first]


def test_the_same_text_and_seed_make_the_same_student(chats: list[Chat], tmp_path: Path) -> None:
    from selfinstruct.train.tiny import make

    one = bytes_of(make(chats, tmp_path / "one", seed=0))
    assert one == bytes_of(make(chats, tmp_path / "two", seed=0))
    other = bytes_of(make(chats, tmp_path / "three", seed=1))
    assert one["model.safetensors"] != other["model.safetensors"]
    assert one["tokenizer.json"] == other["tokenizer.json"]


def test_a_student_that_is_there_is_not_made_again(chats: list[Chat], tmp_path: Path) -> None:
    from selfinstruct.train.tiny import make

    folder = make(chats, tmp_path / "student", seed=0)
    written = (folder / "model.safetensors").stat().st_mtime_ns
    make(chats, folder, seed=0)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    make([*chats, chat("a new word: zebra", "zebra")], folder, seed=0)
    assert (folder / "model.safetensors").stat().st_mtime_ns != written


def test_making_one_leaves_the_global_random_state_alone(chats: list[Chat], tmp_path: Path) -> None:
    import torch

    from selfinstruct.train.tiny import make

    before = torch.random.get_rng_state()
    make(chats, tmp_path / "student", seed=3)
    assert torch.equal(before, torch.random.get_rng_state())
