"""persona, personas: instructions over a grid of attributes (personas as in Persona Hub, Ge et al. 2024)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError, ParseError
from selfinstruct.formats import files
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.outlook import (
    PASS,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    Rows,
    asked,
    longest_answer,
    most_tokens,
    tokens,
)
from selfinstruct.parse import parts, usable
from selfinstruct.parse.persona import instructions as read_instructions
from selfinstruct.parse.persona import persona as read_persona
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, digest
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Cell = Mapping[str, str]
AXES = ("domain", "task", "difficulty", "persona")
WRITTEN = 40  # tokens of an instruction, on average (assumption)
PERSONA = 40  # tokens of a persona, on average (assumption)


def _schema(k: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "instructions": {"type": "array", "items": {"type": "string"}}  # not every provider counts items
        },
        "required": ["instructions"],
        "additionalProperties": False,
    }


PERSONA_SCHEMA = {
    "type": "object",
    "properties": {"persona": {"type": "string"}},
    "required": ["persona"],
    "additionalProperties": False,
}


def _axes(
    domains: Sequence[str], tasks: Sequence[str], difficulties: Sequence[str], personas: Sequence[str]
) -> dict[str, list[str]]:
    given = dict(zip(AXES, (domains, tasks, difficulties, personas), strict=True))
    for name, values in given.items():
        if any(not value.strip() for value in values):
            raise ConfigError(f"persona: an empty text stands among the values of {name}", "take it out")
    return {name: list(dict.fromkeys(values)) for name, values in given.items() if values}


def _grid(axes: Mapping[str, Sequence[str]]) -> list[Cell]:
    """Every combination of the values, the last axis turning fastest."""
    if not axes:
        return []
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _distinct(cells: Iterable[Cell]) -> list[Cell]:
    return list({digest(dict(cell)): cell for cell in cells}.values())


def _listed(place: Place, cells: str | None) -> list[Cell]:
    """The cells of a file. Raises ConfigError or DataError."""
    if cells is None:
        return []
    path = place.path(cells)
    found: list[Cell] = []
    for where, row in files.json_lines(path):
        if isinstance(row, formats.Fault):
            raise row.error()
        if (
            not isinstance(row, dict)
            or not row
            or row.keys() - set(AXES)
            or not all(isinstance(value, str) and value.strip() for value in row.values())
        ):
            raise DataError(
                f"{path}: {where}: is no cell", f"write an object of texts under {', '.join(AXES)}"
            )
        found.append({name: row[name] for name in AXES if name in row})
    return found


def _frame(place: Place, cell: Cell, k: int, language: str) -> tuple[Message, ...]:
    return place.prompts.render("persona/instructions", fence="0" * 16, cell=cell, k=k, language=language)


def _check(
    place: Place,
    *,
    domains: Sequence[str],
    tasks: Sequence[str],
    difficulties: Sequence[str],
    personas: Sequence[str],
    cells: str | None,
    k: int,
    threshold: float,
    language: str,
    **_: Any,
) -> None:
    NoveltyIndex(threshold)
    place.role("teacher")
    _axes(domains, tasks, difficulties, personas)
    _listed(place, cells)
    _frame(place, dict.fromkeys(AXES, "x"), k, language)


def _sees(place: Place, *, cells: str | None, **_: Any) -> str | None:
    return None if cells is None else formats.content_digest(place.path(cells))


def _forecast(
    outlook: Outlook,
    *,
    draws: int,
    k: int,
    domains: Sequence[str],
    tasks: Sequence[str],
    difficulties: Sequence[str],
    personas: Sequence[str],
    cells: str | None,
    language: str,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    place, came = outlook.place, outlook.rows.count
    axes = _axes(domains, tasks, difficulties, personas)
    rest = len(_grid({name: values for name, values in axes.items() if name != "persona"})) or 1
    known = len(axes.get("persona", ()))
    listed = _listed(place, cells)
    every = _distinct((*listed, *_grid(axes)))

    def calls_of(rows: int) -> int:
        return draws * (len(listed) + rest * (known + rows) if rows else len(every))

    # all rows may bring one persona, which the lists have, too
    fewest = max(len(_distinct(listed)), rest) if came.low and not known else len(every)
    calls = Range(
        draws * fewest,
        calls_of(came.expected),
        None if came.ceiling is None else calls_of(came.ceiling),
    )
    widest = {name: max((cell.get(name, "") for cell in every), key=len, default="") for name in AXES}
    frame = _frame(place, widest, k, language)
    schema = most_tokens(str(_schema(k)))
    # a persona that comes with a row is a part of what the row holds
    own = outlook.rows.longest
    limit = longest_answer(place.role("teacher"), max_tokens)
    written = k * WRITTEN if limit is None else min(k * WRITTEN, limit)
    shown = sum(tokens(message.content) for message in frame)
    widest_prompt = (
        None if own is None else sum(most_tokens(message.content) for message in frame) + schema + own
    )
    longest = None if limit is None else limit * READ_AGAIN
    return Estimate(
        Rows(
            calls.times(k * PASS, k, k),
            tokens=WRITTEN,
            longest=longest,
            text=None if longest is None or calls.ceiling is None else calls.ceiling * longest,
            waiting=1.0,
        ),
        calls=calls,
        input_tokens=calls.times(shown * SHORT, shown, widest_prompt),
        output_tokens=calls.times(written * SHORT, written, limit),
        source=f"{draws} call{'s' * (draws > 1)} a cell; prompt measured, {WRITTEN} tokens an instruction (assumption)",
    )


@step(check=_check, sees=_sees, forecast=_forecast)
async def persona(
    run: Run,
    samples: Samples,
    *,
    draws: Count = 1,
    k: Count = 5,
    domains: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    difficulties: tuple[str, ...] = (),
    personas: tuple[str, ...] = (),
    cells: str | None = None,
    threshold: float = 0.7,
    language: str = "English",
    temperature: float | None = 1.0,
    max_tokens: Count | None = 2048,
    window: Count = 256,
) -> Samples:
    """Have the teacher write instructions for every cell of a grid of domains, tasks, difficulties and personas.

    The grid is every combination of the values (personas as in Persona Hub, Ge et al. 2024). Each cell is asked for
    `draws` times, and each call brings up to `k` instructions that wait for their answers, with the cell's attributes
    in their meta. Rows that come in give their persona to the grid (see `personas`) and end here (persona_source, or
    no_persona).
    An instruction is dropped when its ROUGE-L to one kept before it is above the threshold (not_novel), or when it
    speaks of the grid (meta_words). What each cell brought is in the facts of the step; cells that brought nothing
    are warned about.

    Args:
        draws: calls for each cell, with answers of their own
        k: instructions asked for in one call
        domains: values of the domain, such as medicine, or small business
        tasks: kinds of task, such as summarising, or writing code
        difficulties: values of the difficulty
        personas: people, each in a sentence
        cells: a JSON Lines file of cells, objects of domain, task, difficulty, persona; they come before the grid's
        threshold: the highest ROUGE-L F to an instruction kept before
        language: the language that the instructions are asked for in
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer
        window: calls worked on at a time
    """
    parents: dict[str, list[str]] = {}
    without = 0
    async for sample in samples:
        told = sample.meta.get("persona")
        if not isinstance(told, str) or not told.strip():
            run.drop(sample, "no_persona")
            without += 1
            continue
        parents.setdefault(told, []).append(sample.id)
        run.drop(sample, "persona_source")
    if without and not parents:
        raise DataError(
            f"none of the {without:,} rows carries a persona",
            "put a `personas` step before `persona`",
        )
    axes = _axes(domains, tasks, difficulties, (*personas, *parents))
    grid = _distinct((*_listed(run.place, cells), *_grid(axes)))
    if not grid:
        raise DataError(
            "the grid has no cell", "set domains, tasks, difficulties, personas or cells, or read personas"
        )
    index = NoveltyIndex(threshold)
    schema = _schema(k)

    async def ask(item: tuple[Cell, int]) -> tuple[Cell, Completion]:
        cell, draw = item
        fence = digest(dict(cell))[:16]
        prompt = run.render("persona/instructions", fence=fence, cell=cell, k=k, language=language)
        return cell, await run.generate(
            prompt, draw=draw, schema=schema, temperature=temperature, max_tokens=max_tokens
        )

    kept: Counter[str] = Counter({_name(cell): 0 for cell in grid})
    items = [(cell, draw) for cell in grid for draw in range(draws)]
    async for cell, completion in run.map(ask, items, window=run.window(window, "teacher")):
        for found in parts(completion, partial(read_instructions, k=k)):
            run.made()
            if isinstance(found, ParseError):
                text = found.text or completion.text
                run.drop(text, found.reason, detail=found.detail, cell=dict(cell), request=completion.key)
                continue
            sample = run.trace(
                Sample.of(
                    found,
                    meta={"recipe": "persona", **cell},
                    parents=parents.get(cell.get("persona", ""), ()),
                ),
                completion,
            )
            match = index.add_if_new(found, sample.id)
            if match is not None:
                run.drop(sample, "not_novel", **match.detail(threshold))
                continue
            kept[_name(cell)] += 1
            yield sample
    fewest, most = min(kept.values()), max(kept.values())
    run.note(
        threshold=threshold,
        cells=len(grid),
        by_cell=dict(kept),
        headline=f"{len(grid)} cells, {fewest} to {most} instructions each",
    )
    barren = [name for name, count in kept.items() if not count]
    if barren:
        run.note(warning=f"{len(barren)} of {len(grid)} cells brought nothing, such as {barren[0]}")


def _name(cell: Cell) -> str:
    return " / ".join(cell.values())


def _behind(place: Place) -> tuple[Message, ...]:
    return place.prompts.render("persona/persona", fence="0" * 16, text="")


def _check_personas(place: Place, *, by: RoleName, **_: Any) -> None:
    place.role(by)
    _behind(place)


def _forecast_personas(outlook: Outlook, *, by: RoleName, max_tokens: int | None, **_: Any) -> Estimate:
    estimate = asked(
        outlook,
        _behind(outlook.place),
        by=by,
        written=PERSONA,
        max_tokens=max_tokens,
        schema=PERSONA_SCHEMA,
        source=f"one call a row; prompt measured, {PERSONA} tokens a persona (assumption)",
    )
    rows, written = estimate.rows, longest_answer(outlook.place.role(by), max_tokens)
    more = None if written is None else written * READ_AGAIN
    return replace(
        estimate,
        rows=replace(
            rows,
            count=rows.count.times(PASS, 1, 1),
            longest=None if rows.longest is None or more is None else rows.longest + more,
            text=rows.most,
        ),
    )


@step(check=_check_personas, forecast=_forecast_personas)
async def personas(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    temperature: float | None = 0.7,
    max_tokens: Count | None = 300,
    window: Count = 256,
) -> Samples:
    """Imagine for each row who would read or write its text, and note that persona in its meta.

    This is text-to-persona in Persona Hub (Ge et al. 2024, section 2.1). A `persona` step behind it writes instructions
    for these people.

    Args:
        by: the role that imagines
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer
        window: rows worked on at a time
    """

    async def imagine(sample: Sample) -> tuple[Sample, Completion]:
        text = "\n\n".join(message.content for message in sample.messages)
        # the mark is made from the row, so that it is the same again on replay and unknown to the row's author
        prompt = run.render("persona/persona", fence=sample.id[:16], text=text)
        return sample, await run.generate(
            prompt, by=by, schema=PERSONA_SCHEMA, temperature=temperature, max_tokens=max_tokens
        )

    async for sample, completion in run.map(imagine, samples, window=run.window(window, by)):
        sample = run.trace(sample, completion)
        try:
            yield sample.note(persona=read_persona(usable(completion)))
        except ParseError as fault:
            run.drop(sample, fault.reason, detail=fault.detail)
