"""The steps. Importing this package fills the registry; each name here makes a `Step` from its options."""

from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.best_of import best_of
from selfinstruct.steps.chunk import chunk
from selfinstruct.steps.cot_self_instruct import cot_self_instruct
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
from selfinstruct.steps.ground import ground
from selfinstruct.steps.judge import judge
from selfinstruct.steps.novelty import novelty
from selfinstruct.steps.read import read
from selfinstruct.steps.read_documents import read_documents
from selfinstruct.steps.respond import respond
from selfinstruct.steps.select import select
from selfinstruct.steps.student import dpo, sft
from selfinstruct.steps.write import write

__all__ = [
    "alpaca",
    "answered",
    "best_of",
    "chunk",
    "cot_self_instruct",
    "dpo",
    "echo",
    "evaluate",
    "ground",
    "heuristics",
    "judge",
    "novelty",
    "placeholder",
    "read",
    "read_documents",
    "refusal",
    "repetition",
    "respond",
    "select",
    "sft",
    "urls",
    "words",
    "write",
]
