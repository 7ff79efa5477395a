"""Does not translate: writes a pseudo-language, and says so in front of each text.

Letters are exchanged by a fixed rule, into the script of the language that is asked for; numbers and the signs that
stand for code stay. So all that can be checked about a translation is there to be checked, and nobody takes it for one.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.said import contract, marked, said
from selfinstruct.text import script, scripts

_INTO = re.compile(r"translate texts into ([^.\n]{1,80})\.")
_MARK = re.compile(r"⟦\d+⟧")
_PIECE = re.compile(r"⟦\d+⟧|[^\W\d_]+")
_NUMBER = re.compile(r"\d+")
# Where 26 letters of a script are found.
_STARTS = {
    "CYRILLIC": 0x430,
    "GREEK": 0x3B1,
    "ARABIC": 0x627,
    "HEBREW": 0x5D0,
    "DEVANAGARI": 0x915,
    "BENGALI": 0x995,
    "TAMIL": 0xB85,
    "THAI": 0xE01,
    "CJK": 0x4E00,
    "HANGUL": 0xAC00,
    "GEORGIAN": 0x10D0,
    "ARMENIAN": 0x561,
    "ETHIOPIC": 0x1200,
}


def turned(asked: Asked) -> Answer | None:
    """The text in the pseudo-language."""
    form = contract(asked)
    text = marked(asked.last, "text") if '"translation": "' in form else None
    if text is None:
        return None
    into = _INTO.search(form)
    language = into[1] if into else "English"
    told = f"(pseudo-{language.split()[0]}) {pseudo(text, language)}"
    if asked.rng.random() < asked.writer.wrong:
        told = _wrong(told, text, asked)
    return said(asked, {"translation": told})


def pseudo(text: str, language: str) -> str:
    """`text` with its letters exchanged."""
    alphabet = _alphabet(min(scripts(language), default="LATIN"))

    def word(found: re.Match[str]) -> str:
        if found[0].startswith("⟦"):
            return found[0]
        if not alphabet:
            turned = found[0][1:].lower() + found[0][0].lower() + "o"
            return turned.capitalize() if found[0][0].isupper() else turned
        return "".join(alphabet[_place(letter)] for letter in found[0])

    return _PIECE.sub(word, text)


def _wrong(told: str, text: str, asked: Asked) -> str:
    kind = asked.rng.randrange(3)
    marks, numbers = _MARK.findall(told), _NUMBER.findall(_MARK.sub("", told))
    if kind == 0 and marks:
        return told.replace(asked.rng.choice(marks), "", 1)
    if kind == 1 and numbers:
        gone = asked.rng.choice(numbers)
        return re.sub(rf"(?<![⟦\d]){gone}(?![⟧\d])", str(int(gone) + 1), told, count=1)
    return text


@functools.cache
def _alphabet(name: str) -> str:
    """Letters of a script; none for Latin, and for one that has no place in the table."""
    start = _STARTS.get(name)
    if start is None:
        return ""
    letters = [chr(c) for c in range(start, start + 80) if unicodedata.category(chr(c))[0] == "L"]
    return "".join(letter for letter in letters if script(letter) == name)


def _place(letter: str) -> int:
    base = unicodedata.normalize("NFKD", letter)[0].lower()
    return (ord(base) - ord("a")) % 22 if "a" <= base <= "z" else ord(base) % 22
