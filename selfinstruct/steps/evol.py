"""evol: the teacher makes prompts harder and rarer, generation after generation (Xu et al. 2023, WizardLM)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.novelty import NoveltyIndex
from selfinstruct.outlook import READ_AGAIN, Estimate, Outlook, Rows, asked, longest_answer
from selfinstruct.parse import usable
from selfinstruct.parse.evol import PROMPT_WORDS, SCHEMA, Fault, answer_fault, change_fault, equal, meta_fault
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample, digest, transcript
from selfinstruct.step import Count, Samples, step
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]
Set = Literal["text", "code", "math"]
Operator = Literal[
    "constraints", "deepening", "concretizing", "reasoning", "input", "breadth",
    "requirements", "rarer", "steps", "misdirection", "complexity",
    "harder", "easier",
]  # fmt: skip

SETS: dict[Set, tuple[Operator, ...]] = {
    "text": ("constraints", "deepening", "concretizing", "reasoning", "input", "breadth"),
    "code": ("requirements", "rarer", "steps", "misdirection", "complexity"),
    "math": ("harder", "easier"),
}
PROMPTS = {
    **dict.fromkeys(SETS["text"], "evol/depth"),
    "input": "evol/input",
    "breadth": "evol/breadth",
    **dict.fromkeys(SETS["code"], "evol/code"),
    **dict.fromkeys(SETS["math"], "evol/math"),
}
# asked for 10 to 20 words more; the others may add a table or code, or begin anew
GROWING = ("constraints", "deepening", "concretizing", "reasoning")
FORMATS = ("XML", "an SQL table", "Python code", "an HTML page", "a shell command", "JSON")
PAPER = {"temperature": 1.0, "top_p": 0.95, "frequency_penalty": 0, "presence_penalty": 0}
WRITTEN, ANSWER, VERDICT = 45, 120, 3  # tokens of an evolved prompt, its answer and a verdict (assumption)
LONGEST_VERDICT = 300
SELDOM = 0.1  # of the evolutions are answered, in a good case (assumption)
KEPT = 0.5  # of the evolutions: half were eliminated (WizardLM, issue 220)


class _Turn(NamedTuple):
    """A row's turn in one generation: what is evolved, how, and by which request."""

    place: int
    parent: Sample
    operator: Operator
    format: str
    prompt: tuple[Message, ...]
    fence: str
    draw: int


class _Offer(NamedTuple):
    """An evolved prompt that no free rule has eliminated."""

    turn: _Turn
    sample: Sample
    draw: int


def _chosen(ops: Set | Sequence[Operator]) -> Sequence[Operator]:
    return SETS[ops] if isinstance(ops, str) else ops


def _frame(place: Place, operator: Operator) -> tuple[Message, ...]:
    """The prompt at its longest, before the row's text."""
    form = max(FORMATS, key=len)
    return place.prompts.render(
        PROMPTS[operator], operator=operator, format=form, fence="0" * 16, conversation="-", prompt=""
    )


def _comparison(place: Place, as_json: bool) -> tuple[Message, ...]:
    return place.prompts.render("evol/equal", fence="0" * 16, first="", second="", as_json=as_json)


def _check(
    place: Place,
    *,
    ops: Set | Sequence[Operator],
    min_growth: int,
    max_growth: int,
    threshold: float,
    **_: Any,
) -> None:
    NoveltyIndex(threshold)
    if not _chosen(ops):
        raise ConfigError("`ops` names no operator", "leave it out for the six of the paper")
    if min_growth > max_growth:
        raise ConfigError(f"growth from {min_growth} to {max_growth} words leaves no room")
    for operator in _chosen(ops):
        _frame(place, operator)
    _comparison(place, place.role("teacher").teacher.structured)


def _forecast(
    outlook: Outlook,
    *,
    generations: int,
    ops: Set | Sequence[Operator],
    originals: bool,
    fidelity: Fidelity,
    max_tokens: int,
    **_: Any,
) -> Estimate:
    place, rows = outlook.place, outlook.rows
    role = place.role("teacher")
    limit = longest_answer(role, max_tokens)
    # what comes out of one generation goes into the next; its last turn is a completion by then
    longest = None if rows.longest is None or limit is None else rows.longest + limit * READ_AGAIN
    later = Rows(rows.count, rows.tokens, longest, None)
    frame = max(
        (_frame(place, each) for each in _chosen(ops)), key=lambda it: sum(len(m.content) for m in it)
    )
    paper = fidelity == "paper"
    as_json = role.teacher.structured and not paper
    total = Estimate(rows)
    for generation in range(generations):
        here = Outlook(place, rows if generation == 0 else later)
        pair = Outlook(
            place, Rows(rows.count, 2 * rows.tokens, None if longest is None else 2 * longest, None)
        )
        known: dict[str, Any] = {"by": "teacher", "max_tokens": max_tokens}
        total = total.plus(asked(here, frame, written=WRITTEN, **known))
        total = total.plus(
            asked(
                pair,
                _comparison(place, as_json),
                by="teacher",
                written=VERDICT,
                max_tokens=max_tokens if paper else LONGEST_VERDICT,
                calls=(KEPT, 1, 1),
                schema=SCHEMA if as_json else None,
            )
        )
        answered = Outlook(place, later)
        total = total.plus(asked(answered, (), written=ANSWER, calls=(SELDOM, KEPT, 1), **known))
    first = int(originals)
    return Estimate(
        Rows(
            rows.count.times(first, first + generations * KEPT, first + generations),
            rows.tokens,
            None if longest is None or limit is None else longest + limit * READ_AGAIN,
            None,
            rows.waiting * first / (first + generations * KEPT),
        ),
        calls=total.calls,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        source=f"prompts measured; {KEPT:.0%} of the evolutions are kept (WizardLM); "
        f"{WRITTEN} tokens a prompt, {ANSWER} an answer (assumption)",
    )


@step(check=_check, forecast=_forecast)
async def evol(
    run: Run,
    samples: Samples,
    *,
    generations: Count = 4,
    ops: Set | tuple[Operator, ...] = "text",
    originals: bool = True,
    fidelity: Fidelity = "fixed",
    min_growth: int = 0,
    max_growth: int = 40,
    threshold: float = 0.7,
    max_tokens: Count = 2048,
    window: Count = 256,
) -> Samples:
    """Evolve prompts into harder and rarer ones, and answer them, as Evol-Instruct does (Xu et al. 2023, WizardLM).

    In each generation every row gets one operator, all with equal chances: the teacher rewrites the row's last user
    turn by it, says whether the two prompts are equal, and answers the new one. An evolution that a rule eliminates is
    dropped, and its parent is tried again in the next generation. Out come the rows that came and the evolutions of
    all generations; in `meta` stand operator, generation (0 for a row that came) and root (the id of the row that
    came), in `parents` the row that an evolution was made from. Of a conversation, what came before the last user turn
    stays as it is.

    Eliminated are evolutions that are equal to their parent (equal), that copy words of the rewriting prompt
    (meta_words), and those whose answer is a short "sorry" (sorry) or nothing but stop words (stop_words). A verdict
    that can't be read is none (no_verdict). `fidelity: paper` is that, with the published rules and parameters.
    `fixed` spares what these rules hit by mistake, and also eliminates what is unchanged, refuses (refusal,
    boilerplate), grew by too many or too few words (growth) or was cut (truncated), and new prompts that resemble one
    that is there (not_novel).

    Args:
        generations: how often each row is evolved
        ops: the six operators for text, WizardCoder's five for code, WizardMath's two for math, or a list of operators
        originals: keep the rows that came, too, as the paper does; otherwise they end here (original)
        fidelity: fixed, or paper for exactly the published rules and parameters
        min_growth: fixed only; the least words that constraints, deepening, concretizing and reasoning add
        max_growth: fixed only; the most words that they add
        threshold: fixed only; the highest ROUGE-L F of a prompt made by breadth to any other
        max_tokens: the longest evolved prompt, and the longest answer
        window: rows worked on at a time
    """
    paper = fidelity == "paper"
    operators = _chosen(ops)
    as_json = run.teacher().structured and not paper
    params: dict[str, Any] = {**(PAPER if paper else {"temperature": 1.0}), "max_tokens": max_tokens}
    pool = NoveltyIndex(threshold)
    roots: list[Sample] = []
    asking_nothing = 0
    async for sample in samples:
        if sample.prompt and sample.prompt[-1].role == "user" and sample.prompt[-1].content.strip():
            sample = sample.note(root=sample.id, generation=0)
            roots.append(sample)
            pool.add(sample.prompt[-1].content, sample.id)
        else:
            asking_nothing += 1
        if originals:
            yield sample
        else:
            run.drop(sample, "original")
    now = list(roots)  # of each root, what the next generation evolves
    said: Counter[str] = Counter()  # how often each prompt was used: equal ones are independent draws
    tried: Counter[str] = Counter()
    kept: Counter[str] = Counter()

    def requests(generation: int) -> Iterator[_Turn]:
        drawn: Counter[str] = Counter()
        for place, (root, parent) in enumerate(zip(roots, list(now), strict=True)):
            rng = run.rng("operator", generation, root.id, drawn[root.id])
            drawn[root.id] += 1
            operator = rng.choice(operators)
            form = rng.choice(FORMATS)
            fence = digest(["evol", parent.id])[:16]
            prompt = run.render(
                PROMPTS[operator],
                operator=operator,
                format=form,
                fence=fence,
                conversation=transcript(parent.prompt[:-1]),
                prompt=parent.prompt[-1].content,
            )
            tried[operator] += 1
            yield _Turn(place, parent, operator, form, prompt, fence, _count(said, prompt))

    async def rewrite(turn: _Turn) -> tuple[_Turn, Completion]:
        return turn, await run.generate(turn.prompt, draw=turn.draw, **params)

    async def offers(generation: int) -> AsyncIterator[_Offer]:
        """The evolved prompts of a generation, in order, without those that a free rule eliminates."""
        async for turn, completion in run.map(rewrite, requests(generation), window=wide):
            run.made()
            text = _text(completion, paper)
            if isinstance(text, ParseError):
                run.drop(
                    completion.text,
                    text.reason,
                    request=completion.key,
                    parent=turn.parent.id,
                    operator=turn.operator,
                )
                continue
            sample = _request(_child(turn, roots[turn.place], generation, text), "rewriting", completion)
            old = turn.parent.prompt[-1].content
            known = PROMPT_WORDS if paper else (*PROMPT_WORDS, turn.fence)
            fault = meta_fault(text, old, fidelity, known)
            if fault is None and not paper:
                bounds = (min_growth, max_growth) if turn.operator in GROWING else ()
                fault = change_fault(text, old, *bounds)
            if fault is None and not paper:
                if turn.operator == "breadth":
                    fault = _resembles(pool, text, threshold)
                if fault is None:
                    pool.add(text, sample.id)
            if fault is not None:
                run.drop(sample, fault.reason, **fault.detail)
                continue
            yield _Offer(turn, sample, _count(said, sample.prompt))

    async def finish(offer: _Offer) -> tuple[_Offer, bool | ParseError, Completion | None]:
        """Whether the two prompts are equal and, if not, the answer to the new one."""
        old, new = offer.turn.parent.prompt[-1].content, offer.sample.prompt[-1].content
        question = run.render(
            "evol/equal", fence=digest(["equal", old, new])[:16], first=old, second=new, as_json=as_json
        )
        compared = params if paper else {**params, "temperature": 0.0, "max_tokens": LONGEST_VERDICT}
        completion = await run.generate(question, schema=SCHEMA if as_json else None, **compared)
        offer = offer._replace(sample=_request(offer.sample, "comparing", completion))
        try:
            same = equal(usable(completion))
        except ParseError as error:
            return offer, error, None
        return offer, same, None if same else await run.generate(offer.sample, draw=offer.draw, **params)

    wide = run.window(window, "teacher")
    for generation in range(1, generations + 1):
        async for offer, same, answer in run.map(finish, offers(generation), window=wide):
            sample = offer.sample
            if answer is None:
                if isinstance(same, ParseError):
                    run.drop(sample, "no_verdict", rule="equal", fault=str(same))
                else:
                    run.drop(sample, "equal", rule="equal")
                continue
            sample = run.trace(sample, answer)
            text = _text(answer, paper)
            if isinstance(text, ParseError):
                run.drop(sample, text.reason, rule="answer")
                continue
            sample = sample.answer(text)
            fault = answer_fault(text, fidelity)
            if fault is not None:
                run.drop(sample, fault.reason, **fault.detail)
                continue
            now[offer.turn.place] = sample
            kept[offer.turn.operator] += 1
            yield sample
        run.progress(generation, generations)
    run.note(fidelity=fidelity, operators={each: [kept[each], tried[each]] for each in sorted(tried)})
    by_operator = ", ".join(f"{each} {kept[each]:,} of {tried[each]:,}" for each in sorted(tried))
    run.note(headline=f"{kept.total():,} of {tried.total():,} evolutions kept: {by_operator}")
    if asking_nothing:
        many = "1 row has" if asking_nothing == 1 else f"{asking_nothing} rows have"
        run.note(warning=f"{many} no last user turn that could be evolved")
    if tried and not kept:
        run.note(warning=f"not one of {tried.total():,} evolutions was kept")


def _count(said: Counter[str], prompt: Sequence[Message]) -> int:
    key = digest([[message.role, message.content] for message in prompt])
    said[key] += 1
    return said[key] - 1


def _child(turn: _Turn, root: Sample, generation: int, text: str) -> Sample:
    """The evolved row, still without an answer. What the data said of the root holds for it, too."""
    meta = {key: value for key, value in root.meta.items() if key not in ("input", "requests")}
    meta |= {"recipe": "evol", "operator": turn.operator, "generation": generation, "root": root.id}
    if turn.operator == "input":
        meta["format"] = turn.format
    messages = (*turn.parent.prompt[:-1], Message("user", text))
    return Sample(messages, meta=meta, parents=(turn.parent.id,))


def _request(sample: Sample, what: str, completion: Completion) -> Sample:
    return sample.note(requests={**sample.meta.get("requests", {}), what: completion.key})


def _text(completion: Completion, paper: bool) -> str | ParseError:
    """The text of a completion; the original looked at no finish_reason."""
    if paper and completion.text.strip():
        return completion.text.strip()
    try:
        return usable(completion)
    except ParseError as error:
        return error


def _resembles(pool: NoveltyIndex, text: str, threshold: float) -> Fault | None:
    match = pool.match(text)
    if match is None:
        return None
    return Fault("not_novel", match.detail(threshold))
