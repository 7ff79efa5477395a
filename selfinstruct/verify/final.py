"""Where an answer says what its final answer is: boxed, behind ####, or in words ("The answer is ...")."""

from __future__ import annotations

import re

WIDEST = 300  # characters of a statement that are looked at: a final answer is short

_CALCULATOR = re.compile(r"<<[^<>\n]{0,200}>>")  # GSM8K's notes for a calculator
_BOXED = re.compile(r"\\f?box(?:ed)?\s?\{")
_HASHES = re.compile(r"^[ \t]{0,9}####[ \t]{0,9}", re.MULTILINE)
_STATED = re.compile(
    r"\banswer(?:\*\*|__)?(?:[ \t](?:to|of|for)\b[^\n.:?!]{0,80}?)?"
    r"(?:[ \t](?:is|was|would[ \t]be|will[ \t]be|equals)\b|[ \t]?(?:\*\*|__)?[:：=])"
    r"|^[ \t]{0,9}A[:：]"
    r"|答案(?:应该|應該)?(?:是|为|為|[:：])|答[:：]"
    r"|\bréponse(?:[ \t]finale)?[ \t]?(?:est|:)|\bAntwort[ \t]?(?:ist|lautet|:)"
    r"|\brespuesta(?:[ \t]final)?[ \t]?(?:es\b|:)"
    r"|\bответ[ \t]?(?:—|-|:|：)|(?:الجواب|الإجابة|الاجابة)(?:[ \t](?:هو|هي)|[ \t]?:)",
    re.IGNORECASE | re.MULTILINE,
)


def statements(text: str) -> list[str]:
    """What the text says its final answer is, in order; the last one counts. Each is one line at most."""
    text = _CALCULATOR.sub("", text)
    found = [(match.end(), _braced(text, match.end())) for match in _BOXED.finditer(text)]
    for pattern in (_HASHES, _STATED):
        found += [(match.end(), _line(text, match.end())) for match in pattern.finditer(text)]
    return [said for _, said in sorted(found) if said]


def last_line(text: str) -> str:
    """The last line that holds anything; what comes behind its last equals sign, where it has one."""
    lines = _CALCULATOR.sub("", text).strip().splitlines()
    return lines[-1].rpartition("=")[2].strip()[-WIDEST:] if lines else ""


def _braced(text: str, start: int) -> str:
    """From `start` to the brace that closes; nothing when none does."""
    depth = 1
    for place in range(start, min(len(text), start + WIDEST)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place].strip()
    return ""


def _line(text: str, start: int) -> str:
    """The rest of the line, or the next line where the label stands alone."""
    rest = text[start : start + WIDEST].lstrip(" \t*_:：\r\n")
    return rest.partition("\n")[0].strip()
