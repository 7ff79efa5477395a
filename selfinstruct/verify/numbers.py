"""The number that an answer ends with, exactly, and whether two answers end with the same one.

Read are integers, decimals, fractions, mixed numbers, powers of ten, percentages, currencies and units, with the
separators of English, Indian, French, German and Swiss writing, in ASCII, full-width or Arabic digits, and in LaTeX.
What could be read in two ways is not read: a range, a time, "3 hours and 20 minutes". Nor are roots and multiples of π.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.verify.final import last_line, statements

CLOSE = Fraction(1, 1_000_000)  # relative: what a float loses, and no more


class Number(NamedTuple):
    """A number as it was written: 18 % has the value 18 and `percent`."""

    value: Fraction
    percent: bool = False


_GROUPED = r"[1-9]\d{0,2}(?:(?:,\d{2}){0,9},\d{3}|(?:,\d{3}){1,9})|[1-9]\d{0,2}(?:[ '’]\d{3}){1,9}"
_EUROPEAN = r"[1-9]\d{0,2}(?:[. ]\d{3}){1,9},\d{1,9}|\d{1,40},(?:\d{1,2}|\d{4,20})|0,\d{1,20}"
_PLAIN = r"\d{1,40}(?:\.\d{1,40})?|\.\d{1,40}"
_NUMBER = re.compile(
    r"(?<![\w.,^/:])(?P<sign>[-+]?)[ ]?[€£¥₹₽₩]?[ ]?(?P<minus>[-+]?)"
    rf"(?:(?P<whole>\d{{1,20}})[ ](?P<mixed>\d{{1,20}}[ ]?/[ ]?\d{{1,20}})"
    rf"|(?P<fraction>\d{{1,20}}[ ]?/[ ]?\d{{1,20}})(?![ ]?/)"
    rf"|(?P<european>{_EUROPEAN})(?![\d,.]?\d)"
    rf"|(?P<decimal>(?:{_GROUPED})(?:\.\d{{1,40}})?(?!\d|,\d)|(?:{_PLAIN})(?:e[-+]?\d{{1,3}})?))"
    r"(?!\.?\d|:\d|[ ]?\^|[ ]?/[ ]?\d|,\d)"
    r"(?:[ ]?[×x*·][ ]?10[ ]?\^[ ]?\{?(?P<power>-?\d{1,3})\}?)?"
    r"(?:[ ]?(?P<percent>%|percent\b|per[ ]cent\b)"
    r"|[ ]?(?P<scale>thousand|million|billion|trillion|万|萬|亿|億)(?!\w))?",
    re.IGNORECASE,
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RAISED = re.compile("[⁰¹²³⁴-⁹]{1,9}")
_LATEX = (
    (re.compile(r"\*\s?(?=10\s?\^)"), "×"),
    (re.compile(r"\b(?:US|A|C|R|HK|NZ)\\?\$"), " "),
    (re.compile(r"\\[dt]?frac\s?\{([^{}]{1,40})\}\s?\{([^{}]{1,40})\}"), r" \1/\2"),
    (re.compile(r"\\[dt]?frac\s?(\d)\s?(\d)"), r" \1/\2"),
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox|operatorname)\s?\{([^{}]{0,80})\}"), r" \1 "),
    (re.compile(r"\{,\}|\\,(?=\d)"), ","),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\^\s?\{?\\circ\}?|°"), " "),
    (re.compile(r"\\(?:left|right|quad|displaystyle)\b|\\[()\[\]!;:, ]|[*_`~\"“”«»]{1,3}"), " "),
    (re.compile(r"\\?\$|\\(?=%)"), ""),
)
_MIXED = re.compile("(?<=[0-9])(?=[¼-¾⅐-⅞])")
_ROOTS = re.compile(r"[√π]|\\(?:sqrt|pi)\b")  # what stands beside one is not the number
_NAMED = re.compile(r"[^\W\d_][\^-]?\{?\d{1,9}")  # m^2, cm2, COVID-19
_SENTENCE = re.compile(r"[.!?](?=\s|$)|[。！？]")
_BRACKETED = re.compile(r"\([^()]{0,200}\)|\[[^\[\]]{0,200}\]")


def number(text: str) -> Number:
    """The number that `text` ends with: what it says is its answer, else the one number of its last line.

    Raises ParseError: `no_answer`, or `two_answers` where the statement holds several numbers.
    """
    for said in (*reversed(statements(text)), last_line(text)):
        found = _only(said)
        if found is not None:
            return found
    raise ParseError("no_answer", text.strip()[-80:])


def same(one: Number, other: Number) -> bool:
    """Whether both are the same number. Where only one is a percentage, 18 % is 18 as well as 0.18: questions that ask
    for percent are answered with and without the sign."""
    if one.percent == other.percent:
        return _close(one.value, other.value)
    bare, percent = (other, one) if one.percent else (one, other)
    return _close(bare.value, percent.value) or _close(bare.value, percent.value / 100)


def _close(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


def _only(said: str) -> Number | None:
    """The number of a statement: behind its last equals sign, in its first sentence, outside brackets if there is one
    outside. None where it holds no digit; ParseError where it holds several numbers, or digits that are none."""
    text = _plain(said)
    text = text.rpartition("=")[2] if "=" in text else text
    text = _SENTENCE.split(text.strip(), maxsplit=1)[0] or text
    if _ROOTS.search(text):
        raise ParseError("no_answer", said[:80])
    outside = _BRACKETED.sub(" ", text)
    text = outside if _NUMBER.search(outside) else text
    found = {_value(match) for match in _NUMBER.finditer(text)}
    rest = re.search(r"\d", _NAMED.sub("", _NUMBER.sub("", text)))
    if len(found) > 1 or (found and rest):
        raise ParseError("two_answers", said[:80])
    if found == {None} or rest:
        raise ParseError("no_answer", said[:80])
    return next(iter(found), None)


def _plain(text: str) -> str:
    """Without LaTeX and markdown; digits of any script as ASCII, spaces of any width as one kind."""
    text = _RAISED.sub(lambda raised: "^" + raised[0].translate(_SUPERSCRIPTS), text)
    text = _MIXED.sub(" ", text)  # else 3½ would become 31/2
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    text = "".join(str(unicodedata.digit(sign, sign)) if sign.isdecimal() else sign for sign in text)
    for pattern, put in _LATEX:
        text = pattern.sub(put, text)
    return text


_SIGNS = str.maketrans({"−": "-", "–": "-", "⁄": "/", "٫": ".", "٬": ",", "٪": "%", "’": "'"})


def _value(match: re.Match[str]) -> Number | None:
    parts = match.groupdict()
    if parts["fraction"] or parts["mixed"]:
        top, bottom = (int(part) for part in (parts["mixed"] or parts["fraction"]).split("/"))
        if not bottom:
            return None
        value = Fraction(top, bottom) + int(parts["whole"] or 0)
    elif parts["european"]:
        value = Fraction(parts["european"].replace(".", "").replace(" ", "").replace(",", "."))
    else:
        digits = re.sub(r"[, '’]", "", parts["decimal"])
        value = Fraction("0" + digits if digits.startswith(".") else digits)
    value *= Fraction(10) ** int(parts["power"] or 0) * _SCALES.get((parts["scale"] or "").lower(), 1)
    negative = "-" in (parts["sign"] or "") + (parts["minus"] or "")
    return Number(-value if negative else value, bool(parts["percent"]))
