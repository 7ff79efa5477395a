"""What several test files share: a teacher that does as it is told, and a run for one step."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from selfinstruct.budget import Budget
from selfinstruct.limits import Limits
from selfinstruct.pricing import Price
from selfinstruct.prompts import Prompts
from selfinstruct.run import Place, Role, Run, Session
from selfinstruct.step import REGISTRY
from selfinstruct.store import Store
from selfinstruct.tally import Tally
from selfinstruct.teachers import Completion, Request, Teacher, Usage

ROOT = Path(__file__).parent.parent
PATHS = (ROOT, *(ROOT / "tests" / part for part in ("", "store", "chaos")))


class Echo:
    """Answers with the last message, after first working through `script`: errors are raised, completions given.

    `latency` is seconds for each request. `asked` lists the requests that arrived, `most` is how many were in flight.
    """

    raw = True

    def __init__(
        self,
        *script: BaseException | Completion,
        model: str = "echo",
        structured: bool = False,
        latency: Callable[[Request], float] | None = None,
        usage: Callable[[Request], Usage] | None = None,
    ) -> None:
        self.model = model
        self.structured = structured
        self.script = list(script)
        self.latency = latency
        self.usage = usage
        self.asked: list[Request] = []
        self.flying = 0
        self.most = 0
        self.closed = False

    async def complete(self, request: Request) -> Completion:
        self.asked.append(request)
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(self.latency(request) if self.latency is not None else 0)
        finally:
            self.flying -= 1
        if self.script:
            reply = self.script.pop(0)
            if isinstance(reply, BaseException):
                raise reply
            return reply
        used = self.usage(request) if self.usage is not None else Usage(10, 5)
        return Completion(prompt_of(request), usage=used, model=self.model)

    async def close(self) -> None:
        self.closed = True


class Scripted(Echo):
    """Answers draw i with `write(i)`; stops where the request's stop strings say, as providers do."""

    def __init__(self, write: Callable[[int], str | Completion], **options: Any) -> None:
        super().__init__(model=options.pop("model", "scripted"), **options)
        self.write = write

    async def complete(self, request: Request) -> Completion:
        await super().complete(request)
        answer = self.write(request.draw)
        if isinstance(answer, Completion):
            return answer
        ends = [answer.find(stop) for stop in request.params.get("stop", ()) if stop in answer]
        return Completion(answer[: min(ends, default=len(answer))])


def prompt_of(request: Request) -> str:
    return request.text if request.text is not None else request.messages[-1].content


@asynccontextmanager
async def running(
    folder: Path,
    teacher: Teacher,
    *,
    limits: Limits | None = None,
    price: Price | None = None,
    budget: Budget | None = None,
    params: Mapping[str, Any] | None = None,
    deadline: float = 600.0,
    seed: int = 0,
    step: str = "step",
) -> AsyncIterator[Run]:
    """A `Run` for a step of that name in `folder`, with `teacher` as its teacher."""
    role = Role("teacher", teacher, params or {}, limits or Limits(), price, deadline)
    place = Place(folder, folder, {"teacher": role}, Prompts(), seed)
    with Store.open(folder) as store:
        session = Session(place, store, budget or Budget())
        try:
            yield Run(session, Tally(0, step), 0)
        finally:
            await session.close()


@contextmanager
def own_steps() -> Iterator[None]:
    """Steps that are made inside leave the registry again: other tests look at all that is in it."""
    known = dict(REGISTRY)
    try:
        yield
    finally:
        REGISTRY.clear()
        REGISTRY.update(known)


def python(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Our interpreter in a process of its own, with the package and the tests on its path."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", *arguments],
        env={
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests' / 'store'}",
            "PATH": "/usr/bin:/bin",
            "XDG_STATE_HOME": os.environ["XDG_STATE_HOME"],  # a folder of the test's own: conftest.py
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
