"""Chat templates up to where the user speaks: what an aligned model is shown so that it writes the user's turn itself
(Magpie, Xu et al. 2024, section 2).

One entry a family of models, as data: what opens and closes each role's turn, and what ends a completion. Facts: the
models' own chat templates and the configurations that were published with Magpie.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from selfinstruct.errors import ConfigError, nearest
from selfinstruct.sample import Message

Turn = tuple[str, str]  # what stands before and after a message


@dataclass(frozen=True, slots=True)
class Template:
    """How a family of models marks its turns.

    `models` matches the names of its models. `system` is None where the family has no such turn; `default` is the
    system text that its chat template puts first when there is none (without it the model is outside what it was
    trained on). `stop` are the texts of the special tokens and `stop_ids` their numbers: a server that leaves special
    tokens out of its text can only stop by number. `bos` begins every text; servers add it by themselves.
    """

    name: str
    models: str
    user: Turn
    assistant: Turn
    stop: tuple[str, ...]
    stop_ids: tuple[int, ...] = ()
    system: Turn | None = None
    default: str = ""
    bos: str = ""

    def opened(self, history: Sequence[Message] = (), system: str = "") -> str:
        """The text up to where the user's next turn begins. Raises ConfigError for a system text that has no place."""
        said = system or self.default
        if said and self.system is None:
            raise ConfigError(
                f"models of the template {self.name} have no system message",
                "leave task and system out, or take a model of another family",
            )
        turns = [(self.system, said)] if self.system is not None and said else []
        turns += [
            (self.user if message.role == "user" else self.assistant, message.content) for message in history
        ]
        return "".join(turn[0] + text + turn[1] for turn, text in turns) + self.user[0]

    def marked(self, text: str) -> bool:
        """Whether a text holds what would be read as the end of its turn."""
        return any(mark in text for mark in self.stop)


def _llama(role: str) -> Turn:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"


def _chatml(role: str) -> Turn:
    return f"<|im_start|>{role}\n", "<|im_end|>\n"


def _gemma(role: str) -> Turn:
    return f"<start_of_turn>{role}\n", "<end_of_turn>\n"


def _phi(role: str) -> Turn:
    return f"<|{role}|>\n", "<|end|>\n"


_QWEN = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
_QWEN_IDS = (151643, 151644, 151645)
_GEMMA = ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")

# Asked in this order.
TEMPLATES: tuple[Template, ...] = (
    Template(
        "llama-3",
        r"llama-?3",
        _llama("user"),
        _llama("assistant"),
        ("<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
        (128009, 128001, 128006, 128007),
        _llama("system"),
        bos="<|begin_of_text|>",
    ),
    Template(
        "qwen2.5",
        r"qwen-?2\.5",
        _chatml("user"),
        _chatml("assistant"),
        _QWEN,
        _QWEN_IDS,
        _chatml("system"),
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    ),
    Template(
        "qwen2",  # and its relatives whose template begins with the user's turn
        r"qwen-?(1\.5|[23](?!\.))|^offline\b",
        _chatml("user"),
        _chatml("assistant"),
        _QWEN,
        _QWEN_IDS,
        _chatml("system"),
    ),
    # Gemma 3 gave the marks other numbers: 107, which ends a turn in Gemma 2, is a line end there.
    Template(
        "gemma-3",
        r"\bgemma-?3\b",
        _gemma("user"),
        _gemma("model"),
        _GEMMA,
        (1, 2, 105, 106),
        bos="<bos>",
    ),
    Template(
        "gemma",
        r"\bgemma(-1\.1|-?2)?[-:]\d+b",
        _gemma("user"),
        _gemma("model"),
        _GEMMA,
        (1, 2, 106, 107),
        bos="<bos>",
    ),
    Template(
        "mistral",
        r"mistral-7b-instruct-v0\.3",
        ("[INST] ", "[/INST]"),
        (" ", "</s>"),
        ("<s>", "</s>", "[INST]", "[/INST]"),
        (1, 2, 3, 4),
        bos="<s> ",
    ),
    Template(
        "phi-3",
        r"phi-3(\.5)?-(mini|medium)",
        _phi("user"),
        _phi("assistant"),
        ("</s>", "<s>", "<unk>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
        (2, 1, 0, 32000, 32001, 32006, 32007, 32010),
        _phi("system"),
        bos="<s> ",
    ),
)
# Made from such models, with templates of their own.
_DERIVED = re.compile(r"hermes|dolphin|distill|openchat|qwen-?2(\.5)?-math", re.IGNORECASE)
NAMES = tuple(template.name for template in TEMPLATES)


def template(name: str, model: str) -> Template:
    """The template of that name; with `auto` that of the model's family. Raises ConfigError."""
    if name == "auto":
        base = model.partition("@")[0]  # behind it stands an address
        found = [each for each in TEMPLATES if re.search(each.models, base, re.IGNORECASE)]
        if not found or _DERIVED.search(base):
            raise ConfigError(
                f"no chat template is known for {base}",
                f"name one (template: {', '.join(NAMES)}), or write it out yourself (pre_query)",
            )
        return found[0]
    if name not in NAMES:
        raise ConfigError(f"there is no chat template {name!r}", nearest(name, NAMES))
    return TEMPLATES[NAMES.index(name)]
