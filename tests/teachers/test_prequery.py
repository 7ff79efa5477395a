"""Pre-query templates against the published ones, and which family a model's name belongs to."""

from __future__ import annotations

import re
from typing import get_args, get_type_hints

import pytest

from selfinstruct.errors import ConfigError
from selfinstruct.sample import Message
from selfinstruct.steps.magpie import Family
from selfinstruct.teachers.prequery import NAMES, TEMPLATES, template

# Magpie's own configuration (magpie-align/magpie, configs/model_configs.json): the text that is continued, the ids that
# end a turn. The first token stands apart here.
PUBLISHED = {
    "llama-3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
        {128009, 128001, 128006, 128007},
    ),
    "qwen2": ("<|im_start|>user\n", {151643, 151644, 151645}),
    "gemma": ("<bos><start_of_turn>user\n", {1, 2, 106, 107}),
    "mistral": ("<s> [INST] ", {1, 2, 3, 4}),
    "phi-3": ("<s> <|user|>\n", {0, 1, 2, 32000, 32001, 32006, 32007, 32010}),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_templates(name: str) -> None:
    text, ids = PUBLISHED[name]
    found = template(name, "")
    assert found.bos + found.opened() == text
    assert set(found.stop_ids) == ids


def test_qwen25_begins_with_the_system_message_that_its_own_template_puts_there() -> None:
    assert template("qwen2.5", "").opened() == (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/meta-llama/Meta-Llama-3-8B-Instruct", "llama-3"),
        ("openai/meta-llama/Llama-3.3-70B-Instruct@gpu-box", "llama-3"),
        ("openai/llama3.1:8b", "llama-3"),
        ("openai/Qwen/Qwen2-7B-Instruct", "qwen2"),
        ("openai/Qwen/Qwen2.5-7B-Instruct", "qwen2.5"),
        ("openai/Qwen/Qwen3-8B", "qwen2"),
        ("openai/Qwen/Qwen1.5-7B-Chat", "qwen2"),
        ("openai/google/gemma-2-9b-it", "gemma"),
        ("openai/google/gemma-3-4b-it", "gemma-3"),
        ("openai/google/gemma-7b-it", "gemma"),
        ("openai/google/gemma-1.1-2b-it", "gemma"),
        ("openai/gemma3:4b", "gemma-3"),
        ("openai/mistralai/Mistral-7B-Instruct-v0.3", "mistral"),
        ("openai/microsoft/Phi-3-mini-4k-instruct", "phi-3"),
        ("offline", "qwen2"),
        ("offline/seed=3", "qwen2"),
    ],
)
def test_a_family_is_told_by_the_models_name(model: str, name: str) -> None:
    assert template("auto", model).name == name


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-3.5-turbo-instruct",
        "openai/acme/x@qwen2-box",
        "openai/mistralai/Mistral-7B-Instruct-v0.2",
        "openai/microsoft/Phi-3-small-8k-instruct",
        "openai/NousResearch/Hermes-3-Llama-3.1-8B",
        "openai/deepseek-ai/DeepSeek-R1-Distill-Llama-3-8B",
        "openai/Qwen/Qwen2.5-Math-7B-Instruct",
        "openai/google/gemma-3n-E4B-it",
        "openai/google/codegemma-7b-it",
    ],
)
def test_of_another_model_nothing_is_guessed(model: str) -> None:
    with pytest.raises(ConfigError, match="no chat template is known"):
        template("auto", model)


def test_an_unknown_template_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no chat template 'lama-3'") as caught:
        template("lama-3", "")
    assert "did you mean `llama-3`?" in caught.value.hint


def test_the_option_of_the_step_offers_all_of_them() -> None:
    assert set(get_args(Family)) == {"auto", *NAMES}
    assert get_type_hints(template)["name"] is str


HISTORY = (Message("user", "Hi"), Message("assistant", "Yes?"))


@pytest.mark.parametrize("each", TEMPLATES, ids=lambda each: each.name)
def test_a_conversation_ends_open_for_the_user(each: object) -> None:
    found = template(each.name, "")  # type: ignore[attr-defined]
    text = found.opened(HISTORY)
    assert text.endswith(found.user[0])
    assert text.index("Hi") < text.index("Yes?") < text.rindex(found.user[0])
    assert found.marked(text)
    assert not found.marked("Hi there, 3 < 4")
    assert (found.bos in found.opened()) is (found.bos == "")
    assert re.compile(found.models)
