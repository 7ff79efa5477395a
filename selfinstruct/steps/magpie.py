"""magpie, magpie_turns: an aligned model writes the user's turn itself (Magpie, Xu et al. 2024)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct.errors import ConfigError, DataError, ParseError, TeacherError
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
from selfinstruct.parse import usable
from selfinstruct.parse.dialogue import polite
from selfinstruct.parse.magpie import UserTurn, user_turn
from selfinstruct.run import Place, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, numbered, step
from selfinstruct.teachers import Completion
from selfinstruct.teachers.prequery import Template
from selfinstruct.teachers.prequery import template as template_of
from selfinstruct.text import normal_form

Fidelity = Literal["fixed", "paper"]
Family = Literal["auto", "llama-3", "qwen2.5", "qwen2", "gemma-3", "gemma", "mistral", "phi-3"]
Task = Literal["math", "code", "translation"]

TURN = 40  # tokens of a user's turn, on average (assumption)
ANSWER = 300  # tokens of an answer in a conversation, on average (assumption)
PROBE = 100  # draws after which a server that answers instead of going on is known
WRAPS = (
    "this server seems to put the text into a chat template; take one whose /v1/completions leaves it alone"
)
# What gen_ins.py stops at besides the template's own marks: any text with the word in it ends there. With Qwen's models
# the word in capitals, too.
PAPER_STOP = ("assistant", "\n")
PAPER_QWEN = ("Assistant",)


@dataclass(frozen=True)
class _Opening:
    """What a draw is asked with: the text, what ends it, and the system text in it."""

    text: str
    stop: tuple[str, ...]
    ids: tuple[int, ...] = ()
    system: str = ""
    name: str = "own"


def _raw(place: Place) -> str:
    """The teacher's model. Raises ConfigError when it answers messages only."""
    teacher = place.role("teacher").teacher
    if not teacher.raw:
        raise ConfigError(
            f"{teacher.model} answers messages only, and Magpie needs a teacher that continues plain text",
            "take a server of your own with /v1/completions (vLLM, SGLang, llama.cpp) by base_url; if yours has it, say"
            " raw: true. Behind a chat address a model can't be shown half a template: it would only greet",
        )
    return teacher.model


def _told(place: Place, task: str | None, system: str | None) -> str:
    if task is not None and system is not None:
        raise ConfigError("both task and system say what stands in the system message", "keep one of them")
    if task is not None:
        return place.prompts.render("magpie/system", task=task)[0].content
    return (system or "").strip()


def _opening(
    place: Place,
    *,
    template: Template | None,
    pre_query: str | None,
    stop: tuple[str, ...],
    task: str | None,
    system: str | None,
    fidelity: Fidelity,
) -> _Opening:
    told = _told(place, task, system)
    paper = fidelity == "paper"
    qwen = template is not None and template.name.startswith("qwen")
    ends = (*stop, *(PAPER_STOP if paper else ()), *(PAPER_QWEN if paper and qwen else ()))
    if pre_query is not None:
        if told:
            raise ConfigError(
                "pre_query is the whole text that is continued", "write the system message into it"
            )
        if not pre_query:
            raise ConfigError("pre_query is empty", "write the template up to where the user speaks")
        return _Opening(pre_query, ends)
    assert template is not None
    # a server puts the text's first token there by itself; the original's text brought a second one
    text = (template.bos if paper else "") + template.opened(system=told)
    return _Opening(text, (*template.stop, *ends), template.stop_ids, told or template.default, template.name)


def _family(place: Place, name: Family, pre_query: str | None = None) -> Template | None:
    model = _raw(place)
    return None if pre_query is not None else template_of(name, model)


def _check_magpie(
    place: Place,
    *,
    template: Family,
    pre_query: str | None,
    stop: tuple[str, ...],
    task: Task | None,
    system: str | None,
    fidelity: Fidelity,
    **_: Any,
) -> None:
    _opening(
        place,
        template=_family(place, template, pre_query),
        pre_query=pre_query,
        stop=stop,
        task=task,
        system=system,
        fidelity=fidelity,
    )


def _forecast_magpie(
    outlook: Outlook,
    *,
    n: int,
    template: Family,
    pre_query: str | None,
    stop: tuple[str, ...],
    task: Task | None,
    system: str | None,
    max_tokens: int | None,
    fidelity: Fidelity,
    **_: Any,
) -> Estimate:
    place, came = outlook.place, outlook.rows
    opening = _opening(
        place,
        template=_family(place, template, pre_query),
        pre_query=pre_query,
        stop=stop,
        task=task,
        system=system,
        fidelity=fidelity,
    )
    limit = longest_answer(place.role("teacher"), max_tokens)
    written = TURN if limit is None else min(TURN, limit)
    new = Range(round(n * PASS), n, n)
    longest = None if limit is None else limit * READ_AGAIN
    made = Rows(new, written, longest, None if longest is None else n * longest, waiting=1.0)
    return Estimate(
        came.plus(made),
        calls=Range.exactly(n),
        input_tokens=Range.exactly(n).times(
            tokens(opening.text), tokens(opening.text), most_tokens(opening.text)
        ),
        output_tokens=Range.exactly(n).times(written * SHORT, written, limit),
        source=f"one call a draw; template measured, {TURN} tokens a turn (assumption)",
    )


@step(check=_check_magpie, forecast=_forecast_magpie)
async def magpie(
    run: Run,
    samples: Samples,
    *,
    n: Count,
    template: Family = "auto",
    pre_query: str | None = None,
    stop: tuple[str, ...] = (),
    task: Task | None = None,
    system: str | None = None,
    temperature: float | None = 1.0,
    top_p: float | None = 1.0,
    max_tokens: Count | None = 2048,
    fidelity: Fidelity = "fixed",
    window: Count = 256,
) -> Samples:
    """Have an aligned model write instructions out of nothing, by its own chat template (Magpie, Xu et al. 2024).

    It is shown the template up to where the user speaks, and continues (section 2; gen_ins.py). Needs a teacher that
    continues plain text, such as a vLLM server. Each of the `n` draws is one request and brings one instruction that
    waits for its answer, or a drop. Rows that come in pass through, so that several such steps add up. The system
    message that steers the draws is no part of the row.

    `fidelity: paper` sends and reads what the original does: it stops at the word "assistant" and at the first line
    end, begins the text with a token that servers add again, and keeps what was cut at `max_tokens`. `fixed` stops at
    the template's own marks, cuts what leaked of the next turn, and drops turns that are cut (truncated), only greet
    (greeting), repeat the system message (system_leak) or are the assistant's (assistant_text). Both drop empty ones.

    Args:
        n: how many draws
        template: the family of chat templates; auto tells by the model's name
        pre_query: the text to be continued, instead of a template's
        stop: further texts that end a turn; a pre_query of your own has no others
        task: steer the draws to math, code or translation by a system message
        system: steer them by this system message
        temperature: sampling temperature; null leaves it to the server
        top_p: nucleus sampling; null leaves it to the server
        max_tokens: the longest turn
        fidelity: fixed, or paper for the original's behaviour
        window: draws worked on at a time
    """
    async for sample in samples:
        yield sample
    opening = _opening(
        run.place,
        template=_family(run.place, template, pre_query),
        pre_query=pre_query,
        stop=stop,
        task=task,
        system=system,
        fidelity=fidelity,
    )

    async def ask(draw: int) -> Completion:
        return await run.generate(
            opening.text,
            draw=draw,
            raw=True,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            **_ends(opening),
        )

    meta = {"recipe": "magpie", "template": opening.name}
    meta |= {"task": task} if task is not None else {}
    cuts: Counter[str] = Counter()
    seen = greetings = 0
    async for completion in run.map(ask, range(n), window=run.window(window, "teacher")):
        run.made()
        if seen == PROBE and greetings * 2 > seen:
            raise TeacherError(f"{greetings} of the first {seen} draws only greet", WRAPS)
        seen += 1
        try:
            turn = _paper(completion) if fidelity == "paper" else _turn(completion, opening)
        except ParseError as fault:
            run.drop(completion.text, fault.reason, detail=fault.detail, request=completion.key)
            greetings += fault.reason == "greeting"
            continue
        cuts[turn.cut] += bool(turn.cut)
        yield run.trace(Sample.of(turn.text, meta=meta), completion)
    run.note(template=opening.name, fidelity=fidelity, cut={rule: cuts[rule] for rule in sorted(+cuts)})
    if greetings * 2 > n:
        run.note(warning=f"{greetings} of {n} draws only greet: {WRAPS}")


def _ends(opening: _Opening) -> dict[str, Any]:
    return {"stop": list(opening.stop) or None, "stop_token_ids": list(opening.ids) or None}


def _turn(completion: Completion, opening: _Opening) -> UserTurn:
    if completion.finish_reason in ("filtered", "rejected"):
        raise ParseError(completion.finish_reason, completion.refusal or "")
    return user_turn(
        completion.text,
        stop=opening.stop,
        whole=completion.finish_reason == "stop",
        system=opening.system,
    )


def _paper(completion: Completion) -> UserTurn:
    text = completion.text.strip()
    if not text:
        raise ParseError("empty", completion.refusal or "")
    return UserTurn(text)


@dataclass
class _Talk:
    """A conversation as far as it went: the row, the requests it took, and why it ended early."""

    sample: Sample
    asked: list[Completion] = field(default_factory=list)
    ended: str = ""


def _check_turns(place: Place, *, template: Family, **_: Any) -> None:
    _further(place, template)


def _further(place: Place, name: Family) -> tuple[Template, str]:
    """The template, and the system message of a conversation where the family has one."""
    found = _family(place, name)
    assert found is not None
    told = place.prompts.render("magpie/system", task="conversation")[0].content
    return found, told if found.system is not None else ""


def _forecast_turns(
    outlook: Outlook, *, turns: int, template: Family, max_tokens: int | None, **_: Any
) -> Estimate:
    place, rows = outlook.place, outlook.rows
    found, told = _further(place, template)
    frame = found.opened(system=told)
    limit = longest_answer(place.role("teacher"), max_tokens)
    more = turns - 1
    turn, answer = (TURN, ANSWER) if limit is None else (min(TURN, limit), min(ANSWER, limit))
    before = rows.tokens + more * (turn + answer) / 2  # the conversation so far, in the middle
    calls = rows.count.times(0, 2 * more, 2 * more)
    most = None
    if rows.most is not None and rows.count.ceiling is not None and limit is not None:
        grown = rows.count.ceiling * limit * READ_AGAIN
        # each turn shows all before it, with marks around each message
        marks = most_tokens(frame) + 128 * turns
        most = 2 * more * (2 * rows.most + rows.count.ceiling * marks) + grown * 2 * more * (more + 1)
    longest = None if rows.longest is None or limit is None else rows.longest + 2 * more * limit * READ_AGAIN
    return Estimate(
        replace(
            rows,
            tokens=round(rows.tokens + more * (turn + answer)),
            longest=longest,
            text=None
            if rows.most is None or limit is None or rows.count.ceiling is None
            else rows.most + rows.count.ceiling * 2 * more * limit * READ_AGAIN,
        ),
        calls=calls,
        input_tokens=Range(0, round(calls.expected * (before + tokens(frame) / 2)), most),
        output_tokens=rows.count.times(
            0, more * (turn + answer), None if limit is None else 2 * more * limit
        ),
        source=f"two calls for each further turn; {TURN} tokens a turn, {ANSWER} an answer (assumption)",
    )


@step(check=_check_turns, forecast=_forecast_turns)
async def magpie_turns(
    run: Run,
    samples: Samples,
    *,
    turns: Annotated[int, Field(ge=2)] = 2,
    template: Family = "auto",
    temperature: float | None = 1.0,
    top_p: float | None = 1.0,
    answer_temperature: float | None = 0.0,
    max_tokens: Count | None = 4096,
    window: Count = 256,
) -> Samples:
    """Go on with answered conversations until each has `turns` turns of the user (Magpie, appendix; gen_mt.py).

    The teacher is shown its chat template with a system message about conversations, the conversation so far and the
    opening of one more user turn, which it writes; then it answers that turn as in any chat. A follow-up that is cut,
    only thanks or greets, repeats an earlier turn, or is the assistant's ends the conversation: the row keeps what it
    has, with `ended` in its meta, and the reasons are counted. Neither is the system message part of the row.

    Args:
        turns: turns of the user that a conversation has in the end
        template: the family of chat templates; auto tells by the model's name
        temperature: sampling temperature of the user's turns; null leaves it to the server
        top_p: nucleus sampling of the user's turns; null leaves it to the server
        answer_temperature: sampling temperature of the answers
        max_tokens: the longest turn, and the longest answer
        window: conversations worked on at a time
    """
    found, told = _further(run.place, template)
    opening = _Opening("", found.stop, found.stop_ids, told)

    async def go_on(item: tuple[Sample, int]) -> _Talk:
        sample, draw = item
        if not sample.answered:
            raise DataError(
                f"a row has no answer to go on from: {sample.instruction[:60]!r}",
                "put a `respond` step before `magpie_turns`",
            )
        talk = _Talk(sample)
        while not talk.ended and _users(talk.sample) < turns:
            await one_more(talk, draw)
        return talk

    async def one_more(talk: _Talk, draw: int) -> None:
        history = [message for message in talk.sample.messages if message.role != "system"]
        if any(found.marked(message.content) for message in history):
            talk.ended = "template_mark"  # its text would be read as a turn of its own
            return
        try:
            completion = await run.generate(
                found.opened(history, told),
                draw=draw,
                raw=True,
                temperature=temperature,
                top_p=top_p,
                max_tokens=max_tokens,
                **_ends(opening),
            )
            talk.asked.append(completion)
            said = _turn(completion, opening).text
            if polite(said):
                raise ParseError("politeness_only", said)
            earlier = {normal_form(message.content) for message in history if message.role == "user"}
            if normal_form(said) in earlier:
                raise ParseError("repeated", said)
            asked = talk.sample.replace(messages=(*talk.sample.messages, Message("user", said)))
            completion = await run.generate(
                asked, draw=draw, temperature=answer_temperature, max_tokens=max_tokens
            )
            talk.asked.append(completion)
            talk.sample = asked.answer(usable(completion)).replace(rejected=None)
        except ParseError as fault:
            talk.ended = fault.reason

    ended: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    async for talk in run.map(go_on, numbered(samples), window=run.window(window, "teacher")):
        sample = talk.sample
        if talk.asked:
            sample = run.trace(sample, talk.asked[-1])
        if talk.ended:
            ended[talk.ended] += 1
            sample = sample.note(ended=talk.ended)
        lengths[_users(sample)] += 1
        yield sample
    early = ", ".join(f"{reason} {ended[reason]}" for reason in sorted(ended))
    run.note(
        headline=f"{lengths.total() - ended.total()} conversations of {turns} turns"
        + (f"; {ended.total()} ended early: {early}" if early else ""),
        turns={str(length): lengths[length] for length in sorted(lengths)},
        ended={reason: ended[reason] for reason in sorted(ended)},
    )


def _users(sample: Sample) -> int:
    return sum(message.role == "user" for message in sample.messages)
