"""A pipeline: a list of steps and the models that play the roles. From YAML or Python; checked, executed, resumed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from selfinstruct import __version__
from selfinstruct.budget import Caps
from selfinstruct.errors import ConfigError, DataError, SelfInstructError, StoreError, nearest
from selfinstruct.funnel import Funnel
from selfinstruct.pricing import own_table
from selfinstruct.prompts import Prompts
from selfinstruct.roles import cast
from selfinstruct.run import Place, Run, Session
from selfinstruct.sample import Sample, digest
from selfinstruct.step import Step
from selfinstruct.store import Store
from selfinstruct.tally import Tally
from selfinstruct.teachers.connect import check as check_teacher

Found = TypeVar("Found")
Event = Literal["begin", "skip", "end"]
Watch = Callable[[Event, Tally], None]
_CHUNK = 1_000  # rows written at a time
_YOUNG = 20_000  # new objects between two looks of the garbage collector; the default is 700
# what a disk says when it is full, read-only or broken
_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS),
    *(errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
)
_OF_THE_MACHINE = (
    "base_url",
    "key_env",
    "key_file",
    "mode",
    "batch_wait",
    "concurrency",
    "rpm",
    "tpm",
    "timeout",
    "price",
)


@dataclass(frozen=True)
class Pipeline:
    """`models` maps a role to what `connect` takes: a name, or a mapping with `model` and its settings."""

    name: str
    steps: Sequence[Step]
    models: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    beside: Path = Path()
    budget: float | Mapping[str, Any] | None = None  # dollars, or what `Caps.of` takes

    def place(self, out: Path) -> Place:
        """Where it would run. Opens the teachers; sends nothing."""
        roles = cast(self.models, own_table(self.beside))
        return Place(out, self.beside, roles, Prompts(self.beside / "prompts"), self.seed)

    def fingerprints(self, place: Place) -> list[str]:
        """One per step; equal for the same pipeline written in YAML and in Python."""
        asks = {
            name: [part.teacher.model, dict(part.params), part.teacher.structured]
            for name, part in sorted(place.roles.items())
        }
        mark = digest([__version__, place.prompts.digest, asks, self.seed])
        found = []
        for each in self.steps:
            mark = each.fingerprint(mark, place)
            found.append(mark)
        return found


@dataclass(frozen=True)
class Outcome:
    """A finished run."""

    dir: Path
    funnel: Funnel

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The rows of its last step, read from its folder."""
        with Store.read(self.dir) as store:
            return tuple(store.samples(len(self.funnel.steps) - 1))


def execute(
    steps: Iterable[Step],
    *,
    out: str | Path,
    teacher: str | Mapping[str, Any] | None = None,
    judge: str | Mapping[str, Any] | None = None,
    user: str | Mapping[str, Any] | None = None,
    student: str | Mapping[str, Any] | None = None,
    name: str | None = None,
    seed: int = 0,
    budget: float | Mapping[str, Any] | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Run a list of steps in the folder `out`, or go on where an earlier run of them stopped.

    The roles take what a pipeline file's lines of that name take. `budget` is in dollars, or a
    mapping with caps in dollars and tokens, of the run and of its steps. Works in a notebook too.

    Raises the errors of `selfinstruct.errors`; after BudgetReached and Paused the same call goes on.
    """
    given: dict[str, str | Mapping[str, Any] | None] = {
        "teacher": teacher,
        "judge": judge,
        "user": user,
        "student": student,
    }
    models = {role: model for role, model in given.items() if model is not None}
    pipeline = Pipeline(name or Path(out).name, tuple(steps), models, seed, budget=budget)
    return run(pipeline, Path(out), watch=watch)


def run(
    pipeline: Pipeline,
    out: Path,
    *,
    fresh: bool = False,
    watch: Watch | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Outcome:
    """Check everything, then execute. `fresh` forgets the rows of an earlier run, never its completions. `facts` are
    JSON values to be kept in the run's file under their names, such as the plan that it started with.
    """
    return finish(_run(pipeline, out, fresh, watch or (lambda event, tally: None), facts or {}))


def finish(work: Coroutine[Any, Any, Found]) -> Found:
    """Do the work to its end; from a notebook, whose own loop is running, in a thread."""
    with _rarely_collected():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work)
        return _in_a_thread(work)


@contextlib.contextmanager
def _rarely_collected() -> Iterator[None]:
    """Rows and requests under way are no garbage: to look through them every 700 objects costs a quarter of the CPU."""
    before = gc.get_threshold()
    gc.set_threshold(_YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _in_a_thread(work: Coroutine[Any, Any, Found]) -> Found:
    """For a notebook. Interrupting the cell stops the work as Ctrl-C stops a command."""
    begun: list[Callable[[], object]] = []

    async def stoppable() -> Found:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        begun.append(lambda: loop.call_soon_threadsafe(task.cancel))
        return await work

    with ThreadPoolExecutor(1) as thread:
        job = thread.submit(asyncio.run, stoppable())
        try:
            return job.result()
        except KeyboardInterrupt:
            for stop in begun:
                stop()
            raise  # once what is in flight has landed: leaving the block waits for the thread


async def _run(pipeline: Pipeline, out: Path, fresh: bool, watch: Watch, facts: Mapping[str, Any]) -> Outcome:
    place = pipeline.place(out)
    try:
        check(pipeline, place)
        with Store.open(out) as store:
            same(pipeline, store)
            marks = pipeline.fingerprints(place)
            if fresh:
                store.forget_from(0)
            store.set_fact("pipeline", about(pipeline, place))
            for name, fact in facts.items():
                store.set_fact(name, fact)
            session = Session.under(Caps.of(pipeline.budget), place, store)
            try:
                for n, mark in enumerate(marks):
                    await _step(session, pipeline.steps, n, mark, watch)
            finally:
                await session.close()
            store.forget_from(len(marks))
            return Outcome(out, Funnel.of(store))
    finally:
        for part in place.roles.values():
            await part.teacher.close()


def about(pipeline: Pipeline, place: Place) -> dict[str, Any]:
    """What a run's folder says of the pipeline that it holds."""
    return {
        "name": pipeline.name,
        "version": __version__,
        "teachers": {name: part.teacher.model for name, part in place.roles.items()},
        "models": {name: _portable(model) for name, model in pipeline.models.items()},
        "seed": pipeline.seed,
        "prompts": place.prompts.digest,
        "about": {
            part.teacher.model: part.teacher.about
            for part in place.roles.values()
            if hasattr(part.teacher, "about")
        },
    }


def _portable(model: str | Mapping[str, Any]) -> Any:
    """A role's line without addresses and without what changes no row: it is shown in cards."""
    if isinstance(model, str):
        return model
    kept = {key: value for key, value in model.items() if key not in _OF_THE_MACHINE}
    return kept["model"] if set(kept) == {"model"} else kept


def same(pipeline: Pipeline, store: Store) -> None:
    """Raises StoreError when the folder holds a run of another pipeline."""
    known = store.fact("pipeline")
    if known is not None and known["name"] != pipeline.name:
        raise StoreError(
            f"{store.path.parent}: holds a run of the pipeline `{known['name']}`, not of `{pipeline.name}`",
            "choose another folder with --out",
        )


def check(pipeline: Pipeline, place: Place) -> None:
    """Everything that can be checked before the first request. Raises what it finds first."""
    if not pipeline.steps:
        raise ConfigError(f"the pipeline `{pipeline.name}` has no steps", "add some under `steps:`")
    caps = Caps.of(pipeline.budget)
    names = {each.name for each in pipeline.steps}
    for name in caps.steps:
        if name not in names:
            raise ConfigError(f"budget: there is no step `{name}` in this pipeline", nearest(name, names))
    for part in place.roles.values():
        check_teacher(part.teacher)
        if part.mode != "realtime" and not hasattr(part.teacher, "batches"):
            raise ConfigError(
                f"{part.name}: {part.teacher.model} has no batch API, so mode: {part.mode} can't be",
                "openai/NAME and anthropic/NAME have one, and servers that speak their formats may; else leave it out",
            )
        if caps.dollars and part.price is None:
            raise ConfigError(
                f"no price is known for {part.teacher.model}, so a budget can't be kept",
                f"give it, in dollars a million tokens: {part.name}: {{model: ..., price: {{input: 1, output: 5}}}}",
            )
    for n, each in enumerate(pipeline.steps, start=1):
        try:
            each.check(place)
        except SelfInstructError as error:
            error.message = f"step {n} ({each.name}): {error.message}"
            raise


async def _step(session: Session, steps: Sequence[Step], n: int, mark: str, watch: Watch) -> None:
    store, place, current = session.store, session.place, steps[n]
    coming = store.count(n - 1) if n else 0
    tally = Tally(n, current.name, coming=coming)
    before = next((record for record in store.steps() if record.n == n), None)
    if (
        before is not None
        and before.done
        and before.fingerprint == mark
        and current.intact(place, before.facts)
    ):
        tally.came, tally.made, tally.kept, tally.drops = (
            before.came,
            before.made,
            store.count(n),
            store.reasons(n),
        )
        tally.facts = before.facts
        watch("skip", tally)
        return
    store.begin(n, current.name, current.values, mark)
    session.told = lambda said: setattr(tally, "text", said)
    view = Run(session, tally, sum(each.name == current.name for each in steps[:n]))
    watch("begin", tally)
    kept: list[tuple[int, Sample]] = []

    def write(uses: Iterable[str] = (), done: bool = False) -> None:
        store.add(n, kept, view.dropped)
        kept.clear()
        view.dropped.clear()
        store.record(
            n,
            came=tally.came,
            made=tally.made,
            kept=tally.kept,
            dropped=tally.drops.total(),
            seconds=tally.seconds,
            facts=tally.facts,
            uses=uses,
            done=done,
        )

    async def arriving() -> AsyncIterator[Sample]:
        for sample in store.samples(n - 1) if n else ():
            tally.came += 1
            yield sample

    try:
        async with contextlib.aclosing(current(view, arriving())) as rows:  # type: ignore[type-var]
            async for sample in rows:
                kept.append((tally.kept, sample))
                tally.kept += 1
                if len(kept) + len(view.dropped) >= _CHUNK:
                    write()
        if tally.pending or tally.came != coming:
            raise DataError(
                f"step `{current.name}` lost count: {tally.came} of {coming} rows came, {tally.made} were made,"
                f" {tally.kept} kept, {tally.drops.total()} dropped",
                "a step takes all rows, yields or drops each, and declares new ones with run.made()",
            )
    except BaseException as error:
        with contextlib.suppress(StoreError):
            write(view.uses)  # how far it got, for `show`; the next execution starts the step anew
        if isinstance(error, ConfigError | DataError):
            error.message = f"step {n + 1} ({current.name}): {error.message}"
        if isinstance(error, OSError) and error.errno in _DISK:
            raise StoreError(
                f"step {n + 1} ({current.name}): {error.filename or place.dir}: can't be written ({error.strerror})",
                "check disk space and permissions; every answer so far is kept, the same command goes on",
            ) from error
        raise
    tally.ended = time.monotonic()
    write(view.uses, done=True)
    watch("end", tally)
