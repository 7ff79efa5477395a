"""novelty: keep a row only when its instruction is new, by exact ROUGE-L."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

from selfinstruct.novelty import NoveltyIndex
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

BLOCK = 512  # rows compared at a time


def _check(place: Place, *, threshold: float, **_: Any) -> None:
    NoveltyIndex(threshold)


@step(check=_check)
async def novelty(
    run: Run,
    samples: Samples,
    *,
    threshold: float = 0.7,
    strict: bool = True,
    tokens: Literal["words", "rouge"] = "words",
    field: Literal["instruction", "prompt"] = "instruction",
) -> Samples:
    """Keep a row only when its ROUGE-L to every row kept before it is not above the threshold.

    The decisions are those of Google's rouge_score, exactly (Self-Instruct, section 2.2, and Alpaca). A row that is
    dropped (not_novel) names the row it resembles most.

    Args:
        threshold: the highest ROUGE-L F that is still new
        strict: drop above the threshold, as the originals do; false drops at the threshold, too
        tokens: words (any language, C++ and C# apart) or rouge (exactly rouge_score's, blind to non-Latin scripts)
        field: what is compared: the instruction, or the prompt with its input
    """
    index = NoveltyIndex(threshold, strict=strict, tokens=tokens)
    seen = 0
    async for block in _blocks(samples):
        texts = [row.instruction if field == "instruction" else row.prompt[-1].content for row in block]
        for sample, match in zip(block, index.add_all(texts, [row.id for row in block]), strict=True):
            if match is None:
                yield sample
                continue
            run.drop(
                sample,
                "not_novel",
                rule="rouge_l",
                value=match.score,
                threshold=threshold,
                similar_to=match.id,
                similar=match.text,
            )
        seen += len(block)
        run.progress(seen)
    run.note(threshold=threshold, tokens=tokens, tokenless=index.tokenless)
    if tokens == "rouge" and index.tokenless > 0.01 * seen:
        run.note(
            warning=f"rouge tokens see nothing in {index.tokenless} of {seen} rows (no a-z, 0-9): use tokens: words"
        )


async def _blocks(samples: Samples) -> AsyncIterator[list[Sample]]:
    """The samples by the block: compared in bulk they cost a seventh, and the decisions are the same."""
    block: list[Sample] = []
    async for sample in samples:
        block.append(sample)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block
