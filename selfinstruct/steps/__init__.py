"""The steps. Importing this package fills the registry; each name here makes a `Step` from its options."""

from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.classify import classify
from selfinstruct.steps.evaluate import evaluate
from selfinstruct.steps.filters import (
    answered,
    echo,
    heuristics,
    placeholder,
    refusal,
    repetition,
    urls,
    words,
)
from selfinstruct.steps.instances import instances
from selfinstruct.steps.judge import judge
from selfinstruct.steps.layout import layout
from selfinstruct.steps.novelty import novelty
from selfinstruct.steps.read import read
from selfinstruct.steps.respond import respond
from selfinstruct.steps.select import select
from selfinstruct.steps.self_instruct import self_instruct
from selfinstruct.steps.student import dpo, sft
from selfinstruct.steps.write import write

__all__ = [
    "alpaca",
    "answered",
    "classify",
    "dpo",
    "echo",
    "evaluate",
    "heuristics",
    "instances",
    "judge",
    "layout",
    "novelty",
    "placeholder",
    "read",
    "refusal",
    "repetition",
    "respond",
    "select",
    "self_instruct",
    "sft",
    "urls",
    "words",
    "write",
]
