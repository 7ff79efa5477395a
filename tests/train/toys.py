"""Toy tasks: four families over short lists of letters, in two or three wordings each."""

from __future__ import annotations

import random

from selfinstruct.train import Chat

ASK = {
    "echo": ("Repeat this list: {}", "Write the list again: {}", "Copy: {}"),
    "reverse": ("Reverse this list: {}", "Write the list backwards: {}"),
    "first": ("What is the first item? {}", "Give the first letter: {}"),
    "last": ("What is the last item? {}", "Give the last letter: {}"),
}
ANSWER = {
    "echo": lambda items: items,
    "reverse": lambda items: items[::-1],
    "first": lambda items: items[:1],
    "last": lambda items: items[-1:],
}


def toys(n: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """`n` different (family, question, answer) over lists of two or three letters a to j."""
    rng = random.Random(seed)
    found: dict[str, tuple[str, str, str]] = {}
    while len(found) < n:
        family = rng.choice(list(ASK))
        items = [rng.choice("abcdefghij") for _ in range(rng.randint(2, 3))]
        question = rng.choice(ASK[family]).format(" ".join(items))
        found.setdefault(question, (family, question, " ".join(ANSWER[family](items))))
    return list(found.values())


def chat(question: str, answer: str | None = None) -> Chat:
    asked = [{"role": "user", "content": question}]
    return asked if answer is None else [*asked, {"role": "assistant", "content": answer}]
