"""ultrachat: two models talk, one as the user, one as the assistant (Ding et al. 2023)."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.outlook import (
    PASS,
    READ_AGAIN,
    SHORT,
    Estimate,
    Outlook,
    Range,
    dearest,
    longest_answer,
    most_tokens,
    tokens,
    whole_answers,
)
from selfinstruct.parse import usable
from selfinstruct.parse.dialogue import polite, user_turn
from selfinstruct.run import Place, RoleName, Run
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Count, Samples, numbered, step, whole
from selfinstruct.teachers import Completion

Fidelity = Literal["fixed", "paper"]
SENTINEL = "[DONE]"
ROUNDS = {"world": (3, 7), "creation": (2, 4), "materials": (2, 4)}  # of a sector; others talk like `world`
ANSWER = 200  # tokens of an assistant's turn, on average (assumption; UltraChat's are about as long)
ASKED = 30  # and of a user's
PER_MESSAGE = 32  # tokens around a message in the user's prompt, at the ceiling

PERSONAS = (
    "someone new to the subject who writes short, plain messages",
    "a practitioner who knows the basics and wants what the textbooks leave out",
    "a student who has to explain this to others tomorrow",
    "a sceptic who wants reasons and asks for exceptions",
    "a busy person who wants something to use at once, and types carelessly",
    "a curious older reader who relates everything to daily life",
    "a careful person who asks about each unclear word before going on",
    "an expert from another field who looks for parallels",
    "a writer who collects material and cares about wording",
    "a planner who thinks in costs, time and risks",
    "a parent who wants to pass it on to a child",
    "someone who tried it already, failed, and describes what went wrong",
)
GOALS = (
    "to understand the answer step by step, until nothing is unclear",
    "to get something that can be used as it stands",
    "to see the same thing done in other cases",
    "to find out where the answer stops being true",
    "to compare it with another way of doing it",
    "to have the answer changed until it fits a situation of their own",
    "to go from the general to one concrete example",
    "to learn what comes next once this is done",
)


class _Talk(NamedTuple):
    """How far a conversation came: `end` is why it went no further, `speaker` and `text` the turn that it ended at."""

    messages: list[Message]
    end: str
    speaker: str
    text: str
    completions: list[Completion]
    persona: str
    goal: str


def _bounds(sector: str, low: int | None, high: int | None) -> tuple[int, int]:
    usual = ROUNDS.get(sector, ROUNDS["world"])
    return low or usual[0], high or usual[1]


def _check(
    place: Place,
    *,
    by: RoleName,
    user: RoleName,
    fidelity: Fidelity,
    low: int | None,
    high: int | None,
    **_: Any,
) -> None:
    place.role(by)
    place.role(user)
    if (low is None) != (high is None):
        raise ConfigError("`low` and `high` go together", "give both, or none: then the row's sector says")
    if low is not None and high is not None and low > high:
        raise ConfigError(f"{low} to {high} rounds leave no choice", "low must not be above high")
    _frame(place, fidelity)


def _frame(place: Place, fidelity: Fidelity) -> list[Message]:
    """The user's prompt with the longest things that can stand in it, and no conversation."""
    slots = {"fence": "0" * 16, "talk": [], "sentinel": SENTINEL}
    if fidelity == "paper":
        return list(place.prompts.render("ultrachat/user_paper", **slots))
    slots |= {"persona": max(PERSONAS, key=len), "goal": max(GOALS, key=len)}
    both = [place.prompts.render("ultrachat/user", left=left, **slots) for left in (0, 99)]
    return list(max(both, key=lambda messages: sum(most_tokens(message.content) for message in messages)))


def _forecast(
    outlook: Outlook,
    *,
    by: RoleName,
    user: RoleName,
    fidelity: Fidelity,
    low: int | None,
    high: int | None,
    max_tokens: int | None,
    draws: int,
    **_: Any,
) -> Estimate:
    """A conversation of r rounds takes r answers and r - 1 messages of the user, and each sees all that came before."""
    place, rows = outlook.place, outlook.rows
    least, most = _bounds("world", low, high)
    usual = (least + most) / 2
    frame = _frame(place, fidelity)
    shown = sum(tokens(message.content) for message in frame)
    assistant, turn = place.role(by), longest_answer(place.role(user), max_tokens)
    limit = longest_answer(assistant, max_tokens)
    answer = ANSWER if limit is None else min(ANSWER, limit)
    drawn = whole_answers(assistant, max_tokens, draws)

    def read(rounds: float) -> float:
        """Input of one conversation: the opening in every request, each answer in all that follow it."""
        pairs = rounds * (rounds - 1) / 2
        asked = rows.tokens * (2 * rounds - 1) + (answer + ASKED) * 2 * pairs
        return asked + shown * (rounds - 1)

    count = rows.count
    spoken = most_answer = None
    if drawn is not None and turn is not None and count.ceiling is not None and rows.most is not None:
        # all that can be said in one conversation, as other models read it, with the marks around each message
        spoken = most * (drawn * READ_AGAIN + 2 * PER_MESSAGE) + (most - 1) * turn * READ_AGAIN
        requests = most * draws + most - 1
        prompt = sum(most_tokens(message.content) for message in frame)
        most_answer = requests * (rows.most + count.ceiling * (spoken + prompt))
    return Estimate(
        replace(
            rows,
            count=count.times(PASS, 1, 1),
            tokens=round(rows.tokens + usual * answer + (usual - 1) * ASKED),
            longest=None if spoken is None or rows.longest is None else rows.longest + spoken,
            text=None
            if spoken is None or rows.most is None or count.ceiling is None
            else rows.most + count.ceiling * spoken,
            waiting=0.0,
        ),
        calls=count.times(1, 2 * usual - 1, most * draws + most - 1),
        input_tokens=Range(
            round(count.low * read(1) * SHORT), round(count.expected * read(usual)), most_answer
        ),
        output_tokens=count.times(
            answer * SHORT,
            usual * answer + (usual - 1) * ASKED,
            None if drawn is None or turn is None else most * drawn + (most - 1) * turn,
        ),
        role=dearest(place, by, user),
        source=f"{2 * usual - 1:g} calls a conversation of {usual:g} rounds, each with all before it; "
        f"{answer} tokens an answer (assumption)",
    )


@step(check=_check, forecast=_forecast)
async def ultrachat(
    run: Run,
    samples: Samples,
    *,
    by: RoleName = "teacher",
    user: RoleName = "user",
    fidelity: Fidelity = "fixed",
    low: Count | None = None,
    high: Count | None = None,
    temperature: float | None = 1.0,
    max_tokens: Count | None = 1024,
    draws: Count = 2,
    window: Count = 128,
) -> Samples:
    """Go on with each row's conversation, one model as the user, another as the assistant, as UltraChat does.

    A row brings the opening: a question, or a conversation so far. How many rounds (answers of the assistant) it may
    have is drawn for each row. It ends earlier when the user says so, and before the first turn that can't be used:
    one that only thanks, speaks as an assistant, answers itself, repeats itself or the assistant, speaks of the
    instructions, or is cut. Then it ends with its last whole exchange, and is dropped under that turn's reason when it
    has fewer than `low` rounds. A cut or empty answer is drawn again.

    Aligned models are poor users, so `fixed` gives the user a person, a goal and a word to end with, and looks at all
    that it says. `fidelity: paper` (Ding et al. 2023, section 3) only tells it to act as a human, takes what it says
    as it is, goes on for as many rounds as were drawn, afterwards takes out the exchanges whose user turn only thanks,
    and keeps what is left.

    Args:
        by: the role that plays the assistant
        user: the role that plays the user; without a `user:` line it is the teacher
        fidelity: fixed, or paper for the original's behaviour
        low: the fewest rounds of a conversation; by default what the row's `meta.sector` has, 3 (world) or 2
        high: the most; by default 7 (world) or 4
        temperature: sampling temperature of both; null leaves it to the provider
        max_tokens: the longest message of either; null leaves it to the provider
        draws: independent answers of the assistant that are asked for, one after the other, until one is whole
        window: conversations worked on at a time
    """
    paper = fidelity == "paper"

    async def converse(job: tuple[Sample, int]) -> tuple[Sample, int, _Talk]:
        sample, copy = job
        rng = run.rng("talk", sample.id, copy)
        least, most = _bounds(str(sample.meta.get("sector", "")), low, high)
        rounds = rng.randint(least, most)
        persona, goal = rng.choice(PERSONAS), rng.choice(GOALS)
        fence = sample.id[:16]  # made from the row, so that nobody in the conversation knows it
        talk, used = list(sample.messages), list[Completion]()

        def ended(end: str, speaker: str = "", text: str = "") -> tuple[Sample, int, _Talk]:
            while talk and talk[-1].role != "assistant":
                talk.pop()
            return sample, least, _Talk(talk, end, speaker, text, used, persona, goal)

        while True:
            if talk[-1].role != "assistant":
                completion = await whole(
                    run,
                    talk,
                    by=by,
                    draw=copy * draws,
                    draws=draws,
                    temperature=temperature,
                    max_tokens=max_tokens,
                )
                used.append(completion)
                try:
                    talk.append(Message("assistant", usable(completion)))
                except ParseError as fault:
                    return ended(fault.reason, "assistant", completion.text)
            if _rounds(talk) >= rounds:
                return ended("rounds")
            prompt = run.render(
                "ultrachat/user_paper" if paper else "ultrachat/user",
                fence=fence,
                talk=[message for message in talk if message.role != "system"],
                sentinel=SENTINEL,
                persona=persona,
                goal=goal,
                left=max(0, least - _rounds(talk)),
            )
            completion = await run.generate(
                prompt, by=user, draw=copy, temperature=temperature, max_tokens=max_tokens
            )
            used.append(completion)
            try:
                said = usable(completion)
                turn = said if paper else user_turn(said, talk, sentinel=SENTINEL, fence=fence)
            except ParseError as fault:
                return ended(fault.reason, "user", completion.text)
            if turn is None:
                return ended("sentinel", "user", completion.text)
            talk.append(Message("user", turn))

    ends: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    removed = 0
    window = max(run.window(window, by), run.window(window, user))
    async for sample, least, talk in run.map(converse, numbered(samples), window=window):
        messages = talk.messages
        if paper:
            messages = _without_thanks(messages)
            removed += (len(talk.messages) - len(messages)) // 2
            least = 1
        rounds = _rounds(messages)
        about = {"recipe": "ultrachat", "rounds": rounds, "ended": talk.end}
        if not paper:
            about |= {"persona": talk.persona, "goal": talk.goal}
        row = sample.replace(
            messages=tuple(messages) or sample.messages, parents=(*sample.parents, sample.id)
        )
        row = run.trace(row.note(**about), *talk.completions)
        if rounds < least:
            reason = talk.end if talk.end != "rounds" else "politeness_only"
            turn = {"speaker": talk.speaker, "turn": talk.text[:200]} if talk.speaker else {}
            run.drop(row, reason, rule="low", value=rounds, threshold=least, **turn)
            continue
        ends[talk.end] += 1
        lengths[rounds] += 1
        yield row
    run.note(
        fidelity=fidelity,
        rounds={str(number): lengths[number] for number in sorted(lengths)},
        ended={end: ends[end] for end in sorted(ends)},
        **({"thanks_removed": removed} if paper else {}),
    )


def _rounds(messages: list[Message]) -> int:
    return sum(message.role == "assistant" for message in messages)


def _without_thanks(messages: list[Message]) -> list[Message]:
    """Without the exchanges whose user turn only thanks."""
    kept: list[Message] = []
    thanked = False
    for message in messages:
        if message.role == "user":
            thanked = polite(message.content)
        if not thanked:
            kept.append(message)
    return kept
