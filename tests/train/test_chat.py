"""Which template a student speaks, and which token ends its answers."""

from __future__ import annotations

from typing import Any

import pytest

from selfinstruct.errors import ConfigError
from selfinstruct.train import chat as chats

pytest.importorskip("transformers")

LLAMA = (
    "{{ bos_token }}{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)


def test_its_own_template_is_kept_and_its_end_token_becomes_eos(tokenizer: Any) -> None:
    tokenizer.chat_template = LLAMA
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.eos_token = "<|pad|>"
    assert chats.settle(tokenizer) == "<|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.chat_template == LLAMA


def test_without_a_template_chatml_where_its_tokens_are_known(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    chats.settle(tokenizer)
    assert tokenizer.chat_template == chats.CHATML


def test_without_a_template_a_plain_one_that_needs_no_new_token(tokenizer: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    from selfinstruct.train.tiny import byte_pairs

    plain = PreTrainedTokenizerFast(tokenizer_object=byte_pairs(["a b"], ["</s>"]), eos_token="</s>")
    assert chats.settle(plain) == "</s>"
    assert plain.pad_token == "</s>"
    dialogue = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "R"},
    ]
    assert (
        chats.render(plain, dialogue, ask=True)
        == "S\n\n### Instruction:\nQ\n\n### Response:\nA</s>\n\n### Instruction:\nR\n\n### Response:\n"
    )


def test_a_template_that_never_ends_an_answer_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    with pytest.raises(ConfigError, match="ends an answer with no special token"):
        chats.settle(tokenizer)


def test_a_template_that_cannot_render_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('only tools') }}"
    with pytest.raises(ConfigError, match="can't render one question with its answer: only tools"):
        chats.settle(tokenizer)


def test_a_tokenizer_without_template_and_end_token_is_refused() -> None:
    from transformers import PreTrainedTokenizerFast

    from selfinstruct.train.tiny import byte_pairs

    bare = PreTrainedTokenizerFast(tokenizer_object=byte_pairs(["a b"], []))
    with pytest.raises(ConfigError, match="neither a chat template nor an end token"):
        chats.settle(bare)
