"""Judges by recomputing: the highest score for a right answer, a low one for a wrong one, null for an unknown task."""

from __future__ import annotations

import json
import re
from random import Random

from selfinstruct.teachers.offline.catalog import check, solve
from selfinstruct.teachers.offline.part import Answer, Asked

_CONTRACT = re.compile(r"""\{\s*["']score["']\s*:""")
_RANGE = re.compile(r"\bfrom (-?\d+(?:\.\d+)?) to (-?\d+(?:\.\d+)?)")
_PART = r"<(?P<fence>[^\s<>]{{1,64}}) {part}>(?P<text>.*?)</(?P=fence) {part}>"
_CONVERSATION = re.compile(_PART.format(part="conversation"), re.DOTALL)
_RESPONSE = re.compile(_PART.format(part="response"), re.DOTALL)
_TURN = re.compile(r"^\W{0,9}(?:user|human)\W{0,9}:?\W{0,9}?\s{1,9}", re.IGNORECASE | re.MULTILINE)
LOW, HIGH = 0.0, 5.0  # AlpaGasus (Chen et al. 2023, section 3), where the prompt names no range


def graded(asked: Asked) -> Answer | None:
    """The verdict on a response."""
    if not asks_score(asked.text):
        return None
    wrong, malformed = asked.writer.wrong, asked.writer.malformed
    return Answer(verdict(asked.text, asked.rng, wrong=wrong, malformed=malformed, structured=asked.held))


def asks_score(text: str) -> bool:
    """Whether {"score": ...} is asked for, of a conversation and a response between marks."""
    return bool(_CONTRACT.search(text) and _CONVERSATION.search(text) and _RESPONSE.search(text))


def verdict(text: str, rng: Random, *, wrong: float, malformed: float, structured: bool) -> str:
    """The verdict as JSON text. A quarter of `wrong` is the rate at which right and wrong are exchanged."""
    asked, response = _CONVERSATION.search(text), _RESPONSE.search(text)
    limits = _RANGE.search(text[: asked.start()] if asked else text)
    low, high = (float(limits[1]), float(limits[2])) if limits else (LOW, HIGH)
    right, truth = (
        recomputed(asked["text"].strip(), response["text"].strip()) if asked and response else (None, None)
    )
    score: float | None
    if right is None:
        score, reason = None, "I recompute answers, and this is not a task that I can compute."
    else:
        if rng.random() < wrong / 4:
            right = not right
        score = high if right else low + rng.choice((0, 1)) * min(1.0, (high - low) / 5)
        # A judge that mistakes a right answer for a wrong one does not then quote the answer as its correction.
        reason = "The answer is right." if right else _blame(truth, response["text"] if response else "")
    if score is not None and score == int(score):
        score = int(score)
    return _written(score, high, reason, rng, 0.0 if structured else malformed)


def recomputed(asked: str, answer: str) -> tuple[bool | None, str | None]:
    """Right or wrong, and the right answer, for the whole prompt or else for its last user turn."""
    for question in (asked, _TURN.split(asked)[-1]):
        right = check(question, "", answer)
        if right is not None:
            return right, solve(question)
    return None, None


def _blame(truth: str | None, answer: str) -> str:
    if truth is None or truth == answer.strip():
        return "The answer is not right."
    return f"The right answer is {truth!r}."


def _written(score: float | None, high: float, reason: str, rng: Random, malformed: float) -> str:
    body = json.dumps({"score": score, "reason": reason}, ensure_ascii=False)
    if rng.random() >= malformed:
        return body
    return rng.choice(
        (
            f"Here is my verdict:\n{body}\nI hope that helps.",
            f"```json\n{body}\n```",
            f"Score: {score}/{high:g}\n{reason}",
            body[: len(body) * 2 // 3],
            body.replace('"', "'"),
            reason,
        )
    )
