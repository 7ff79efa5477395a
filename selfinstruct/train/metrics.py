"""Figures of merit of a model's replies: exact match, ROUGE-L, likelihood, and whether it writes healthily."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from selfinstruct.train.evaluation import Question, Replies, Reply


def measure(questions: Sequence[Question], answered: Replies) -> dict[str, Any]:
    """JSON facts about the replies; shares lie in 0..1.

    `exact_match`: the text equals the reference, white space at both ends aside, and the model ended it by itself;
    also `by_family`. `rouge_l`: mean F-measure. `nll`: mean negative log-likelihood of the references in nats a token,
    each token of the set weighing the same (None without references). `ended`: share of replies with an end token.
    """
    replies = answered.replies
    n = len(replies)
    if not n:
        return {"n": 0}
    right = [exact(q, r) for q, r in zip(questions, replies, strict=True)]
    families: dict[str, list[bool]] = defaultdict(list)
    for question, is_right in zip(questions, right, strict=True):
        families[question.family].append(is_right)
    facts: dict[str, Any] = {
        "n": n,
        "exact_match": round(sum(right) / n, 4),
        "rouge_l": round(sum(rouge_l(r.text, q.reference) for q, r in zip(questions, replies, strict=True)) / n, 4),
        "nll": round(answered.nll / answered.tokens, 4) if answered.tokens else None,
        "ended": round(sum(r.ended for r in replies) / n, 4),
        "empty": round(sum(not r.text for r in replies) / n, 4),
        "mean_new_tokens": round(sum(r.tokens for r in replies) / n, 2),
    }
    if any(families):
        facts["by_family"] = {name: round(sum(got) / len(got), 4) for name, got in sorted(families.items())}
    return facts


def exact(question: Question, reply: Reply) -> bool:
    return reply.ended and reply.text == question.reference.strip()


def rouge_l(candidate: str, reference: str) -> float:
    """ROUGE-L F-measure of words (Lin 2004, section 3): letters and digits of any script, case aside."""
    from rapidfuzz.distance import LCSseq

    ours, theirs = words(candidate), words(reference)
    common = LCSseq.similarity(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())
