"""Writes question-answer pairs about a passage: a number or a name is taken out of a sentence, and asked for."""

from __future__ import annotations

import json
import re
from random import Random

from selfinstruct.teachers.offline.faults import slip
from selfinstruct.teachers.offline.part import Answer, Asked

_CONTRACT = re.compile(r"""["']pairs["']\s*:\s*\[\s*\{\s*["']question["']""")
_COUNT = re.compile(r"\bWrite (\d{1,4}) different question-answer pairs\b")
_PASSAGE = re.compile(r"<(?P<fence>[^\s<>]{1,64}) passage>\n(?P<text>.*?)\n</(?P=fence) passage>", re.DOTALL)
_SENTENCE = re.compile(r"[\w“\"'](?:[^\n.!?。！？]|\.(?=\d)){15,400}(?:[.!?](?=\s|$)|[。！？])")
_NUMBER = re.compile(
    r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])|(?<![\w.,])\d{1,9}(?:\.\d{1,4})?(?![\w%]|[.,]\d)"
)
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,20}(?: [A-Z][a-z]{2,20}){0,2}\b")
_ASKS = (
    ("Which {kind} completes this sentence: “{gap}”?", "It is {answer}."),
    ("Fill in the missing {kind}: “{gap}”", "The missing {kind} is {answer}."),
    ("What belongs in the gap? “{gap}”", "{answer} belongs in the gap."),
)
_BLANK = "____"


def pairs(asked: Asked) -> Answer | None:
    """One JSON object {"pairs": [...]} about the passage in the prompt."""
    passage = _PASSAGE.search(asked.text)
    if passage is None or not _CONTRACT.search(asked.text):
        return None
    count = _COUNT.search(asked.text)
    rng, writer = asked.rng, asked.writer
    found = []
    for sentence, kind, answer in _gaps(passage["text"], int(count[1]) if count else 4, rng):
        said = slip(answer, rng) if rng.random() < writer.wrong else answer
        pair = _pair(sentence, kind, answer, said, rng)
        found.append(_spoilt(pair, rng, asked.held) if rng.random() < writer.malformed else pair)
    body = json.dumps({"pairs": found}, ensure_ascii=False)
    if writer.damaged(rng):
        return Answer(body[: len(body) * 2 // 3], cut=True)
    return Answer(body if asked.held or rng.random() < 0.8 else f"```json\n{body}\n```")


def _gaps(passage: str, count: int, rng: Random) -> list[tuple[str, str, str]]:
    """Sentences that hold a number or a name, with what it is."""
    found = []
    for match in _SENTENCE.finditer(passage):
        sentence = match[0]
        spots = [("number", spot[0]) for spot in _NUMBER.finditer(sentence)]
        spots += [("name", spot[0]) for spot in _NAME.finditer(sentence)]
        spots = [spot for spot in spots if sentence.count(spot[1]) == 1]
        if spots:
            found.append((sentence, *rng.choice(spots)))
    return sorted(rng.sample(found, min(count, len(found))), key=found.index)


def _pair(sentence: str, kind: str, answer: str, said: str, rng: Random) -> dict[str, str]:
    question, reply = rng.choice(_ASKS)
    slots = {"kind": kind, "gap": " ".join(sentence.replace(answer, _BLANK).split()), "answer": said}
    return {"question": question.format_map(slots), "answer": reply.format_map(slots), "quote": sentence}


def _spoilt(pair: dict[str, str], rng: Random, held: bool) -> dict[str, str]:
    """With one fault, of the kinds that models make; where the answer is held to a schema its shape stays."""
    kind = rng.choice(
        ("reworded", "refers", "short", "empty") if held else ("reworded", "refers", "short", "empty", "key")
    )
    if kind == "reworded":
        return {**pair, "quote": "It is known that " + pair["quote"][:1].lower() + pair["quote"][1:]}
    if kind == "refers":
        return {
            **pair,
            "question": "According to the passage, " + pair["question"][:1].lower() + pair["question"][1:],
        }
    if kind == "short":
        return {**pair, "quote": pair["quote"].split()[0]}
    if kind == "empty":
        return {**pair, "answer": ""}
    return {name: value for name, value in pair.items() if name != "quote"}
