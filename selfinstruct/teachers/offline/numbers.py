"""Tasks about numbers: lists of them, notations, short story problems."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import pairwise
from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import counted, listed

_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
THINGS = tuple(
    "apple badge balloon biscuit bottle brick button candle card chair coin cookie crayon cupcake "
    "egg envelope flower key lemon magnet marble melon mug orange pear pebble pencil plate plum "
    "poster ribbon shell spoon stamp sticker ticket token towel tulip umbrella".split()
)
_THING = {"things": "[a-z]+", "count": r"\d+ [a-z]+"}


def _ints(slots: Slots) -> list[int]:
    return [int(part) for part in slots["numbers"].split(", ")]


def _draw(low: int, high: int, fewest: int, most: int) -> Callable[[Random], dict[str, str]]:
    """Different numbers between `low` and `high`."""
    return lambda rng: {"numbers": listed(rng.sample(range(low, high + 1), rng.randint(fewest, most)))}


def _whole_mean(rng: Random) -> dict[str, str]:
    numbers = rng.sample(range(3, 90), rng.randint(4, 5))
    numbers[-1] += -sum(numbers) % len(numbers)
    return {"numbers": listed(numbers)}


def _mean(slots: Slots) -> str:
    mean = Fraction(sum(_ints(slots)), len(_ints(slots)))
    if mean.denominator != 1:
        raise ValueError("not a whole number")
    return str(mean)


def _odd_many(rng: Random) -> dict[str, str]:
    return {"numbers": listed(rng.sample(range(2, 120), rng.choice((5, 7))))}


def _median(slots: Slots) -> str:
    numbers = sorted(_ints(slots))
    if len(numbers) % 2 == 0:
        raise ValueError("an even number of values")
    return str(numbers[len(numbers) // 2])


def _chosen(numbers: Sequence[int]) -> str:
    if not numbers:
        return "none"
    return listed(numbers)


def _prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))


def _some_prime(rng: Random) -> dict[str, str]:
    numbers = rng.sample(range(10, 100), 6)
    if not any(map(_prime, numbers)):
        numbers[rng.randrange(6)] = rng.choice((11, 29, 53, 83, 97))
    return {"numbers": listed(dict.fromkeys(numbers))}


def _some_even(rng: Random) -> dict[str, str]:
    odd = [2 * n + 1 for n in rng.sample(range(5, 200), rng.randint(2, 4))]
    even = [2 * n for n in rng.sample(range(5, 200), rng.randint(2, 3))]
    numbers = odd + even
    rng.shuffle(numbers)
    return {"numbers": listed(numbers)}


def _sequence(rng: Random) -> dict[str, str]:
    if rng.random() < 0.7:
        start, gap = rng.randint(2, 90), rng.choice((*range(-12, -2), *range(3, 26)))
        return {"numbers": listed(start + 60 + gap * i for i in range(5))}
    start, factor = rng.randint(1, 15), rng.choice((2, 3))
    return {"numbers": listed(start * factor**i for i in range(5))}


def _next(slots: Slots) -> str:
    numbers = _ints(slots)
    gaps = {b - a for a, b in pairwise(numbers)}
    if len(gaps) == 1:
        return str(2 * numbers[-1] - numbers[-2])
    factors = {Fraction(b, a) for a, b in pairwise(numbers)}
    (factor,) = factors
    return str(numbers[-1] * factor)


def _to_roman(n: int) -> str:
    if not 0 < n < 4000:
        raise ValueError(n)
    out = ""
    for value, letters in _ROMAN:
        out += letters * (n // value)
        n %= value
    return out


def _from_roman(text: str) -> int:
    total, rest = 0, text
    for value, letters in _ROMAN:
        while rest.startswith(letters):
            total, rest = total + value, rest[len(letters) :]
    if rest or _to_roman(total) != text:
        raise ValueError(text)
    return total


def _spelt(n: int, joint: str = " and ") -> str:
    """In words, below one million; `joint` stands between the hundreds and the rest."""
    if n >= 1000:
        rest = n % 1000
        tail = "" if not rest else (" " if rest >= 100 else joint) + _spelt(rest, joint)
        return f"{_spelt(n // 1000, joint)} thousand{tail}"
    if n >= 100:
        return f"{_ONES[n // 100]} hundred" + (joint + _spelt(n % 100) if n % 100 else "")
    if n >= 20:
        return _TENS[n // 10] + ("-" + _ONES[n % 10] if n % 10 else "")
    return _ONES[n]


def _decimals(rng: Random) -> dict[str, str]:
    values: list[str] = []
    while len(values) < 4:
        text = f"{rng.randint(0, 60)}.{rng.randint(1000, 9999)}"
        if text[-1] != "5" and text[-2:] != "50":  # no ties: schools round them in different ways
            values.append(text)
    return {"decimals": listed(values), "n": str(rng.randint(2, 3))}


def _rounded(slots: Slots) -> str:
    step = Decimal(1).scaleb(-int(slots["n"]))
    return listed(Decimal(text).quantize(step, ROUND_HALF_UP) for text in slots["decimals"].split(", "))


def _fractions(rng: Random) -> dict[str, str]:
    out = []
    for _ in range(rng.randint(2, 4)):
        bottom = rng.randint(2, 12)
        top, factor = rng.randint(1, bottom - 1), rng.randint(2, 9)
        out.append(f"{top * factor}/{bottom * factor}")
    return {"fractions": listed(out)}


def _simplified(slots: Slots) -> str:
    return listed(Fraction(text) for text in slots["fractions"].split(", "))


def _divisible(rng: Random) -> dict[str, str]:
    factor = rng.choice((4, 6, 7, 8, 9, 12, 15))
    return {"numbers": listed(factor * n for n in rng.sample(range(2, 16), 3))}


def _story(rng: Random) -> dict[str, str]:
    n, m = rng.randint(5, 80), rng.randint(2, 40)
    k = rng.randint(2, n + m - 2)
    thing = rng.choice(THINGS)
    return {"count": counted(n, thing), "n": str(n), "m": str(m), "k": str(k), "things": thing + "s"}


def _left_over(slots: Slots) -> str:
    return str(int(slots["n"]) + int(slots["m"]) - int(slots["k"]))


def _sharing(rng: Random) -> dict[str, str]:
    return {"n": str(rng.randint(20, 150)), "m": str(rng.randint(3, 12)), "things": rng.choice(THINGS) + "s"}


def _smallest_decimal(rng: Random) -> dict[str, str]:
    whole = rng.randint(0, 9)
    tails = rng.sample(
        ("5", "45", "405", "54", "504", "055", "6", "61", "609", "07", "7", "069", "31", "3", "301"), 5
    )
    return {"decimals": listed(f"{whole}.{tail}" for tail in tails)}


FAMILIES = (
    Family(
        "sum",
        (
            "Add up {numbers}.",
            "What is the sum of {numbers}?",
            "Find the total: {numbers}",
            "The scores were {numbers}. How much is that together?",
            "On slips of paper stand {numbers}. What do they add up to?",
            "Total these up: {numbers}",
        ),
        _draw(4, 95, 5, 5),
        lambda slots: str(sum(_ints(slots))),
    ),
    Family(
        "average",
        (
            "What is the average of {numbers}?",
            "Find the mean: {numbers}",
            "The rainfall in mm was {numbers}. What was the mean?",
            "Compute the arithmetic mean of {numbers}.",
            "Daily visitors numbered {numbers}. How many came on average?",
            "On average, how big are {numbers}?",
        ),
        _whole_mean,
        _mean,
    ),
    Family(
        "median",
        (
            "What is the median of {numbers}?",
            "Find the middle value: {numbers}",
            "The runners needed {numbers} minutes. Which is the median time?",
            "Order {numbers} by size and give the one in the middle.",
            "Determine the median: {numbers}",
            "Half are below, half above: which of {numbers}?",
        ),
        _odd_many,
        _median,
    ),
    Family(
        "spread",
        (
            "By how much does the largest of {numbers} exceed the smallest?",
            "What is the range of {numbers}?",
            "Subtract the minimum from the maximum: {numbers}",
            "Highest minus lowest: {numbers}",
            "The temperatures were {numbers}. How far apart are the extremes?",
            "Find the gap between the biggest and the smallest number in {numbers}.",
        ),
        _draw(3, 200, 4, 6),
        lambda slots: str(max(_ints(slots)) - min(_ints(slots))),
    ),
    Family(
        "sort_down",
        (
            "Sort from largest to smallest: {numbers}",
            "Order {numbers} from high to low.",
            "Rank these scores, best (highest) first: {numbers}",
            "Descending order, please: {numbers}",
            "Arrange the numbers {numbers} so that they fall.",
            "Biggest first: {numbers}",
        ),
        _draw(1, 250, 5, 7),
        lambda slots: listed(sorted(_ints(slots), reverse=True)),
    ),
    Family(
        "even_numbers",
        (
            "Which of these are even: {numbers}?",
            "Keep only the even numbers: {numbers}",
            "Pick what can be halved without remainder: {numbers}",
            "Houses {numbers} stand in a street. Which have even numbers?",
            "Drop the odd ones from {numbers}.",
            "Filter {numbers} for even values.",
        ),
        _some_even,
        lambda slots: _chosen([n for n in _ints(slots) if n % 2 == 0]),
    ),
    Family(
        "primes",
        (
            "Which of these are prime: {numbers}?",
            "Find the prime numbers among {numbers}.",
            "Keep the primes only: {numbers}",
            "Name each prime in {numbers}.",
            "Divisible by nothing but one and itself: which of {numbers}?",
            "Pick out all primes: {numbers}",
        ),
        _some_prime,
        lambda slots: _chosen([n for n in _ints(slots) if _prime(n)]),
    ),
    Family(
        "sequence",
        (
            "What comes next: {numbers}?",
            "Continue the series by one number: {numbers}",
            "Find the next term of {numbers}.",
            "Which number follows {numbers}?",
            "A pattern runs {numbers}. How does it go on?",
            "Give the sixth term: {numbers}",
        ),
        _sequence,
        _next,
    ),
    Family(
        "from_roman",
        (
            "Convert these Roman numerals to ordinary numbers: {romans}",
            "What numbers are {romans}?",
            "Read the Roman numerals {romans}.",
            "Decode from Roman: {romans}",
            "The stones carry {romans}. Which numbers are these?",
            "Write with Arabic digits: {romans}",
        ),
        lambda rng: {"romans": listed(_to_roman(n) for n in rng.sample(range(4, 900), rng.randint(2, 4)))},
        lambda slots: listed(_from_roman(text) for text in slots["romans"].split(", ")),
        slots={"romans": "[IVXLCDM]+(?:, [IVXLCDM]+)*"},
    ),
    Family(
        "to_roman",
        (
            "Write as Roman numerals: {numbers}",
            "How did the Romans write {numbers}?",
            "Convert {numbers} to Roman numerals.",
            "Chapters {numbers} need Roman numbers. Give them.",
            "Translate into Roman: {numbers}",
            "A clockmaker engraves {numbers} in Roman style. What does he cut?",
        ),
        _draw(4, 900, 2, 4),
        lambda slots: listed(_to_roman(n) for n in _ints(slots)),
    ),
    Family(
        "binary",
        (
            "Write in binary: {numbers}",
            "Convert {numbers} to base two.",
            "What are {numbers} as binary numbers?",
            "Give the binary form of {numbers}.",
            "How does a computer write {numbers} in bits?",
            "Decimal to binary: {numbers}",
        ),
        _draw(5, 130, 3, 4),
        lambda slots: listed(f"{n:b}" for n in _ints(slots)),
    ),
    Family(
        "in_words",
        (
            "Write these numbers in words: {numbers}",
            "Spell out {numbers}.",
            "How do you write {numbers} in letters?",
            "For cheques, put {numbers} into words.",
            "Say in words: {numbers}",
            "Numbers to English words: {numbers}",
        ),
        _draw(13, 2500, 2, 3),
        lambda slots: listed(_spelt(n) for n in _ints(slots)),
        also=lambda slots: [listed(_spelt(n, " ") for n in _ints(slots))],
    ),
    Family(
        "rounding",
        (
            "Round to {n} decimals: {decimals}",
            "Give {decimals} with {n} digits after the point, rounded.",
            "Round each of {decimals} to {n} decimal places.",
            "Readings {decimals} must be rounded to {n} decimals.",
            "Shorten by rounding, {n} places: {decimals}",
            "What are {decimals}, rounded to {n} decimals?",
        ),
        _decimals,
        _rounded,
        slots={"decimals": r"\d+\.\d+(?:, \d+\.\d+)*"},
    ),
    Family(
        "simplify",
        (
            "Simplify the fractions {fractions}.",
            "Reduce to lowest terms: {fractions}",
            "Write {fractions} with the smallest possible denominators.",
            "Cancel down {fractions}.",
            "What are {fractions} in simplest form?",
            "Shorten as far as possible: {fractions}",
        ),
        _fractions,
        _simplified,
        slots={"fractions": r"\d+/\d+(?:, \d+/\d+)*"},
    ),
    Family(
        "common_divisor",
        (
            "What is the greatest common divisor of {numbers}?",
            "Find the largest number that divides {numbers}.",
            "Compute gcd({numbers}).",
            "Ropes of {numbers} cm are cut into equal pieces without rest. How long, in cm, can a piece be at most?",
            "Give the highest common factor: {numbers}",
            "HCF of {numbers}, please.",
        ),
        _divisible,
        lambda slots: str(math.gcd(*_ints(slots))),
    ),
    Family(
        "digit_sum",
        (
            "Add the digits of each number: {numbers}",
            "What are the digit sums of {numbers}?",
            "Cross sums, in order: {numbers}",
            "For every number of {numbers}, sum its digits.",
            "Replace each number by the sum of its digits: {numbers}",
            "Give the checksum (digits added) of {numbers}.",
        ),
        _draw(25, 9800, 3, 5),
        lambda slots: listed(sum(map(int, str(abs(n)))) for n in _ints(slots)),
    ),
    Family(
        "compare_decimals",
        (
            "Which is the largest: {decimals}?",
            "Find the greatest decimal: {decimals}",
            "Of {decimals}, which number is biggest?",
            "Jumps in metres: {decimals}. Which wins?",
            "Pick the maximum of {decimals}.",
            "Name the highest reading: {decimals}",
        ),
        _smallest_decimal,
        lambda slots: max(slots["decimals"].split(", "), key=Decimal),
        slots={"decimals": r"\d+\.\d+(?:, \d+\.\d+)+"},
    ),
    Family(
        "story_sum",
        (
            "{name} has {n} {things}, gets {m} more and gives {k} to {name2}. How many {things} are left?",
            "A box held {n} {things}. {name} put in {m}, then {name2} took out {k}. How many are inside now?",
            "At {event} there were {n} {things}. Later {m} arrived and {k} were used. What remained?",
            "{name} of {city} collected {n} {things}, bought {m} at {place} and lost {k}. How many remain?",
            "Stock at {place}: {n} {things}, {m} delivered, {k} sold. What is the new stock?",
            "Work it out: {n} {things} in the morning, plus {m} from {name}, minus {k} for {city}.",
        ),
        _story,
        _left_over,
        slots=_THING,
    ),
    Family(
        "sharing",
        (
            "{name} shares {n} {things} equally among {m} people at {event}. How many are left over?",
            "What remains when {n} {things} are packed into bags of {m} for {place}?",
            'Lay {n} {things} in rows of {m}. "How many are over?" asks {name} from {city}.',
            "In {city}, {n} {things} are split evenly between {m} schools. How big is the remainder?",
            "Suppose {place} in {city} divides {n} {things} by {m}. Give the remainder.",
            "Find the remainder when {name} and {name2} deal {n} {things} to {m} players.",
        ),
        _sharing,
        lambda slots: str(int(slots["n"]) % int(slots["m"])),
        slots=_THING,
    ),
)
