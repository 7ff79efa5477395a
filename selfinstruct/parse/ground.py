"""What a teacher writes about a passage: pairs of question and answer, each with the words that it rests on."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_list
from selfinstruct.text import words


class Pair(NamedTuple):
    """A question, its answer, and the part of the passage that proves it."""

    question: str
    answer: str
    quote: str


def pairs(text: str, *, cut: bool = False) -> list[Pair | ParseError]:
    """The list under "pairs" in a JSON answer; a broken item becomes a ParseError in its place (bad_item,
    empty_question, empty_answer, empty_quote). Of one that was `cut` the pairs that are whole.

    Raises ParseError when the answer as a whole can't be read.
    """
    items = json_list(text, "pairs", cut=cut)
    if cut and len(items) == 1:
        raise items[0]
    return [item if isinstance(item, ParseError) else _pair(item) for item in items]


def _pair(item: object) -> Pair | ParseError:
    fields = [item.get(name) for name in Pair._fields] if isinstance(item, dict) else []
    shown = json.dumps(item, ensure_ascii=False)
    if len(fields) != 3 or not all(isinstance(field, str) for field in fields):
        return ParseError("bad_item", shown[:80], shown)
    pair = Pair(*(str(field).strip() for field in fields))
    empty = next((name for name, value in pair._asdict().items() if not value), None)
    return pair if empty is None else ParseError(f"empty_{empty}", "", shown)


def located(quote: str, passage: str) -> tuple[int, int] | None:
    """Where in the passage the quote stands, letter by letter but for white space; None where it does not."""
    sought = "".join(quote.split())
    places = [place for place, sign in enumerate(passage) if not sign.isspace()]
    letters = "".join(passage[place] for place in places)
    found = letters.find(sought) if sought else -1
    while found >= 0:
        start, end = places[found], places[found + len(sought) - 1] + 1
        if passage[start:end].split() == quote.split():  # "now here" is not "nowhere"
            return start, end
        found = letters.find(sought, found + 1)
    return None


def copied(answer: str, passage: str) -> int:
    """The longest run of words of the answer that stands in the passage in the same order."""
    signs: dict[str, str] = {}  # one sign a word, so that runs of words are pieces of text
    ours, theirs = (
        "".join(signs.setdefault(word, chr(len(signs) + _PRIVATE)) for word in words(text))
        for text in (answer, passage)
    )
    longest = 0
    for start in range(len(ours)):
        while start + longest < len(ours) and ours[start : start + longest + 1] in theirs:
            longest += 1
    return longest


_PRIVATE = 0xE000  # from here on there is no surrogate


_TEXT = (
    r"(?:passage|text|article|document|paragraph|excerpt|extract|snippet|section|chapter)s?"
    r"(?![ -](?:messag|edit|field|file|book|box|process|style|analy|generat|mining|format|encod)\w{0,9}"
    r"|[ ]of[ ](?:time|faith|law)\b)"
)
_REFERS = re.compile(
    r"\b(?:the|this|that|these|given|provided|above|following)[ ]"
    rf"(?:(?:given|provided|above|following|source|original)[ ])?{_TEXT}\b"
    rf"|\b(?:according[ ]to|in|from|based[ ]on)[ ](?:the|this|these)[ ](?:author|writer|context|material)\w{{0,3}}\b"
    rf"|\b(?:mentioned|described|stated|discussed|quoted)[ ](?:above|here|below|in[ ]the[ ]{_TEXT})\b|\bthe[ ]quote\b"
    r"|(?:文中|本文(?!化|明|学|學)|上文|原文|这段|這段|该段|該段|(?:根据|根據|依据)(?:文章|文本|文档|上述|段落|材料))"
    r"|(?:この文章|文章に)"
    r"|\b(?:(?:le|ce|du|au)[ ](?:texte|passage|document)|cet?[ ]article|l[’']extrait)\b"
    r"|\b(?:(?:der|dem|den|im|diese[rmn]?)[ ](?:Text|Textabschnitt|Abschnitt|Artikel)|laut[ ]Text)\b"
    r"|\b(?:(?:el|este|del|al)[ ](?:texto|pasaje|documento|artículo))\b"
    r"|(?:النص|الفقرة|المقال)|\b(?:в[ ]тексте|в[ ]статье|автор[ ]текста)\b",
    re.IGNORECASE,
)


def refers(text: str) -> str | None:
    """The words by which a text points to a passage that its reader does not see, or None."""
    found = _REFERS.search(text)
    return found[0] if found else None
