"""What a judge says of several answers at once: which of two is better, or a rating of each.

Many forms are read, since models fall into forms that nobody asked for: JSON, `[[A]]` (MT-Bench), `Output (a) is
better` (LLMBar), two scores (Vicuna), `[1] Score: 3` (Deita), a heading and a line `Rating: 4` (UltraFeedback). What
says two different things, or names a text that was not shown, is a ParseError.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_object

Side = Literal["first", "second", "tie"]

_DRESS = r"[ \t*_`#>\"'“”]{0,8}"  # what models put around a label or a number
_SIDES: dict[str, Side] = {
    **dict.fromkeys(("a", "1", "first"), "first"),
    **dict.fromkeys(("b", "2", "second"), "second"),
    **dict.fromkeys(("c", "tie", "tied", "equal", "both", "neither"), "tie"),
}
_NOUN = r"(?:output|answer|response|assistant|model|text|option)"
_NAMED = re.compile(  # and no colon behind it: "Output (a):" is a heading
    rf"\W{{0,8}}(?:{_NOUN} )?\W{{0,4}}(a|b|c|1|2|first|second|tied?|equal|both|neither)[^\w:：]{{0,8}}",
    re.IGNORECASE,
)
_MARKED = re.compile(r"\[\[(a|b|c|tie)\]\]", re.IGNORECASE)
_CLAIMED = re.compile(rf"\b{_NOUN} \(?(a|b|1|2)\)? is (?:the )?better\b", re.IGNORECASE)


def claims(text: str) -> list[Side]:
    """Every verdict on two answers that the text holds, in its order; of the clearest form that it uses."""
    if "{" in text and '"better"' in text:
        said = json_object(text).get("better")
        named = _NAMED.fullmatch(said) if isinstance(said, str) else None
        return [_SIDES[named[1].lower()]] if named else []
    alone = _NAMED.fullmatch(text.strip().partition("\n")[0].strip())
    if alone is not None:
        return [_SIDES[alone[1].lower()]]
    for form in (_MARKED, _CLAIMED):
        if found := [_SIDES[match[1].lower()] for match in form.finditer(text)]:
            return found
    try:
        first, second = two_scores(text)
    except ParseError:
        return []
    return ["tie" if first == second else "first" if first > second else "second"]


def better(text: str) -> Side:
    """Which of the two answers that were shown is better.

    Raises ParseError: `no_verdict`, `two_verdicts` (they disagree), `two_objects`, `bad_json`.
    """
    found = claims(text)
    if not found:
        raise ParseError("no_verdict", text.strip()[:80])
    if len(set(found)) > 1:
        raise ParseError("two_verdicts", ", ".join(found))
    return found[0]


_SCORE = r"(\d{1,2}(?:\.\d{1,2})?)(?![\d.]\d|\d)"
_TWO = re.compile(rf"{_DRESS}\(?{_SCORE}(?:,[ \t]?|[ \t]){_SCORE}\)?{_DRESS}\.?")
_PAIRED = re.compile(rf"\({_SCORE},[ \t]?{_SCORE}\)")
_EACH = re.compile(
    rf"^{_DRESS}(?:assistant|response|answer)[ \t]([12ab]){_DRESS}:{_DRESS}{_SCORE}(?:/10)?(?=[ \t]*(?:$|[-–(]))",
    re.IGNORECASE | re.MULTILINE,
)


def two_scores(text: str, high: float = 10) -> tuple[float, float]:
    """The scores of two answers, from 0 to `high`: a first line "8 9", as Vicuna's evaluation asks for, or, from a
    judge that thinks first, its last pair of lines "Assistant 1: 8" and "Assistant 2: 9", or its last "(8, 9)".

    Raises ParseError: `no_score`, `out_of_range`.
    """
    found = _TWO.fullmatch(text.strip().partition("\n")[0].strip())
    if found is not None:
        scores = found[1], found[2]
    else:
        each = {match[1].lower().translate(_NUMBERED): match[2] for match in _EACH.finditer(text)}
        pairs = _PAIRED.findall(text)
        if len(each) == 2:
            scores = each["1"], each["2"]
        elif pairs:
            scores = pairs[-1]
        else:
            raise ParseError("no_score", text.strip()[:80])
    first, second = float(scores[0]), float(scores[1])
    if max(first, second) > high:
        raise ParseError("out_of_range", f"{first:g} and {second:g} are not both between 0 and {high:g}")
    return first, second


_NUMBERED = str.maketrans("ab", "12")


class Rating(NamedTuple):
    """A whole number, and why."""

    score: int
    reason: str


_ITEM = re.compile(
    rf"{_DRESS}(?:[a-z]{{1,12}} ){{0,3}}[\[(]?(\d{{1,3}})[\])]?{_DRESS}[.:)]?{_DRESS}"
    rf"(?:(?:score|rating){_DRESS}[:=]{_DRESS}(\S.{{0,400}})?)?",
    re.IGNORECASE,
)
_RATED = re.compile(rf"{_DRESS}(?:score|rating){_DRESS}[:=]{_DRESS}(\S.{{0,400}})?", re.IGNORECASE)
_WHY = re.compile(
    rf"{_DRESS}(?:rationale|reason|explanation){_DRESS}[:=]{_DRESS}(\S.{{0,2000}})", re.IGNORECASE
)
# A whole number and nothing that makes it another one: 10 is no 1, 4.5 no 4, and "4 to 5" and "4-5" are neither.
_WHOLE = re.compile(
    r"[\[(*_`\"'“]{0,4}([-+]?\d{1,4})(?:\.0{1,2})?(?:[ \t]?/[ \t]?(\d{1,4}))?[\])*_`\"'”]{0,4}"
    r"(?:[.!]?|[ \t]{0,3}[-–—(:;][ \t]{0,3}(?![\d \t]).{0,400}|\.[ \t].{0,400})"
)
_WITHHELD = re.compile(r"\W{0,4}(?:n/?a|none|null|not applicable|unknown)\b.{0,400}", re.IGNORECASE)


def ratings(text: str, count: int, low: int, high: int) -> list[Rating | ParseError]:
    """The rating of each of `count` texts that were shown under the numbers 1 to `count`, in their order.

    Reads {"ratings": [{"id", "rating", "rationale"}]}, lines "[2] Score: 3", and headings "Text 2" with lines
    "Rating: 3" and "Rationale: ..." below. A rating is a whole number from `low` to `high`; one that can't be read is
    a ParseError in its place: `no_score`, `out_of_range`, `withheld` (the judge says that it can't tell).

    Raises ParseError where no rating can be trusted: `no_score` (there is none at all), `bad_ids` (one is of a text
    that was not shown, or of one that has one already), `no_json`, `bad_json`, `two_objects`.
    """
    found = _in_json(text) if "{" in text and '"ratings"' in text else _in_lines(text)
    if not found:
        raise ParseError("no_score", text.strip()[:80])
    numbers = [number for number, _, _ in found]
    if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(1, count + 1)):
        raise ParseError(
            "bad_ids", f"ratings of {', '.join(map(str, numbers))[:80]}; shown were 1 to {count}"
        )
    read: dict[int, Rating | ParseError] = {
        number: _rating(value, why, low, high) for number, value, why in found
    }
    missing = ParseError("no_score", "it was left out")
    return [read.get(number, missing) for number in range(1, count + 1)]


_Found = tuple[int, Any, str]  # number, rating as it was written, rationale


def _in_json(text: str) -> list[_Found]:
    items = json_object(text).get("ratings")
    if not isinstance(items, list):
        raise ParseError("bad_json", 'no list under "ratings"')
    found = []
    for item in items:
        number = str(item.get("id")) if isinstance(item, dict) else ""
        named = re.fullmatch(r"\W{0,4}(?:[A-Za-z]{1,12} )?\[?(\d{1,3})\]?", number)
        if named is None:
            raise ParseError("bad_ids", json.dumps(item)[:80])
        why = item.get("rationale")
        found.append((int(named[1]), item.get("rating", ""), why if isinstance(why, str) else ""))
    return found


def _in_lines(text: str) -> list[_Found]:
    found: list[_Found] = []
    open: int | None = None  # the text that a heading has named
    for line in text.splitlines():
        line = line.strip()[:2_500]
        if item := _ITEM.fullmatch(line):
            open = int(item[1])
            if item[2] is not None:
                found.append((open, item[2], ""))
                open = None
        elif open is not None and (rated := _RATED.fullmatch(line)):
            found.append((open, rated[1] or "", ""))
            open = None
        elif found and (why := _WHY.fullmatch(line)):
            found[-1] = (*found[-1][:2], why[1].strip())
    return found


def _rating(value: Any, why: str, low: int, high: int) -> Rating | ParseError:
    if value is None or (isinstance(value, str) and _WITHHELD.fullmatch(value.strip())):
        return ParseError("withheld", why[:80])
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ParseError("no_score", repr(value)[:80])
    whole = _WHOLE.fullmatch(str(value).strip())
    if whole is None:
        return ParseError("no_score", str(value)[:80])
    score = int(whole[1])
    if not low <= score <= high or (whole[2] is not None and int(whole[2]) != high):
        return ParseError("out_of_range", f"{str(value)[:20]} is not a whole number from {low} to {high}")
    return Rating(score, why)
