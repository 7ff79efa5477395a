"""The instruction that a model found for a text."""

from __future__ import annotations

import re

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_object
from selfinstruct.text import normal_form, words

# An instruction that points at the text it was made from can't be followed without it.
_TEXT = r"(?:text|passage|excerpt|article|document|response)"
_META = re.compile(
    rf"\b(?:this {_TEXT}\b(?! (?:file|box|editor|field|message|object|time|format))"
    rf"|the above {_TEXT}\b|{_TEXT} above\b(?! \d)|(?:following|provided) {_TEXT}\b"
    r"|(?:according to|based on|summari[sz]e|rewrite|paraphrase) the (?:text|passage|excerpt)\b)",
    re.IGNORECASE,
)
_BROUGHT = 8  # words behind it by which an instruction brings the text along: "Shorten this text: ..."
_ALL = 40  # characters from which a text inside the instruction gives the answer away


def instruction(text: str, response: str) -> str:
    """The instruction in a JSON answer, for the text `response`.

    Raises ParseError: `no_json`, `bad_json`, `two_objects`, `no_instruction`, `meta_words` (it speaks of the text),
    `echo` (it is the text, or holds it).
    """
    found = json_object(text).get("instruction")
    if not isinstance(found, str) or not found.strip():
        raise ParseError("no_instruction", repr(found)[:80])
    found = found.strip()
    meta = _META.search(found)
    if (
        meta is not None
        and len(words(found[meta.end() :])) < _BROUGHT
        and meta[0].lower() not in response.lower()
    ):
        raise ParseError("meta_words", meta[0])
    asked, answered = normal_form(found), normal_form(response)
    if asked == answered or (len(answered) >= _ALL and answered in asked):
        raise ParseError("echo", found[:80])
    return found
