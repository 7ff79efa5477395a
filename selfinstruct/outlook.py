"""What a step expects to do, for `selfinstruct plan`: figures, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from selfinstruct.run import Place

CHARS_PER_TOKEN = 4.89  # mean over the rows of Alpaca with a GPT-4 tokenizer


def tokens(text: str) -> int:
    """Tokens of a text, by its length."""
    return round(len(text) / CHARS_PER_TOKEN)


@dataclass(frozen=True)
class Outlook:
    """What is expected to arrive at a step: `rows` rows, each of `row_tokens` tokens on average."""

    place: Place
    rows: int = 0
    row_tokens: int = 73  # an Alpaca row: instruction 12, input 13 (where there is one), output 55 on average
    source: str = ""


@dataclass(frozen=True)
class Estimate:
    """What a step is expected to do with them. Tokens are totals over its calls; `ceiling_calls` and `ceiling_output`
    are a bad case: as many calls as can be feared, each as long as it may be. Only the budget is a bound.
    """

    rows: int
    row_tokens: int | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    ceiling_calls: int = 0
    ceiling_output: int = 0
    role: str = "teacher"
    source: str = ""
