"""Judges several answers at once by recomputing: rates, compares, ranks them. Ranks prompts by their length."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from selfinstruct.teachers.offline.judge import recomputed
from selfinstruct.teachers.offline.part import Answer, Asked

_RATINGS = re.compile(r'\{"ratings": ?\[')
_BETTER = re.compile(r'\{"better": ?')
_RANKING = re.compile(r"`\[i\] Score: s`")
_MARKED = r"<(?P<fence>[^\s<>]{{1,64}}) {part}>\n(?P<text>.*?)\n</(?P=fence) {part}>"
_OPENING = re.compile(r"^<[^\s<>]{1,64} (?:request|text 1)>$", re.MULTILINE)
_REQUEST = re.compile(_MARKED.format(part="request"), re.DOTALL)
_TEXT = re.compile(_MARKED.format(part=r"text \d{1,3}"), re.DOTALL)
_FIRST = re.compile(_MARKED.format(part="answer A"), re.DOTALL)
_SECOND = re.compile(_MARKED.format(part="answer B"), re.DOTALL)
_UNKNOWN = "I recompute answers, and this is not a task that I can compute."


def rated(asked: Asked) -> Answer | None:
    """A rating from 1 to 5 of each text: high for a right answer, low for a wrong one, null for an unknown task."""
    request, texts = _REQUEST.search(asked.text), _texts(asked.text)
    if not (_asks(_RATINGS, asked.text) and request and texts):
        return None
    rows = []
    for number, text in enumerate(texts, 1):
        right, why = _truth(request["text"], text, asked)
        rating = None if right is None else asked.rng.choice((5, 5, 4) if right else (1, 1, 2))
        rows.append({"id": number, "rating": rating, "rationale": why})
    body = json.dumps({"ratings": rows}, ensure_ascii=False)
    if asked.rng.random() >= asked.writer.malformed:
        return Answer(body)
    rng = asked.rng
    high = json.dumps({"ratings": [{**row, "rating": 10} for row in rows]})
    fewer = json.dumps({"ratings": rows[:-1]})
    if asked.held:
        return Answer(rng.choice((high, fewer)))
    lines = "\n\n".join(
        f"#### Output for Text {row['id']}\nRating: {row['rating'] or 'N/A'}\nRationale: {row['rationale']}"
        for row in rows
    )
    return Answer(rng.choice((*_dressed(body), lines, high, fewer)))


def compared(asked: Asked) -> Answer | None:
    """Which of two answers is right; a tie when both or neither are. At the rate of wrong answers it says "A", whatever
    stands there."""
    request, first, second = (found.search(asked.text) for found in (_REQUEST, _FIRST, _SECOND))
    if not (_asks(_BETTER, asked.text) and request and first and second):
        return None
    rng = asked.rng
    (one, why), (other, blame) = (_truth(request["text"], each["text"], asked) for each in (first, second))
    if rng.random() < asked.writer.wrong:
        better, reason = "A", "The first answer is better."
    elif one == other:
        better, reason = (
            "tie",
            "Both are right." if one else "Neither is right." if one is False else _UNKNOWN,
        )
    else:
        better, reason = ("A", blame) if one else ("B", why)
    body = json.dumps({"better": better, "reason": reason}, ensure_ascii=False)
    if asked.held or rng.random() >= asked.writer.malformed:
        return Answer(body)
    marked = f"{reason}\n\n[[{'C' if better == 'tie' else better}]]"
    claimed = reason if better == "tie" else f"{reason} Therefore, Answer ({better.lower()}) is better."
    return Answer(rng.choice((*_dressed(body), marked, claimed)))


def ranked(asked: Asked) -> Answer | None:
    """A line `[i] Score: s` for each text: answers by whether they are right, prompts by how many words they have."""
    texts = _texts(asked.text)
    if not (_asks(_RANKING, asked.text) and texts):
        return None
    request, rng, most = _REQUEST.search(asked.text), asked.rng, len(texts) + 1
    if request is not None:
        truths = [_truth(request["text"], text, asked)[0] for text in texts]
        scores = [most // 2 if right is None else most - rng.randrange(2) if right else 1 for right in truths]
    else:
        sizes = [len(text.split()) for text in texts]
        scores = [sorted(set(sizes)).index(size) + 1 for size in sizes]
        if rng.random() < asked.writer.wrong:
            scores[rng.randrange(len(scores))] = most
    lines = [f"[{number}] Score: {max(score, 1)}" for number, score in enumerate(scores, 1)]
    if rng.random() >= asked.writer.malformed:
        return Answer("\n".join(lines))
    whole = "\n".join(lines)
    return Answer(
        rng.choice(
            (
                f"Here is the ranking:\n\n{whole}",
                "\n".join(f"**{line}**" for line in lines),
                "\n".join(lines[:-1]),
                whole.replace("Score: ", "Score: 9"),
                "They are all good in their way.",
            )
        )
    )


def _asks(contract: re.Pattern[str], prompt: str) -> bool:
    """Whether that is asked for: before the material, which may hold anything."""
    found, material = contract.search(prompt), _OPENING.search(prompt)
    return found is not None and material is not None and found.start() < material.start()


def _texts(prompt: str) -> Sequence[str]:
    return [found["text"] for found in _TEXT.finditer(prompt)]


def _truth(request: str, answer: str, asked: Asked) -> tuple[bool | None, str]:
    """Whether the answer is right, and what is said of it; right and wrong are exchanged now and then."""
    right, _ = recomputed(request.strip(), answer.strip())
    if right is None:
        return None, _UNKNOWN
    if asked.rng.random() < asked.writer.wrong / 4:
        right = not right
    return right, "It is right." if right else "It is not right."


def _dressed(body: str) -> tuple[str, ...]:
    """JSON as models write it: in a code fence, with prose around it, cut, with the wrong quotes."""
    return (
        f"```json\n{body}\n```",
        f"Here is my verdict:\n{body}\nI hope that helps.",
        body[: len(body) * 2 // 3],
        body.replace('"', "'"),
    )
