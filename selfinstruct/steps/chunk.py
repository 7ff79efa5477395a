"""chunk: documents become pieces that fit into a prompt."""

from __future__ import annotations

import math
from dataclasses import replace

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats.documents import Unit, chunks
from selfinstruct.outlook import CHARS_PER_TOKEN, PER_TEXT, Estimate, Outlook, Range
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message
from selfinstruct.step import Count, Samples, step

WORD = 6  # characters of an English word and its space (assumption)
LONGEST_WORD = 1000  # characters: a longer one is cut


def _check(place: Place, *, size: int, overlap: int, **_: object) -> None:
    if not 0 <= overlap < size / 2:
        raise ConfigError(
            f"an overlap of {overlap} is no part of chunks of {size}", "give less than half of `size`"
        )


def _forecast(outlook: Outlook, *, size: int, overlap: int, unit: Unit, **_: object) -> Estimate:
    rows = outlook.rows
    characters = size if unit == "characters" else size * WORD
    length = rows.tokens * CHARS_PER_TOKEN
    each = max(1, math.ceil(length / (characters * (1 - overlap / size))))
    # all but the last chunk move on by more than half of `size` less the overlap; a unit has at least one byte
    most = None if rows.most is None else rows.most // (size // 2 - overlap + 1) + (rows.count.ceiling or 0)
    longest = None if rows.longest is None else min(rows.longest, _most_bytes(size, unit) + PER_TEXT)
    count = Range(rows.count.low, rows.count.expected * each, most)
    return Estimate(
        replace(
            rows,
            count=count,
            tokens=min(rows.tokens, round(characters / CHARS_PER_TOKEN)),
            longest=longest,
            text=None if longest is None or most is None else longest * most,
        ),
        source="by the length of the documents",
    )


def _most_bytes(size: int, unit: Unit) -> int:
    return size * 4 * (1 if unit == "characters" else LONGEST_WORD + 80)


@step(check=_check, forecast=_forecast)
async def chunk(
    run: Run,
    samples: Samples,
    *,
    size: Count = 4000,
    overlap: int = 200,
    unit: Unit = "characters",
) -> Samples:
    """Cut each document into chunks that end with a paragraph, a line, a sentence or a word.

    `meta.span` holds where in the document a chunk begins and ends, in characters: the text between is the chunk,
    letter by letter. Scripts without spaces are cut at their sentence signs, and never between a letter and its marks.

    Args:
        size: the longest chunk
        overlap: how much of the chunk before a chunk may repeat; less than half of `size`
        unit: what is counted: characters, or words (a character of a script without spaces counts as one)
    """
    cut = 0
    async for sample in samples:
        if sample.answered or len(sample.messages) != 1:
            raise DataError(
                f"a row is no document: {sample.instruction[:60]!r}", "put `read_documents` before `chunk`"
            )
        text = sample.messages[0].content
        pieces = chunks(text, size, overlap, unit)
        if not pieces:
            run.drop(sample, "empty")
            continue
        run.made(len(pieces) - 1)
        for start, end in pieces:
            cut += 1
            piece = (Message("user", text[start:end]),)
            yield sample.replace(messages=piece, parents=(sample.id,)).note(span=[start, end])
    run.note(chunks=cut)
