"""translate: rows in another language, with code, addresses, formulas and numbers as they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import (
    PASS,
    PER_TEXT,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    longest_answer,
    most_tokens,
    tokens,
)
from selfinstruct.parse import usable
from selfinstruct.parse.translate import Span, masked, translation, wordless
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample, canonical
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion
from selfinstruct.text import scripts

SCHEMA = {
    "type": "object",
    "properties": {"translation": {"type": "string"}},
    "required": ["translation"],
    "additionalProperties": False,
}
GAP = "\n\n"  # between instruction and input, as in `Sample.of`
LONGER = 1.3  # times the tokens of the text that its translation has (assumption)


class _Part(NamedTuple):
    """One text of a row: what is left of it to translate, what was taken out, and the answer."""

    text: str
    source: str
    spans: list[Span]
    completion: Completion | None = None


def _frame(place: Place, language: str) -> tuple[Message, ...]:
    return place.prompts.render("translate/message", fence="0" * 16, language=language, text="", spans=1)


def _check(place: Place, *, language: str, by: RoleName, **_: Any) -> None:
    if not language.strip():
        raise ConfigError("language is empty", "name the language to translate into: language: German")
    place.role(by)
    _frame(place, language)


def _forecast(outlook: Outlook, *, language: str, by: RoleName, max_tokens: int | None, **_: Any) -> Estimate:
    rows = outlook.rows
    role = outlook.place.role(by)
    frame = _frame(outlook.place, language)
    parts = 2 - rows.waiting
    # every message has that many tokens at the ceiling, and an input is a text of its own
    most_calls = (
        None
        if rows.most is None or rows.count.ceiling is None
        else rows.most // PER_TEXT + 2 * rows.count.ceiling
    )
    low, expected = round(rows.count.low * SHORT), round(rows.count.expected * parts)
    calls = Range(low, expected, most_calls)
    shown = sum(tokens(message.content) for message in frame)
    fixed = sum(most_tokens(message.content) for message in frame) + most_tokens(canonical(SCHEMA))
    limit = longest_answer(role, max_tokens)
    text = rows.count.expected * rows.tokens
    written = round(text * LONGER) if limit is None else min(round(text * LONGER), expected * limit)
    most_written = None if most_calls is None or limit is None else most_calls * limit
    grown = None if most_written is None or rows.most is None else rows.most + most_written * READ_AGAIN
    return Estimate(
        replace(
            rows,
            count=rows.count.times(PASS, 1, 1),
            tokens=round(rows.tokens * LONGER),
            longest=None
            if rows.longest is None or limit is None
            else rows.longest + (rows.longest // PER_TEXT + 2) * limit * READ_AGAIN,
            text=grown,
        ),
        calls=calls,
        input_tokens=Range(
            round(low * shown),
            expected * shown + text,
            # a sign in the place of a span is at most nine bytes; the span may be shorter
            None if most_calls is None or rows.most is None else most_calls * fixed + 9 * rows.most,
        ),
        output_tokens=Range(round(written * SHORT), written, most_written),
        role=by,
        source="one call a text; prompt measured, the translation 1.3 times its text (assumption)",
    )


@step(check=_check, forecast=_forecast)
async def translate(
    run: Run,
    samples: Samples,
    *,
    language: str,
    by: RoleName = "teacher",
    temperature: float | None = 0.0,
    max_tokens: Count | None = 4096,
    window: Count = 128,
) -> Samples:
    """Translate every text of each row: instruction, input and answer, or all messages of a conversation.

    Each text is a call of its own, so that none leaks into another. Code (fenced, inline, or standing bare), formulas,
    addresses and placeholders are taken out before and put back after, byte for byte; numbers must be there again. A
    row is dropped when one of its texts lost something (lost_code, lost_url, lost_formula, lost_placeholder,
    lost_number), came back as it was (untranslated), in another script (wrong_script), or can't be read. A text without
    a word asks nobody. The row keeps its meta; what it was is under `original`, and its id in `parents`.

    Args:
        language: the language to translate into, by its English name: German, Chinese (simplified)...
        by: the role that translates
        temperature: sampling temperature; null leaves it to the provider
        max_tokens: the longest translation of one text
        window: rows worked on at a time
    """
    written_in = scripts(language)

    async def work(sample: Sample) -> tuple[Sample, list[_Part]]:
        done = []
        for text in _texts(sample):
            source, spans = masked(text.strip())
            part = _Part(text, source, spans)
            if not wordless(source):
                # the mark is made from the row, so that it is the same again on replay and unknown to the row's author
                prompt = run.render(
                    "translate/message",
                    fence=sample.id[:16],
                    language=language,
                    text=source,
                    spans=len(spans),
                )
                completion = await run.generate(
                    prompt, by=by, schema=SCHEMA, temperature=temperature, max_tokens=max_tokens
                )
                part = part._replace(completion=completion)
            done.append(part)
        return sample, done

    spared: Counter[str] = Counter()
    async for sample, parts in run.map(work, samples, window=run.window(window, by)):
        texts: list[str] = []
        fault: ParseError | None = None
        for place, part in enumerate(parts):
            try:
                texts.append(_translated(part, written_in))
            except ParseError as error:
                fault = error
                run.drop(
                    sample,
                    error.reason,
                    rule=error.reason,
                    value=error.detail,
                    part=place + 1,
                    of=len(parts),
                    said=error.text[:200],
                )
                break
        if fault is not None:
            continue
        for part in parts:
            spared.update(span.kind for span in part.spans)
        row = _rebuilt(sample, texts, language)
        for part in parts:
            if part.completion is not None:
                row = run.trace(row, part.completion)
        yield row
    run.note(
        language=language,
        scripts=sorted(written_in) or "not checked",
        spared={kind: spared[kind] for kind in sorted(spared)},
        headline=f"into {language}; left as they were: "
        + (", ".join(f"{kind} {spared[kind]}" for kind in sorted(spared)) or "nothing"),
    )


def _texts(sample: Sample) -> list[str]:
    """The texts of a row in order: of a first user message with an input, instruction and input apart."""
    found: list[str] = []
    for place, message in enumerate(sample.messages):
        if sample.input and place == _first(sample):
            found += [sample.instruction, sample.input]
        else:
            found.append(message.content)
    return found if sample.rejected is None else [*found, sample.rejected]


def _first(sample: Sample) -> int:
    return next(place for place, message in enumerate(sample.messages) if message.role == "user")


def _translated(part: _Part, written_in: frozenset[str]) -> str:
    if part.completion is None:
        return part.text
    found = translation(usable(part.completion), part.source, part.spans, written_in)
    before, _, after = part.text.partition(part.text.strip())  # white space around a text is a part of it
    return before + found + after


def _rebuilt(sample: Sample, texts: Sequence[str], language: str) -> Sample:
    left = iter(texts)
    meta = dict(sample.meta)
    messages = []
    for place, message in enumerate(sample.messages):
        content = next(left)
        if sample.input and place == _first(sample):
            meta["input"] = next(left)
            content += GAP + meta["input"]
        messages.append(Message(message.role, content))
    original: dict[str, Any] = {"messages": [[m.role, m.content] for m in sample.messages]}
    if sample.rejected is not None:
        original["rejected"] = sample.rejected
    meta |= {"recipe": "translate", "language": language, "original": original}
    return Sample(
        tuple(messages),
        None if sample.rejected is None else next(left),
        scores=sample.scores,
        meta=meta,
        parents=(sample.id,),
    )
