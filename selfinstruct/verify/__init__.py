"""Verifiers: is an answer right? Each reads the final answer of a text and compares it; none guesses.

`number`, `label` and `exact` compare with a reference; code.py makes programs of answers for sandbox.py to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from selfinstruct.errors import ParseError
from selfinstruct.text import normal_form
from selfinstruct.verify.final import statements
from selfinstruct.verify.labels import label
from selfinstruct.verify.numbers import number, same

Kind = Literal["number", "label", "exact"]

_EDGES = " \t\n.*_`\"'。"


def final(kind: Kind, text: str, labels: Sequence[str] = ()) -> str:
    """The final answer of a text, in a form in which equal answers are equal texts.

    number: the number, as a fraction in lowest terms, without a percent sign. label: the label. exact: what the text
    says is its answer, else the whole text; case, width, spacing, quotes around it and a final full stop make no
    difference.

    Raises ParseError: `no_answer`, `two_answers`.
    """
    if kind == "number":
        return str(number(text).value)
    if kind == "label":
        return label(text, labels)
    said = statements(text)
    answer = normal_form(said[-1] if said else text).strip(_EDGES)
    if not answer:
        raise ParseError("no_answer")
    return answer


def right(kind: Kind, text: str, reference: str, labels: Sequence[str] = ()) -> bool:
    """Whether the final answer of `text` is that of `reference`. Raises ParseError when either has none."""
    if kind == "number":
        return same(number(text), number(reference))
    return final(kind, text, labels) == final(kind, reference, labels)
