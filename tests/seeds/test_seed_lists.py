"""Seed answers that are lists, tables, data formats or puzzles."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import tomllib
from collections import Counter
from datetime import date

import pytest
import yaml
from seed_table import Pair, Table, bold, cells, fenced, found, minutes, numbers

CHECKS = Table()


@CHECKS.rule
def clock_time_regex(pair: Pair) -> None:
    good = {f"{h:02}:{m:02}" for h in range(24) for m in range(60)}
    every = {f"{h:02}:{m:02}" for h in range(100) for m in range(100)} | {
        "7:45",
        "07:5",
        "007:45",
        "07.45",
        "",
    }
    assert {t for t in every if re.search(pair.output, t)} == good


@CHECKS.rule
def dinner_yaml(pair: Pair) -> None:
    dinner = yaml.safe_load(pair.output)["dinner"]
    assert dinner["guests"] == 6
    assert [course["course"] for course in dinner["courses"]] == ["starter", "main", "dessert"]
    for course in dinner["courses"]:
        kinds = {"course": str, "dish": str, "minutes": int, "allergens": list}
        assert {key: type(value) for key, value in course.items()} == kinds


@CHECKS.rule
def nursery_csv(pair: Pair) -> None:
    rows = list(csv.DictReader(io.StringIO(pair.output)))
    assert list(rows[0]) == ["sku", "latin_name", "price_eur", "in_stock"]
    assert (
        len(rows)
        == len({row["latin_name"].split()[0] for row in rows})
        == len({row["sku"] for row in rows})
        == 5
    )
    assert all(float(row["price_eur"]) > 0 and int(row["in_stock"]) >= 0 for row in rows)


@CHECKS.rule
def si_units_table(pair: Pair) -> None:
    symbols = {"second": "s", "metre": "m", "kilogram": "kg", "ampere": "A", "kelvin": "K", "mole": "mol"}
    assert {row[1]: row[2] for row in cells(pair.output)} == symbols | {"candela": "cd"}


@CHECKS.rule
def capital_not_largest(pair: Pair) -> None:
    atlas = {
        "Australia": ("Canberra", "Sydney"),
        "Brazil": ("Brasília", "São Paulo"),
        "Canada": ("Ottawa", "Toronto"),
        "Morocco": ("Rabat", "Casablanca"),
        "Türkiye": ("Ankara", "Istanbul"),
    }
    for line, (country, (capital, largest)) in zip(pair.output.splitlines(), atlas.items(), strict=True):
        assert re.match(rf"\d\. {country}: .*{capital}.*{largest}", line)


@CHECKS.rule
def invoice_fields(pair: Pair) -> None:
    fields = json.loads(pair.output)
    assert list(fields) == ["number", "date", "currency", "total"]
    assert fields["number"] in pair.input
    day, month, year = found(r"(\d+)(?: de)? (March|noviembre)(?: de)? (\d{4})", pair.input)
    assert fields["date"] == date(int(year), {"March": 3, "noviembre": 11}[month], int(day)).isoformat()
    assert fields["currency"] == found(r"\b(EUR|USD)\b", pair.input)[0]
    assert fields["total"] == float(re.findall(r"\d+[.,]\d\d\b", pair.input)[-1].replace(",", "."))
    if fields["currency"] == "EUR":
        assert math.isclose(fields["total"], (138.00 + 57.50) * 1.25, abs_tol=0.006)


@CHECKS.rule
def pull_addresses(pair: Pair) -> None:
    addresses = re.findall(r"[\w.]+@\w+(?:\.\w+)+", pair.input.lower())
    assert pair.output.splitlines() == list(dict.fromkeys(addresses))


@CHECKS.rule
def uk_phone_normal_form(pair: Pair) -> None:
    lines = []
    for number in pair.input.splitlines():
        digits = re.sub(r"\D", "", number.replace("(0)", ""))
        lines.append("+44" + re.sub(r"^(?:0044|44|0)", "", digits))
    assert pair.output.splitlines() == lines


@CHECKS.rule
def csv_to_json(pair: Pair) -> None:
    rows = csv.DictReader(io.StringIO(pair.input))
    expected = [{k: int(v) if v.isdigit() else v or None for k, v in row.items()} for row in rows]
    assert json.loads(pair.output) == expected


@CHECKS.rule
def toml_to_yaml(pair: Pair) -> None:
    assert yaml.safe_load(pair.output) == tomllib.loads(pair.input)


@CHECKS.rule
def alphabetise_titles(pair: Pair) -> None:
    titles = sorted(pair.input.splitlines(), key=lambda title: re.sub(r"^(?:The|An|A) ", "", title))
    assert pair.output.splitlines() == titles


@CHECKS.rule
def guest_list_dedupe(pair: Pair) -> None:
    first: dict[str, str] = {}
    for name in pair.input.splitlines():
        first.setdefault(" ".join(name.casefold().split()), name)
    assert pair.output.splitlines() == list(first.values())


@CHECKS.rule
def instant_runoff(pair: Pair) -> None:
    groups = re.findall(r"(\d) ballots: (.+)", pair.input)
    ballots = [choice.split(" > ") for n, choice in groups for _ in range(int(n))]
    standing = {name for ballot in ballots for name in ballot}
    for turn in itertools.count(1):
        count = Counter(next(name for name in ballot if name in standing) for ballot in ballots)
        (line,) = (x for x in pair.output.splitlines() if x.startswith(f"Round {turn}:"))
        assert all(f"{name} {n}" in line for name, n in count.items())
        winner, votes = count.most_common(1)[0]
        if votes * 2 > len(ballots):
            break
        standing.remove(min(count, key=lambda name: count[name]))
    assert bold(pair.output) == [winner]


@CHECKS.rule
def common_free_hour(pair: Pair) -> None:
    busy = [(minutes(a), minutes(b)) for a, b in re.findall(r"(\d\d:\d\d)-(\d\d:\d\d)", pair.input)]
    start = next(t for t in range(9 * 60, 16 * 60 + 1) if all(t + 60 <= a or b <= t for a, b in busy))
    assert bold(pair.output) == [f"{start // 60}:{start % 60:02}-{start // 60 + 1}:{start % 60:02}."]


@CHECKS.rule
def two_room_schedule(pair: Pair) -> None:
    wanted = {title: (int(m), who) for title, m, who in re.findall(r"(.+) \((\d+) min, (.+)\)", pair.input)}
    placed = []
    for slot, *rooms in cells(pair.output):
        start, end = map(minutes, slot.split("-"))
        assert 13 * 60 <= start < end <= 16 * 60
        for room in (room for room in rooms if room != "empty"):
            title, names = found(r"^(.+) \((.+)\)$", room)
            length, who = wanted.pop(title)
            assert end - start == length
            assert names.split(", ") == who.split(" and ")
            placed += [(start, end, name) for name in names.split(", ")]
    assert not wanted
    assert cells(pair.output)[-1][1].startswith("Closing panel")
    assert cells(pair.output)[-1][2] == "empty"
    for (a, b, one), (c, d, other) in itertools.combinations(placed, 2):
        assert one != other or b <= c or d <= a


@CHECKS.rule
def ledger_reconcile(pair: Pair) -> None:
    parts = re.sub(r"^\d\d ", "", pair.input, flags=re.MULTILINE).split("\n\n")
    book, bank = (numbers(part) for part in parts)
    assert set(book) - set(bank) == {-58.4, 75.0}
    assert set(bank) - set(book) == {-54.8, -6.0}
    gap = sum(book) - sum(bank)
    assert f"book {sum(book):.2f}, bank {sum(bank):.2f}, difference {gap:.2f}" in pair.output
    assert math.isclose((-58.4 + 54.8) + 75 + 6, gap)
    assert f"{-58.4 + 54.8:.2f} + 75.00 + 6.00 = {gap:.2f}" in pair.output


@CHECKS.rule
def mend_json(pair: Pair) -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(pair.input)
    meant = yaml.safe_load(pair.input)  # YAML's flow style takes the quotes, the commas, 04 and True
    assert json.loads(fenced(pair.output)) == meant


@CHECKS.rule
def clean_survey_csv(pair: Pair) -> None:
    rows = []
    for row in csv.reader(io.StringIO(pair.input)):
        number, town, day = (cell.strip() for cell in row)
        if number != "id":
            d, m, y = re.split(r"[/.]", day)
            town, day = town.capitalize(), date(int(y), int(m), int(d)).isoformat()
        rows.append(f"{number},{town},{day}")
    assert pair.output.splitlines() == list(dict.fromkeys(rows))


@CHECKS.rule
def pretty_json(pair: Pair) -> None:
    assert pair.output == json.dumps(json.loads(pair.input), indent=2, sort_keys=True)


@CHECKS.rule
def ambiguous_dates(pair: Pair) -> None:
    for given, line in zip(pair.input.splitlines(), pair.output.splitlines(), strict=True):
        assert line.startswith(f"{given} -> ")
        if "Aug" in given:
            readings = {date(2024, 8, 13)}
        else:
            a, b, c = (int(n) for n in re.split(r"\D", given))
            orders = [(a, b, c)] if a > 31 else [(c, b, a), (c, a, b)]
            readings = {date(*order) for order in orders if order[1] <= 12}
        if len(readings) == 1:
            assert line.split(" -> ")[1] == readings.pop().isoformat()
        else:
            assert "**ambiguous**: 4 July (day first) or 7 April (month first)" in line
            assert readings == {date(2024, 7, 4), date(2024, 4, 7)}


@CHECKS.rule
def server_error_counts(pair: Pair) -> None:
    hits = Counter(line.split()[2] for line in pair.input.splitlines() if line.split()[3][0] == "5")
    assert cells(pair.output) == [[path, str(n)] for path, n in hits.most_common()]


@CHECKS.rule
def pick_laptop(pair: Pair) -> None:
    suited = {}
    for model, price, weight, memory, battery in cells(pair.input):
        kg, gb, hours = (numbers(cell)[0] for cell in (weight, memory, battery))
        if kg <= 1.4 and gb >= 16 and hours >= 9:
            suited[model] = numbers(price)[0]
    best = min(suited, key=lambda model: suited[model])
    assert set(suited) == {best, "Heron Pro"}
    assert pair.output.startswith(f"**{best}** at {suited[best]:.0f}.")
    assert f"costs {suited['Heron Pro'] - suited[best]:.0f} more" in pair.output
    assert "Kestrel 13: only 8 GB" in pair.output
    assert "Ibis 15: too heavy at 1.8 kg" in pair.output


@CHECKS.rule
def bibtex_article(pair: Pair) -> None:
    assert pair.output.startswith("@article{okoro2019lichens,\n")
    fields = dict(re.findall(r"(\w+)\s*= \{(.*)\}", pair.output))
    assert list(fields) == ["author", "title", "journal", "year", "volume", "number", "pages"]
    assert all(value.replace("--", "-") in pair.input for value in fields.values())
    assert (fields["volume"], fields["number"], fields["pages"]) == ("12", "3", "201--219")
    assert pair.output.count("{") == pair.output.count("}")


@CHECKS.rule
def caesar_message(pair: Pair) -> None:
    assert re.sub(r"[A-Z]", lambda m: chr((ord(m[0]) - 65 - 5) % 26 + 65), pair.input) == pair.output


@CHECKS.rule
def kitchen_anagrams(pair: Pair) -> None:
    words = zip(pair.input.splitlines(), pair.output.splitlines(), strict=True)
    assert all(sorted(given.lower()) == sorted(answer) for given, answer in words)
    assert set(pair.output.splitlines()) == {"whisk", "grater", "ladle", "colander"}


@CHECKS.rule
def morse_spelling(pair: Pair) -> None:
    code = {"F": "..-.", "O": "---", "G": "--.", "A": ".-", "T": "-", "N": "-.", "I": "..", "E": "."}
    assert pair.output == " / ".join(" ".join(code[c] for c in word) for word in pair.input.split())


@CHECKS.rule
def reverse_words_per_line(pair: Pair) -> None:
    assert pair.output.splitlines() == [" ".join(line.split()[::-1]) for line in pair.input.splitlines()]


@CHECKS.rule
def three_pets(pair: Pair) -> None:
    fits = [
        (ivo, lena, marek)
        for ivo, lena, marek in itertools.permutations(("cat", "parrot", "tortoise"))
        if lena != "cat" and ivo != "tortoise" and marek not in ("cat", "parrot")
    ]
    assert fits == [("cat", "parrot", "tortoise")]
    assert bold(pair.output) == ["tortoise for Marek", "parrot is Lena's", "cat, belongs to Ivo"]


@CHECKS.rule
def truth_tellers(pair: Pair) -> None:
    worlds = itertools.product((True, False), repeat=3)
    fits = [(a, b, c) for a, b, c in worlds if a == (not b) and b == (not c) and c == (a == c)]
    assert fits == [(True, False, True)]
    assert pair.output.startswith("Asa and Cole tell the truth; Brin lies.")


@CHECKS.rule
def stall_shifts(pair: Pair) -> None:
    shifts = ("Friday evening", "Saturday morning", "Saturday afternoon", "Sunday morning")
    can = {
        "Elif": ("Saturday morning", "Saturday afternoon"),
        "Hugo": ("Friday evening", "Sunday morning"),
        "Mirela": ("Saturday morning",),
        "Sanjay": ("Sunday morning",),
    }
    fits = [
        p for p in itertools.permutations(can) if all(s in can[who] for s, who in zip(shifts, p, strict=True))
    ]
    assert len(fits) == 1
    expected = [f"{shift}: {who}" for shift, who in zip(shifts, fits[0], strict=True)]
    assert pair.output.splitlines()[:4] == expected


@pytest.mark.parametrize("name", CHECKS.rules)
def test_answer_is_right(name: str) -> None:
    CHECKS.hold(name)


@pytest.mark.parametrize("name", CHECKS.rules)
def test_a_foreign_answer_is_refused(name: str) -> None:
    CHECKS.refuse(name)
