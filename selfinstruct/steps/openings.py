"""openings: the first messages of UltraChat's conversations, in three sectors (Ding et al. 2023, section 3)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from selfinstruct import parse
from selfinstruct.errors import DataError, ParseError, TeacherError
from selfinstruct.growth import Dollars, Growth, Rate
from selfinstruct.growth import check as check_growth
from selfinstruct.outlook import (
    PASS,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    Rows,
    longest_answer,
    most_tokens,
    tokens,
)
from selfinstruct.parse.dialogue import items
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, canonical
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion
from selfinstruct.text import normal_form

Sector = Literal["world", "creation", "materials"]
SCHEMA = {
    "type": "object",
    "properties": {"items": {"type": "array", "items": {"type": "string"}}},
    "required": ["items"],
    "additionalProperties": False,
}
# Thirty, as in the paper; the choice is ours.
SUBJECTS = (
    *("mathematics", "physics and astronomy", "chemistry and materials", "biology and evolution"),
    *("medicine and health", "food and cooking", "sport and exercise", "psychology and habits"),
    *(
        "family and raising children",
        "schools and learning",
        "languages and translation",
        "books and writing",
    ),
    *("film, theatre and series", "music and sound", "painting, design and crafts", "games and puzzles"),
    *("history", "religion and philosophy", "law and justice", "politics and public life"),
    *("money and personal finance", "business and work", "economics and trade", "computers and programming"),
    *(
        "data, statistics and models",
        "engineering and machines",
        "buildings and cities",
        "travel and geography",
    ),
    *("climate, nature and farming", "society and customs"),
)
KINDS = (
    *("a poem", "a short story", "a news report", "an essay", "a speech", "a letter", "an e-mail"),
    *("a diary entry", "a dialogue for the stage", "a film scene", "song lyrics", "a product description"),
    *("an advertisement", "a blog post", "a review", "a how-to guide", "a recipe", "a job application"),
    *("a business plan", "a short program with comments"),
)
JOINS = (
    "{task}\n\n{text}",
    "{text}\n\n{task}",
    "Here is a text:\n\n{text}\n\n{task}",
    "{task} The text:\n\n{text}",
)
TOPICS = 37  # topics of a subject at most: 30 subjects gave the paper 1,100
QUESTIONS = 10  # questions of a topic, instructions of a kind
TASKS = 5  # tasks of a text
ITEM = 25  # tokens of an item, on average (assumption)
DETAILED = 90  # tokens of a detailed instruction (assumption)
FOUND = 0.8  # of the items that are asked for (assumption)


def _sizes(n: int) -> tuple[int, int]:
    """Topics of a subject and questions of a topic: few of both where n is small, so that the subjects are spread."""
    questions = min(QUESTIONS, math.ceil(n / len(SUBJECTS)))
    return min(TOPICS, math.ceil(n / (len(SUBJECTS) * questions))), questions


def _frames(place: Place, sector: Sector, n: int, language: str) -> list[tuple[Message, ...]]:
    """The prompts of a sector, with the longest of our own words and no text."""
    topics, questions = _sizes(n)
    subject, kind = max(SUBJECTS, key=len), max(KINDS, key=len)
    slots: dict[str, Any] = {"language": language, "topic": subject, "fence": "0" * 16}
    if sector == "world":
        return [
            place.prompts.render("ultrachat/topics", n=topics, **slots),
            place.prompts.render("ultrachat/questions", n=questions, item="", **slots),
        ]
    if sector == "creation":
        return [
            place.prompts.render("ultrachat/instructions", n=QUESTIONS, item=kind, **slots),
            place.prompts.render("ultrachat/expand", instruction="", **slots),
        ]
    return [place.prompts.render("ultrachat/tasks", n=TASKS, text="", **slots)]


def _check(
    place: Place,
    *,
    n: int,
    sector: Sector,
    by: RoleName,
    language: str,
    max_cost_per_kept: float | None,
    **_: Any,
) -> None:
    check_growth(place, max_cost_per_kept, by)
    _frames(place, sector, n, language)


def _forecast(
    outlook: Outlook,
    *,
    n: int,
    sector: Sector,
    by: RoleName,
    expanded: float,
    language: str,
    max_tokens: int | None,
    patience: int,
    window: int,
    **_: Any,
) -> Estimate:
    came = outlook.rows
    role = outlook.place.role(by)
    limit = longest_answer(role, max_tokens)
    topics, questions = _sizes(n)
    first, *rest = _frames(outlook.place, sector, n, language)
    # a turn is one call, and `after` calls that go on from it; `each` rows come out of it
    if sector == "world":
        after, each, lists = float(topics), topics * questions, (topics * ITEM // 4, questions * ITEM)
    elif sector == "creation":
        after, each, lists = QUESTIONS * expanded, QUESTIONS, (QUESTIONS * ITEM, DETAILED)
    else:
        after, each, lists = 0.0, TASKS, (TASKS * ITEM, 0)
    turns = Range(math.ceil(n / each), math.ceil(n / (each * FOUND)), n * patience - 1 + window)
    if sector == "materials":
        texts = came.count
        turns = Range(
            min(turns.low, texts.low),
            min(turns.expected, texts.expected),
            turns.ceiling if texts.ceiling is None else min(turns.ceiling or 0, texts.ceiling),
        )
    more = QUESTIONS if sector == "creation" else after  # at the most
    calls = turns.times(1 + after, 1 + after, 1 + more)
    frames = [sum(tokens(message.content) for message in frame) for frame in (first, *rest)]
    shown = came.tokens if sector == "materials" else 0
    read = frames[0] + shown + (after * (frames[1] + ITEM) if rest else 0)
    written = lists[0] + after * lists[1]
    if limit is not None:
        written = min(lists[0], limit) + after * min(lists[1], limit)
    prompt = max(sum(most_tokens(m.content) for m in frame) for frame in (first, *rest)) + most_tokens(
        canonical(SCHEMA)
    )
    # what is put into the second prompt comes out of an answer; into the materials' prompt, out of a row
    inside = came.longest if sector == "materials" else None if limit is None else limit * READ_AGAIN
    longest = None if inside is None or limit is None else inside + limit * READ_AGAIN + 32
    rows = Rows(
        Range(round(n * PASS), n, n),
        DETAILED if sector == "creation" else ITEM + shown,
        longest,
        None if longest is None else longest * n,
        waiting=1.0,
    )
    if sector != "materials":
        rows = came.plus(rows)
    return Estimate(
        rows,
        calls=calls,
        input_tokens=Range(
            round(turns.low * read * SHORT),
            round(turns.expected * read),
            None if inside is None or calls.ceiling is None else calls.ceiling * (prompt + inside),
        ),
        output_tokens=Range(
            round(turns.low * written * SHORT),
            round(turns.expected * written),
            None if limit is None or calls.ceiling is None else calls.ceiling * limit,
        ),
        role=by,
        source=f"prompts measured; {FOUND:.0%} of the items asked for are kept, {ITEM} tokens each (assumptions)",
        assumes=f"one new opening in {patience} turns (`patience`)",
    )


class _Part(NamedTuple):
    """An opening, or why there is none; with the completions that it came from."""

    text: str | ParseError
    completions: tuple[Completion, ...]
    meta: dict[str, Any]
    parents: tuple[str, ...] = ()


@step(check=_check, forecast=_forecast)
async def openings(
    run: Run,
    samples: Samples,
    *,
    n: Count,
    sector: Sector = "world",
    by: RoleName = "teacher",
    expanded: Annotated[float, Field(ge=0, le=1)] = 0.8,
    language: str = "English",
    temperature: float | None = 1.0,
    max_tokens: Count | None = 2048,
    patience: Count = 20,
    min_accept_rate: Rate | None = None,
    max_cost_per_kept: Dollars | None = None,
    window: Count = 16,
) -> Samples:
    """Write `n` first messages of conversations, as UltraChat does in its three sectors; they wait for an answer.

    `world`: 30 subjects, to topics, to questions. `creation`: instructions for 20 kinds of text, four in five of them
    rewritten with more detail. Both put their rows after those that come. `materials`: tasks about the texts that come
    (instruction and input of each row, up to five tasks a text), joined to the text by one of four templates; the
    texts themselves end here (material). An opening that is there already is dropped (duplicate). `ultrachat` goes on
    from them; the sector stands in `meta.sector`.

    Source: Ding et al. 2023, section 3. The lists are our own; the paper's questions about Wikidata entities are left
    out.

    Args:
        n: how many openings
        sector: world, creation or materials
        by: the role that writes them
        expanded: the share of the instructions (creation) that get more detail
        language: the language that world and creation are asked for in
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest list
        patience: stop when this many turns in a row bring nothing new
        min_accept_rate: stop when over 50 turns less than this share of the openings written is kept
        max_cost_per_kept: stop when over 50 turns a kept opening costs more dollars than this
        window: turns worked on at a time
    """
    came = [sample async for sample in samples]
    seen = {normal_form(sample.instruction) for sample in came}
    texts = came if sector == "materials" else []
    if sector == "materials":
        if not came:
            raise DataError("no texts came in", "materials are made from rows: put a `read` before it")
        for sample in came:
            run.drop(sample, "material")
    else:
        for sample in came:
            yield sample
    topics, questions = _sizes(n)
    growth = Growth(
        run,
        n,
        a_turn={"world": topics * questions, "creation": QUESTIONS, "materials": TASKS}[sector],
        patience=patience,
        min_accept_rate=min_accept_rate,
        max_cost_per_kept=max_cost_per_kept,
        tasks="openings",
        turns="turns",
    )

    async def listed(
        name: str, draw: int, most: int, **slots: Any
    ) -> tuple[Completion, list[str | ParseError]]:
        """The items of a list; what goes beyond the number that was asked for is a surplus."""
        completion = await run.generate(
            run.render(f"ultrachat/{name}", language=language, n=most, **slots),
            by=by,
            draw=draw,
            schema=SCHEMA,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        found = parse.parts(completion, items)
        over = [ParseError("surplus", f"more than {most} items", str(item)) for item in found[most:]]
        return completion, [*found[:most], *over]

    async def world(place: int) -> list[_Part]:
        draw, at = divmod(place, len(SUBJECTS))
        subject = SUBJECTS[at]
        completion, found = await listed("topics", draw, topics, topic=subject)
        about: dict[str, Any] = {"subject": subject}
        parts = [_Part(item, (completion,), about) for item in found if isinstance(item, ParseError)]
        names = [item for item in found if isinstance(item, str)]
        lists = await asyncio.gather(
            *(listed("questions", draw, questions, topic=subject, item=name) for name in names)
        )
        for name, (second, found) in zip(names, lists, strict=True):
            parts += [_Part(item, (completion, second), about | {"topic": name}) for item in found]
        return parts

    async def creation(place: int) -> list[_Part]:
        draw, at = divmod(place, len(KINDS))
        about: dict[str, Any] = {"kind": KINDS[at]}
        completion, found = await listed("instructions", draw, QUESTIONS, item=KINDS[at])

        async def detailed(number: int, item: str | ParseError) -> _Part:
            if isinstance(item, ParseError) or run.rng("expand", place, number).random() >= expanded:
                return _Part(item, (completion,), about)
            fence = run.rng("fence", item).randbytes(8).hex()
            second, (text, *more) = await listed("expand", draw, 1, instruction=item, fence=fence)
            if more:  # which one was meant?
                text = ParseError("two_items", f"{1 + len(more)} instructions instead of one")
            return _Part(text, (completion, second), about | {"expanded_from": item})

        return list(await asyncio.gather(*(detailed(number, item) for number, item in enumerate(found))))

    async def materials(place: int) -> list[_Part]:
        sample = texts[place]
        text = sample.prompt[-1].content
        completion, found = await listed("tasks", place, TASKS, text=text, fence=sample.id[:16])
        parts = []
        for number, item in enumerate(found):
            if isinstance(item, str):
                join = run.rng("join", place, number).choice(JOINS)
                item = join.format(task=item, text=text)
            parts.append(_Part(item, (completion,), {}, (sample.id,)))
        return parts

    def turns() -> Iterator[int]:
        for turn in growth.draws():
            if sector == "materials" and turn >= len(texts):
                growth.end("there are no more texts")
                return
            yield turn

    work = {"world": world, "creation": creation, "materials": materials}[sector]
    while growth.open:
        async for parts in run.map(work, turns(), window=window):
            kept = surplus = 0
            for part in parts:
                run.made()
                if isinstance(part.text, ParseError):
                    fault = part.text
                    last = part.completions[-1]
                    run.drop(fault.text or last.text, fault.reason, detail=fault.detail, request=last.key)
                    continue
                meta = {"recipe": "ultrachat", "sector": sector, **part.meta}
                row = run.trace(Sample.of(part.text, meta=meta, parents=part.parents), *part.completions)
                form = normal_form(part.text)
                if form in seen:
                    run.drop(row, "duplicate")
                elif growth.kept + kept >= n:
                    run.drop(row, "surplus", rule="n", threshold=n)
                    surplus += 1
                else:
                    seen.add(form)
                    kept += 1
                    yield row
            asked = {each.key: each for part in parts for each in part.completions}
            growth.answered(*asked.values(), made=len(parts) - surplus, kept=kept)
    run.note(**growth.facts())
    if not growth.kept:
        raise TeacherError(
            f"{growth.calls} completions of {run.teacher(by).model} brought not one opening",
            "`selfinstruct show` counts the reasons, `selfinstruct look` shows a completion",
        )
