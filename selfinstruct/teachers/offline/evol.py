"""Evolves tasks into tasks that can still be computed, says whether two are equal, and improves responses."""

from __future__ import annotations

import json
import re
from random import Random

from selfinstruct.teachers.offline import compose, material
from selfinstruct.teachers.offline.catalog import check, recognise, solve
from selfinstruct.teachers.offline.family import frame, normal, unframed
from selfinstruct.teachers.offline.part import Answer, Asked

_PART = r"<(?P<fence>[0-9a-f]{{16}}) {part}>\n(?P<text>.*?)\n?</(?P=fence) {part}>"
_PROMPT, _FIRST, _SECOND, _RESPONSE = (
    re.compile(_PART.format(part=part), re.DOTALL) for part in ("prompt", "first", "second", "response")
)
_FORMAT = re.compile(r"Add data as ([A-Za-z ]{1,20}),")
# What asks for an operator, and the kind of requirement that answers it.
_KINDS = (
    ("specific", "concretizing"),
    ("deeply", "deepening"),
    ("reasoning", "reasoning"),
    ("constraint", "constraints"),
)
_CUT = 0.5  # of the damaged completions: cut in the middle
_FRAMED = 0.5  # of what is made more concrete: by a sentence of context, which adds no requirement
REFUSAL = "I'm sorry, but I can't rewrite this."
_LABELS = ("#Rewritten Prompt#:\n", "Here is the rewritten prompt:\n\n", "#Created Prompt#:\n")


def compared(asked: Asked) -> Answer | None:
    """Equal or Not Equal."""
    first, second = _FIRST.search(asked.text), _SECOND.search(asked.text)
    if first is None or second is None or "Not Equal" not in asked.text:
        return None
    same = same_task(first["text"], second["text"])
    rng = asked.rng
    if rng.random() < asked.writer.wrong / 4:
        same = not same
    verdict = "Equal" if same else "Not Equal"
    if asked.held or '"verdict"' in asked.text:
        return Answer(json.dumps({"verdict": verdict}))
    if rng.random() >= asked.writer.malformed:
        return Answer(verdict)
    why = "they are equal in their constraints" if same else "they are not equal in their depth"
    return Answer(rng.choice((f"**{verdict}**", f"Judgement: {verdict}.", f"I would say that {why}.", "")))


def same_task(first: str, second: str) -> bool:
    """Whether they hold the same task with the same requirements; a sentence of context makes no difference."""
    if normal(first) == normal(second):
        return True
    one, other = (set(compose.read(text).requirements) for text in (first, second))
    inside = first.count("Do the task with the number") == second.count("Do the task with the number")
    return one == other and inside and normal(compose.bare(first)) == normal(compose.bare(second))


def evolved(asked: Asked) -> Answer | None:
    """A harder prompt, or a new one."""
    found = _PROMPT.search(asked.text)
    if found is None or "reply with one prompt" not in asked.text:
        return None
    text, rng = found["text"], asked.rng
    task = asked.text[: found.start()].partition("How:")[2].partition("Rules:")[0]
    made = _evolved(text, task, asked)
    if asked.writer.damaged(rng):
        return Answer(made[: len(made) // 2], True) if rng.random() < _CUT else Answer("")
    if rng.random() < asked.writer.malformed:
        made = _spoilt(made, text, rng)
    return Answer(made)


def _evolved(text: str, task: str, asked: Asked) -> str:
    rng = asked.rng
    form = _FORMAT.search(task)
    if form is not None:
        return compose.inside(text, form[1].strip(), rng)
    if not task or "easier" in task:  # in breadth
        found = recognise(text)
        families = {family.name: family for family in asked.writer.families}
        family = families.get(found[0].name) if found and rng.random() < 0.5 else None
        return (family or rng.choice(asked.writer.families)).make(rng).prompt
    kind = next((kind for word, kind in _KINDS if word in task), "code")
    if "programming task" in asked.text:
        kind = "code"
    elif "mathematical problems" in asked.text:
        kind = rng.choice(("constraints", "deepening", "reasoning"))
    if kind == "concretizing" and unframed(text) is None and recognise(text) and rng.random() < _FRAMED:
        return f"{frame(rng)} {text}"
    return compose.required(text, kind, rng)


def _spoilt(made: str, text: str, rng: Random) -> str:
    """What real models do instead."""
    return rng.choice(
        (
            rng.choice(_LABELS) + made,
            text,
            REFUSAL,
            " ".join([*(material.sentence(rng) for _ in range(6)), made]),
        )
    )


# Ways to put an answer: all are right wherever the bare answer is.
_DRESSED = ("{}", "Answer: {}", "The answer: {}", "The answer is: {}", "The answer is {}.")


def improved(asked: Asked) -> Answer | None:
    """A better response: the right one, put in another way."""
    prompt, response = _PROMPT.search(asked.text), _RESPONSE.search(asked.text)
    if prompt is None or response is None or "reply with one response" not in asked.text:
        return None
    rng, old = asked.rng, response["text"]
    question = re.split(r"^user: ", prompt["text"], flags=re.MULTILINE)[-1]
    if asked.writer.damaged(rng):
        return Answer(old[: len(old) // 2], True) if rng.random() < _CUT else Answer("")
    if rng.random() < asked.writer.malformed:
        return Answer(rng.choice((f"Rewritten Response:\n{old}", old, REFUSAL)))
    truth = solve(question)
    if truth is None:
        return Answer(old)
    forms = [form.format(truth) for form in _DRESSED]
    right = [form for form in forms if form != old and check(question, "", form)]
    return Answer(rng.choice(right) if right else old)
