"""Instructions written for a cell of a grid, and personas."""

from __future__ import annotations

import json
import re

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_list, json_object

# Words of the prompt that must not come back in an instruction.
_META = re.compile(
    r"\b(?:(?:the|this|given) persona\b(?! (?:of|for|behind)\b)|as a persona\b"
    r"|(?:this|given|chosen) difficulty\b|(?:given|chosen) domain\b)"
    r"|^\W{0,3}(?:persona|domain|difficulty(?: level)?) ?:",
    re.IGNORECASE | re.MULTILINE,
)


def instructions(text: str, k: int, *, cut: bool = False) -> list[str | ParseError]:
    """The instructions in a JSON answer, at most `k`; a broken one is a ParseError in its place: `bad_item`, `empty`,
    `meta_words`, `surplus` (more than were asked for), and `truncated` at the end of one that was `cut`.

    Raises ParseError when the answer as a whole can't be read.
    """
    items = json_list(text, "instructions", cut=cut)
    if not items:
        raise ParseError("bad_json", 'nothing under "instructions"')
    found: list[str | ParseError] = []
    for place, item in enumerate(items):
        if isinstance(item, ParseError):
            found.append(item)
        elif not isinstance(item, str):
            found.append(ParseError("bad_item", json.dumps(item, ensure_ascii=False)[:80]))
        elif not item.strip():
            found.append(ParseError("empty"))
        elif (meta := _META.search(item)) is not None:
            found.append(ParseError("meta_words", meta[0], item))
        elif place >= k:
            found.append(ParseError("surplus", f"more than {k}", item))
        else:
            found.append(item.strip())
    return found


def persona(text: str) -> str:
    """The persona in a JSON answer. Raises ParseError: `no_persona`, and what `json_object` raises."""
    found = json_object(text).get("persona")
    if not isinstance(found, str) or not found.strip():
        raise ParseError("no_persona", repr(found)[:80])
    return " ".join(found.split())
