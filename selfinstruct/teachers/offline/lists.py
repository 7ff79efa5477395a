"""Tasks about lists of words."""

from __future__ import annotations

from random import Random

from selfinstruct.teachers.offline.family import WORDS, Family, Slots
from selfinstruct.teachers.offline.material import listed, nouns

_ORDINALS = ("second", "third", "fourth", "fifth", "sixth")


def _items(slots: Slots) -> list[str]:
    return slots["words"].split(", ")


def _repeated(rng: Random) -> dict[str, str]:
    words = nouns(rng, 4, 5)
    words += rng.sample(words, rng.randint(1, 3))
    rng.shuffle(words)
    return {"words": listed(words)}


def _nth(rng: Random) -> dict[str, str]:
    words = nouns(rng, 6, 8)
    return {"words": listed(words), "ordinal": rng.choice(_ORDINALS)}


def _two_lists(rng: Random) -> dict[str, str]:
    words = nouns(rng, 8, 8)
    shared, left, right = words[:2], words[2:5], words[5:]
    shared = shared[: rng.randint(1, 2)]
    first, second = shared + left, shared + right
    rng.shuffle(first)
    rng.shuffle(second)
    return {"words": listed(first), "words2": listed(second)}


def _common(slots: Slots, first: str = "words", second: str = "words2") -> str:
    found = [word for word in slots[first].split(", ") if word in slots[second].split(", ")]
    if not found:
        raise ValueError("nothing in common")
    return listed(found)


def _initial(rng: Random) -> dict[str, str]:
    words = nouns(rng, 5, 7)
    return {"words": listed(words), "letter": rng.choice(words)[0]}


def _starting(slots: Slots) -> str:
    return listed([word for word in _items(slots) if word.startswith(slots["letter"])])


def _by_length(rng: Random) -> dict[str, str]:
    words = nouns(rng, 5, 7)
    return {"words": listed(words), "n": str(max(len(word) for word in words) - rng.randint(1, 2))}


def _longer(slots: Slots) -> str:
    return listed([word for word in _items(slots) if len(word) > int(slots["n"])])


def _phrase(slots: Slots) -> str:
    *head, last = _items(slots)
    return f"{listed(head)} and {last}"


def _numbered(slots: Slots) -> str:
    return "\n".join(f"{i}. {word}" for i, word in enumerate(_items(slots), 1))


def _voted(rng: Random) -> dict[str, str]:
    words = nouns(rng, 4, 4)
    votes = [words[0]] * 3 + [words[1]] * 2 + words[2:]
    rng.shuffle(votes)
    return {"words": listed(votes)}


def _winner(slots: Slots) -> str:
    items = _items(slots)
    ranked = sorted(set(items), key=items.count)
    if len(ranked) > 1 and items.count(ranked[-1]) == items.count(ranked[-2]):
        raise ValueError("a tie")
    return ranked[-1]


def _insertion(rng: Random) -> dict[str, str]:
    new, *words = nouns(rng, 5, 7)
    return {"words": listed(words), "new": new, "old": rng.choice(words)}


def _inserted(slots: Slots) -> str:
    items = _items(slots)
    spot = items.index(slots["old"]) + 1
    return listed([*items[:spot], slots["new"], *items[spot:]])


def _halves(rng: Random) -> dict[str, str]:
    words = nouns(rng, 6, 8)
    half = len(words) // 2
    return {"words": listed(words[:half]), "words2": listed(words[half : 2 * half])}


def _interleaved(slots: Slots) -> str:
    pairs = zip(_items(slots), slots["words2"].split(", "), strict=True)
    return listed(word for pair in pairs for word in pair)


FAMILIES = (
    Family(
        "deduplicate",
        (
            "Remove the repeated words and keep the order: {words}",
            "List each word once, in order of appearance: {words}",
            "Delete duplicates from {words}.",
            "Some words stand here twice. Keep the first of each: {words}",
            "Clean up the list, no word more than once: {words}",
            "Strip the repetitions: {words}",
        ),
        _repeated,
        lambda slots: listed(dict.fromkeys(_items(slots))),
    ),
    Family(
        "nth_item",
        (
            "What is the {ordinal} item of this list: {words}?",
            "Name the {ordinal} word: {words}",
            "Which word is {ordinal} in {words}?",
            "Read off the {ordinal} entry: {words}",
            "Pick out the {ordinal} of {words}.",
            "Counting from the left, which is {ordinal}? {words}",
        ),
        _nth,
        lambda slots: _items(slots)[_ORDINALS.index(slots["ordinal"]) + 1],
        slots={"ordinal": "|".join(_ORDINALS)},
    ),
    Family(
        "in_common",
        (
            "Which words are in both lists? First: {words}. Second: {words2}.",
            "Compare {words} with {words2}: what do they share?",
            "{name} packed {words}. {name2} packed {words2}. What did both pack?",
            "Find the overlap of {words} and of {words2}.",
            "Shopping list one: {words}. Shopping list two: {words2}. What is on both?",
            "Give the intersection of the sets {words} | {words2}",
        ),
        _two_lists,
        _common,
        slots={"words2": WORDS},
        also=lambda slots: [_common(slots, "words2", "words")],
    ),
    Family(
        "starts_with",
        (
            "Which of these words begin with {letter}: {words}?",
            "Keep only words starting with the letter {letter}: {words}",
            "Select what starts with {letter}: {words}",
            "Under {letter} in a dictionary: which of {words}?",
            "Filter by initial letter {letter}: {words}",
            "Find all entries that start with {letter} among {words}.",
        ),
        _initial,
        _starting,
        slots={"letter": "[a-z]"},
    ),
    Family(
        "longer_than",
        (
            "Keep the words of more than {n} letters: {words}",
            "Which words are longer than {n} letters: {words}?",
            "Drop every word with {n} letters or fewer: {words}",
            "Select words with over {n} letters from {words}.",
            "Only long words, above {n} letters: {words}",
            "Filter {words} for lengths greater than {n}.",
        ),
        _by_length,
        _longer,
    ),
    Family(
        "join_with_and",
        (
            "Write as a phrase with a final and, no comma before it: {words}",
            "Join with commas and one and at the end: {words}",
            "Turn the items {words} into running text, the last joined by and.",
            "How would a sentence list {words}? Use and before the last, without a comma there.",
            "Replace the last comma by and: {words}",
            "Link the last two of {words} with and instead of a comma.",
        ),
        lambda rng: {"words": listed(nouns(rng, 4, 7))},
        _phrase,
    ),
    Family(
        "numbered_list",
        (
            "Write these as a numbered list, one a line: {words}",
            "Number the items {words}, each on its own line.",
            "Make an ordered list (1., 2., ...) of {words}.",
            "Lay out {words} as numbered lines.",
            "Format as a list with numbers: {words}",
            "Put a number and a dot before each and break the lines: {words}",
        ),
        lambda rng: {"words": listed(nouns(rng, 3, 6))},
        _numbered,
    ),
    Family(
        "most_frequent",
        (
            "Which word occurs most often: {words}?",
            "The votes were {words}. What won?",
            "Find the most frequent item: {words}",
            "Guests voted by card: {words}. Which card came up most?",
            "What is the mode of {words}?",
            "Name the commonest entry in {words}.",
        ),
        _voted,
        _winner,
    ),
    Family(
        "insert_after",
        (
            "Insert {new} right after {old}: {words}",
            "Put {new} behind {old} in the list {words}.",
            "Add {new} to {words}, directly following {old}.",
            "{words}: extend this list by {new}, next after {old}.",
            "Where {old} stands, let {new} follow: {words}",
            "Place {new} one position after {old} here: {words}",
        ),
        _insertion,
        _inserted,
        slots={"new": "[a-z]+", "old": "[a-z]+"},
    ),
    Family(
        "interleave",
        (
            "Merge the lists alternately, starting with the first: {words} and then {words2}",
            "Take turns: one word from {words}, one from {words2}, until all are used.",
            "Interleave {words} with {words2}.",
            "Zip together {words} / {words2}",
            "Alternate between team A ({words}) and team B ({words2}), A first.",
            "Shuffle two hands like a zip, left hand first. Left: {words}. Right: {words2}.",
        ),
        _halves,
        _interleaved,
        slots={"words2": WORDS},
    ),
)
