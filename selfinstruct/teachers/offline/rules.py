"""Classification by rule: bands, word tables, conditions; the rule stands in the task or is common knowledge."""

from __future__ import annotations

from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import NAMES, listed, nouns

_KINDS = {
    "animal": tuple(
        "badger beaver bison camel cheetah crab deer eagle falcon ferret fox gorilla heron horse "
        "lobster moose otter panther penguin pigeon rabbit raccoon salmon shark sparrow squid "
        "trout turtle walrus weasel".split()
    ),
    "food": tuple(
        "bacon bagel biscuit bread burger butter cheese chocolate curry custard honey jam lasagna "
        "muffin noodles omelette pancake pasta pizza porridge pudding salad sausage soup stew "
        "toast waffle yogurt".split()
    ),
    "tool": tuple(
        "axe chisel clamp crowbar drill hammer hoe mallet pliers rake ruler sander saw scissors "
        "screwdriver shovel sickle spade trowel wrench".split()
    ),
    "garment": tuple(
        "apron blouse cardigan coat dress glove gown hoodie jacket jeans jumper kilt mitten "
        "pajamas poncho scarf shawl shirt skirt sock stocking sweater trousers tunic vest".split()
    ),
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_GOOD = tuple(
    "brilliant charming cheerful comfortable delicious delightful excellent fantastic fresh "
    "friendly generous helpful lovely perfect pleasant quick reliable spotless superb wonderful".split()
)
_BAD = tuple(
    "awful bland boring broken chaotic cold damp dirty disappointing dreadful dull faulty filthy "
    "horrible noisy overpriced rude slow stale terrible ugly unfriendly useless".split()
)
_PARTS = tuple(
    "bathroom bed breakfast building coffee cook dessert dinner driver food garden guide lobby "
    "lunch menu owner pool porter room service shower soup staff tea terrace ticket tour view "
    "waiter".split()
)


def _some_kinds(rng: Random) -> dict[str, str]:
    kinds = rng.sample(list(_KINDS), 2)
    return {"words": listed(rng.choice(_KINDS[rng.choice(kinds)]) for _ in range(4))}


def _kinds(slots: Slots) -> str:
    return listed(_KIND_OF[word] for word in slots["words"].split(", "))


def _odd(rng: Random) -> dict[str, str]:
    main, other = rng.sample(list(_KINDS), 2)
    words = [*rng.sample(_KINDS[main], 4), rng.choice(_KINDS[other])]
    rng.shuffle(words)
    return {"words": listed(words)}


def _stranger(slots: Slots) -> str:
    words = slots["words"].split(", ")
    kinds = [_KIND_OF[word] for word in words]
    (odd,) = [word for word, kind in zip(words, kinds, strict=True) if kinds.count(kind) == 1]
    if len(set(kinds)) != 2:
        raise ValueError("more than two kinds")
    return odd


def _a(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def _review(rng: Random) -> dict[str, str]:
    first, second, third = rng.sample(_PARTS, 3)
    mood = rng.sample(rng.choice((_GOOD, _BAD)), 3)
    return {
        "review": rng.choice(
            (
                f"The {first} was {mood[0]} and the {second} {mood[1]}.",
                f"We found the {first} {mood[0]}, the {second} {mood[1]} and the {third} {mood[2]}.",
                f"What {_a(mood[0])} {first}, and such {_a(mood[1])} {second}!",
                f"The {first} seemed {mood[0]}; the {second} and the {third} were {mood[1]}.",
            )
        )
    }


def _mood(slots: Slots) -> str:
    words = [word.strip(".,;!") for word in slots["review"].split()]
    balance = sum(word in _GOOD for word in words) - sum(word in _BAD for word in words)
    if not balance:
        raise ValueError("neither")
    return "positive" if balance > 0 else "negative"


def _parcels(rng: Random) -> dict[str, str]:
    low = rng.randint(2, 9)
    high = low + rng.randint(3, 15)
    return {"low": str(low), "high": str(high), "numbers": listed(rng.sample(range(1, high + 12), 4))}


def _bands(slots: Slots) -> str:
    low, high = int(slots["low"]), int(slots["high"])
    values = [int(text) for text in slots["numbers"].split(", ")]
    return listed("light" if n < low else "medium" if n <= high else "heavy" for n in values)


def _exam(rng: Random) -> dict[str, str]:
    return {"numbers": listed(rng.sample(range(25, 101), 5)), "n": str(rng.randint(40, 70))}


def _passed(slots: Slots) -> str:
    return listed("pass" if int(text) >= int(slots["n"]) else "fail" for text in slots["numbers"].split(", "))


def _tickets(rng: Random) -> dict[str, str]:
    child = rng.randint(2, 9)
    adult = child + rng.randint(2, 12)
    return {
        "numbers": listed(rng.randint(2, 80) for _ in range(rng.randint(2, 4))), "n": str(child), "m": str(adult),
        "age": str(rng.randint(6, 18)),
    }  # fmt: skip


def _fare(slots: Slots) -> str:
    ages = [int(text) for text in slots["numbers"].split(", ")]
    return str(sum(int(slots["n"] if age < int(slots["age"]) else slots["m"]) for age in ages))


def _password(rng: Random) -> dict[str, str]:
    first, second = nouns(rng, 2, 2)
    if rng.random() < 0.6:
        first = first.capitalize()
    middle = str(rng.randint(2, 999)) if rng.random() < 0.6 else ""
    return {"password": first + middle + second, "n": str(rng.randint(8, 12))}


def _accepted(slots: Slots) -> str:
    text = slots["password"]
    good = len(text) >= int(slots["n"]) and any(c.isdigit() for c in text) and any(c.isupper() for c in text)
    return "valid" if good else "invalid"


_CHAIN = {"one": "[A-Z][a-z]+", "two": "[A-Z][a-z]+", "three": "[A-Z][a-z]+", "four": "[A-Z][a-z]+"}


def _people(rng: Random) -> dict[str, str]:
    return dict(zip(_CHAIN, rng.sample(NAMES, 4), strict=True))


def _triangle(rng: Random) -> dict[str, str]:
    a, b = rng.randint(3, 60), rng.randint(3, 60)
    sides = rng.choice(
        (
            [a, a, a],
            [a, a, rng.randint(2, 2 * a - 1)],
            [a, b, rng.randint(abs(a - b) + 1, a + b - 1)],
            [a, b, a + b],
        )
    )
    rng.shuffle(sides)
    return {"numbers": listed(sides)}


def _sides(slots: Slots) -> str:
    a, b, c = sorted(int(text) for text in slots["numbers"].split(", "))
    if a + b <= c or a <= 0:
        return "impossible"
    return ("scalene", "isosceles", "equilateral")[3 - len({a, b, c})]


def _groups(rng: Random) -> dict[str, str]:
    first, second = rng.sample(list(_KINDS), 2)
    words = [*rng.sample(_KINDS[first], 3), *rng.sample(_KINDS[second], 3)]
    rng.shuffle(words)
    return {"words": listed(words), "kind": rng.choice((first, second))}


def _of_kind(slots: Slots) -> str:
    return listed([word for word in slots["words"].split(", ") if _KIND_OF[word] == slots["kind"]])


FAMILIES = (
    Family(
        "kind_of_thing",
        (
            "Label each word as animal, food, tool or garment: {words}",
            "Animal, food, tool or garment? Classify {words}.",
            "For each of {words}, say animal, food, tool or garment.",
            "Sort into animal, food, tool, garment, word by word: {words}",
            "Which class (animal, food, tool, garment) do {words} belong to?",
            "Tag the nouns with animal, food, tool or garment: {words}",
        ),
        _some_kinds,
        _kinds,
    ),
    Family(
        "odd_one_out",
        (
            "Which word does not belong: {words}?",
            "Find the odd one out: {words}",
            "Four belong together, one doesn't: {words}. Name it.",
            "Spot the intruder among {words}.",
            "One of {words} is of another kind. Which?",
            "Pick the word that doesn't fit: {words}",
        ),
        _odd,
        _stranger,
    ),
    Family(
        "one_kind",
        (
            "Which of these belong to the kind {kind}: {words}?",
            "Keep each {kind} in this list: {words}",
            "Find every {kind}: {words}",
            "Only the {kind} words, please: {words}",
            "From {words}, choose what is a kind of {kind}.",
            "Filter by category {kind}: {words}",
        ),
        _groups,
        _of_kind,
        slots={"kind": "|".join(_KINDS)},
    ),
    Family(
        "sentiment",
        (
            'Is this review positive or negative? "{review}"',
            "Classify the guest comment as positive or negative: {review}",
            "Decide whether the reviewer is positive or negative.\n\n{review}",
            'Positive or negative: "{review}"',
            "Label the sentiment (positive, negative): {review}",
            "A visitor of {place} in {city} wrote the lines below. Is the mood positive or negative?\n\n{review}",
        ),
        _review,
        _mood,
        slots={"review": r"(?:The|We|What) [a-z ,;]+[.!]"},
        labels=("positive", "negative"),
    ),
    Family(
        "weight_class",
        (
            "Below {low} kg is light, {low} to {high} kg medium, above heavy. Class these parcels in kg: {numbers}",
            "Parcels under {low} kg are light, over {high} kg heavy, the rest medium. What are {numbers} kg?",
            "Light is less than {low}, heavy more than {high}, else medium. Label {numbers}.",
            "Apply: light < {low}, medium {low} to {high}, heavy > {high}. Weights: {numbers}",
            "{name} weighs {numbers} kg. Light ends before {low}, heavy begins after {high}, between is medium.",
            "Use light (under {low}), medium, heavy (over {high}) for {numbers}.",
        ),
        _parcels,
        _bands,
        slots={"low": r"\d+", "high": r"\d+"},
    ),
    Family(
        "pass_or_fail",
        (
            "The pass mark is {n}. Write pass or fail for {numbers}.",
            "Pass or fail, with {n} points needed: {numbers}",
            "Who has {n} or more passes, others fail. Results: {numbers}",
            "In a {subject} exam {n} points suffice. Grade {numbers} as pass or fail.",
            "Mark each score pass (at least {n}) or fail: {numbers}",
            "Scores {numbers}, limit {n}: pass or fail, one by one?",
        ),
        _exam,
        _passed,
    ),
    Family(
        "ticket_price",
        (
            "Children under {age} pay {n}, others {m}. What do visitors aged {numbers} pay together?",
            "Tickets for {event} cost {m}, below age {age} only {n}. Total for ages {numbers}?",
            "{name}'s group is {numbers} years old. Entry is {m}, or {n} under {age}. What does the group pay?",
            "A bus in {city} charges {m}, but {n} for anyone younger than {age}. Add up the fares of ages {numbers}.",
            "Ages {numbers}; price {n} until the day of turning {age}, {m} from then. Sum?",
            "At {place}, under {age} is {n} and the rest is {m}. Work out the total for ages {numbers}.",
        ),
        _tickets,
        _fare,
        slots={"age": r"\d+"},
    ),
    Family(
        "password_rule",
        (
            "A password needs {n} or more characters, a digit and a capital. Is {password} valid or invalid?",
            "Rule: at least {n} characters, one digit, one capital letter. Check {password}: valid or invalid?",
            "Valid or invalid under the rule of {n} characters, a digit and a capital: {password}",
            "{name} chose {password}. With {n} characters, a digit and a capital required, is it valid or invalid?",
            "Needed: {n} characters or more, a digit, a capital. Say valid or invalid for {password}.",
            "Test {password} (minimum length {n}, digit, upper-case letter): valid or invalid?",
        ),
        _password,
        _accepted,
        slots={"password": "[A-Za-z0-9]+"},
        labels=("valid", "invalid"),
    ),
    Family(
        "tallest",
        (
            "{one} is taller than {two}, {two} is taller than {three} and {three} than {four}. Who is tallest?",
            "In a race {one} beats {two}, {two} beats {three}, {three} beats {four}. Who is first?",
            "{two} is younger than {one}, {three} younger than {two}, {four} younger than {three}. Who is oldest?",
            "{one} earns more than {two}, who earns more than {three}, who earns more than {four}. Who earns most?",
            "If {three} came after {two}, {two} after {one} and {four} after {three}, who came first?",
            "{four} has fewer books than {three}, {three} fewer than {two}, {two} fewer than {one}. Who owns the most?",
        ),
        _people,
        lambda slots: slots["one"],
        slots=_CHAIN,
    ),
    Family(
        "triangle",
        (
            "A triangle for {project} has sides {numbers}. Is it equilateral, isosceles, scalene or impossible?",
            "Classify {name}'s triangle by its sides {numbers}: equilateral, isosceles, scalene or impossible.",
            "Sticks of {numbers} cm from {city}: which triangle (equilateral, isosceles, scalene, impossible)?",
            "Equilateral, isosceles, scalene or impossible? {name} measured {numbers} in {city}.",
            "Sides {numbers}, seen at {place}: equilateral, isosceles, scalene or impossible triangle?",
            "{name} and {name2} build triangle {numbers}. Equilateral, isosceles, scalene or impossible?",
        ),
        _triangle,
        _sides,
        labels=("equilateral", "isosceles", "scalene", "impossible"),
    ),
)
