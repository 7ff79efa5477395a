"""What a step expects to do, for `selfinstruct plan`: figures from low to ceiling, each with where it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from selfinstruct.pricing import worst
from selfinstruct.run import Place, Role
from selfinstruct.sample import Message, canonical

CHARS_PER_TOKEN = 4.89  # mean over the rows of Alpaca with a GPT-4 tokenizer
SHORT = 0.25  # of the tokens expected, in a good case (assumption)
PASS = 0.5  # of the rows that come to a filter, in a good case (assumption)
READ_AGAIN = 2  # times the tokens that another model wrote a text in, at the ceiling (assumption)
PER_TEXT = 16  # tokens around a message, at the ceiling; what a budget reserves, too


def tokens(text: str) -> int:
    """Tokens of a text, by its length."""
    return round(len(text) / CHARS_PER_TOKEN)


def most_tokens(text: str) -> int:
    """Tokens that a message of this text can have at most: a token is never shorter than a byte."""
    return len(text.encode("utf-8", "replace")) + PER_TEXT


def longest_answer(role: Role, max_tokens: int | None) -> int | None:
    """Tokens that one answer can have at most, None where nothing bounds them. What the user sets for the role beats
    the recipe's `max_tokens`; without any, the price table may know the model's limit.
    """
    limit: Any = role.params.get("max_tokens", max_tokens)
    if isinstance(limit, int) and limit > 0:
        return limit
    return (role.price.max_output if role.price is not None else 0) or None


def whole_answers(role: Role, max_tokens: int | None, draws: int) -> int | None:
    """Tokens that all the draws of one `whole` can have at most: a cut answer is drawn again with twice the room,
    but for a room that the role's `params` set."""
    limit = longest_answer(role, max_tokens)
    return None if limit is None else limit * (draws if "max_tokens" in role.params else 2**draws - 1)


@dataclass(frozen=True)
class Range:
    """A figure in a good case, as expected, and at the most; `ceiling` None says that nothing bounds it."""

    low: int
    expected: int
    ceiling: int | None

    @classmethod
    def exactly(cls, value: int) -> Self:
        return cls(value, value, value)

    def times(self, low: float, expected: float, ceiling: float | None) -> Range:
        """Each figure by its own factor; None for the ceiling's says that nothing bounds the product."""
        most = None if self.ceiling is None or ceiling is None else round(self.ceiling * ceiling)
        return Range(round(self.low * low), round(self.expected * expected), most)

    def plus(self, other: Range) -> Range:
        most = None if self.ceiling is None or other.ceiling is None else self.ceiling + other.ceiling
        return Range(self.low + other.low, self.expected + other.expected, most)


NONE = Range.exactly(0)


@dataclass(frozen=True)
class Measured:
    """What a step was seen to do: in a pilot, in this run, in an earlier one.

    All figures are totals over the same `calls` answers and the rows that these were about; `output_tokens` has the
    hidden reasoning in it, `seconds` is the sum of the answers' latencies. `source` is for people.
    """

    source: str
    calls: int
    came: int
    made: int
    kept: int
    input_tokens: int
    output_tokens: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Rows:
    """Rows as they are expected between two steps.

    `tokens` is the mean length of one. `longest` is the most tokens that one can have, `text` the most that all have
    together; None where nothing bounds them. `waiting` is the share of those that wait for an answer.
    """

    count: Range = NONE
    tokens: int = 73  # an Alpaca row: instruction 12, input 13 (where there is one), output 55 on average
    longest: int | None = 0
    text: int | None = 0
    waiting: float = 0.0

    @property
    def most(self) -> int | None:
        """The most tokens that all of them have together."""
        if self.text is not None or self.longest is None or self.count.ceiling is None:
            return self.text
        return self.longest * self.count.ceiling

    def plus(self, made: Rows) -> Rows:
        """These rows, and after them those that a step made."""
        total = max(self.count.expected + made.count.expected, 1)
        return Rows(
            count=self.count.plus(made.count),
            tokens=(self.count.expected * self.tokens + made.count.expected * made.tokens) // total,
            longest=None if self.longest is None or made.longest is None else max(self.longest, made.longest),
            text=None if self.most is None or made.text is None else self.most + made.text,
            waiting=(self.waiting * self.count.expected + made.waiting * made.count.expected) / total,
        )

    def counted(self, rows: Iterable[tuple[Sequence[str], bool]]) -> Rows:
        """These rows, and after them those of a file: of each its texts, and whether it waits for an answer."""
        sizes: list[int] = []
        bounds: list[int] = []
        waiting = 0
        for texts, waits in rows:
            sizes.append(sum(map(tokens, texts)))
            bounds.append(sum(map(most_tokens, texts)))
            waiting += waits
        total = max(self.count.expected + len(sizes), 1)
        return Rows(
            count=self.count.plus(Range.exactly(len(sizes))),
            tokens=(self.count.expected * self.tokens + sum(sizes)) // total,
            longest=None if self.longest is None else max([self.longest, *bounds]),
            text=None if self.most is None else self.most + sum(bounds),
            waiting=(self.waiting * self.count.expected + waiting) / total,
        )


@dataclass(frozen=True)
class Outlook:
    """What is expected to arrive at a step."""

    place: Place
    rows: Rows = Rows()


@dataclass(frozen=True)
class Estimate:
    """What a step is expected to do with the rows that come.

    A call is an answer. Tokens are totals over the calls, each paid for once: that some are paid for more than once is
    the plan's affair. `source` says where calls and tokens come from, `assumes` what the ceiling rests on besides.
    """

    rows: Rows
    calls: Range = NONE
    input_tokens: Range = NONE
    output_tokens: Range = NONE
    role: str = "teacher"
    source: str = ""
    assumes: str = ""

    def plus(self, other: Estimate) -> Estimate:
        """With the calls and tokens of another round of the same step; rows, role and words are this one's."""
        return replace(
            self,
            calls=self.calls.plus(other.calls),
            input_tokens=self.input_tokens.plus(other.input_tokens),
            output_tokens=self.output_tokens.plus(other.output_tokens),
        )


def asked(
    outlook: Outlook,
    frame: Sequence[Message],
    *,
    by: str,
    written: int,
    max_tokens: int | None,
    calls: tuple[float, float, float | None] = (1, 1, 1),
    schema: Mapping[str, Any] | None = None,
    source: str = "",
) -> Estimate:
    """What it takes to show each row that comes, once, to `by` inside a prompt.

    Args:
        outlook: where, and the rows that come; they are the rows of the estimate, too, for the step to replace.
        frame: the prompt with nothing filled in.
        by: the role that is asked.
        written: tokens that an answer has on average.
        max_tokens: the recipe's, for the ceiling.
        calls: calls a row in a good case, as expected and at the most; None: nothing bounds them.
        schema: the JSON schema that the answer is held to.
        source: where the figures come from, for people.
    """
    rows = outlook.rows
    fixed = sum(tokens(message.content) for message in frame)
    most = sum(most_tokens(message.content) for message in frame)
    most += 0 if schema is None else most_tokens(canonical(schema))
    limit = longest_answer(outlook.place.role(by), max_tokens)
    written = written if limit is None else min(written, limit)
    total = rows.count.times(*calls)
    unbounded = total.ceiling is None or rows.most is None or calls[2] is None
    return Estimate(
        rows,
        calls=total,
        input_tokens=Range(
            round(total.low * (fixed + rows.tokens * SHORT)),
            total.expected * (fixed + rows.tokens),
            None if unbounded else round(total.ceiling * most + rows.most * calls[2]),  # type: ignore[operator]
        ),
        output_tokens=total.times(written * SHORT, written, limit),
        role=by,
        source=source,
    )


def grown(
    n: int,
    *,
    a_call: int,
    accepted: float,
    patience: int,
    window: int,
    shown: int,
    widest: int | None,
    task: int,
    limit: int | None,
    tokens_each: int,
    waiting: float = 0.0,
    source: str = "",
) -> Estimate:
    """What it takes to grow a pool of `n` tasks.

    Args:
        n: tasks that are wanted.
        a_call: tasks that a call writes.
        accepted: share of them that is kept.
        patience: calls in a row that may bring nothing.
        window: calls that are on their way when the last task is found.
        shown: tokens of a prompt, examples included.
        widest: the most tokens that one can have; None: nothing bounds it.
        task: tokens of a task as it is written.
        limit: the most tokens of an answer; None: nothing bounds it.
        tokens_each: tokens of a row.
        waiting: the share of rows that wait for an answer.
        source: where the figures come from, for people.
    """
    # between two kept tasks lie fewer than `patience` calls that bring nothing
    calls = Range(math.ceil(n / a_call), math.ceil(n / (a_call * accepted)), n * patience - 1 + window)
    written = a_call * task if limit is None else min(a_call * task, limit)
    longest = None if limit is None else limit * READ_AGAIN
    return Estimate(
        Rows(Range.exactly(n), tokens_each, longest, None if longest is None else n * longest, waiting),
        calls=calls,
        input_tokens=calls.times(shown * SHORT, shown, widest),
        output_tokens=calls.times(written * SHORT, written, limit),
        source=source,
        assumes=f"one new task in {patience} calls (`patience`)",
    )


def dearest(place: Place, *names: str) -> str:
    """The role, of those that a step asks, whose tokens cost most: what the plan reckons all of the step's with. One
    whose price is unknown is the dearest of all."""
    prices = {name: place.role(name).price for name in dict.fromkeys(names)}
    unknown = [name for name, price in prices.items() if price is None]
    return unknown[0] if unknown else max(prices, key=lambda name: worst(1000, 1000, prices[name]))  # type: ignore[arg-type]
