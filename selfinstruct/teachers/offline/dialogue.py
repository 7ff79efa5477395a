"""Plays the user of a conversation, and writes whole ones: follow-ups are tasks of the family that was asked first."""

from __future__ import annotations

import re
from random import Random

from selfinstruct.teachers.offline.catalog import recognise
from selfinstruct.teachers.offline.family import Family
from selfinstruct.teachers.offline.part import Answer, Asked
from selfinstruct.teachers.offline.respond import answered
from selfinstruct.teachers.offline.said import marked

_NEXT = re.compile(r"\bhuman's next message\b", re.IGNORECASE)
_ABOUT = re.compile(r"\btalking about this: '(?P<text>.*)'\. What the human says", re.DOTALL)
_TURN = re.compile(r"^(human|assistant): ", re.MULTILINE)
_END = re.compile(r"\breply with (\S{1,20}) alone\b")
_MARKS = re.compile(r"^\[Human\].*\n\[AI\]", re.MULTILINE)
_ROUNDS = re.compile(r"\bafter (\d{1,2}) to (\d{1,2}) messages\b")
_DONE = 0.3  # of the turns after which the user may stop
_THANKS = (
    "Thanks, that is very helpful!",
    "Thank you so much.",
    "Great, that makes sense now.",
    "OK, got it. Bye!",
)
_FLIPS = (
    "You're welcome! Is there anything else I can help you with?",
    "Certainly! Here is the answer to your question.",
    "As an AI language model, I am happy to explain this further.",
)


def user(asked: Asked) -> Answer | None:
    """The human's next message, or the word that ends the conversation. It errs as aligned models do: it thanks,
    answers its own question, speaks as an assistant, says the same again.
    """
    heard = marked(asked.text, "conversation")
    if heard is None or not _NEXT.search(asked.text):
        return None
    parts = _TURN.split("\n" + heard.strip())
    said = [text.strip() for who, text in zip(parts[1::2], parts[2::2], strict=True) if who == "human"]
    rng, family = asked.rng, _family(said)
    if rng.random() < asked.writer.malformed:
        return Answer(_unusable(said, family, rng))
    end = _END.search(asked.text)
    if end and rng.random() < _DONE:
        return Answer(end[1] if rng.random() < 0.8 else f"Thanks! {end[1]}")
    return Answer(_follow_up(family, rng))


def _family(said: list[str]) -> Family | None:
    """The family of the last thing asked that is of any."""
    return next((found[0] for text in reversed(said) if (found := recognise(text)) is not None), None)


def _follow_up(family: Family | None, rng: Random) -> str:
    return family.make(rng).prompt if family else "Can you give me an example of that?"


def _unusable(said: list[str], family: Family | None, rng: Random) -> str:
    question = _follow_up(family, rng)
    return rng.choice(
        (
            rng.choice(_THANKS),
            rng.choice(_FLIPS),
            f"{question}\nAnswer: {answered(question, rng, 0.0)}",
            said[0] if said else "Hello!",
            f"{question}\n\nAssistant: {answered(question, rng, 0.0)}",
            "",
        )
    )


def transcript(asked: Asked) -> Answer | None:
    """A conversation between [Human] and [AI] about a seed question."""
    seed = marked(asked.text, "question")
    if seed is None and (about := _ABOUT.search(asked.text)):
        seed = about["text"]
    if seed is None or not _MARKS.search(asked.text):
        return None
    rng, writer = asked.rng, asked.writer
    limits = _ROUNDS.search(asked.text)
    low, high = (int(limits[1]), int(limits[2])) if limits else (2, 5)
    question = seed.strip()
    family = _family([question])
    lines = []
    for _ in range(rng.randint(low, max(low, high))):
        lines += [f"[Human] {question}", f"[AI] {answered(question, rng, writer.wrong)}"]
        question = _follow_up(family, rng)
    if rng.random() < writer.malformed:
        lines = _spoilt(lines, question, rng)
    body = "\n".join(lines)
    if rng.random() < 0.2:
        body = body.replace("[Human]", "**[Human]**").replace("[AI]", "**[AI]**")
    if writer.damaged(rng):
        if rng.random() < 0.5:
            return Answer(body[: len(body) * 2 // 3], True)
        return Answer(
            rng.choice(("", "I'd be glad to write a conversation.", body.replace("[", "").replace("]", ":")))
        )
    return Answer(body)


def _spoilt(lines: list[str], question: str, rng: Random) -> list[str]:
    """With one fault: thanks at the end, nobody answers, one speaks twice, the human answers, nothing is said."""
    last = len(lines) // 2 * 2 - 2
    kind = rng.randrange(5)
    if kind == 0:
        return [*lines, f"[Human] {rng.choice(_THANKS)}", "[AI] You're welcome!"]
    if kind == 1:
        return [*lines, f"[Human] {question}"]
    if kind == 2:
        return [*lines[:last], lines[last], *lines[last:]]
    if kind == 3:
        return [
            *lines[:last],
            f"{lines[last]}\nAnswer: {lines[last + 1].removeprefix('[AI] ')}",
            lines[last + 1],
        ]
    return [*lines[:-1], "[AI]"]
