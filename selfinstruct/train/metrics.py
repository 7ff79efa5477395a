"""Figures of merit of a model's replies: exact match, ROUGE-L, likelihood, and whether it writes healthily."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfinstruct.text import words
from selfinstruct.train import Chat


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked (messages up to the answer), the answer that is right, and the family it is counted under."""

    prompt: Chat
    reference: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote, whether it ended by itself, and how many tokens that took, its end token included."""

    text: str
    ended: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Answers:
    """A reply to each question; `nll` nats of negative log-likelihood over the `tokens` of all references."""

    replies: list[Reply]
    nll: float
    tokens: int


def measure(questions: Sequence[Question], answers: Answers) -> dict[str, Any]:
    """JSON facts about the replies; shares lie in 0..1.

    `exact_match`: see `exact`; also `by_family` where there are families. `rouge_l`: the mean. `nll`: nats a token over
    all tokens of all references, end tokens included, each weighing the same, so that it does not depend on batches.
    `ended`: share of replies with an end token. `empty`: share without text.
    """
    replies = answers.replies
    n = len(replies)
    right = [exact(question, reply) for question, reply in zip(questions, replies, strict=True)]
    families: dict[str, list[bool]] = defaultdict(list)
    for question, is_right in zip(questions, right, strict=True):
        families[question.family].append(is_right)
    facts: dict[str, Any] = {
        "exact_match": round(sum(right) / n, 4),
        "rouge_l": round(
            sum(rouge_l(r.text, q.reference) for q, r in zip(questions, replies, strict=True)) / n, 4
        ),
        "nll": round(answers.nll / answers.tokens, 4),
        "ended": round(sum(reply.ended for reply in replies) / n, 4),
        "empty": round(sum(not reply.text for reply in replies) / n, 4),
        "mean_new_tokens": round(sum(reply.tokens for reply in replies) / n, 2),
    }
    if any(families):
        facts["by_family"] = {name: round(sum(got) / len(got), 4) for name, got in sorted(families.items())}
    return facts


def exact(question: Question, reply: Reply) -> bool:
    """The reply equals the reference, but for white space at both ends, and the model ended it by itself."""
    return reply.ended and reply.text == question.reference.strip()


def rouge_l(candidate: str, reference: str) -> float:
    """ROUGE-L F-measure (Lin 2004, section 3, with beta = 1) over words of any script, 0 to 1."""
    from rapidfuzz.distance import LCSseq

    ours, theirs = words(candidate), words(reference)
    common = LCSseq.similarity(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0
