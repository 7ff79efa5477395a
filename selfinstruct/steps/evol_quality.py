"""evol_quality: the teacher improves responses, step by step (Liu et al. 2023, Deita, section 2.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

from selfinstruct.errors import ConfigError, DataError, ParseError
from selfinstruct.outlook import READ_AGAIN, Estimate, Outlook, Rows, asked, longest_answer
from selfinstruct.parse import usable
from selfinstruct.parse.evol import RESPONSE_WORDS, Fault, answer_fault, change_fault, meta_fault
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, digest, transcript
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Operator = Literal["helpfulness", "relevance", "deepening", "creativity", "details"]
ALL: tuple[Operator, ...] = get_args(Operator)
Fidelity = Literal["fixed", "paper"]
KEPT = 0.9  # of the attempts that improve a response (assumption)


class _Turn(NamedTuple):
    """A row's turn in one generation: what is improved, how, and by which request."""

    place: int
    parent: Sample
    operator: Operator
    prompt: tuple[Message, ...]
    fence: str
    draw: int


def _frame(place: Place, operator: Operator) -> tuple[Message, ...]:
    return place.prompts.render("evol/quality", operator=operator, fence="0" * 16, prompt="", response="")


def _check(place: Place, *, ops: Sequence[Operator], **_: Any) -> None:
    place.role("teacher")
    if not ops:
        raise ConfigError("`ops` names no operator", "leave it out for all five")
    for operator in ops:
        _frame(place, operator)


def _forecast(
    outlook: Outlook,
    *,
    generations: int,
    ops: Sequence[Operator],
    keep: str,
    max_tokens: int,
    **_: Any,
) -> Estimate:
    rows = outlook.rows
    limit = longest_answer(outlook.place.role("teacher"), max_tokens)
    longest = None if rows.longest is None or limit is None else rows.longest + limit * READ_AGAIN
    later = Rows(rows.count, rows.tokens, longest, None)
    frame = max((_frame(outlook.place, each) for each in ops), key=lambda it: len(it[-1].content))
    total = Estimate(rows)
    for generation in range(generations):
        here = replace(outlook, rows=rows if generation == 0 else later)
        total = total.plus(asked(here, frame, by="teacher", written=rows.tokens, max_tokens=max_tokens))
    many = {
        "last": (1.0, 1.0, 1),
        "all": (1.0, 1 + generations * KEPT, 1 + generations),
        "pair": (0.5, 1.0, 1),
    }
    return replace(
        total,
        rows=Rows(rows.count.times(*many[keep]), rows.tokens, longest, None),
        source="prompt measured; a better response is as long as the row (assumption)",
    )


@step(check=_check, forecast=_forecast)
async def evol_quality(
    run: Run,
    samples: Samples,
    *,
    generations: Count = 5,
    ops: tuple[Operator, ...] = ALL,
    keep: Literal["last", "all", "pair"] = "last",
    fidelity: Fidelity = "fixed",
    max_growth: int = 40,
    max_tokens: Count = 2048,
    window: Count = 256,
) -> Samples:
    """Improve the last response of each row again and again, as Deita does (Liu et al. 2023, section 2.3).

    In each generation every row gets one operator, all with equal chances, and the teacher rewrites the response by
    it. A failed attempt is dropped, and its parent is tried again in the next generation; a response that was improved
    ends here (superseded). `keep: all` gives every variant of a response as a row, for ranking them: rows with the
    same root in `meta` belong together, generation tells their order. `keep: pair` gives one row for each response
    that was improved, the last variant as the answer and the response that came as `rejected`; one that was not, or
    that ended as it began, ends here (no_pair).

    Eliminated are responses that copy words of the rewriting prompt (meta_words); `fidelity: paper` looks at nothing
    else. `fixed` also eliminates what is unchanged, refuses (refusal, boilerplate), grew by too many words (growth),
    is a short "sorry" (sorry), nothing but stop words (stop_words) or cut (truncated).

    Args:
        generations: how often each response is evolved
        ops: the operators to draw from
        keep: last (the last variant in place of the response), all (all variants), or pair (last and first)
        fidelity: fixed, or paper for exactly the published rules
        max_growth: fixed only; the most words that a response may gain in one generation
        max_tokens: the longest response
        window: rows worked on at a time
    """
    paper = fidelity == "paper"
    said: Counter[str] = Counter()  # how often each prompt was used: equal ones are independent draws
    tried: Counter[str] = Counter()
    kept: Counter[str] = Counter()

    roots: list[Sample] = []
    async for sample in samples:
        if not sample.answered:
            raise DataError(
                f"a row has no response to improve: {sample.instruction[:60]!r}",
                "put a `respond` step before `evol_quality`",
            )
        roots.append(sample)
        if keep == "all":
            yield sample.note(root=sample.id, generation=0)
    now = list(roots)

    def requests(generation: int) -> Iterator[_Turn]:
        drawn: Counter[str] = Counter()
        for place, (root, parent) in enumerate(zip(roots, list(now), strict=True)):
            operator = run.rng("operator", generation, root.id, drawn[root.id]).choice(ops)
            drawn[root.id] += 1
            tried[operator] += 1
            fence = digest(["evol_quality", parent.id])[:16]
            prompt = run.render(
                "evol/quality",
                operator=operator,
                fence=fence,
                prompt=transcript(parent.prompt),
                response=parent.output,
            )
            key = digest([message.content for message in prompt])
            said[key] += 1
            yield _Turn(place, parent, operator, prompt, fence, said[key] - 1)

    async def rewrite(turn: _Turn) -> tuple[_Turn, Completion]:
        return turn, await run.generate(turn.prompt, draw=turn.draw, temperature=1.0, max_tokens=max_tokens)

    wide = run.window(window, "teacher")
    for generation in range(1, generations + 1):
        async for turn, completion in run.map(rewrite, requests(generation), window=wide):
            run.made()
            try:
                text = completion.text.strip() if paper and completion.text.strip() else usable(completion)
            except ParseError as error:
                run.drop(completion.text, error.reason, request=completion.key, parent=turn.parent.id)
                continue
            root, parent = roots[turn.place], turn.parent
            sample = root.answer(text).replace(scores={}, parents=(parent.id,))
            sample = sample.note(
                recipe="evol_quality", operator=turn.operator, generation=generation, root=root.id
            )
            sample = run.trace(sample, completion)
            fault = _fault(turn, text, fidelity, max_growth)
            if fault is not None:
                run.drop(sample, fault.reason, **fault.detail)
                continue
            kept[turn.operator] += 1
            now[turn.place] = sample
            if keep == "all":
                yield sample
            else:
                run.drop(parent, "superseded", by=sample.id)
        run.progress(generation, generations)
    if keep != "all":
        for root, last in zip(roots, now, strict=True):
            if keep == "last":
                yield last
            elif (
                last.output.strip() == root.output.strip()
            ):  # nothing improved it, or the last step led back to it
                run.drop(last, "no_pair")
            else:
                yield last.replace(rejected=root.output)
    run.note(fidelity=fidelity, operators={each: [kept[each], tried[each]] for each in sorted(tried)})
    by_operator = ", ".join(f"{each} {kept[each]:,} of {tried[each]:,}" for each in sorted(tried))
    run.note(headline=f"{kept.total():,} of {tried.total():,} attempts improved a response: {by_operator}")
    if tried and not kept:
        run.note(warning=f"not one of {tried.total():,} attempts improved a response")


def _fault(turn: _Turn, text: str, fidelity: Fidelity, max_growth: int) -> Fault | None:
    old = turn.parent.output
    known = RESPONSE_WORDS if fidelity == "paper" else (*RESPONSE_WORDS, turn.fence)
    fault = meta_fault(text, f"{transcript(turn.parent.prompt)}\n{old}", fidelity, known)
    if fault is None and fidelity == "fixed":
        fault = change_fault(text, old, most=max_growth) or answer_fault(text, fidelity)
    return fault
