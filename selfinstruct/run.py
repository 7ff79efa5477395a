"""Run: what a step is handed. The way of one request, ordered concurrency, keyed randomness, drops.

A step is deterministic given its inputs, its options and its completions: after a crash it simply runs again and finds
its answers in the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from selfinstruct.batching import Batched, LateError
from selfinstruct.budget import Budget, Cap, Caps, Purse, Reserved
from selfinstruct.errors import ConfigError, Paused, SelfInstructError, TransientError
from selfinstruct.funnel import Funnel
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price, cost, worst
from selfinstruct.prompts import Prompts
from selfinstruct.sample import Message, Sample, canonical, digest
from selfinstruct.store import Attempt, Drop, Filed, Settled, Store
from selfinstruct.store.journal import Journal
from selfinstruct.tally import Tally
from selfinstruct.teachers import Completion, Request, Teacher, Usage
from selfinstruct.teachers.reply import EmptyAnswerError

Item = TypeVar("Item")
Result = TypeVar("Result")
Prompt = str | Sample | Sequence[Message]
Mode = Literal["realtime", "batch", "batch-then-realtime"]
RoleName = Literal["teacher", "judge", "user", "student"]
ROLES: tuple[RoleName, ...] = ("teacher", "judge", "user", "student")

_log = logging.getLogger("selfinstruct")

ATTEMPTS = 6  # at one request, for trouble that is its own; overload is waited out by Limits
OVERLOADS = 60  # attempts at one request in all
BACK_OFF = wait_random_exponential(multiplier=0.5, max=30)  # seconds: up to half a one, doubling
WIDE = 20_000  # rows in flight where answers come in batches
GRACE = 20.0  # seconds that answers in flight are given when the run stops early
UNBOUNDED_OUTPUT = 32_768  # tokens reserved when neither the request nor the price table bounds an answer


def _whole(value: Any) -> Any:
    """1.0 as 1: both ask the same, and must have the same key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Role:
    """A teacher in its part (teacher, judge, user, student), with what the user set for it."""

    name: str
    teacher: Teacher
    params: Mapping[str, Any]
    limits: Limits
    price: Price | None
    deadline: float  # seconds for one attempt, from sending to the last byte
    mode: Mode = "realtime"
    patience: float | None = None  # seconds to wait for batches before the run pauses

    def request(
        self,
        prompt: Prompt,
        draw: int,
        raw: bool,
        schema: Mapping[str, Any] | None,
        params: Mapping[str, Any],
    ) -> Request:
        """What the user writes beats what the recipe asks for; None takes a parameter away."""
        if isinstance(prompt, str):
            messages: tuple[Message, ...] = (Message("user", prompt),)
        else:
            messages = prompt.prompt if isinstance(prompt, Sample) else tuple(prompt)
        return Request(
            model=self.teacher.model,
            messages=() if raw else messages,
            text="\n\n".join(message.content for message in messages) if raw else None,
            params={
                name: _whole(value) for name, value in {**params, **self.params}.items() if value is not None
            },
            schema=schema if self.teacher.structured else None,
            draw=draw,
        )

    def worst(self, request: Request, *, half: bool = False) -> tuple[int, int]:
        """Tokens and nano-dollars that the request can cost at most: a token is never shorter than a byte."""
        texts = [message.content for message in request.messages] if request.text is None else [request.text]
        if request.schema is not None:
            texts.append(canonical(request.schema))
        read = sum(len(text.encode("utf-8", "replace")) + 16 for text in texts)
        written = (
            request.params.get("max_tokens") or (self.price and self.price.max_output) or UNBOUNDED_OUTPUT
        )
        price = self.price.half() if half and self.price is not None else self.price
        return read + written, 0 if price is None else worst(read, written, price)


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, the folder of its pipeline, its roles and its prompts."""

    dir: Path
    beside: Path
    roles: Mapping[str, Role]
    prompts: Prompts
    seed: int = 0

    def path(self, name: str) -> Path:
        """A path as the user wrote it: absolute, else in the working directory, else beside the pipeline."""
        path = Path(name).expanduser()
        return self.beside / path if not path.is_absolute() and not path.exists() else path

    def inside(self, name: str) -> Path:
        """A folder that a step writes to: where the user says, if that is absolute, else inside the run's folder.
        Raises ConfigError for a name, or a link in the folder, that leads out of it.
        """
        path = self.dir / Path(name).expanduser()
        if not Path(name).expanduser().is_absolute() and not path.resolve().is_relative_to(
            self.dir.resolve()
        ):
            raise ConfigError(
                f"{name}: leads out of the run's folder", "name a folder inside it, or an absolute path"
            )
        return path

    def role(self, name: str) -> Role:
        """The role, or the teacher in its place. Raises ConfigError when there is no teacher at all."""
        found = self.roles.get(name) or self.roles.get("teacher")
        if found is None:
            raise ConfigError(
                f"no model is named for the role `{name}`",
                f"add a line `{name}: offline` (or openai/MODEL...)",
            )
        return found


@dataclass
class _Asking:
    """A request on its way: who asks, how often it was sent, how often that failed (overload not counted), and what
    failed attempts were billed.
    """

    role: Role
    key: str
    request: Request
    step: str
    attempts: int = 0
    failed: int = 0
    billed: int = 0
    straggling: bool = False  # its batch brought no answer, and it is asked for in real time

    batched: bool = False  # this attempt waits for a batch

    @property
    def price(self) -> Price | None:
        price = self.role.price
        return price.half() if self.batched and price is not None else price


class Session:
    """What all steps of one execution share: the store, the caps and the answers in flight."""

    def __init__(
        self, place: Place, store: Store, budget: Budget | None = None, steps: Mapping[str, Cap] | None = None
    ) -> None:
        self.place = place
        self.store = store
        self._caps = steps or {}
        self._budget = budget or Budget()
        self._tokens: Budget | None = None
        self._purses: dict[str, Purse] = {}
        self._flying: dict[str, asyncio.Task[Filed]] = {}
        self._sent: set[str] = set()
        self._ending: SelfInstructError | None = None
        self._batched: dict[str, Batched] = {}
        self.told: Callable[[str], None] = lambda said: None  # hears how far batches are

    @classmethod
    def under(cls, caps: Caps, place: Place, store: Store) -> Self:
        """A session under a pipeline's caps; what the run has spent so far counts."""
        before = store.booked()
        session = cls(place, store, Budget(caps.run.nano, before.nano), caps.steps)
        if caps.run.tokens is not None:
            session._tokens = Budget(caps.run.tokens, before.tokens, unit="tokens")
        for role in place.roles.values():  # batches of earlier runs are waited for, whatever the mode is now
            if hasattr(role.teacher, "batches") and Journal(store).unfinished(role.teacher.model):
                session._batches(role)
        return session

    def _purse(self, step: str) -> Purse:
        """The caps that hold for a step: the run's, and its own."""
        if step not in self._purses:
            dollars, tokens = [self._budget], [] if self._tokens is None else [self._tokens]
            cap = self._caps.get(step.partition(" ")[0], Cap())
            before, what = self.store.booked(step), f"the budget of `{step}`"
            if cap.nano is not None:
                dollars.append(Budget(cap.nano, before.nano, what=what))
            if cap.tokens is not None:
                tokens.append(Budget(cap.tokens, before.tokens, what=what, unit="tokens"))
            self._purses[step] = Purse(dollars, tokens)
        return self._purses[step]

    async def answer(self, role: Role, request: Request, step: str) -> tuple[Filed, bool]:
        """The filed answer, asked for when there is none yet; the flag says that it was asked for now.

        Equal requests in flight share one call. An attempt goes on when its asker is cancelled, so that an answer
        that was paid for is filed.
        """
        key = request.key
        if (filed := self.store.get(key)) is not None:
            return filed, False
        task = self._flying.get(key)
        fresh = task is None
        if task is None:
            task = self._flying[key] = asyncio.create_task(self._ask(_Asking(role, key, request, step)))
            task.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(task), fresh

    def _landed(self, key: str, task: asyncio.Task[Filed]) -> None:
        del self._flying[key]
        if not task.cancelled():
            task.exception()  # looked at, so that an asker who is gone leaves no complaint

    async def _ask(self, asking: _Asking) -> Filed:
        """Attempt after attempt, until there is an answer. Raises Paused when trouble does not end. After the first
        error that ends the run nothing more is sent.
        """

        def hopeless(state: RetryCallState) -> bool:
            asking.attempts = state.attempt_number
            return self._ending is not None or asking.failed >= ATTEMPTS or asking.attempts >= OVERLOADS

        first: list[TransientError] = []

        async def attempt() -> Filed:
            if first:  # what came of the one that was made without ado
                raise first.pop()
            return await self._attempt(asking)

        try:
            try:  # nearly all need no more, and the machinery of retrying costs a tenth of a request
                return await self._attempt(asking)
            except TransientError as error:
                first.append(error)
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(TransientError), stop=hopeless, wait=BACK_OFF, reraise=True
            )
            return await retrying(attempt)
        except TransientError as error:
            ending = Paused(
                f"{asking.role.teacher.model} gave no usable answer in {asking.attempts} attempts: {error.message}",
                error.hint or "run the same command again; every answer so far is kept",
            )
            self._ending = self._ending or ending
            raise ending from None
        except SelfInstructError as error:
            self._ending = self._ending or error
            raise

    async def _attempt(self, asking: _Asking) -> Filed:
        role, purse = asking.role, self._purse(asking.step)
        earlier = self._batched.get(role.teacher.model)
        awaited = earlier is not None and earlier.awaits(asking.key)
        asking.batched = not asking.straggling and (role.mode != "realtime" or awaited)
        if asking.batched:
            return await self._attempt_in_batch(asking, purse)
        tokens, nano = role.worst(asking.request)
        # the slot is held until the answer is filed: so many answers, and no more, can a crash lose
        async with purse.reserve(nano, tokens) as reserved, role.limits.slot(tokens):
            if self._ending is not None:
                raise self._ending
            self._sent.add(asking.key)
            try:
                return await self._send(asking, reserved)
            finally:
                self._sent.discard(asking.key)

    async def _attempt_in_batch(self, asking: _Asking, purse: Purse) -> Filed:
        """An attempt that waits for a batch: no slot is held, and when the run stops it is left to the next one."""
        batches = self._batches(asking.role)
        async with batches.filing:  # what an earlier batch brought is either on file by now, or comes to us
            if (filed := self.store.get(asking.key)) is not None:
                return filed
            batches.expect(asking.key)
            purse.refund(*await self.store.release(asking.key))
        tokens, nano = asking.role.worst(asking.request, half=True)
        async with purse.reserve(nano, tokens) as reserved:
            if self._ending is not None:
                raise self._ending
            try:
                return await self._send(asking, reserved)
            except LateError:
                asking.straggling = asking.role.mode != "batch"
                raise

    def _batches(self, role: Role) -> Batched:
        model = role.teacher.model
        if model not in self._batched:
            half = None if role.price is None else role.price.half()
            self._batched[model] = Batched(
                role.teacher.batches,  # type: ignore[attr-defined]
                model,
                self.store,
                lambda completion: None if half is None else cost(completion.usage, half),
                patience=role.patience,
                told=lambda said: self.told(said),
            )
        return self._batched[model]

    async def _complete(self, asking: _Asking) -> Completion:
        if asking.batched:
            return await self._batches(asking.role).complete(asking.request)
        return await _in_time(asking.role, asking.request)

    async def _send(self, asking: _Asking, reserved: Reserved) -> Filed:
        """One attempt: intent, answer, settlement. All three are on disk in this order."""
        role, price, batched = asking.role, asking.price, asking.batched
        number = await self.store.intend(
            Attempt(
                key=asking.key,
                step=asking.step,
                role=role.name,
                model=role.teacher.model,
                sent=time.time(),
                reserved_nano=None if price is None else reserved.nano,
                reserved_tokens=reserved.tokens,
                price="" if price is None else price.version,
                way="batch" if batched else "realtime",
            )
        )
        sent = time.monotonic()
        reserved.keep()  # until more is known

        def settled(usage: Usage) -> Settled:
            taken = None if price is None else cost(usage, price)
            reserved.settle(taken or 0, usage.input_tokens + usage.output_tokens)
            if not batched:
                role.limits.answered(reserved.tokens, usage.input_tokens + usage.output_tokens, sent)
            return Settled("answered", time.monotonic() - sent, usage, taken)

        try:
            completion, empty = await self._complete(asking), None
        except EmptyAnswerError as error:  # billed like any answer, and worth another attempt
            completion, empty = error.completion, error
        except TransientError as error:
            asking.failed += not error.overloaded
            await self.store.settle(number, self._failure(error, sent, asking, reserved))
            if not batched:
                role.limits.failed(error, sent)
            raise
        except SelfInstructError as error:
            reserved.settle(0, 0)
            await self.store.settle(number, Settled("failed", time.monotonic() - sent, detail=error.message))
            raise
        books = settled(completion.usage)
        if empty is not None:
            asking.failed += 1
            if asking.failed < ATTEMPTS:
                asking.billed += books.cost_nano or 0
                await self.store.settle(number, books._replace(outcome="empty", detail=empty.message))
                raise empty
        billed = None if books.cost_nano is None else asking.billed + books.cost_nano
        filed = Filed(replace(completion, key=asking.key), billed, books.seconds)
        await self.store.put(asking.request, filed, number, books)
        return filed

    def _failure(self, error: TransientError, sent: float, asking: _Asking, reserved: Reserved) -> Settled:
        """What an attempt that brought nothing is booked as."""
        seconds, price = time.monotonic() - sent, asking.price
        if error.billed is not None:
            taken = None if price is None else cost(error.billed, price)
            reserved.settle(taken or 0, error.billed.input_tokens + error.billed.output_tokens)
            asking.billed += taken or 0
            return Settled("empty", seconds, error.billed, taken, error.message)
        if error.in_doubt:
            return Settled("doubt", seconds, cost_nano=None, detail=error.message)
        reserved.settle(0, 0)
        return Settled("failed", seconds, detail=error.message)

    async def close(self) -> None:
        """Send nothing more; give what was sent a moment to land in the store."""
        self._ending = self._ending or Paused("the run is stopping")
        with contextlib.suppress(asyncio.CancelledError):  # one that `progress` forestalled is still to come
            await asyncio.sleep(0)
        flying = dict(self._flying)
        for key, task in flying.items():
            if key not in self._sent:
                task.cancel()
        if self._sent:
            count = len(self._sent)
            _log.warning("stopping: up to %.0f s for %d answer%s in flight", GRACE, count, "s" * (count > 1))
        if flying:
            _, late = await asyncio.wait(flying.values(), timeout=GRACE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for batched in self._batched.values():
            await batched.close(GRACE)


async def _in_time(role: Role, request: Request) -> Completion:
    try:
        async with asyncio.timeout(role.deadline):
            return await role.teacher.complete(request)
    except TimeoutError:
        raise TransientError(f"no answer within {role.deadline:g} s", in_doubt=True) from None


class Run:
    """A view of the run for one step: its `n`, its tally, its randomness."""

    def __init__(self, session: Session, tally: Tally, occurrence: int) -> None:
        self._session = session
        self._tally = tally
        self._mark = [session.place.seed, tally.name, occurrence]
        self._label = f"{tally.name} {occurrence + 1}" if occurrence else tally.name
        self.uses: dict[str, None] = {}
        self.dropped: list[tuple[int, Drop]] = []

    @property
    def dir(self) -> Path:
        return self._session.place.dir

    @property
    def place(self) -> Place:
        return self._session.place

    def path(self, name: str) -> Path:
        return self.place.path(name)

    def teacher(self, by: RoleName = "teacher") -> Teacher:
        return self.place.role(by).teacher

    def render(self, name: str, **slots: Any) -> tuple[Message, ...]:
        return self.place.prompts.render(name, **slots)

    async def generate(
        self,
        prompt: Prompt,
        *,
        by: RoleName = "teacher",
        draw: int = 0,
        raw: bool = False,
        schema: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Completion:
        """The completion of a prompt: from the store, or asked for and filed first.

        `draw` tells independent answers to the same prompt apart. `raw` has the prompt continued as plain text, by a
        teacher that can. `schema` holds the answer to a JSON schema where
        the teacher can be held to one. `params` are the recipe's sampling parameters.

        Raises TeacherError (refused for good), BudgetReached or Paused (both resumable).
        """
        role = self.place.role(by)
        request = role.request(prompt, draw, raw, schema, params)
        filed, fresh = await self._session.answer(role, request, self._label)
        tally = self._tally
        if filed.completion.key not in self.uses:
            self.uses[filed.completion.key] = None
            tally.calls += 1
            tally.asked += fresh
            tally.input_tokens += filed.completion.usage.input_tokens
            tally.output_tokens += filed.completion.usage.output_tokens
            tally.cost_nano += filed.cost_nano or 0
        return filed.completion

    async def map(
        self,
        function: Callable[[Item], Awaitable[Result]],
        items: Iterable[Item] | AsyncIterable[Item],
        *,
        window: int = 128,
    ) -> AsyncIterator[Result]:
        """`function` over `items`, at most `window` in flight, results in the order of the items.

        Item i+window is made only after result i was consumed: a loop whose items depend on earlier results therefore
        depends on the window, never on concurrency or latency. Consume it to its end: to stop early, end the items.
        """
        source = streamed(items)
        flying: deque[asyncio.Task[Result]] = deque()
        more = True
        try:
            while more or flying:
                while more and len(flying) < window:
                    try:
                        item = await anext(source)
                    except StopAsyncIteration:
                        more = False
                    else:
                        flying.append(asyncio.ensure_future(function(item)))
                if flying:
                    yield await flying.popleft()
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)

    def window(self, given: int, by: RoleName) -> int:
        """The window of a step whose rows do not hang on one another: as wide as a batch where `by` has them."""
        role = self.place.role(by)
        return given if role.mode == "realtime" else max(given, WIDE)

    def rng(self, *key: Any) -> random.Random:
        """Randomness that depends on the run's seed, the step and `key`: on what is drawn, never on when."""
        return random.Random(digest([*self._mark, *key]))

    def made(self, count: int = 1) -> None:
        """Declare `count` new rows, each to be yielded or dropped."""
        self._tally.made += count

    def drop(self, sample: Sample | str, reason: str, /, **detail: Any) -> None:
        """Book a row (or, where it never became one, its text) as dropped; `detail` holds rule, value, threshold."""
        self.dropped.append((sum(self._tally.drops.values()), Drop(reason, detail, sample)))
        self._tally.drops[reason] += 1

    def trace(self, sample: Sample, *completions: Completion) -> Sample:
        """Note in the row's meta which request this step's part of it came from; a list, where it took several."""
        known = sample.meta.get("requests")
        earlier = (
            known if isinstance(known, Mapping) else {}
        )  # a column of that name may have come with the data
        keys = [completion.key for completion in completions]
        return sample.note(requests={**earlier, self._tally.name: keys[0] if len(keys) == 1 else keys})

    def cost(self, completion: Completion) -> int | None:
        """Nano-dollars that the answer was billed when it came; None where its price was unknown."""
        filed = self._session.store.get(completion.key)
        return None if filed is None else filed.cost_nano

    async def memo(self, key: Any, function: Callable[[], Awaitable[Any]]) -> Any:
        """A JSON value computed once per run and key."""
        name = digest([self._tally.name, key])
        if (found := self._session.store.memo(name)) is None:
            self._session.store.set_memo(name, [await function()])  # in a list, so that null is a value, too
            found = self._session.store.memo(name)  # the first time as on replay: what JSON makes of it
        return found[0]

    def note(self, **facts: Any) -> None:
        """JSON facts about this step for the summary and the dataset card."""
        self._tally.facts.update(facts)

    def progress(self, done: int, total: int | None = None, text: str = "") -> None:
        """How far long local work is. Raises CancelledError when the run is being interrupted meanwhile."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        self._tally.done, self._tally.total, self._tally.text = done, total, text

    def funnel(self) -> Funnel:
        """What the finished steps before this one did."""
        return Funnel.of(self._session.store)

    def lost(self) -> Iterator[Drop]:
        """What the steps before this one dropped, in order."""
        for n in range(self._tally.n):
            yield from self._session.store.drops(n)

    def earlier(self) -> Iterator[Sample]:
        """The rows that the steps before this one kept, in order: a row once for each step that it passed."""
        for n in range(self._tally.n):
            yield from self._session.store.samples(n)


async def streamed(items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
