"""ground: the teacher writes question-answer pairs about a chunk, each with the words of the chunk that prove it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.outlook import PER_TEXT, READ_AGAIN, Estimate, Outlook, Range, asked, longest_answer
from selfinstruct.parse import usable
from selfinstruct.parse.ground import Pair, copied, located, pairs, refers
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion
from selfinstruct.text import normal_form, words

SCHEMA = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in Pair._fields},
                "required": list(Pair._fields),
                "additionalProperties": False,
            },
        }
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
PAIR = 90  # tokens of one as it is written, its quote included (assumption)
ROW = 60  # tokens of question and answer (assumption)
TITLE = 200  # characters of a title that are shown
SHORTEST = 3  # words of a quote: fewer stand in any text


class Fault(NamedTuple):
    """Why a pair is not taken."""

    reason: str
    detail: dict[str, Any]


def _frame(place: Place, number: int, self_contained: bool, language: str) -> tuple[Message, ...]:
    return place.prompts.render(
        "ground/pairs",
        pairs=number,
        self_contained=self_contained,
        language=language,
        fence="0" * 16,
        title="title",
        passage="",
    )


def _check(place: Place, *, pairs: int, self_contained: bool, language: str, by: RoleName, **_: Any) -> None:
    place.role(by)
    _frame(place, pairs, self_contained, language)


def _forecast(
    outlook: Outlook,
    *,
    pairs: int,
    self_contained: bool,
    language: str,
    by: RoleName,
    max_tokens: int | None,
    **_: Any,
) -> Estimate:
    estimate = asked(
        outlook,
        _frame(outlook.place, pairs, self_contained, language),
        by=by,
        written=pairs * PAIR,
        max_tokens=max_tokens,
        schema=SCHEMA,
        source=f"one call a chunk; prompt measured, {PAIR} tokens a pair (assumption)",
    )
    rows = outlook.rows
    limit = longest_answer(outlook.place.role(by), max_tokens)
    shown = 0 if self_contained else rows.longest
    longest = None if limit is None or shown is None else limit * READ_AGAIN + PER_TEXT + shown
    count = rows.count.times(pairs / 2, pairs, pairs)
    return replace(
        estimate,
        rows=replace(
            rows,
            count=count,
            tokens=ROW + (0 if self_contained else rows.tokens),
            longest=longest,
            text=None if longest is None or count.ceiling is None else longest * count.ceiling,
            waiting=0.0,
        ),
        # titles come with the documents, and have 200 characters at most
        input_tokens=_titled(estimate.input_tokens, rows.count),
    )


def _titled(tokens: Range, rows: Range) -> Range:
    most = (
        None if tokens.ceiling is None or rows.ceiling is None else tokens.ceiling + rows.ceiling * 4 * TITLE
    )
    return replace(tokens, ceiling=most)


@step(check=_check, forecast=_forecast)
async def ground(
    run: Run,
    samples: Samples,
    *,
    pairs: Count = 4,
    self_contained: bool = True,
    max_copied: Count = 30,
    language: str = "the language of the passage",
    by: RoleName = "teacher",
    temperature: float | None = 0.7,
    max_tokens: Count | None = 2048,
    window: Count = 256,
) -> Samples:
    """Ask for question-answer pairs about each chunk, and keep those that rest on it; yields the pairs.

    Each pair comes with a quote. A pair whose quote does not stand in the chunk, letter by letter but for white space,
    is dropped (not_grounded), and so is one whose quote has fewer than three words (short_quote), whose answer repeats
    a long piece of the chunk word by word (copied), that asks what was asked before (duplicate) or, where the reader
    does not see the chunk, speaks of "the text" (refers_to_text). `meta` has the document, the quote and its place in
    it. The chunks themselves end here (chunk).

    That a quote is there does not make the answer right: a judge can look at that.

    Args:
        pairs: how many to ask for in each chunk
        self_contained: questions are understood without the chunk; false makes the chunk the row's input
        max_copied: words in a row that an answer may take from the chunk
        language: the language that the pairs are asked for in
        by: the role that writes
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest answer
        window: chunks worked on at a time
    """

    async def ask(chunk: Sample) -> tuple[Sample, Completion]:
        prompt = run.render(
            "ground/pairs",
            pairs=pairs,
            self_contained=self_contained,
            language=language,
            fence=chunk.id[:16],  # made from the row: the same again on replay, unknown to the row's author
            title=" ".join(str(chunk.meta.get("title", "")).split())[:TITLE],
            passage=chunk.instruction,
        )
        completion = await run.generate(
            prompt, by=by, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens
        )
        return chunk, completion

    asked_before: set[str] = set()
    async for chunk, completion in run.map(ask, samples, window=run.window(window, by)):
        cut = completion.finish_reason == "length"
        try:
            found = _pairs(completion.text if cut else usable(completion), cut=cut)
        except ParseError as error:
            run.drop(chunk, error.reason, detail=error.detail, request=completion.key)
            continue
        run.drop(chunk, "chunk", pairs=len(found))
        run.made(len(found))
        taken = 0
        for pair in found:
            if isinstance(pair, ParseError):
                run.drop(pair.text, pair.reason, detail=pair.detail, request=completion.key)
                continue
            place = located(pair.quote, chunk.instruction)
            row = run.trace(_row(pair, chunk, place, self_contained), completion)
            fault = _fault(pair, chunk, place, self_contained, max_copied)
            question = normal_form(pair.question)
            if fault is not None:
                run.drop(row, fault.reason, **fault.detail)
            elif question in asked_before:
                run.drop(row, "duplicate", rule="question")
            elif taken == pairs:
                run.drop(row, "surplus", rule="pairs", threshold=pairs)
            else:
                asked_before.add(question)
                taken += 1
                yield row


_pairs = pairs  # the option of that name hides the function inside the step


def _row(pair: Pair, chunk: Sample, place: tuple[int, int] | None, self_contained: bool) -> Sample:
    start = (chunk.meta.get("span") or [0])[0]
    kept = {key: value for key, value in chunk.meta.items() if key != "requests"}
    quoted = {} if place is None else {"quote_span": [start + place[0], start + place[1]]}
    return Sample.of(
        pair.question,
        "" if self_contained else chunk.instruction,
        pair.answer,
        meta={**kept, "recipe": "ground", "quote": pair.quote, **quoted},
        parents=[chunk.id],
    )


def _fault(
    pair: Pair, chunk: Sample, place: tuple[int, int] | None, self_contained: bool, max_copied: int
) -> Fault | None:
    if place is None:
        return Fault("not_grounded", {"rule": "quote", "value": pair.quote})
    length = len(words(pair.quote))
    if length < SHORTEST:
        return Fault("short_quote", {"rule": "words", "value": length, "threshold": SHORTEST})
    if self_contained and (said := refers(pair.question) or refers(pair.answer)):
        return Fault("refers_to_text", {"rule": "self_contained", "value": said})
    run_length = copied(pair.answer, chunk.instruction)
    if run_length > max_copied:
        return Fault("copied", {"rule": "max_copied", "value": run_length, "threshold": max_copied})
    return None
