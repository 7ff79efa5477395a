"""Tasks about prices, change, wages and shared costs. Amounts are exact: cents inside, two decimals outside."""

from __future__ import annotations

import re
from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import counted, listed

_MONEY = r"\d+\.\d\d"
_COINS = (200, 100, 50, 20, 10, 5, 2, 1)
_WARES = tuple(
    "atlas backpack bicycle blanket bookcase camera carpet chair clock coat cookbook curtain desk "
    "drill fan guitar hammock helmet jacket kettle lamp mattress mirror necklace oven pan pillow "
    "printer radio raincoat rug saddle scarf sofa suitcase sweater table teapot tent toaster "
    "umbrella violin watch wardrobe".split()
)
_FOODS = tuple(
    "apple bagel banana bun candle cucumber egg lemon lettuce mango melon muffin orange peach pear "
    "pie pineapple pizza roll sandwich soup tart waffle yogurt".split()
)


def _a(thing: str) -> str:
    return ("an " if thing[0] in "aeiou" else "a ") + thing


def _cents(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int(part or 0)


def _shown(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _plural(food: str) -> str:
    return food + ("es" if food.endswith(("ch", "s")) else "s")


def _sale(rng: Random) -> dict[str, str]:
    percent = rng.choice((5, 10, 15, 20, 25, 30, 40, 50, 60, 75))
    price = rng.randrange(20, 1200, 20)
    return {"ware": _a(rng.choice(_WARES)), "n": str(price), "percent": str(percent)}


def _reduced(slots: Slots) -> str:
    return _shown(int(slots["n"]) * (100 - int(slots["percent"])))


def _paid(rng: Random) -> dict[str, str]:
    first, second = rng.randrange(105, 900, 5), rng.randrange(110, 950, 5)
    note = rng.choice([n for n in (10, 20, 50) if n * 100 > first + second])
    ware, other = rng.sample(_FOODS, 2)
    return {
        "ware": _a(ware), "other": _a(other), "price": _shown(first), "cost": _shown(second), "n": str(note),
    }  # fmt: skip


def _change(slots: Slots) -> str:
    left = int(slots["n"]) * 100 - _cents(slots["price"]) - _cents(slots["cost"])
    if left < 0:
        raise ValueError("not enough money")
    return _shown(left)


def _basket(rng: Random) -> dict[str, str]:
    items = []
    for food in rng.sample(_FOODS, 3):
        items.append(
            f"{counted(rng.randint(1, 6), food, _plural(food))} at {_shown(rng.randrange(20, 460, 5))}"
        )
    return {"basket": listed(items)}


_LINE = re.compile(r"(\d{1,9}) [a-z]+ at (\d{1,9}\.\d\d)")


def _bill(slots: Slots) -> str:
    return _shown(sum(int(n) * _cents(price) for n, price in _LINE.findall(slots["basket"])))


def _purse(rng: Random) -> dict[str, str]:
    return {"cents": listed(rng.sample(range(13, 480), 3))}


def _fewest(slots: Slots) -> str:
    counts = []
    for amount in slots["cents"].split(", "):
        left, coins = int(amount), 0
        for coin in _COINS:
            coins += left // coin
            left %= coin
        counts.append(coins)
    return listed(counts)


def _dinner(rng: Random) -> dict[str, str]:
    people = rng.randint(3, 9)
    return {"total": _shown(people * rng.randrange(450, 3000, 5)), "m": str(people)}


def _share(slots: Slots) -> str:
    each, rest = divmod(_cents(slots["total"]), int(slots["m"]))
    if rest:
        raise ValueError("it does not divide")
    return _shown(each)


def _shifts(rng: Random) -> dict[str, str]:
    return {"numbers": listed(rng.randint(2, 10) for _ in range(4)), "rate": str(rng.randint(9, 38))}


def _wage(slots: Slots) -> str:
    return str(sum(map(int, slots["numbers"].split(", "))) * int(slots["rate"]))


def _saving(rng: Random) -> dict[str, str]:
    weekly = rng.randint(4, 40)
    return {"ware": _a(rng.choice(_WARES)), "n": str(weekly), "m": str(rng.randint(weekly * 3, weekly * 30))}


def _weeks(slots: Slots) -> str:
    return str(-(-int(slots["m"]) // int(slots["n"])))


_WARE = "an? [a-z]+"

FAMILIES = (
    Family(
        "discount",
        (
            "What does {ware} of {n} euros cost after {percent}% off?",
            "{name} buys {ware} marked {n} dollars with a {percent}% discount at {place}. What is the price?",
            "Take {percent} percent off {n} pounds for {ware} in {city}.",
            "During a sale, {ware} priced {n} francs is reduced by {percent}%. Give the new price.",
            "In {city}, {ware} costs {n} euros. With a voucher for {percent}% less, what does {name} pay?",
            "Find the sale price: {ware}, {n} euros, minus {percent}%.",
        ),
        _sale,
        _reduced,
        slots={"ware": _WARE, "percent": r"\d+"},
        also=lambda slots: [_reduced(slots).removesuffix(".00")],
    ),
    Family(
        "change",
        (
            "{name} buys {ware} for {price} and {other} for {cost} and pays with {n} euros. How much change is due?",
            "How much change from {n} dollars for {ware} at {price} and {other} at {cost}?",
            "At {place} in {city}, {ware} costs {price} and {other} {cost}. What comes back from {n} pounds?",
            "Pay {price} for {ware}, {cost} for {other}, out of {n}. What is left over?",
            "A customer from {city} hands over {n} for {ware} ({price}) and {other} ({cost}). Work out the change.",
            "Till at {event}: {ware} {price}, {other} {cost}, given {n}. Change?",
        ),
        _paid,
        _change,
        slots={"ware": _WARE, "other": _WARE, "price": _MONEY, "cost": _MONEY},
    ),
    Family(
        "basket",
        (
            "What is the total of {basket}?",
            "{name} buys {basket}. How much is it altogether?",
            "Add up the receipt: {basket}",
            "At {place} someone orders {basket}. What does it come to?",
            "Compute the bill for {basket}.",
            "How much do {basket} cost together?",
        ),
        _basket,
        _bill,
        slots={"basket": rf"\d+ [a-z]+ at {_MONEY}(?:, \d+ [a-z]+ at {_MONEY})*"},
    ),
    Family(
        "fewest_coins",
        (
            "With euro coins (2, 1, 0.50, 0.20, 0.10, 0.05, 0.02, 0.01), how few coins make {cents} cents each?",
            "Fewest euro coins for each amount in cents: {cents}",
            "How many euro coins at least are needed for {cents} cents, one after the other?",
            "Pay {cents} cents with as few euro coins as possible. Give the number of coins for each.",
            "Minimum number of euro and cent coins, amount by amount: {cents}",
            "A euro vending machine returns {cents} cents in the fewest coins. How many coins each time?",
        ),
        _purse,
        _fewest,
        slots={"cents": r"\d+(?:, \d+)+"},
    ),
    Family(
        "split_bill",
        (
            "Split {total} evenly among {m} people. What does each pay?",
            "{name}, {name2} and others, {m} in all, share a bill of {total} at {place}. How much is one share?",
            "After {event} in {city}, {m} friends divide {total} equally. What is each part?",
            "Divide the rent of {total} by {m} tenants in {city}.",
            "A gift from {place} costs {total}. {name} and the rest, {m} givers, pay the same. How much each?",
            "How much is one of {m} equal shares of {total} for {event}?",
        ),
        _dinner,
        _share,
        slots={"total": _MONEY},
    ),
    Family(
        "wage",
        (
            "{name} works {numbers} hours at {rate} euros an hour. What is the pay?",
            "At {rate} dollars per hour, what do shifts of {numbers} hours earn?",
            "Hours this week at {place}: {numbers}. Rate: {rate}. Total wage?",
            "How much does {name} of {city} earn for {numbers} hours, paid {rate} an hour?",
            "Multiply the hours {numbers}, added up, by a wage of {rate}.",
            "The plumber charged {rate} per hour on jobs of {numbers} hours. What is owed?",
        ),
        _shifts,
        _wage,
        slots={"rate": r"\d+"},
    ),
    Family(
        "saving",
        (
            "{name} saves {n} euros a week for {ware} of {m} euros. After how many weeks is it enough?",
            "How many weeks of saving {n} pay for {ware} that costs {m}?",
            "In {city}, {ware} costs {m} dollars. Putting aside {n} each week, how long does {name} need, in weeks?",
            "Weekly {n}, goal {m}, wish: {ware}. Number of weeks?",
            "At {n} francs weekly, when (after how many weeks) can {name} buy {ware} for {m} at {place}?",
            "Find the least number of weeks: {ware} at {m}, savings {n} per week.",
        ),
        _saving,
        _weeks,
        slots={"ware": _WARE},
    ),
)
