"""Chat templates: which one a student speaks, how a conversation is rendered, and which token ends an answer."""

from __future__ import annotations

from typing import Any

from selfinstruct.errors import ConfigError
from selfinstruct.train import Chat

START, END = "<|im_start|>", "<|im_end|>"

CHATML = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)

# For base models that know no chat tokens: new embeddings would have to be trained, and tied ones break LoRA.
PLAIN = (
    "{{- bos_token or '' -}}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}{{ message['content'] + '\n\n' }}"
    "{%- elif message['role'] == 'user' -%}{{ '### Instruction:\n' + message['content'] + '\n\n' }}"
    "{%- else -%}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '### Response:\n' }}{%- endif -%}"
)

_PROBE: Chat = ({"role": "user", "content": "Ready?"}, {"role": "assistant", "content": "Surely."})


def settle(tokenizer: Any) -> str:
    """Give `tokenizer` a chat template where it has none, make the template's end token its `eos_token`, and return it.

    The order: the tokenizer's own template; ChatML where the vocabulary has its tokens; else a plain one that needs
    no new token. A student trained to end with a token that generation doesn't stop at never stops.

    Raises:
        ConfigError: the template ends an answer with no special token, or can't render a plain exchange.
    """
    if not tokenizer.chat_template:
        vocabulary = tokenizer.get_vocab()
        if START in vocabulary and END in vocabulary:
            tokenizer.chat_template = CHATML
        elif tokenizer.eos_token:
            tokenizer.chat_template = PLAIN
        else:
            raise ConfigError(
                "the student's tokenizer has neither a chat template nor an end token",
                "take a model with a tokenizer that has one of them",
            )
    end = _end(tokenizer)
    tokenizer.eos_token = end
    if tokenizer.pad_token is None:
        tokenizer.pad_token = end
    return end


def render(tokenizer: Any, chat: Chat, *, ask: bool) -> str:
    """The text of `chat`; `ask` adds what stands before an answer."""
    return str(
        tokenizer.apply_chat_template([dict(m) for m in chat], tokenize=False, add_generation_prompt=ask)
    )


def tokenize(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of rendered texts. The template writes the special tokens: the tokenizer must add none of its own."""
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else []


def control_tokens(tokenizer: Any) -> list[str]:
    """The texts that the tokenizer reads as control tokens wherever they stand, in a user's words too."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted({str(t) for t in added if t.special} | set(tokenizer.all_special_tokens))


def _end(tokenizer: Any) -> str:
    import jinja2

    try:
        text = render(tokenizer, _PROBE, ask=False)
    except jinja2.TemplateError as error:
        raise ConfigError(
            f"the student's chat template can't render one question with its answer: {error}",
            "mend `chat_template` in the tokenizer's folder, or take another model",
        ) from error
    _, _, after = text.rpartition(_PROBE[-1]["content"])
    special = set(control_tokens(tokenizer))
    ends = [
        token
        for token in tokenizer.convert_ids_to_tokens(tokenize(tokenizer, [after])[0])
        if token in special
    ]
    if not ends:
        raise ConfigError(
            f"the student's chat template ends an answer with no special token: {text!r}",
            "end the assistant's turn with the tokenizer's end token, or the student will never stop",
        )
    return str(ends[0])
