"""Tasks about reading small pieces of Python and following simple machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from selfinstruct.teachers.offline.family import INTS, Family, Slots
from selfinstruct.teachers.offline.material import listed, nouns

_BOOL = r"(?:True|False)"
_PYTHON_LIST = {"numbers": INTS}


def _ints(slots: Slots) -> list[int]:
    return [int(part) for part in slots["numbers"].split(", ")]


def _slice(rng: Random) -> dict[str, str]:
    numbers = rng.sample(range(1, 99), 6)
    low = rng.randint(0, 3)
    return {"numbers": listed(numbers), "n": str(low), "m": str(rng.randint(low + 1, 6))}


def _sliced(slots: Slots) -> str:
    low, high = int(slots["n"]), int(slots["m"])
    if min(low, high) < 0:
        raise ValueError("a negative index")
    return str(_ints(slots)[low:high])


def _loop(rng: Random) -> dict[str, str]:
    return {
        "numbers": listed(rng.sample(range(1, 60), 4)),
        "n": str(rng.randint(2, 9)),
        "m": str(rng.randint(0, 50)),
    }


def _looped(slots: Slots) -> str:
    return str(int(slots["m"]) + sum(n * int(slots["n"]) for n in _ints(slots)))


def _filtering(rng: Random) -> dict[str, str]:
    numbers = rng.sample(range(1, 99), 6)
    return {"numbers": listed(numbers), "n": str(sorted(numbers)[rng.randint(1, 4)])}


def _filtered(slots: Slots) -> str:
    return str([n for n in _ints(slots) if n > int(slots["n"])])


def _text_call(rng: Random) -> dict[str, str]:
    words = nouns(rng, 3, 3)
    return {"phrase": " ".join(words), "call": rng.choice(list(_CALLS))}


_CALLS: dict[str, Callable[[str], str]] = {
    "upper()": str.upper,
    "title()": str.title,
    "capitalize()": str.capitalize,
    'replace(" ", "")': lambda text: text.replace(" ", ""),
    'replace(" ", "/")': lambda text: text.replace(" ", "/"),
    "split()[0]": lambda text: text.split()[0],
    "split()[-1]": lambda text: text.split()[-1],
    'count("e")': lambda text: str(text.count("e")),
    'find(" ")': lambda text: str(text.find(" ")),
}


def _logic(rng: Random) -> dict[str, str]:
    a, b, c = rng.sample(nouns(rng, 3, 3), 3)
    return {
        "a": a, "b": b, "c": c,
        "x": rng.choice(("True", "False")), "y": rng.choice(("True", "False")), "z": rng.choice(("True", "False")),
        "op": rng.choice(("and", "or")), "op2": rng.choice(("and not", "or not")),
    }  # fmt: skip


def _truth(slots: Slots) -> str:
    x, y, z = (slots[name] == "True" for name in "xyz")
    left = (x and y) if slots["op"] == "and" else (x or y)
    # The brackets stand in every phrasing.
    return str((left and not z) if slots["op2"].startswith("and") else (left or not z))


_STEPS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}


def _walk(rng: Random) -> dict[str, str]:
    return {"walk": listed(f"{rng.randint(1, 12)} {rng.choice(list(_STEPS))}" for _ in range(4))}


def _arrived(slots: Slots) -> str:
    x = y = 0
    for step in slots["walk"].split(", "):
        count, way = step.split()
        x, y = x + int(count) * _STEPS[way][0], y + int(count) * _STEPS[way][1]
    return f"({x}, {y})"


def _stack(rng: Random) -> dict[str, str]:
    words = nouns(rng, 4, 5)
    moves: list[str] = []
    depth = 0
    for word in words:
        moves.append(f"push {word}")
        depth += 1
        if depth > 1 and rng.random() < 0.5:
            moves.append("pop")
            depth -= 1
    return {"moves": listed(moves)}


def _top(slots: Slots) -> str:
    stack: list[str] = []
    for move in slots["moves"].split(", "):
        if move == "pop":
            stack.pop()
        else:
            stack.append(move.removeprefix("push "))
    return stack[-1]


def _lookup(rng: Random) -> dict[str, str]:
    words = nouns(rng, 3, 4)
    stock = {word: rng.randint(1, 60) for word in words}
    first, second = rng.sample(words, 2)
    return {"stock": str(stock), "first": first, "second": second}


def _looked_up(slots: Slots) -> str:
    pairs: Sequence[Sequence[str]] = [pair.split(": ") for pair in slots["stock"].strip("{}").split(", ")]
    stock = {key.strip("'"): int(value) for key, value in pairs}
    return str(stock[slots["first"]] + stock[slots["second"]])


FAMILIES = (
    Family(
        "python_slice",
        (
            "What does Python print? print([{numbers}][{n}:{m}])",
            "Evaluate in Python: [{numbers}][{n}:{m}]",
            "With x = [{numbers}], what is x[{n}:{m}]?",
            "Give the slice from {n} to {m} (Python, end excluded) of [{numbers}].",
            "values = [{numbers}]; result = values[{n}:{m}]. State the result.",
            "Python list slicing: [{numbers}], start {n}, stop {m}. What comes out?",
        ),
        _slice,
        _sliced,
        slots=_PYTHON_LIST,
    ),
    Family(
        "python_loop",
        (
            "What is total after this? total = {m}; for x in [{numbers}]: total += {n} * x",
            "Run in your head: s = {m}, then s += x * {n} for each x in [{numbers}]. What is s?",
            "A loop starts at {m} and adds {n} times each of [{numbers}]. What is the result?",
            "Python: {m} + sum({n} * x for x in [{numbers}])",
            "What does this loop print?\n\nbill = {m}\nfor price in [{numbers}]:\n    bill += {n} * price\nprint(bill)",
            "Evaluate sum(x * {n} for x in ({numbers})) + {m}.",
        ),
        _loop,
        _looped,
        slots=_PYTHON_LIST,
    ),
    Family(
        "python_filter",
        (
            "What does Python print? print([x for x in [{numbers}] if x > {n}])",
            "Evaluate [v for v in ({numbers}) if v > {n}] in Python.",
            "list(filter(lambda n: n > {n}, [{numbers}])) gives which list?",
            "With data = [{numbers}], what is [d for d in data if d > {n}]?",
            "Give the Python list of those in [{numbers}] that are greater than {n}.",
            "Keep what is above {n} and show a Python list: [{numbers}]",
        ),
        _filtering,
        _filtered,
        slots=_PYTHON_LIST,
    ),
    Family(
        "python_text",
        (
            'What does "{phrase}".{call} return in Python?',
            'Evaluate in Python: "{phrase}".{call}',
            's = "{phrase}". What is s.{call}?',
            'Tell me the result of print("{phrase}".{call})',
            'Calling .{call} on the Python string "{phrase}" gives what?',
            'Apply {call} to the string "{phrase}" in Python.',
        ),
        _text_call,
        lambda slots: _CALLS[slots["call"]](slots["phrase"]),
        slots={"phrase": "[a-z ]+", "call": r"[a-z]+\([^()]*\)(?:\[-?\d\])?"},
        case=True,
    ),
    Family(
        "boolean",
        (
            "If {a} is {x}, {b} is {y} and {c} is {z}, what is ({a} {op} {b}) {op2} {c}?",
            "Evaluate ({a} {op} {b}) {op2} {c} with {a}={x}, {b}={y}, {c}={z}.",
            "{a} = {x}; {b} = {y}; {c} = {z}; print(({a} {op} {b}) {op2} {c})",
            "True or False? ({a} {op} {b}) {op2} {c}, given {a} {x}, {b} {y}, {c} {z}",
            "Set {a} to {x}, {b} to {y}, {c} to {z}. Is ({a} {op} {b}) {op2} {c} True or False?",
            "What does ({a} {op} {b}) {op2} {c} give for {a}: {x}, {b}: {y}, {c}: {z}?",
        ),
        _logic,
        _truth,
        slots={
            "a": "[a-z]+",
            "b": "[a-z]+",
            "c": "[a-z]+",
            "x": _BOOL,
            "y": _BOOL,
            "z": _BOOL,
            "op": "and|or",
            "op2": "and not|or not",
        },
        labels=("True", "False"),
    ),
    Family(
        "walk",
        (
            "A robot starts at (0, 0) and goes {walk}. Where is it, as (x, y)?",
            "From the origin, walk {walk}. Give the coordinates (x, y).",
            "{name} leaves the centre of {city}: {walk} blocks. At which point (x, y) does the walk end?",
            "North is +y, east is +x. Start (0, 0), steps {walk}. End point?",
            "Track a drone from (0, 0): {walk}. Final (x, y)?",
            "Moves: {walk}. Where do they lead from (0, 0)?",
        ),
        _walk,
        _arrived,
        slots={"walk": r"\d+ [a-z]+(?:, \d+ [a-z]+)*"},
    ),
    Family(
        "stack",
        (
            "A stack is empty. Do: {moves}. What is on top?",
            "Which item is on top after {moves}?",
            "Last in, first out: {moves}. Name the top.",
            "Follow the stack through {moves} and give its top.",
            "Plates on a pile: {moves}. Which one is uppermost?",
            "Carry out {moves} on a new stack. What would the next pop return?",
        ),
        _stack,
        _top,
        slots={"moves": "(?:push [a-z]+|pop)(?:, (?:push [a-z]+|pop))*"},
    ),
    Family(
        "dictionary",
        (
            "With d = {stock}, what is d['{first}'] + d['{second}']?",
            "Python: stock = {stock}. Evaluate stock['{first}'] + stock['{second}'].",
            "Add the values of {first} and {second} in {stock}",
            "How many are {first} and {second} together? {stock}",
            "From the dict {stock} take {first} plus {second}.",
            "print(sum(({stock}['{first}'], {stock}['{second}']))) shows what?",
        ),
        _lookup,
        _looked_up,
        slots={"stock": r"\{'[a-z]+': \d+(?:, '[a-z]+': \d+)*\}", "first": "[a-z]+", "second": "[a-z]+"},
    ),
)
