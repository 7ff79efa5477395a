"""The instruction that a model found for a text."""

from __future__ import annotations

import re

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_object
from selfinstruct.text import normal_form

# An instruction that points at the text it was made from can't be followed without it.
_META = re.compile(
    r"\b(?:th(?:is|e) (?:text|passage|excerpt|response|document)\b(?! (?:file|box|editor|field|message|object|time))"
    r"|(?:above|given|following|provided) (?:text|passage|excerpt|article|response|document|answer)\b"
    r"|the (?:assistant|author of the text)\b)",
    re.IGNORECASE,
)
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
    if (meta := _META.search(found)) is not None and meta[0].lower() not in response.lower():
        raise ParseError("meta_words", meta[0])
    asked, answered = normal_form(found), normal_form(response)
    if asked == answered or (len(answered) >= _ALL and answered in asked):
        raise ParseError("echo", found[:80])
    return found
