"""Which parameters a model takes. What it does not take is left out with one warning, not answered with a
400.

Facts: docstrings of openai 3.52 (`stop`: not with o3 and o4-mini; `max_tokens`: not with the o-series) and
anthropic 2.11 (no sampling parameters since API version 2026-10-21), the providers' migration notes, and the
model table of litellm 1.109.1 (`supports_sampling_params`, `default_reasoning_effort`,
`supports_native_structured_output`), read 2026-11-21.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("selfinstruct")

_TEMPERATURE = frozenset({"temperature", "top_p", "logprobs", "top_logprobs"})
_BIAS = frozenset({"presence_penalty", "frequency_penalty", "logit_bias"})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`refused`: parameters the model never takes. `thinking`: those it does not take while it reasons, which
    it does unless `reasoning_effort` is `none`, by request or by default (`effort`). `one_of`: sampling
    parameters of which only the first given may be sent. `tokens`: its word for max_tokens. `structured`: can
    be held to a JSON schema. `raw`: continues plain text.
    """

    refused: frozenset[str] = frozenset()
    thinking: frozenset[str] = frozenset()
    effort: str = ""
    one_of: tuple[str, ...] = ()
    tokens: str = "max_tokens"
    structured: bool = True
    raw: bool = False

    def split(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """The parameters to send and the names of those to leave out. None means "not given"."""
        given = {name: value for name, value in params.items() if value is not None}
        out = self.refused & given.keys()
        if self.thinking and given.get("reasoning_effort", self.effort) != "none":
            out |= self.thinking & given.keys()
        out |= set([name for name in self.one_of if name in given][1:])
        return {name: value for name, value in given.items() if name not in out}, set(out)


_PLAIN = Capabilities()
_ALWAYS = _TEMPERATURE | _BIAS
_NEWER = "max_completion_tokens"
# A model of unknown name on a server of one's own: it takes what it is given.
UNKNOWN = Capabilities(structured=False, raw=True)

OPENAI: tuple[tuple[str, Capabilities], ...] = (
    (r"gpt-3\.5-turbo-instruct|davinci-002|babbage-002", Capabilities(structured=False, raw=True)),
    (r"o3-mini|o1(-|$)", Capabilities(_ALWAYS, tokens=_NEWER)),
    (r"o\d(-|$)", Capabilities(_ALWAYS | {"stop"}, tokens=_NEWER)),
    (r"gpt-[\w.]+-(mini-)?search-", Capabilities(_ALWAYS | {"stop", "seed"})),
    (r"gpt-5-chat", _PLAIN),
    (
        r"gpt-5\.(1|2|4)(-mini|-nano)?(-\d{4}-\d\d-\d\d)?$",
        Capabilities(_BIAS | {"stop"}, _TEMPERATURE, "none", tokens=_NEWER),
    ),
    (
        r"gpt-([5-9]|1\d)\b|chat-latest|(gpt-)?daybreak|gpt-rosalind",
        Capabilities(_BIAS | {"stop"}, _TEMPERATURE, tokens=_NEWER),
    ),
    (r"gpt-4(-|$)|gpt-3\.5|gpt-4o-2024-05-13|chatgpt-", Capabilities(structured=False)),
    (r"gpt-4(o|\.)", _PLAIN),
)

# The Messages API never had these; `reasoning_effort` is its `output_config.effort`, which came with Opus
# 4.5.
_NOT_CLAUDE = _BIAS | {"seed", "logprobs", "top_logprobs"}
_SAMPLING = ("temperature", "top_p")
_NO_SAMPLING = frozenset({*_SAMPLING, "top_k"})

ANTHROPIC: tuple[tuple[str, Capabilities], ...] = (
    (r"claude-opus-4-[56]|claude-sonnet-4-6", Capabilities(_NOT_CLAUDE, one_of=_SAMPLING)),
    (r"claude-(haiku|sonnet)-4-5", Capabilities(_NOT_CLAUDE | {"reasoning_effort"}, one_of=_SAMPLING)),
    (
        r"claude-(\d|instant|(opus|sonnet)-4-([01]$|1-|20))",
        Capabilities(_NOT_CLAUDE | {"reasoning_effort"}, one_of=_SAMPLING, structured=False),
    ),
    (r"claude-", Capabilities(_NOT_CLAUDE | _NO_SAMPLING)),
    (r"", Capabilities(_NOT_CLAUDE, structured=False)),  # another model behind the Messages format
)


def capabilities(
    table: Iterable[tuple[str, Capabilities]], name: str, otherwise: Capabilities = _PLAIN
) -> Capabilities:
    """The first row whose pattern matches the beginning of `name`, without what a router puts before it; a
    fine-tune is what it was made from."""
    base = name.rpartition("/")[2].removeprefix("ft:")
    return next((row for pattern, row in table if re.match(pattern, base)), otherwise)


class Dropped:
    """Says once for each parameter of a teacher that it is left out."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._told: set[str] = set()

    def tell(self, names: Iterable[str], why: str = "this model does not take") -> None:
        news = sorted(set(names) - self._told)
        if news:
            self._told.update(news)
            _log.warning("%s: left out %s, which %s", self._model, ", ".join(news), why)
