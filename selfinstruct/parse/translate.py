"""What a translation must leave alone, and whether it did.

Code, addresses, formulas and placeholders are taken out of a text before it is translated: a sign such as ⟦1⟧ stands
in their place. Afterwards each sign must be there exactly once, and gets back what it stood for, byte for byte.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_object
from selfinstruct.text import normal_form, script, words


class Span(NamedTuple):
    """A part of the text that must survive, and what it is."""

    kind: str
    text: str


_KINDS: tuple[tuple[str, str], ...] = (
    ("code", r"```[\s\S]*?(?:```|\Z)|~~~[\s\S]*?(?:~~~|\Z)|``[^\n`]{1,500}``|`[^`\n]{1,500}`"),
    (
        "formula",
        r"\$\$[^$]*+\$\$|\\\[(?:[^\\]|\\(?![\[\]]))*+\\\]|\\\((?:[^\\]|\\(?![()]))*+\\\)"
        r"|\\begin\{[a-z*]{1,20}\}(?:[^\\]|\\(?!begin\b|end\b))*+\\end\{[a-z*]{1,20}\}"
        r"|\$(?![\s$\d.,]{1,20}\s)(?=[^$\n]{0,200}[\\^_={}+])[^$\s\n](?:[^$\n]{0,200}[^$\s\n])?\$(?!\d)",
    ),
    (
        "url",
        r"(?:https?://|\bwww\.)[^\s<>\"'`()\[\]{}⟦⟧，。；：！？、]{0,2000}[^\s<>\"'`()\[\]{}⟦⟧，。；：！？、.,;:!?]"
        r"|\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}",
    ),
    (
        "placeholder",
        r"\$?\{{1,3}[\w.:| -]{1,60}\}{1,3}|%\(\w{1,40}\)[sdif]|%[sd]\b|</?[A-Za-z!][^<>\n]{0,300}>|⟦[^⟦⟧\n]{0,40}⟧"
        r"|\[[A-Z][A-Z0-9_ ]{1,40}\]",
    ),
)
_SPAN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS))
_MARK = re.compile(r"⟦[ \t]{0,3}(\d{1,5})[ \t]{0,3}⟧")
_NUMBER = re.compile(r"\d(?:[\d.,'’٫٬\u00a0\u202f]{0,60}\d)?")
_RUN = re.compile(r"\d+")  # so that 3,4,5 may become 3, 4, 5
_LETTER = re.compile(r"[^\W\d_]")

# Lines of code that stand without a fence, as in many answers. What could be prose is prose: "for example:".
_ANY = r"[^\n]{0,300}"
_CODE = re.compile(
    r"[ \t]{0,40}(?:"
    rf"(?:async )?def \w{{1,80}}\({_ANY}|class [A-Z]\w{{0,80}}(?:\({_ANY}\))?:"
    rf"|import [\w.]{{1,80}}(?: as \w{{1,80}})?;?|from [\w.]{{1,80}} import {_ANY}|\#include ?[<\"]{_ANY}"
    rf"|@\w{{1,80}}(?:\({_ANY}\))?|for [\w, ()]{{1,80}} in {_ANY}:|with \w{{1,80}}[.(]{_ANY}:"
    rf"|(?:if|elif|while) {_ANY}[=<>()\[\]]{_ANY}:|(?:else|try|finally):|except\b{_ANY}:"
    r"|(?:public|private|protected|static|const|let|var|function|void|int|double|float|char|bool|String)\b"
    rf"{_ANY}[;{{(]|(?:SELECT|INSERT INTO|DELETE FROM|CREATE TABLE)\b{_ANY}"
    # x = 5, but not: Answer = the number of apples
    r"|[A-Za-z_][\w.]{0,80}(?:\[[^\]\n]{0,60}\])? ?[-+*/]?= ?"
    rf"(?!{_ANY}\b[A-Za-z]{{2,}} [A-Za-z]{{2,}}\b)\S{_ANY}"
    rf"|[a-z_][A-Za-z0-9_.]{{0,80}}\({_ANY}\);?|{_ANY}[A-Za-z0-9_]\({_ANY}\);"
    rf"|{_ANY}[A-Za-z0-9_\])] ?[-+*/]?= ?\S{_ANY};|{_ANY}[)\s>]\{{|[}}\])]{{1,3}}[;,)]{{0,3}}"
    r")[ \t]{0,40}"
)
_LINE = 300  # characters; a longer line is prose
# What goes on where code has begun.
_MORE = re.compile(
    rf"(?: {{2,}}|\t)\S{_ANY}|[ \t]*|(?:FROM|WHERE|JOIN|LEFT JOIN|INNER JOIN|SET|VALUES|GROUP BY|ORDER BY|LIMIT) {_ANY}"
    rf"|(?:return|break|continue|print|end)\b{_ANY}"
)


def masked(text: str) -> tuple[str, list[Span]]:
    """The text with signs in the place of what must survive, and what they stand for, in order."""
    spans: list[Span] = []

    def sign(kind: str, found: str) -> str:
        spans.append(Span(kind, found))
        return f"⟦{len(spans)}⟧"

    out = [
        sign("code", part) if bare else _SPAN.sub(lambda m: sign(str(m.lastgroup), m[0]), part)
        for bare, part in _parts(text)
    ]
    return "".join(out), spans


def _parts(text: str) -> list[tuple[bool, str]]:
    """The text cut into prose and code without a fence. What is fenced counts as prose here: `_SPAN` finds it."""
    if "```" in text or "~~~" in text:
        return [(False, text)]
    found: list[tuple[bool, str]] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at
        if _is_code(lines[at]):
            end = at + 1
            while end < len(lines) and (_is_code(lines[end]) or _MORE.fullmatch(lines[end])):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
        bare = end > at
        part = "\n".join(lines[at : max(end, at + 1)])
        at = max(end, at + 1)
        part += "\n" if at < len(lines) else ""
        if bare:
            kept = part.rstrip("\n")
            found += [(True, kept), (False, part[len(kept) :])]
        else:
            found.append((False, part))
    return _joined(found)


def _joined(parts: list[tuple[bool, str]]) -> list[tuple[bool, str]]:
    out: list[tuple[bool, str]] = []
    for bare, part in parts:
        if out and not bare and not out[-1][0]:
            out[-1] = (False, out[-1][1] + part)
        else:
            out.append((bare, part))
    return out


def _is_code(line: str) -> bool:
    return bool(line.strip()) and len(line) <= _LINE and _CODE.fullmatch(line) is not None


def wordless(masked_text: str) -> bool:
    """Whether nothing is left to translate: numbers, signs, code."""
    return _LETTER.search(_MARK.sub("", masked_text)) is None


def translation(text: str, source: str, spans: list[Span], scripts: frozenset[str] = frozenset()) -> str:
    """The translation in a JSON answer, with what was taken out put back. `source` is the masked text, `scripts` what
    the target language is written in, where that is known.

    Raises ParseError: what `json_object` raises, `no_translation`, `lost_code`, `lost_url`, `lost_formula`,
    `lost_placeholder` (a sign is missing or stands twice), `unknown_mark` (a sign that never was), `lost_number`,
    `untranslated` (the same text again), `wrong_script`.
    """
    found = json_object(text).get("translation")
    if not isinstance(found, str) or not found.strip():
        raise ParseError("no_translation", repr(found)[:80])
    found = found.strip()
    seen = Counter(int(mark) for mark in _MARK.findall(found))
    for number, span in enumerate(spans, 1):
        if seen.pop(number, 0) != 1:
            raise ParseError(f"lost_{span.kind}", span.text[:80], found)
    if seen:
        raise ParseError("unknown_mark", f"⟦{min(seen)}⟧", found)
    before, after = _MARK.sub(" ", source), _MARK.sub(" ", found)
    lost = _numbers(before, _NUMBER) - _numbers(after, _NUMBER)
    if lost and _numbers(before, _RUN) - _numbers(after, _RUN):
        raise ParseError("lost_number", min(lost), found)
    tokens = [word for word in words(after) if _LETTER.match(word)]
    if len(set(tokens)) >= _ENOUGH:
        if normal_form(before) == normal_form(after):
            raise ParseError("untranslated", found[:80], found)
        fitting = sum(script(word[0]) in scripts for word in tokens)
        if scripts and fitting * 2 < len(tokens):
            raise ParseError("wrong_script", f"{fitting} of {len(tokens)} words", found)
    return _MARK.sub(lambda mark: spans[int(mark[1]) - 1].text, found)


_ENOUGH = 4  # different words; a name, a label, a unit may be the same in both languages


def _numbers(text: str, pattern: re.Pattern[str]) -> Counter[str]:
    """The numbers of a text as ASCII digits: 1,234.5 and 1.234,5 and ١٬٢٣٤٫٥ are the same."""
    return Counter(
        "".join(str(unicodedata.digit(sign)) for sign in number if sign.isdigit())
        for number in pattern.findall(text)
    )
