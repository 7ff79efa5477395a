"""Tasks about dates, weekdays and clock times."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import listed

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DATE = rf"\d{{1,2}} (?:{'|'.join(_MONTHS)}) \d{{4}}"
_CLOCK = r"\d\d:\d\d"
_DAY_MINUTES = 24 * 60


def _long(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _read(text: str) -> date:
    day, month, year = text.split()
    return date(int(year), _MONTHS.index(month) + 1, int(day))


def _some_day(rng: Random) -> date:
    return date(1950, 1, 1) + timedelta(days=rng.randrange(100 * 365))


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


def _minutes(text: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:5])
    if hours > 23 or minutes > 59:
        raise ValueError(text)
    return hours * 60 + minutes


def _span(minutes: int) -> str:
    return f"{minutes // 60} h {minutes % 60} min"


def _one_day(rng: Random) -> dict[str, str]:
    return {"date": _long(_some_day(rng))}


def _later(rng: Random) -> dict[str, str]:
    return {"date": _long(_some_day(rng)), "n": str(rng.randint(5, 120))}


def _added(slots: Slots) -> str:
    return _long(_read(slots["date"]) + timedelta(days=int(slots["n"])))


def _two_days(rng: Random) -> dict[str, str]:
    first = _some_day(rng)
    return {"date": _long(first), "until": _long(first + timedelta(days=rng.randint(3, 200)))}


def _days_between(slots: Slots) -> str:
    return str((_read(slots["until"]) - _read(slots["date"])).days)


def _many_days(rng: Random) -> dict[str, str]:
    return {"dates": listed(_long(_some_day(rng)) for _ in range(3))}


def _iso(slots: Slots) -> str:
    return listed(_read(text).isoformat() for text in slots["dates"].split(", "))


def _years(rng: Random) -> dict[str, str]:
    years = rng.sample(range(1840, 2100), 5)
    years[rng.randrange(5)] = 4 * rng.randint(476, 524)
    return {"numbers": listed(dict.fromkeys(years))}


def _leap(slots: Slots) -> str:
    years = [int(text) for text in slots["numbers"].split(", ")]
    return listed([y for y in years if y % 4 == 0 and (y % 100 or y % 400 == 0)]) or "none"


def _weekday_shift(rng: Random) -> dict[str, str]:
    return {"day": rng.choice(_DAYS), "n": str(rng.randint(8, 90))}


def _shifted_day(slots: Slots) -> str:
    return _DAYS[(_DAYS.index(slots["day"]) + int(slots["n"])) % 7]


def _start(rng: Random) -> dict[str, str]:
    return {
        "start": _clock(rng.randrange(_DAY_MINUTES)), "n": str(rng.randint(1, 6)), "m": str(rng.randrange(3, 59)),
    }  # fmt: skip


def _end(slots: Slots) -> str:
    return _clock(_minutes(slots["start"]) + int(slots["n"]) * 60 + int(slots["m"]))


def _from_to(rng: Random) -> dict[str, str]:
    start = rng.randrange(5 * 60, 16 * 60)
    return {"start": _clock(start), "end": _clock(start + rng.randint(20, 7 * 60))}


def _lasted(slots: Slots) -> str:
    length = _minutes(slots["end"]) - _minutes(slots["start"])
    if length <= 0:
        raise ValueError("past midnight")
    return _span(length)


def _half_day(minutes: int) -> str:
    hour = minutes // 60
    return f"{hour % 12 or 12}:{minutes % 60:02d} {'am' if hour < 12 else 'pm'}"


def _times(rng: Random) -> dict[str, str]:
    return {"times": listed(_half_day(rng.randrange(_DAY_MINUTES)) for _ in range(3))}


def _full_day(slots: Slots) -> str:
    out = []
    for text in slots["times"].split(", "):
        clock, half = text.split()
        hour, minute = map(int, clock.split(":"))
        if not (1 <= hour <= 12 and minute < 60):
            raise ValueError(text)
        out.append(f"{hour % 12 + (12 if half == 'pm' else 0):02d}:{minute:02d}")
    return listed(out)


def _earliest(slots: Slots) -> str:
    return min(slots["dates"].split(", "), key=_read)


def _lengths(rng: Random) -> dict[str, str]:
    return {"numbers": listed(rng.sample(range(65, 900), 3))}


def _hours(slots: Slots) -> str:
    return listed(_span(int(text)) for text in slots["numbers"].split(", "))


_DATES = {"date": _DATE, "until": _DATE, "dates": rf"{_DATE}(?:, {_DATE})*"}
_TIME = {"start": _CLOCK, "end": _CLOCK}

FAMILIES = (
    Family(
        "weekday",
        (
            "What day of the week was or will be {date}?",
            "{name} of {city} was born on {date}. Which weekday was that?",
            "On which weekday does {date} fall?",
            "Name the weekday of {date}, the date of {event}.",
            "Is {date} a Monday, a Tuesday or which day?",
            "Look up the day of the week for {date} in {city}.",
        ),
        _one_day,
        lambda slots: _DAYS[_read(slots["date"]).weekday()],
        slots=_DATES,
        labels=_DAYS,
    ),
    Family(
        "add_days",
        (
            "Which date is {n} days after {date}?",
            "Add {n} days to {date}.",
            "{name} returns {n} days after {date}. On which date is that?",
            "An invoice of {date} from {place} is due in {n} days. Give the due date.",
            "Counting {n} days on from {date}, where do you arrive?",
            "{n} days pass after {date} until {event}. When is it?",
        ),
        _later,
        _added,
        slots=_DATES,
    ),
    Family(
        "days_between",
        (
            "How many days lie between {date} and {until}, the first not counted?",
            "Count the days from {date} to {until}, without the first.",
            "{name} stayed in {city} from {date} to {until}. How many nights were that?",
            "Days to wait: today is {date}, {event} is on {until}.",
            "Subtract {date} from {until} in days.",
            "The loan at {place} ran from {date} until {until}. For how many nights?",
        ),
        _two_days,
        _days_between,
        slots=_DATES,
    ),
    Family(
        "iso_date",
        (
            "Write these dates as YYYY-MM-DD: {dates}",
            "Convert to ISO format (YYYY-MM-DD): {dates}",
            "Give {dates} in ISO 8601.",
            "Year, month, day with hyphens: {dates}",
            "For a database, format {dates} as YYYY-MM-DD.",
            "Change the notation to year-month-day: {dates}",
        ),
        _many_days,
        _iso,
        slots=_DATES,
    ),
    Family(
        "earliest_date",
        (
            "Which date is the earliest: {dates}?",
            "Find the oldest of {dates}.",
            "Letters are dated {dates}. Which was written first?",
            "Of {dates}, what comes first in time?",
            "Name the first day among {dates}.",
            "Three payments, {dates}: which is the earliest?",
        ),
        _many_days,
        _earliest,
        slots=_DATES,
    ),
    Family(
        "leap_years",
        (
            "Which of these are leap years: {numbers}?",
            "Find the leap years among {numbers}.",
            "In which years had or has February 29 days: {numbers}?",
            "Keep the leap years only: {numbers}",
            "Years of 366 days: which of {numbers}?",
            "Select leap years from {numbers}.",
        ),
        _years,
        _leap,
    ),
    Family(
        "weekday_shift",
        (
            "Today is {day}. Which day is it in {n} days, when {name} visits {city}?",
            "If {event} in {city} is {n} days after a {day}, on which weekday is it?",
            "{name} starts on a {day} and ends {n} days later in {city}. Which weekday is the end?",
            "Count {n} days on from {day}, for {project} with {name}: which weekday?",
            "{place} near {city} reopens {n} days after {day}. Name the weekday.",
            "A {day} plus {n} days, for {name} and {name2}: weekday?",
        ),
        _weekday_shift,
        _shifted_day,
        slots={"day": "|".join(_DAYS)},
        labels=_DAYS,
    ),
    Family(
        "clock_add",
        (
            "It is {start}. What time is it {n} h {m} min later?",
            "{event} starts at {start} and lasts {n} h {m} min. When does it end?",
            "The train to {city} leaves at {start} and takes {n} h {m} min. When does {name} arrive?",
            "Add {n} hours and {m} minutes to {start}.",
            "{name} puts a roast in at {start} for {n} h {m} min. At what time is it done?",
            "Parking near {place} from {start}, paid for {n} h {m} min: until when?",
        ),
        _start,
        _end,
        slots=_TIME,
    ),
    Family(
        "clock_between",
        (
            "How long is it from {start} to {end}, in h and min?",
            "{name} worked at {place} from {start} to {end}. How long was that (h, min)?",
            "The bus leaves {city} at {start} and arrives at {end}. Give the travel time as h and min.",
            "Time between {start} and {end} in hours and minutes (x h y min)?",
            "A film about {subject} runs from {start} until {end}. State its length as x h y min.",
            "Opening hours {start} to {end}: how many h and min?",
        ),
        _from_to,
        _lasted,
        slots=_TIME,
    ),
    Family(
        "to_24_hours",
        (
            "Write in 24-hour time: {times}",
            "Convert {times} to the 24-hour clock.",
            "How does a railway timetable show {times}?",
            "Without am and pm (HH:MM): {times}",
            "Change {times} into HH:MM, 00 to 23.",
            "A digital clock shows 24 hours. What does it read at {times}?",
        ),
        _times,
        _full_day,
        slots={"times": r"\d{1,2}:\d\d [ap]m(?:, \d{1,2}:\d\d [ap]m)*"},
    ),
    Family(
        "minutes_to_hours",
        (
            "Write as hours and minutes (x h y min): {numbers} minutes",
            "How many h and min are {numbers} minutes?",
            "Convert {numbers} minutes, each to h and min.",
            "Films of {numbers} minutes: give the lengths as x h y min.",
            "Express {numbers} min in the form x h y min.",
            "Turn the minutes {numbers} into h and min.",
        ),
        _lengths,
        _hours,
    ),
)
