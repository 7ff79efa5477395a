"""What our way of one request costs, beside a bare aiohttp loop that posts the same JSON and keeps nothing.

    python benchmarks/throughput.py [--rows 5000] [--latency 0 0.05] [--concurrency 64 256 1024]

- whole: a pipeline's `respond` step over so many prompts, against a server that answers 200 words after a fixed
  latency: request and key, look-up in the store, budget, limits, transport, reading what came back, the journal with
  synchronous=FULL, and the rows written for the next step; a plain post, as to a server of one's own;
- official: the same through the openai SDK on its aiohttp backend, as to OpenAI itself;
- bare: as many workers as connections, aiohttp, orjson, nothing else.

Server and client run in processes of their own. The step alone is timed, with the opening of its connections, without
start-up. CPU is the client's, all its threads. On a busy machine trust the CPU column and the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import orjson

from selfinstruct.pipeline import execute
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step
from selfinstruct.steps import respond
from selfinstruct.tally import Tally
from selfinstruct.teachers import Teacher
from selfinstruct.teachers.endpoint import Endpoint
from selfinstruct.teachers.openai import OpenAITeacher
from selfinstruct.teachers.transport import Official

ROOT = Path(__file__).parents[1]
FILLER = " ".join(f"circumstance {k}" for k in range(30))
MODEL = "canned"
PARAMS = {"temperature": 0.7, "max_tokens": 2048}  # what `respond` sends


class Cost(NamedTuple):
    wall: float  # seconds
    cpu: float


def prompt(i: int) -> str:
    return f"Write about number {i}, and keep in mind: {FILLER}."


@step
async def numbered(run: Run, samples: Samples, *, rows: int) -> Samples:
    """Prompts that differ in a number."""
    async for sample in samples:
        yield sample
    run.made(rows)
    for i in range(rows):
        yield Sample.of(prompt(i))


def official(base_url: str) -> Teacher:
    """The SDK's way, turned to an address of our own."""
    at = Endpoint(f"openai/{MODEL}", base_url, "THROUGHPUT_KEY")
    return OpenAITeacher(MODEL, at, transport=Official(at, "openai", "AsyncOpenAI"))


def pipeline(model: str, url: str, rows: int, concurrency: int) -> Cost:
    marks: list[Cost] = []

    def watch(event: str, tally: Tally) -> None:
        if tally.name == "respond":
            marks.append(Cost(time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        outcome = execute(
            [numbered(rows=rows), respond(window=2 * concurrency)],
            out=Path(folder) / "run",
            teacher={"model": model, "base_url": url, "concurrency": concurrency},
            watch=watch,
        )
        assert len(outcome.samples) == rows, outcome.funnel
    begin, end = marks
    return Cost(end.wall - begin.wall, end.cpu - begin.cpu)


def whole(url: str, rows: int, concurrency: int) -> Cost:
    return pipeline(f"openai/{MODEL}", url, rows, concurrency)


def through_sdk(url: str, rows: int, concurrency: int) -> Cost:
    os.environ["THROUGHPUT_KEY"] = "none"
    for name in ("openai", "openai.resources.chat", "httpx2"):
        importlib.import_module(name)
    return pipeline(f"{__name__}:official", url, rows, concurrency)


def bare(url: str, rows: int, concurrency: int) -> Cost:
    return asyncio.run(_bare(url, rows, concurrency))


async def _bare(url: str, rows: int, concurrency: int) -> Cost:
    left = iter(range(rows))
    texts: list[str] = []

    async def work(session: aiohttp.ClientSession) -> None:
        for i in left:
            message = {"role": "user", "content": prompt(i)}
            body = orjson.dumps({**PARAMS, "model": MODEL, "messages": [message]})
            async with session.post(f"{url}/chat/completions", data=body) as response:
                texts.append(orjson.loads(await response.read())["choices"][0]["message"]["content"])

    begin = Cost(time.perf_counter(), time.process_time())
    headers = {"content-type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    end = Cost(time.perf_counter(), time.process_time())
    assert len(texts) == rows
    return Cost(end.wall - begin.wall, end.cpu - begin.cpu)


WAYS: dict[str, Callable[[str, int, int], Cost]] = {"bare": bare, "whole": whole, "official": through_sdk}


@contextmanager
def server(latency: float) -> Iterator[str]:
    command = [sys.executable, "tests/loopback.py", "--latency", str(latency)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measured(function: Callable[..., Cost], *args: Any) -> Cost:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 0.05], help="seconds")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--way", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    heads = ("latency ms", "concurrency", "way", "each second", "CPU us each", "x bare CPU", "x bare wall")
    print("  ".join(f"{head:>11}" for head in heads))
    for latency, concurrency in itertools.product(options.latency, options.concurrency):
        with server(latency) as url:
            base = None
            for way in options.way:
                cost = measured(WAYS[way], url, options.rows, concurrency)
                base = base or cost
                cells = (
                    f"{latency * 1000:g}",
                    str(concurrency),
                    way,
                    f"{options.rows / cost.wall:,.0f}",
                    f"{cost.cpu / options.rows * 1e6:,.0f}",
                    f"{cost.cpu / base.cpu:.1f}",
                    f"{cost.wall / base.wall:.1f}",
                )
                print("  ".join(f"{cell:>11}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
