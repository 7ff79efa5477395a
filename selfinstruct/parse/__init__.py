"""Completions to values. Each function returns what was asked for or raises ParseError; nothing is guessed.

A part that can't be read never spoils its neighbours: the list parsers return a ParseError in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from selfinstruct.errors import ParseError
from selfinstruct.teachers import Completion

Part = TypeVar("Part")


class Task(NamedTuple):
    """One task as a teacher wrote it."""

    instruction: str
    input: str
    output: str


def usable(completion: Completion) -> str:
    """The text of an answer that ended by itself. Raises ParseError when it did not, or is empty."""
    if completion.finish_reason != "stop":
        reason = "truncated" if completion.finish_reason == "length" else completion.finish_reason
        raise ParseError(reason, completion.refusal or "")
    text = completion.text.strip()
    if not text:
        raise ParseError("empty_output", completion.refusal or "")
    return text


def parts(
    completion: Completion, read: Callable[..., list[Part | ParseError]], *, paper: bool = False
) -> list[Part | ParseError]:
    """What `read(text, cut=...)` finds in a completion; one ParseError where there is nothing to be read. With `paper`
    what a filter let through is read, too.
    """
    cut = completion.finish_reason == "length"
    if completion.finish_reason in ("filtered", "rejected") and not (paper and completion.text):
        return [ParseError(completion.finish_reason, completion.refusal or "")]
    if not completion.text.strip():
        return [ParseError("truncated" if cut else "empty_completion")]
    try:
        return read(completion.text, cut=cut)
    except ParseError as error:
        return [ParseError("truncated" if cut else error.reason, error.detail)]


NO_INPUT = "<noinput>"
_HEAD = re.compile(
    r"^[ \t]*(?:#{2,3}[ \t]*)?(?:\*\*)?(\d{1,3})\.[ \t]*(?:\*\*)?(Instruction|Input|Output)[ \t]*"
    r"(?::\*\*|\*\*[ \t]*:|:)",  # bold labels are a habit of chat models
    re.MULTILINE,
)
_OPENING = re.compile(r"\A\s*(?:#{2,}\s*)+")
_DEEPEST = 200  # levels of nesting; more is no answer to any of our schemas


def blocks(text: str, first: int, *, cut: bool) -> list[Task | ParseError]:
    """Alpaca's numbered blocks, repaired: each block's own labels and number are read, so that one wrong number costs
    one block, and a ### inside an answer is text.

    `text` may begin with the number and label that the prompt already holds (task `first`) or without. `cut` says that
    the completion ended at max_tokens, which makes the last block a fragment.
    """
    body = _OPENING.sub("", text)
    if not _HEAD.match(body.lstrip()):
        body = f"{first}. Instruction: {body}"
    heads = list(_HEAD.finditer(body))
    found: list[Task | ParseError] = []
    starts = [k for k, head in enumerate(heads) if head[2] == "Instruction"]
    if heads and (not starts or starts[0] != 0):
        found.append(ParseError("bad_block", "labels before the first instruction"))
    for k, next_k in zip(starts, [*starts[1:], len(heads)], strict=False):
        parts = heads[k:next_k]
        ends = [head.start() for head in heads[k + 1 : next_k + 1]]
        last = next_k == len(heads)
        if last:
            ends.append(len(body))
        text = body[parts[0].start() : ends[-1]]
        labels = [part[2] for part in parts]
        numbers = [part[1] for part in parts]
        if last and cut:
            found.append(ParseError("truncated", "the completion ended inside this block", text))
        elif labels != ["Instruction", "Input", "Output"]:
            found.append(ParseError("bad_block", f"labels {', '.join(labels)}", text))
        elif len(set(numbers)) > 1:
            found.append(ParseError("bad_number", f"numbers {', '.join(numbers)} in one block", text))
        else:
            values = [body[part.end() : end] for part, end in zip(parts, ends, strict=True)]
            found.append(_task(*map(_unframed, values)))
    return found


def _unframed(value: str) -> str:
    """Without the lines of ### that close a block."""
    value = value.strip()
    while value.endswith("##"):
        rest = value.rstrip("#").rstrip(" \t")
        if rest and not rest.endswith("\n"):
            break
        value = rest.rstrip()
    return value


def _task(instruction: str, input: str, output: str) -> Task:
    return Task(instruction, "" if input.lower() == NO_INPUT else input, output)


def blocks_paper(text: str, first: int, *, cut: bool) -> list[Task | ParseError]:
    """Alpaca's own rule (stanford_alpaca, generate_instruction.py): the completion continues "`first`. Instruction:",
    pieces between ### must carry consecutive numbers, and the last piece is ignored when the completion was cut. Its
    label `4. Input:` is also found inside `14. Input:`.
    """
    found: list[Task | ParseError] = []
    pieces = f"{first}. Instruction:{text}".split("###")
    for place, piece in enumerate(pieces):
        if not piece.strip():
            continue  # between ### and ###, or after the last one: no task was begun
        if cut and place == len(pieces) - 1:
            found.append(ParseError("truncated", "the completion ended inside this block", piece))
            continue
        parts = re.split(rf"{first + place}\.\s+(?:Instruction|Input|Output):", piece)
        if len(parts) != 4:
            found.append(ParseError("bad_block", f"{len(parts) - 1} labels numbered {first + place}", piece))
        else:
            found.append(_task(*(part.strip() for part in parts[1:])))
    return found


def json_object(text: str) -> dict[str, Any]:
    """The one JSON object of a completion: bare, in a code fence, or with prose around it.

    Raises ParseError: `no_json`, `two_objects` (which one was meant?), `bad_json` (broken or cut).
    """
    start = text.find("{")
    if start < 0:
        raise ParseError("no_json", text.strip()[:80])
    if text.count("{") + text.count("[") > 100_000 or _depth(text) > _DEEPEST:
        raise ParseError("bad_json", "nested too deeply")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise ParseError("bad_json", str(error)) from None
    if "{" in text[end:]:
        raise ParseError("two_objects", text[end : end + 80])
    found: dict[str, Any] = value  # what begins with { is an object
    return found


def json_list(text: str, name: str, *, cut: bool = False) -> list[Any]:
    """The list under `name` in the JSON object of a completion. Of one that was `cut` the items that are whole, and a
    ParseError for the rest.

    Raises ParseError as `json_object` does, and `bad_json` when there is no such list.
    """
    try:
        items = json_object(text).get(name)
    except ParseError:
        if not cut:
            raise
        return _before_the_cut(text, name)
    if not isinstance(items, list):
        raise ParseError("bad_json", f'no list under "{name}"')
    return items


def _before_the_cut(text: str, name: str) -> list[Any]:
    head = re.search(rf'\{{\s*"{name}"\s*:\s*\[\s*', text)
    at = len(text) if head is None else head.end()
    items: list[Any] = []
    while True:
        try:
            item, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [*items, ParseError("truncated", "the completion ended inside this item", text[at:])]
        items.append(item)
        next_item = _NEXT.match(text, end)
        at = end if next_item is None else next_item.end()


_NEXT = re.compile(r"\s*+,\s*+")


def _depth(text: str) -> int:
    deepest = level = 0
    for sign in re.findall(r"[\[\]{}]", text):
        level += 1 if sign in "[{" else -1
        deepest = max(deepest, level)
    return deepest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


# not strict: models without a schema write line ends in their texts as they are, and what is meant is plain
_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_distinct, strict=False)


def tasks(text: str, *, cut: bool = False) -> list[Task | ParseError]:
    """The list under "tasks" in a JSON answer; a broken item becomes a ParseError in its place, and what was `cut` one
    at the end.

    Raises ParseError when the answer as a whole can't be read.
    """
    found: list[Task | ParseError] = []
    for item in json_list(text, "tasks", cut=cut):
        if isinstance(item, ParseError):
            found.append(item)
            continue
        fields = [item.get(name) for name in Task._fields] if isinstance(item, dict) else []
        if len(fields) == 3 and all(isinstance(field, str) for field in fields):
            found.append(_task(*(str(field).strip() for field in fields)))
        else:
            found.append(ParseError("bad_item", json.dumps(item)[:80]))
    return found


class Verdict(NamedTuple):
    """A judge's answer; `score` is None when the judge says that it can't tell."""

    score: float | None
    reason: str


_NUMBER = r"([-+]?\d{1,4}(?:\.\d{1,4}|,\d{1,2})?)(?:\s*(?:/|(?:out )?of)\s*(\d{1,4}))?"
_DRESS = r"[ \t*_`\"'“”()\[\]]{0,8}"  # what models put around a number; nothing that changes its meaning
_PART = r"(?:to|or|and)?[^\w\n]{0,8}(?:\d|(?:out )?of\b)|[%/]"  # what makes a number a part of something else
_END = rf"(?={_DRESS}[.,;:!]{{0,3}}(?:\r?$|[ \t]++(?!{_PART})))"
_SCORED = re.compile(
    rf"\b(?:score|rating|grade|accuracy)\b{_DRESS}[:=：]{_DRESS}{_NUMBER}{_END}", re.IGNORECASE | re.MULTILINE
)
_MARKED = re.compile(r"\[\[(\d{1,4}(?:\.\d{1,4})?)\]\]")
_ALONE = re.compile(rf"{_DRESS}{_NUMBER}{_DRESS}[.!]?{_DRESS}", re.IGNORECASE)


def verdict(text: str, low: float, high: float) -> Verdict:
    """A score from `low` to `high`: a JSON object {"score", "reason"}, or a first line that holds nothing but a number,
    or a labelled number ("Score: 4.5/5", "**Rating**: 4,5"), or one in double brackets, as MT-Bench asks for ("[[8]]").

    Raises ParseError: `no_score`, `two_scores` (they disagree), `out_of_range`, `two_objects`, `bad_json`.
    """
    marked = set(_MARKED.findall(text))
    if len(marked) == 1 and '"score"' not in text:
        return Verdict(_ranged(marked.pop(), None, low, high), text.strip())
    if "{" in text:
        answer = json_object(text)
        score = answer.get("score", "")
        reason = answer.get("reason")
        why = reason if isinstance(reason, str) else ""
        if score is None:
            return Verdict(None, why)
        if isinstance(score, str):
            alone = _ALONE.fullmatch(score.strip())
            if alone is None:
                raise ParseError("no_score", score[:80])
            return Verdict(_ranged(alone[1], alone[2], low, high), why)
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise ParseError("no_score", repr(score)[:80])
        return Verdict(_ranged(str(score), None, low, high), why)
    first, _, rest = text.strip().partition("\n")
    alone = _ALONE.fullmatch(first.strip())
    matches = [*([alone] if alone is not None else []), *_SCORED.finditer(text)]
    found = {_ranged(match[1], match[2], low, high) for match in matches}
    if not found:
        raise ParseError("no_score", text[:80])
    if len(found) > 1:
        raise ParseError("two_scores", ", ".join(str(score) for score in sorted(found)))
    return Verdict(found.pop(), (rest if alone is not None else text).strip())


def _ranged(number: str, of: str | None, low: float, high: float) -> float:
    score = float(number.replace(",", "."))
    if not low <= score <= high or (of is not None and float(of) != high):
        raise ParseError(
            "out_of_range", f"{number}{'/' + of if of else ''} is not between {low:g} and {high:g}"
        )
    return score
