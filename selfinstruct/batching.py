"""A teacher that answers in batches: requests are gathered, handed in together, and answered when the batch has ended.

To the run it is a teacher like any other. Every batch is in the store's journal before it is handed in, so that after a
crash it is found again, and nothing is handed in twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from selfinstruct.errors import Paused, SelfInstructError, TeacherError, TransientError
from selfinstruct.sample import digest
from selfinstruct.store import Batch, Filed, Settled, Store
from selfinstruct.store.journal import Journal
from selfinstruct.teachers import Completion, Request
from selfinstruct.teachers.batches import Row, Wire

Result = TypeVar("Result")

LULL = 0.5  # seconds without a new request after which a batch goes out
FIRST_LOOK = 5.0  # seconds until a batch is looked at; then half as long again each time
LONGEST_LOOK = 60.0
LOOKS = 3  # at the provider's list, before a batch that is not in it counts as never handed in
CALL = 600.0  # seconds for one call about a batch
ATTEMPTS = 6  # at each step of a batch's way, for trouble that passes
BACK_OFF = wait_random_exponential(multiplier=0.5, max=30)


class LateError(TransientError):
    """A batch ended without an answer to this request. It is not billed."""


@dataclass(frozen=True)
class _Waiting:
    key: str
    request: Request
    line: bytes
    answer: asyncio.Future[Completion]


class Batched:
    """`price` says what a completion costs, for answers that nobody in this run waits for. `told` hears how far the
    batches are. `patience` is how many seconds to wait for batches before the run pauses; None waits for ever.
    """

    def __init__(
        self,
        wire: Wire,
        model: str,
        store: Store,
        price: Callable[[Completion], int | None],
        *,
        patience: float | None = None,
        told: Callable[[str], None] = lambda said: None,
    ) -> None:
        self._wire = wire
        self._model = model
        self._store = store
        self._journal = Journal(store)
        self._price = price
        self._patience = patience
        self._told = told
        self._began = time.monotonic()
        self._waiting: list[_Waiting] = []
        self._gathering: asyncio.Task[None] | None = None
        self._works: set[asyncio.Task[None]] = set()
        self._handing = asyncio.Lock()  # held from the journal's intent until the provider's id is on disk
        self.filing = asyncio.Lock()  # held while what a batch brought is handed out and filed
        self._expected: set[str] = set()
        self._open: dict[
            str, asyncio.Future[Completion]
        ] = {}  # what earlier batches, still open, will answer
        self._said: dict[int, str] = {}
        for batch in self._journal.unfinished(model):
            self._take_up(batch)

    def _take_up(self, batch: Batch) -> None:
        """Go on with a batch that an earlier process began, unless all that it brought is on file."""
        loop = asyncio.get_running_loop()
        waiting = [
            _Waiting(request.key, request, b"", loop.create_future())
            for request in batch.requests
            if self._store.get(request.key) is None
        ]
        if not waiting:
            self._journal.mark(batch.n, batch.remote, "read")
            return
        self._open |= {each.key: each.answer for each in waiting}
        self._begin(self._go_on(batch, waiting))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)

    def expect(self, key: str) -> None:
        """Somebody is about to ask for this; to be said while `filing` is held, after a look into the store."""
        self._expected.add(key)

    def awaits(self, key: str) -> bool:
        """Whether an earlier batch, still open, will answer this request."""
        return key in self._open

    async def complete(self, request: Request) -> Completion:
        """The answer, when its batch has ended. Raises LateError when it has none, and what a single reply raises."""
        key = request.key
        if (answer := self._open.pop(key, None)) is None:
            answer = asyncio.get_running_loop().create_future()
            self._waiting.append(_Waiting(key, request, self._wire.line(key, request), answer))
            if self._gathering is None or self._gathering.done():
                self._gathering = asyncio.create_task(self._gather())
        return await asyncio.shield(answer)

    async def _gather(self) -> None:
        """Hand in what has come together, a batch at a time."""
        while self._waiting:
            seen = -1
            while seen != len(self._waiting) < self._wire.most:
                seen = len(self._waiting)
                await asyncio.sleep(LULL)
            batch: list[_Waiting] = []
            size = 0
            raw = self._waiting[0].request.text is not None
            while self._waiting and len(batch) < self._wire.most:
                if (self._waiting[0].request.text is not None) != raw:
                    break  # a batch has one kind of request
                size += len(self._waiting[0].line)
                if batch and size > self._wire.largest:
                    break
                batch.append(self._waiting.pop(0))
            self._begin(self._hand_in(batch))

    async def _hand_in(self, waiting: Sequence[_Waiting]) -> None:
        now = time.time()
        mark = digest([now, [each.key for each in waiting]])
        try:
            async with self._handing:
                batch = self._journal.begin(self._model, mark, now, [each.request for each in waiting])
                remote = await self._submit(batch, [each.line for each in waiting])
                self._journal.mark(batch.n, remote, "sent")
        except Exception as error:  # whatever it is, those who wait must hear of it
            self._fail(waiting, error)
        else:
            await self._finish(batch._replace(remote=remote), waiting)

    async def _submit(self, batch: Batch, lines: Sequence[bytes]) -> str:
        """Hand it in, once. After an attempt that failed the provider is asked whether it arrived, before the next.
        Raises Paused when that can't be settled: the next run asks again.
        """
        tried = False

        async def once() -> str:
            nonlocal tried
            if tried and (found := await self._find(batch)) is not None:
                return found
            first, tried = not tried, True
            try:
                return await self._wire.submit(batch.mark, lines)
            except TeacherError as error:
                if first and not isinstance(error, TransientError):
                    self._journal.mark(batch.n, "", "void")  # refused: there is none
                raise

        try:
            return await self._retrying(once)
        except TransientError as error:
            raise Paused(
                f"{self._model}: a batch can't be handed in: {error.message}",
                "run the same command again later; it first asks the provider whether the batch arrived",
            ) from None

    async def _find(self, batch: Batch) -> str | None:
        known = frozenset(self._journal.remotes())
        keys = frozenset(request.key for request in batch.requests)
        return await self._wire.find(batch.mark, keys, batch.sent, known)

    async def _retrying(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=stop_after_attempt(ATTEMPTS),
            wait=BACK_OFF,
            reraise=True,
        )

        async def in_time() -> Result:
            try:
                async with asyncio.timeout(CALL):
                    return await attempt()
            except TimeoutError:
                raise TransientError(f"{self._model}: no reply within {CALL:g} s", in_doubt=True) from None

        return await retrying(in_time)

    async def close(self, grace: float) -> None:
        """Let a batch that is being handed in get into the journal, and one that has ended on file; leave all others to
        the next run.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace), self._handing, self.filing:
                pass
        works = [*self._works, *([self._gathering] if self._gathering is not None else [])]
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _go_on(self, batch: Batch, waiting: Sequence[_Waiting]) -> None:
        try:
            if not batch.remote:
                batch = batch._replace(remote=await self._found(batch))
        except Exception as error:
            self._fail(waiting, self._left(error))
        else:
            await self._finish(batch, waiting)

    async def _found(self, batch: Batch) -> str:
        """The provider's name of a batch whose process died while it was handed in. Raises LateError when it never was;
        a listing may lag behind, so that it is looked at more than once.
        """
        async with self._handing:
            for look in range(LOOKS):
                if look:
                    await asyncio.sleep(FIRST_LOOK)
                if (remote := await self._retrying(lambda: self._find(batch))) is not None:
                    self._journal.mark(batch.n, remote, "sent")
                    return remote
            self._journal.mark(batch.n, "", "void")
        raise LateError("the batch was never handed in")

    async def _finish(self, batch: Batch, waiting: Sequence[_Waiting]) -> None:
        """Wait for its end, and hand out what it brought."""
        try:
            pause = FIRST_LOOK
            while True:
                progress = await self._retrying(lambda: self._wire.look(batch.remote))
                self._say(batch.n, f"{progress.done:,} of {progress.total or len(waiting):,}")
                if progress.ended:
                    break
                if self._patience is not None and time.monotonic() - self._began > self._patience:
                    raise Paused(
                        f"{self._model}: a batch is still at work ({progress.done:,} of {progress.total:,} done)",
                        "run the same command again later; it goes on waiting for this batch",
                    )
                await asyncio.sleep(pause)
                pause = min(LONGEST_LOOK, pause * 1.5)
            rows = await self._retrying(lambda: self._wire.rows(progress))
            if progress.said and not rows:
                self._journal.mark(batch.n, batch.remote, "void")
                raise Paused(
                    f"{self._model}: a batch failed as a whole: {progress.said}",
                    "mend what the provider names, or wait; the same command hands its requests in anew",
                )
        except Exception as error:
            self._fail(waiting, self._left(error))
            return
        async with self.filing:
            await self._hand_out(batch, waiting, rows, progress.said)

    def _left(self, error: Exception) -> Exception:
        """A batch that can't be asked about is left to the next run: its requests must not be handed in anew."""
        if not isinstance(error, TransientError) or isinstance(error, LateError):
            return error
        return Paused(
            f"{self._model}: a batch can't be asked about: {error.message}",
            "run the same command again later; it goes on waiting for this batch",
        )

    async def _hand_out(
        self, batch: Batch, waiting: Sequence[_Waiting], rows: Sequence[Row], said: str
    ) -> None:
        """Each request ends in exactly one way: an answer, a refusal, or none, which is asked again."""
        best: dict[str, Row] = {}
        for row in rows:
            if row.key not in best or (best[row.key].reply is None and row.reply is not None):
                best[row.key] = row
        for each in waiting:
            found = best.get(each.key)
            try:
                if found is None or found.reply is None:
                    why = found.why if found is not None else said or "it is in none of the files"
                    raise LateError(f"{self._model}: the batch ended without an answer: {why}")
                completion = self._wire.read(found.reply, each.request)
            except SelfInstructError as error:
                if not each.answer.done():
                    each.answer.set_exception(error)
                    each.answer.exception()
                continue
            if (
                each.key in self._open and each.key not in self._expected
            ):  # not asked for in this run, and paid for
                del self._open[each.key]
                nano = self._price(completion)
                settled = Settled("answered", time.time() - batch.sent, completion.usage, nano)
                filed = Filed(replace(completion, key=each.key), nano, settled.seconds)
                await self._store.put(each.request, filed, self._store.pending(each.key), settled)
            if not each.answer.done():
                each.answer.set_result(completion)

    def _say(self, n: int, said: str) -> None:
        self._said[n] = said
        self._told(f"batches at the provider: {', '.join(self._said.values())} done")

    @staticmethod
    def _fail(waiting: Sequence[_Waiting], error: Exception) -> None:
        for each in waiting:
            if not each.answer.done():
                each.answer.set_exception(error)
                each.answer.exception()
