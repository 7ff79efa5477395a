"""novelty: keep a row only when its instruction is new, by exact ROUGE-L."""

from __future__ import annotations

from typing import Any, Literal

from selfinstruct.novelty import NoveltyIndex
from selfinstruct.run import Place, Run
from selfinstruct.step import Samples, step


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
    async for sample in samples:
        seen += 1
        text = sample.instruction if field == "instruction" else sample.prompt[-1].content
        match = index.add_if_new(text, sample.id)
        if match is None:
            yield sample
        else:
            run.drop(
                sample,
                "not_novel",
                rule="rouge_l",
                value=match.score,
                threshold=threshold,
                similar_to=match.id,
                similar=match.text,
            )
        if seen % 1_000 == 0:
            run.progress(seen)
    run.note(threshold=threshold, tokens=tokens, tokenless=index.tokenless)
    if tokens == "rouge" and index.tokenless > 0.01 * seen:
        run.note(
            warning=f"rouge tokens see nothing in {index.tokenless} of {seen} rows (no a-z, 0-9): use tokens: words"
        )
