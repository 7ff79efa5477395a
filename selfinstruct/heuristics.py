"""The rules that a new instruction has to pass before it is compared with the pool; and what refuses to answer.

`paper` is what the published code does (Self-Instruct, `bootstrap_instructions.py`; Alpaca,
`generate_instruction.py`, whose list of words is longer). Both look at English text of 2022's GPT-3.
`fixed` keeps what each rule is for and lets through what the rule was never meant to stop:

    rule          paper                              fixed
    length        white space separates words        words of any script; against the upper bound, a character
                                                     of an unspaced script counts as half a word
    a word that   one of 18 words anywhere: "plot    the task asks to make or open a picture, sound, film or
    text can't    of the novel", "video game", "to   chart, hands one over ("the given image"), or begins
    do            go to Mars" are dropped            with draw, plot or go to
    first char    ASCII punctuation or non-ASCII     what cut lists and forms leave: "- x", "[insert x]"
    "Write a      dropped: GPT-3 wrote too many      kept: the comparison with the pool holds their number
    program"                                         down
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Sequence
from typing import Literal

from selfinstruct.text import words

Fidelity = Literal["fixed", "paper"]

# Self-Instruct's words, then those that Alpaca added.
SELF_INSTRUCT_WORDS = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
    *("draw", "plot", "go to"),
)
ALPACA_WORDS = (*SELF_INSTRUCT_WORDS, "video", "audio", "music", "flowchart", "diagram")


def instruction_fault(
    instruction: str,
    *,
    fidelity: Fidelity = "fixed",
    low: int = 4,
    high: int = 150,
    banned: Sequence[str] | None = None,
) -> str | None:
    """Why an instruction is not taken into the pool, or None.

    Args:
      instruction: The text, stripped.
      fidelity: See the table above.
      low: The least number of words.
      high: The greatest number of words.
      banned: Words and phrases that drop an instruction wherever they occur whole, in any case. None takes
        Alpaca's list with `paper`, and the rule of the table with `fixed`.

    Returns:
      The first of: empty, too_short, too_long, banned_word, beyond_text (`fixed` only), write_a_program
      (`paper` only), odd_start; in the order of the published code.
    """
    text = instruction.strip()
    if not text:
        return "empty"
    paper = fidelity == "paper"
    least, most = (len(text.split()),) * 2 if paper else _count(text)
    if least < low:
        return "too_short"
    if most > high:
        return "too_long"
    if banned is None and paper:
        banned = ALPACA_WORDS
    if banned and _whole(tuple(banned)).search(text):
        return "banned_word"
    if banned is None and _BEYOND.search(text):
        return "beyond_text"
    if paper:
        if text.startswith("Write a program"):
            return "write_a_program"
        return "odd_start" if text[0] in string.punctuation or not text[0].isascii() else None
    return "odd_start" if _odd_start(text) else None


def _count(text: str) -> tuple[int, float]:
    """The number of words for the lower bound and for the upper one; never stricter than counting spaces."""
    spaced, found = len(text.split()), words(text)
    unspaced = sum(ord(word[0]) >= _UNSPACED_FROM and len(word) <= 2 for word in found)
    return max(spaced, len(found)), spaced + unspaced / 2


# Thai is the first script without spaces; from there on a word of one character and its mark is unspaced.
_UNSPACED_FROM = 0x0E00


@functools.cache
def _whole(phrases: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, phrases))})\b", re.IGNORECASE)


def _any(choices: str) -> str:
    return f"(?:{'|'.join(choices.split())})"


_SHOWN = _any("images? pictures? photos? photographs? videos? audio music flowcharts? diagrams?")
_MADE = _any(f"{_SHOWN} graphs? maps?")
_OPENED = _any(f"{_MADE} files? recordings?")
_MAKE = _any(
    "draw sketch paint illustrate create make design generate produce construct build compose record render plot "
    "show display"
)
_OPEN = _any(r"open upload download attach play watch view crop edit look\s+at listen\s+to")
_HANDED = _any("this these given following attached provided accompanying")
_PRESENT = _any("given provided attached shown below above")
_CLAIM = _any(
    r"conclusions? comparisons? inferences? parallels? distinctions? analog\w+ connections? lessons? contrasts?"
)
_IS = _any(r"is are was were you\s+are")
_ARTICLE = _any("an? any the your some")
_SMALL = _any("of for from to about in on with that and or than by")
# The noun itself is meant only where the phrase ends with it; "video game" and "map function" go on.
_AFTER = _any(
    f"{_SMALL} at which who into as you we it is are was were here using based inspired {_PRESENT} "
    r"\w+(?:ing|s|ates?)\s+(?:the|a|an|how|that)"
)
_ENDS = rf"(?=\s*(?:[^\w\s'’-]|$)|\s+{_AFTER}\b)"
# bounded, so that a thousand line ends are not looked over a thousand times
_BEGIN = r"(?:^|[.!?;:\n]\s{0,9}|\b(?:please|and|then|(?:can|could|would|will) you|i want you to)\s{1,9})"
_FILL = rf"(?:(?!{_SMALL}\b)[\w()'’-]+\s+){{0,4}}"
_PIECE = r"(?:pieces?\s+of\s+)?"
_BEYOND = re.compile(
    "|".join(
        (
            rf"{_BEGIN}{_MAKE}\s+{_FILL}{_PIECE}{_FILL}{_MADE}{_ENDS}",  # "Compose a short piece of music"
            rf"{_BEGIN}{_OPEN}\s+{_FILL}{_OPENED}{_ENDS}",  # "Play the audio file"
            rf"\b{_HANDED}\s+(?:\w+\s+)?{_PIECE}{_SHOWN}{_ENDS}",  # "the given picture"
            rf"\b{_SHOWN}\s+(?:(?:that\s+)?{_IS}\s+)?{_PRESENT}\b",  # "the video provided"
            rf"{_BEGIN}draw\s+(?!(?:{_ARTICLE}\s+)?(?:\w+\s+)?{_CLAIM}\b|(?:on|from|upon|attention)\b)",
            rf"{_BEGIN}plot\s+(?:an?|the|this|these|those|my|our|its?|each|both|[xyf])\b",
            r"(?:^|[.!?]\s+)go\s+to\b",
        )
    ),
    re.IGNORECASE,
)

_SIGNS = "\"'#@/\\.&¿¡%"  # these may begin a word: ".NET", "#include", "@user", "¿Qué"


def _odd_start(text: str) -> bool:
    """Whether the text begins as a cut list item or a form does: "- x", "[insert x]", "| x"."""
    first, second = text[0], text[1:2]
    if first in _SIGNS:
        return second.isspace() or not second or (first == "." and not second.isalnum())
    if first.isascii():
        return not first.isalnum() and first != "$"
    emoji = ord(first) >= 0x1F000
    return not (first.isalnum() or emoji or unicodedata.category(first) in ("Sc", "Ps", "Pi"))


def refusal_fault(answer: str, *, boilerplate: bool = True) -> str | None:
    """`refusal` for an answer that begins by refusing, `boilerplate` for one that speaks of itself as an AI model
    anywhere, else None. Reads English."""
    start = " ".join(answer[:400].replace("’", "'").split())
    if _REFUSES.match(start):
        return "refusal"
    return "boilerplate" if boilerplate and _AS_AI.search(answer.replace("’", "'")) else None


_AI = r"an?\s+(?:ai|artificial intelligence|(?:large )?language)(?:\s+language)?(?:\s+(?:model|assistant|chatbot))?"
_SORRY = (
    r"(?:(?:(?:i'm|i am|we're|we are)\s+)?(?:(?:very|so|truly|really)\s+)?(?:sorry|afraid)|(?:my|i)\s+apolog\w+"
    r"|unfortunately|regrettably)"
)
_CANT = (
    r"i\s*(?:can't|cannot|can not|won't|will not|do not have|don't have|(?:must|have to) (?:decline|"
    r"refuse)|(?:am|'m) (?:unable|not (?:able|allowed|programmed|designed|capable)))"
)
# What an assistant can't do for its user; "I can't make it to your party" is an answer.
_TASK = (
    r"(?:help|assist|provide|answer|comply|fulfil\w*|do (?:that|this|so)|complete|process|generate|create|access|browse"
    r"|open|view|read (?:the|your|this)|support|discuss|offer|respond|perform|continue|engage|produce|write|execute"
    r"|translate|summari[sz]e|give (?:you|advice|medical|legal)|display|draw|see|play|determine|identify"
    r"|(?:enough|sufficient|any) (?:information|context|data)"
    r"|the (?:ability|capability|capacity|information))"
)
_HOW = r"(?:(?:to|be able to|\w+ly)\s+){0,2}"
_REFUSES = re.compile(
    rf"{_SORRY}\b[,.;:!]?\s*(?:but\s+|that\s+)?(?:(?:as {_AI}|without)\b[^.]{{0,60}}?,?\s*)?"
    rf"{_CANT}\s+{_HOW}{_TASK}\b"
    rf"|{_CANT}\s+{_HOW}{_TASK}\b"
    rf"|as {_AI}\b[^.]{{0,80}}?\b{_CANT}\b"
    rf"|{_SORRY}\b,?\s*(?:but\s+)?as {_AI}\b"
    r"|i'?m sorry,? (?:but )?(?:this|that|your) (?:request|question|instruction|content)\b",
    re.IGNORECASE,
)
_AS_AI = re.compile(
    rf"\bas {_AI},?\s+i\b|\bi(?:'m| am) (?:just |only |merely )?an ai (?:language )?model\b", re.IGNORECASE
)
