"""The steps. Importing this package fills the registry; each name here makes a `Step` from its options."""

from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.answers import answers
from selfinstruct.steps.evaluate import evaluate
from selfinstruct.steps.evol import evol
from selfinstruct.steps.evol_quality import evol_quality
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
from selfinstruct.steps.judge import judge
from selfinstruct.steps.mix import mix
from selfinstruct.steps.novelty import novelty
from selfinstruct.steps.pairs import pairs
from selfinstruct.steps.pairwise import pairwise
from selfinstruct.steps.rank import rank
from selfinstruct.steps.read import read
from selfinstruct.steps.respond import respond
from selfinstruct.steps.select import select
from selfinstruct.steps.student import dpo, sft
from selfinstruct.steps.template import template
from selfinstruct.steps.ultrafeedback import ultrafeedback
from selfinstruct.steps.write import write

__all__ = [
    "alpaca",
    "answered",
    "answers",
    "dpo",
    "echo",
    "evaluate",
    "evol",
    "evol_quality",
    "heuristics",
    "judge",
    "mix",
    "novelty",
    "pairs",
    "pairwise",
    "placeholder",
    "rank",
    "read",
    "refusal",
    "repetition",
    "respond",
    "select",
    "sft",
    "template",
    "ultrafeedback",
    "urls",
    "words",
    "write",
]
