"""Filters: rules about one row that name the reason to drop it. Rows in any language and of code pass undamaged:
what a rule can't read, it lets through."""

from __future__ import annotations

import re
from typing import Literal

from selfinstruct import heuristics as rules
from selfinstruct import text
from selfinstruct.sample import Sample
from selfinstruct.step import filter

Field = Literal["instruction", "input", "output"]


@filter
def heuristics(
    sample: Sample,
    *,
    fidelity: Literal["fixed", "paper"] = "fixed",
    low: int = 4,
    high: int = 150,
    banned: tuple[str, ...] | None = None,
) -> str | None:
    """Drop instructions that Self-Instruct and Alpaca would not take into the pool.

    Args:
        fidelity: paper takes their rules to the letter; fixed spares other languages and harmless words.
        low: the least number of words.
        high: the greatest number of words.
        banned: words that drop an instruction wherever they occur; by default what a text model can't do.
    """
    return rules.instruction_fault(sample.instruction, fidelity=fidelity, low=low, high=high, banned=banned)


@filter
def words(sample: Sample, *, field: Field = "output", low: int = 1, high: int | None = None) -> str | None:
    """Drop rows whose text is too short or too long, in words; an unspaced character counts as a word.

    Args:
        field: which text: instruction, input or output.
        low: the least number of words.
        high: the greatest number of words.
    """
    size = max(len(text.words(_text(sample, field))), len(_text(sample, field).split()))
    if size < low:
        return "too_short"
    return "too_long" if high is not None and size > high else None


@filter
def answered(sample: Sample) -> str | None:
    """Drop rows without an answer, with an empty one, or with a stand-in such as <nooutput>."""
    if not sample.answered:
        return "unanswered"
    if not sample.output.strip():
        return "empty_output"
    return "no_output" if _NO_OUTPUT.match(sample.output) else None


_NO_OUTPUT = re.compile(r"\W*[<\[(]\s*no[\s_-]?output\b", re.IGNORECASE)


@filter
def placeholder(sample: Sample) -> str | None:
    """Drop rows whose input stands for one that is not there: "No input", "N/A", "[insert text]", "<your text>"."""
    given = sample.input
    if _NO_INPUT.fullmatch(given):
        return "no_input"
    return "placeholder" if _STAND_IN.fullmatch(given.strip()) or _TO_FILL.search(given) else None


_NO_INPUT = re.compile(
    r"[\W_]*(?:no[\s_-]*input(?:\s+(?:is\s+)?(?:required|needed|necessary|provided|given))?|n/a|none)[\W_]*",
    re.IGNORECASE,
)
_THING = (
    r"(?:text|article|paragraph|sentence|passage|document|file|image|picture|photo|video|audio|link|url|data|dataset|"
    r"code|content|story|poem|email|name|description|list|table|input|attachment)s?"
)
_TAG = (
    r"<(?:table|code|link|video|audio|input|data|text|title)>"  # an HTML element, which may be the question
)
# A whole input in brackets that names a thing instead of giving it. A list or a formula names none.
_STAND_IN = re.compile(
    rf"(?!{_TAG})[<\[{{(]+\s*(?:(?:insert|attach|add|paste|see|your|link|input|provided)\b[^<>\[\]{{}}(),\d]{{0,80}}"
    rf"|(?:[a-z'-]+\s+){{0,3}}{_THING}(?:\s+(?:of|to|about)\s[^<>\[\]{{}}()]{{1,60}})?"
    rf"(?:\s+(?:here|attached|provided|below|above|goes here))?)\s*[>\]}})]+\s*\.?",
    re.IGNORECASE,
)
_TO_FILL = re.compile(r"[<\[{(]\s*(?:insert|paste)\s+[^<>\[\]{}()\n]{1,80}[>\]})]", re.IGNORECASE)


@filter
def refusal(sample: Sample, *, boilerplate: bool = True) -> str | None:
    """Drop rows whose answer begins by refusing. Reads English.

    Args:
        boilerplate: also drop answers that speak of themselves as an AI model anywhere.
    """
    return rules.refusal_fault(sample.output, boilerplate=boilerplate)


@filter
def echo(sample: Sample) -> str | None:
    """Drop rows whose answer is the input or the instruction over again."""
    answer = sample.output.strip()
    return "echo" if answer and answer in (sample.input.strip(), sample.instruction.strip()) else None


@filter
def repetition(sample: Sample, *, size: int = 4, high: float = 0.7) -> str | None:
    """Drop rows whose answer goes in circles.

    Args:
        size: words of one phrase.
        high: the greatest share of phrases that have occurred before in the same answer.
    """
    found = text.words(sample.output)
    phrases = list(zip(*(found[start:] for start in range(size)), strict=False))
    again = len(phrases) - len(set(phrases))
    return "repetition" if len(phrases) >= _ENOUGH and again > high * len(phrases) else None


_ENOUGH = 20  # phrases; a haiku or a chorus may repeat itself


@filter
def urls(sample: Sample, *, fields: tuple[Field, ...] = ("instruction", "input")) -> str | None:
    """Drop rows that refer to a web address: a text model can't open it, and makes up what is there.

    Args:
        fields: the texts in which an address counts.
    """
    return "url" if any(_URL.search(_text(sample, field)) for field in fields) else None


_URL = re.compile(r"\bhttps?:/|\bwww\.\w", re.IGNORECASE)


def _text(sample: Sample, field: Field) -> str:
    return {"instruction": sample.instruction, "input": sample.input, "output": sample.output}[field]
