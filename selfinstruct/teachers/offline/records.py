"""Tasks about small records: JSON, CSV, tables, key and value lines."""

from __future__ import annotations

import csv
import io
import json
from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import CITIES, NAMES, NOUNS, listed

_FIELDS = ("name", "city", "age", "item", "amount")
_OBJECT = r"\{[^{}]+\}"
_CSV = r"[a-z]+(?:,[a-z]+)+(?:\n[A-Za-z0-9]+(?:,[A-Za-z0-9]+)+)+"
_PAIRS = r"[a-z]+=[A-Za-z0-9]+(?:; [a-z]+=[A-Za-z0-9]+)+"


def _person(rng: Random) -> dict[str, str | int]:
    values: dict[str, str | int] = {
        "name": rng.choice(NAMES),
        "city": rng.choice(CITIES),
        "age": rng.randint(18, 90),
        "item": rng.choice(NOUNS),
        "amount": rng.randint(1, 400),
    }
    return {field: values[field] for field in rng.sample(_FIELDS, rng.randint(3, 5))}


def _object(rng: Random) -> dict[str, str]:
    record = _person(rng)
    return {"object": json.dumps(record), "key": rng.choice(list(record))}


def _value(slots: Slots) -> str:
    return str(json.loads(slots["object"])[slots["key"]])


def _pairs(rng: Random) -> dict[str, str]:
    return {"pairs": "; ".join(f"{key}={value}" for key, value in _person(rng).items())}


def _as_json(slots: Slots) -> str:
    record: dict[str, str | int] = {}
    for pair in slots["pairs"].split("; "):
        key, value = pair.split("=")
        record[key] = int(value) if value.isdigit() else value
    return json.dumps(record)


def _json_forms(slots: Slots) -> list[str]:
    record = json.loads(_as_json(slots))
    return [
        json.dumps(record, separators=(",", ":")),
        json.dumps(record, indent=2),
        json.dumps(record, indent=4),
    ]


def _upper_keys(slots: Slots) -> str:
    return listed(json.loads(slots["object"]))


def _sheet(rng: Random) -> dict[str, str]:
    names = rng.sample(NAMES, rng.randint(3, 4))
    numbers = rng.sample(range(2, 99), len(names))
    rows = [f"{name},{rng.choice(CITIES)},{n}" for name, n in zip(names, numbers, strict=True)]
    column = rng.choice(("points", "orders", "books", "eggs", "miles", "hours"))
    return {"csv": "\n".join([f"name,city,{column}", *rows]), "column": column}


def _rows(slots: Slots) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(slots["csv"]), strict=True))


def _column_sum(slots: Slots) -> str:
    return str(sum(int(row[slots["column"]]) for row in _rows(slots)))


def _leader(slots: Slots) -> str:
    return max(_rows(slots), key=lambda row: int(row[slots["column"]]))["name"]


def _above(rng: Random) -> dict[str, str]:
    slots = _sheet(rng)
    numbers = sorted(int(row[slots["column"]]) for row in _rows(slots))
    return {**slots, "n": str(numbers[-2] - rng.randint(0, 1))}


def _names_above(slots: Slots) -> str:
    found = [row["name"] for row in _rows(slots) if int(row[slots["column"]]) > int(slots["n"])]
    return listed(found) or "none"


def _table(slots: Slots) -> str:
    header, *rows = [line.split(",") for line in slots["csv"].split("\n")]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _order(rng: Random) -> dict[str, str]:
    name, city = rng.choice(NAMES), rng.choice(CITIES)
    day, number = rng.randint(1, 28), rng.randint(1000, 9999)
    item = rng.choice(NOUNS)
    month = rng.choice(("January", "March", "May", "July", "August", "October"))
    return {
        "order": f"Order {number}, placed on {day} {month} by {name} from {city}: one {item}.",
        "field": rng.choice(("order number", "customer", "city", "article", "day of the month", "month")),
    }


def _from_order(slots: Slots) -> str:
    words = slots["order"].rstrip(".").replace(",", "").replace(":", "").split()
    spots = {"order number": 1, "day of the month": 4, "month": 5, "customer": 7, "city": 9, "article": 11}
    return words[spots[slots["field"]]]


_SHEET = {"csv": _CSV, "column": "[a-z]+"}

FAMILIES = (
    Family(
        "json_value",
        (
            "What is the {key} in this record? {object}",
            "Read the value of {key}: {object}",
            "Give the {key} field of {object}",
            'Which value stands under "{key}"? {object}',
            "Extract {key} from the JSON object {object}",
            "Look into {object} and tell me the {key}.",
        ),
        _object,
        _value,
        slots={"object": _OBJECT, "key": "[a-z]+"},
    ),
    Family(
        "json_keys",
        (
            "List the keys of this JSON object, commas between: {object}",
            "Which keys does {object} have?",
            "Name the fields in order: {object}",
            "Only the keys, please: {object}",
            "What fields make up the record {object}?",
            "Write down every key of {object}",
        ),
        _object,
        _upper_keys,
        slots={"object": _OBJECT},
    ),
    Family(
        "to_json",
        (
            "Turn these pairs into a JSON object, numbers as numbers: {pairs}",
            "Convert to JSON (numbers unquoted): {pairs}",
            "Write {pairs} as one JSON object, with plain numbers.",
            "Key and value lines to JSON, numbers without quotes: {pairs}",
            "Make a JSON record of {pairs}, numbers as numbers.",
            "Express as a JSON object with unquoted numbers: {pairs}",
        ),
        _pairs,
        _as_json,
        slots={"pairs": _PAIRS},
        also=_json_forms,
        case=True,
    ),
    Family(
        "csv_sum",
        (
            "{name} keeps this table for {event}. Add up the {column} column.\n\n{csv}",
            "What is the total of {column} for {project}?\n\n{csv}",
            "Sum the {column} in the CSV data that {name} of {city} sent.\n\n{csv}",
            "How many {column} do all people at {place} have together?\n\n{csv}",
            "Compute the sum over {column}; the data come from {place} in {city}.\n\n{csv}",
            "For {event}, {name} needs the overall number of {column}.\n\n{csv}",
        ),
        _sheet,
        _column_sum,
        slots=_SHEET,
    ),
    Family(
        "csv_leader",
        (
            "Who has the most {column} in {name2}'s list for {event}?\n\n{csv}",
            "Find the person with the highest {column} at {place}.\n\n{csv}",
            "Name the leader by {column} in the {city} table.\n\n{csv}",
            "Whose {column} are highest in this data about {subject}?\n\n{csv}",
            "{place} in {city} gives a prize for the most {column}. Who gets it?\n\n{csv}",
            "Look at the rows for {project}: which name has the top {column}?\n\n{csv}",
        ),
        _sheet,
        _leader,
        slots=_SHEET,
    ),
    Family(
        "csv_filter",
        (
            "Which people have more than {n} {column} at {event}?\n\n{csv}",
            "List the names with {column} above {n} for {project}.\n\n{csv}",
            "Select everyone at {place} with over {n} {column}, names only.\n\n{csv}",
            "Filter {name2}'s rows by {column} > {n} and give the names.\n\n{csv}",
            "Names, comma between, where {column} exceed {n} (data from {city}):\n\n{csv}",
            "{name2} from {city} looks for people with more than {n} {column}. Who are they?\n\n{csv}",
        ),
        _above,
        _names_above,
        slots=_SHEET,
    ),
    Family(
        "markdown_table",
        (
            "Turn the CSV into a Markdown table for {event} in {city}.\n\n{csv}",
            "Format {name}'s data for {project} as a Markdown table.\n\n{csv}",
            "Make a Markdown table of these rows from {place}.\n\n{csv}",
            "{name} and {name2} want this as a table in Markdown.\n\n{csv}",
            "Convert from comma-separated values to Markdown, for a page on {subject} in {city}.\n\n{csv}",
            "Show the {city} records as a Markdown table.\n\n{csv}",
        ),
        _sheet,
        _table,
        slots=_SHEET,
    ),
    Family(
        "order_field",
        (
            "Give the {field} of this order: {order}",
            "What is the {field}? {order}",
            "Extract the {field} from the text.\n\n{order}",
            "Read the note and name the {field}: {order}",
            "Fill in the form field {field}: {order}",
            "{order} Which {field} does this say?",
        ),
        _order,
        _from_order,
        slots={
            "order": r"Order \d+, placed on \d+ [A-Z][a-z]+ by [A-Z][a-z]+ from [A-Z][a-z]+: one [a-z]+\.",
            "field": "[a-z ]+",
        },
    ),
)
