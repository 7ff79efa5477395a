"""Tasks about measures: lengths, weights, volumes, temperatures, speed, area, recipes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import listed

_MEASURE = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) ([a-z]+)")
_LENGTHS = {"km": 100_000, "m": 100, "cm": 1, "dm": 10}
_WEIGHTS = {"kg": 1000, "g": 1, "t": 1_000_000}
_VOLUMES = {"l": 1000, "ml": 1, "cl": 10, "dl": 100}
_FOODS = tuple(
    "barley,beans,beef,bread,broth,butter,cabbage,carrots,cheese,chickpeas,cocoa,cream,flour,honey,jam,lentils,milk,millet,"
    "mushrooms,noodles,nuts,oats,oil,onions,peas,pepper,plums,potatoes,raisins,rice,spinach,sugar,tomatoes,yogurt".split(
        ","
    )
)
_VEHICLES = tuple(
    "boat bus car coach ferry jeep lorry minibus motorbike ship taxi train tram truck van".split()
)


def _plain(value: Decimal | Fraction | int) -> str:
    """Without exponent and without trailing zeros."""
    number = (
        value
        if isinstance(value, Decimal)
        else Decimal(Fraction(value).numerator) / Fraction(value).denominator
    )
    return f"{number.normalize():f}"


def _draw(units: Mapping[str, int], fewest: int, most: int) -> Callable[[Random], dict[str, str]]:
    def draw(rng: Random) -> dict[str, str]:
        names = list(units)
        values = []
        for _ in range(rng.randint(fewest, most)):
            amount = rng.choice((str(rng.randint(2, 60)), f"{rng.randint(0, 20)}.{rng.randint(1, 9)}"))
            values.append(f"{amount} {rng.choice(names)}")
        return {"measures": listed(values)}

    return draw


def _in(units: Mapping[str, int], name: str) -> Callable[[Slots], str]:
    def answer(slots: Slots) -> str:
        values = [Decimal(n) * units[unit] / units[name] for n, unit in _MEASURE.findall(slots["measures"])]
        return ", ".join(f"{_plain(value)} {name}" for value in values)

    return answer


def _measures(units: Mapping[str, int]) -> dict[str, str]:
    one = rf"\d+(?:\.\d+)? (?:{'|'.join(units)})"
    return {"measures": f"{one}(?:, {one})*"}


def _heats(rng: Random) -> dict[str, str]:
    return {"numbers": listed(5 * n for n in rng.sample(range(-4, 40), 4))}


def _fahrenheit(slots: Slots) -> str:
    values = [Fraction(int(n) * 9, 5) + 32 for n in slots["numbers"].split(", ")]
    return listed(_plain(value) for value in values)


def _journey(rng: Random) -> dict[str, str]:
    hours, speed = rng.randint(2, 9), rng.randint(15, 110)
    return {"n": str(hours * speed), "m": str(hours), "k": str(speed), "vehicle": rng.choice(_VEHICLES)}


def _speed(slots: Slots) -> str:
    speed, rest = divmod(int(slots["n"]), int(slots["m"]))
    if rest:
        raise ValueError("not a whole number")
    return f"{speed} km/h"


def _plot(rng: Random) -> dict[str, str]:
    n, m = rng.sample(range(3, 60), 2)
    return {"n": str(n), "m": str(m)}


def _fence(slots: Slots) -> str:
    return f"{int(slots['n']) * int(slots['m'])}, {2 * (int(slots['n']) + int(slots['m']))}"


def _recipe(rng: Random) -> dict[str, str]:
    people = rng.randint(2, 6)
    more = people * rng.randint(2, 4)
    foods = rng.sample(_FOODS, rng.randint(2, 3))
    return {
        "n": str(people),
        "m": str(more),
        "recipe": listed(f"{people * rng.randint(10, 90)} g {food}" for food in foods),
    }


def _scaled(slots: Slots) -> str:
    factor = Fraction(int(slots["m"]), int(slots["n"]))
    return re.sub(r"\d+", lambda found: _plain(int(found[0]) * factor), slots["recipe"])


FAMILIES = (
    Family(
        "to_centimetres",
        (
            "Convert to centimetres: {measures}",
            "How many cm are {measures}?",
            "Write {measures} in cm.",
            "Express the lengths {measures} in centimetres.",
            "A ruler shows cm only. What are {measures}?",
            "Change into cm, one by one: {measures}",
        ),
        _draw(_LENGTHS, 3, 4),
        _in(_LENGTHS, "cm"),
        slots=_measures(_LENGTHS),
    ),
    Family(
        "to_grams",
        (
            "Convert to grams: {measures}",
            "How many grams are {measures}?",
            "Write {measures} in g.",
            "Express the weights {measures} in grams.",
            "The scale shows grams only. What are {measures}?",
            "Change into grams, one by one: {measures}",
        ),
        _draw(_WEIGHTS, 3, 4),
        _in(_WEIGHTS, "g"),
        slots=_measures(_WEIGHTS),
    ),
    Family(
        "to_millilitres",
        (
            "Convert to millilitres: {measures}",
            "How many ml are {measures}?",
            "Write {measures} in ml.",
            "Express the volumes {measures} in millilitres.",
            "The cup is marked in ml. What are {measures}?",
            "Change into ml, one by one: {measures}",
        ),
        _draw(_VOLUMES, 3, 4),
        _in(_VOLUMES, "ml"),
        slots=_measures(_VOLUMES),
    ),
    Family(
        "to_fahrenheit",
        (
            "Convert from Celsius to Fahrenheit: {numbers}",
            "What are {numbers} degrees Celsius in Fahrenheit?",
            "In {city} it was {numbers} degrees Celsius at four times of day. Give Fahrenheit.",
            "Celsius readings {numbers}: write them in Fahrenheit.",
            "An American guest asks about {numbers} degrees C. Answer in F.",
            "Change {numbers} (Celsius) into degrees Fahrenheit.",
        ),
        _heats,
        _fahrenheit,
    ),
    Family(
        "speed",
        (
            "A {vehicle} covers {n} km in {m} hours. What is its speed in km/h?",
            "From {city} to {city2} a {vehicle} needs {m} hours for {n} km. How fast is it in km/h?",
            "{name} travels {n} km by {vehicle} in {m} hours. Give the average speed in km/h.",
            "Speed in km/h of a {vehicle}: {n} km, {m} hours?",
            "The {vehicle} to {city} took {m} hours over {n} km. Find its mean speed in km/h.",
            "Divide distance by time (km/h): {vehicle}, {n} km, {m} h, towards {city}.",
        ),
        _journey,
        _speed,
        slots={"vehicle": "[a-z]+"},
        also=lambda slots: [_speed(slots).removesuffix(" km/h")],
    ),
    Family(
        "rectangle",
        (
            "A garden in {city} is {n} m by {m} m. Give its area and its perimeter.",
            "{name} fences a field {n} m long and {m} m wide. What are area and perimeter?",
            "Area and perimeter of {n} by {m}, for {project} by {name}?",
            "The hall of {place} measures {n} times {m} metres. State area, then perimeter.",
            "For {event}, a tent of {n} by {m} metres is put up. How large are area and perimeter?",
            "Rectangle {n} x {m}, measured by {name} in {city}: area, perimeter?",
        ),
        _plot,
        _fence,
    ),
    Family(
        "recipe",
        (
            "A recipe for {n} people takes {recipe}. What is needed for {m} people?",
            "Scale {recipe} from {n} to {m} servings.",
            "{name} cooks for {m} instead of {n}: {recipe}. Give the new amounts.",
            "For {n} guests: {recipe}. And for {m} guests?",
            "At {event} {m} people eat, the book says {recipe} for {n}. Adjust it.",
            "How much of each for {m} persons, if {recipe} serve {n}?",
        ),
        _recipe,
        _scaled,
        slots={"recipe": r"\d+ g [a-z]+(?:, \d+ g [a-z]+)+"},
    ),
)
