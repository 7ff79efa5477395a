"""Drills: short list tasks that a model of a few hundred thousand parameters can learn from scratch.

Tuned for two things at once. Learnable: few wordings, items apart by spaces so that a word-level tokenizer sees one
token an item, a small vocabulary. Novel: ROUGE-L F of two rows of one wording is (T+o)/(T+C) for T wording words, C
items and o shared ones in order, so that with T <= 5 and C >= 5 two rows pass 0.7 only when three items are shared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from selfinstruct.teachers.offline.family import SPACED, Family, Slots

# The one place to tune. Sizes are (fewest, most) items of a row.
WORDS = tuple(
    "apple bell bird boat book bread cake candle chair cloud coin corn cup desk door fish flag fork gate glass goat "
    "hat house iron key king lamp leaf lion milk moon nest owl piano queen rain ring river rose sand ship star stone "
    "table tree water wolf zebra".split()
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
OPPOSITES = tuple(
    tuple(pair.split("-"))
    for pair in (
        "hot-cold up-down big-small fast-slow early-late wet-dry open-closed full-empty hard-soft high-low light-dark "
        "long-short near-far"
    ).split()
)
SIZE = (5, 6)  # words
LETTER_SIZE = (5, 6)
ADDENDS = (1, 2, 3)
NUMBERS = range(1, 61)
NUMBER_SIZE = (5, 5)

_LETTERS = "[a-z](?: [a-z])+"
_CAPITALS = "[A-Z]+(?: [A-Z]+)+"
_NUMBERS = r"\d+(?: \d+)+"


def _words(rng: Random) -> dict[str, str]:
    return {"items": " ".join(rng.sample(WORDS, rng.randint(*SIZE)))}


def _capitals(rng: Random) -> dict[str, str]:
    return {"items": _words(rng)["items"].upper()}


def _letters(rng: Random) -> dict[str, str]:
    return {"items": " ".join(rng.sample(LETTERS, rng.randint(*LETTER_SIZE)))}


def _early_letters(rng: Random) -> dict[str, str]:
    return {"items": " ".join(rng.sample(LETTERS[:-1], rng.randint(*LETTER_SIZE)))}


def _sums(rng: Random) -> dict[str, str]:
    numbers = rng.sample(NUMBERS, rng.randint(*NUMBER_SIZE))
    return {"n": str(rng.choice(ADDENDS)), "items": " ".join(map(str, numbers))}


def _added(slots: Slots) -> str:
    return " ".join(str(int(item) + int(slots["n"])) for item in slots["items"].split())


def _adjectives(rng: Random) -> dict[str, str]:
    pairs = rng.sample(OPPOSITES, rng.randint(*SIZE))
    return {"items": " ".join(rng.choice(pair) for pair in pairs)}


_OPPOSITE = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}


def _drill(
    name: str,
    phrasings: Sequence[str],
    draw: Callable[[Random], dict[str, str]],
    rule: Callable[[list[str]], Sequence[str]],
    pattern: str = SPACED,
    case: bool = False,
) -> Family:
    def answer(slots: Slots) -> str:
        return " ".join(rule(slots["items"].split()))

    return Family(name, phrasings, draw, answer, slots={"items": pattern}, case=case, framed=False)


DRILLS = (
    _drill(
        "echo",
        (
            "Repeat these words: {items}",
            "Say exactly this: {items}",
            "Copy the words: {items}",
            "Echo: {items}",
            "Write this again: {items}",
            "Type it unchanged: {items}",
        ),
        _words,
        lambda items: items,
    ),
    _drill(
        "reverse",
        (
            "Reverse these words: {items}",
            "Backwards, please: {items}",
            "Flip the order of: {items}",
            "Turn this list around: {items}",
            "Write in reverse: {items}",
            "From last to first: {items}",
        ),
        _words,
        lambda items: items[::-1],
    ),
    _drill(
        "upper",
        (
            "Make these words uppercase: {items}",
            "In capital letters: {items}",
            "Capitalize every letter: {items}",
            "Shout these words: {items}",
            "Convert to upper case: {items}",
            "Use all caps: {items}",
        ),
        _words,
        lambda items: [item.upper() for item in items],
        case=True,
    ),
    _drill(
        "lower",
        (
            "Make these words lowercase: {items}",
            "In small letters: {items}",
            "Without capitals: {items}",
            "Whisper these words: {items}",
            "Convert to lower case: {items}",
            "No caps, please: {items}",
        ),
        _capitals,
        lambda items: [item.lower() for item in items],
        _CAPITALS,
        case=True,
    ),
    _drill(
        "first",
        (
            "First word of: {items}",
            "What comes first? {items}",
            "Give the first item: {items}",
            "Which word starts it? {items}",
            "Name the opening word: {items}",
            "Keep only the first: {items}",
        ),
        _words,
        lambda items: items[:1],
    ),
    _drill(
        "second",
        (
            "Second word of: {items}",
            "What comes second? {items}",
            "Give the second item: {items}",
            "Which word is number two: {items}",
            "Name word two: {items}",
            "Keep only the second: {items}",
        ),
        _words,
        lambda items: items[1:2],
    ),
    _drill(
        "last",
        (
            "Last word of: {items}",
            "What comes last? {items}",
            "Give the last item: {items}",
            "Which word ends it? {items}",
            "Name the final word: {items}",
            "Keep only the last: {items}",
        ),
        _words,
        lambda items: items[-1:],
    ),
    _drill(
        "sort_letters",
        (
            "Sort these letters: {items}",
            "Alphabetical order: {items}",
            "Put in order: {items}",
            "Arrange from a to z: {items}",
            "Order the letters: {items}",
            "Sorted, please: {items}",
        ),
        _letters,
        sorted,
        _LETTERS,
    ),
    _drill(
        "count_words",
        (
            "Count these words: {items}",
            "How many words? {items}",
            "Number of words in: {items}",
            "How long is this list: {items}",
            "Tell me the word count: {items}",
            "Count the items: {items}",
        ),
        lambda rng: {"items": " ".join(rng.sample(WORDS, rng.randint(SIZE[0] - 1, SIZE[1] + 1)))},
        lambda items: [str(len(items))],
    ),
    Family(
        "add_each",
        (
            "Add {n} to each: {items}",
            "Plus {n} for each: {items}",
            "Increase by {n}: {items}",
            "Raise all by {n}: {items}",
            "Each number plus {n}: {items}",
            "Count {n} on from: {items}",
        ),
        _sums,
        _added,
        slots={"items": _NUMBERS},
        framed=False,
    ),
    _drill(
        "swap_ends",
        (
            "Swap first and last: {items}",
            "Exchange the two ends: {items}",
            "Switch the outer words: {items}",
            "Exchange first and last: {items}",
            "Swap the ends of: {items}",
            "Let both ends trade: {items}",
        ),
        _words,
        lambda items: [items[-1], *items[1:-1], items[0]],
    ),
    _drill(
        "drop_first",
        (
            "Remove the first word: {items}",
            "Drop the first: {items}",
            "Leave out word one: {items}",
            "Delete the opening word: {items}",
            "Skip the first item: {items}",
            "All but the first: {items}",
        ),
        _words,
        lambda items: items[1:],
    ),
    _drill(
        "next_letters",
        (
            "Next letter for each: {items}",
            "Move one letter on: {items}",
            "What follows each letter? {items}",
            "Shift forward by one: {items}",
            "Give the following letters: {items}",
            "One step later: {items}",
        ),
        _early_letters,
        lambda items: [LETTERS[LETTERS.index(item) + 1] for item in items],
        _LETTERS,
    ),
    _drill(
        "opposites",
        (
            "Give the opposites: {items}",
            "Opposite words for: {items}",
            "Say the contrary: {items}",
            "Each word's opposite: {items}",
            "Antonyms of: {items}",
            "What are the antonyms? {items}",
        ),
        _adjectives,
        lambda items: [_OPPOSITE[item] for item in items],
    ),
)
