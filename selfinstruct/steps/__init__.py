"""The steps. Importing this package fills the registry; each name here makes a `Step` from its options."""

from selfinstruct.steps.alpaca import alpaca
from selfinstruct.steps.answers import answers
from selfinstruct.steps.backtranslate import backtranslate, self_curate
from selfinstruct.steps.baize import baize
from selfinstruct.steps.best_of import best_of
from selfinstruct.steps.chunk import chunk
from selfinstruct.steps.classify import classify
from selfinstruct.steps.cot_self_instruct import cot_self_instruct
from selfinstruct.steps.disclaimer import disclaimer
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
from selfinstruct.steps.ground import ground
from selfinstruct.steps.instances import instances
from selfinstruct.steps.judge import judge
from selfinstruct.steps.layout import layout
from selfinstruct.steps.magpie import magpie, magpie_turns
from selfinstruct.steps.magpie_filter import magpie_filter
from selfinstruct.steps.mix import mix
from selfinstruct.steps.novelty import novelty
from selfinstruct.steps.openings import openings
from selfinstruct.steps.orca import orca
from selfinstruct.steps.pairs import pairs
from selfinstruct.steps.pairwise import pairwise
from selfinstruct.steps.persona import persona, personas
from selfinstruct.steps.rank import rank
from selfinstruct.steps.read import read
from selfinstruct.steps.read_documents import read_documents
from selfinstruct.steps.respond import respond
from selfinstruct.steps.select import select
from selfinstruct.steps.self_instruct import self_instruct
from selfinstruct.steps.student import dpo, sft
from selfinstruct.steps.tag import tag
from selfinstruct.steps.template import template
from selfinstruct.steps.translate import translate
from selfinstruct.steps.ultrachat import ultrachat
from selfinstruct.steps.ultrafeedback import ultrafeedback
from selfinstruct.steps.write import write

__all__ = [
    "alpaca",
    "answered",
    "answers",
    "backtranslate",
    "baize",
    "best_of",
    "chunk",
    "classify",
    "cot_self_instruct",
    "disclaimer",
    "dpo",
    "echo",
    "evaluate",
    "evol",
    "evol_quality",
    "ground",
    "heuristics",
    "instances",
    "judge",
    "layout",
    "magpie",
    "magpie_filter",
    "magpie_turns",
    "mix",
    "novelty",
    "openings",
    "orca",
    "pairs",
    "pairwise",
    "persona",
    "personas",
    "placeholder",
    "rank",
    "read",
    "read_documents",
    "refusal",
    "repetition",
    "respond",
    "select",
    "self_curate",
    "self_instruct",
    "sft",
    "tag",
    "template",
    "translate",
    "ultrachat",
    "ultrafeedback",
    "urls",
    "words",
    "write",
]
