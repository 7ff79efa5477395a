"""The command line: the only module that prints or exits."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from selfinstruct import __version__
from selfinstruct.errors import ConfigError, SelfInstructError, StoreError, nearest

if TYPE_CHECKING:
    from selfinstruct.funnel import Funnel
    from selfinstruct.pipeline import Event, Pipeline
    from selfinstruct.tally import Tally

app = typer.Typer(
    help="From a few seed tasks to a trained, measured student: generate, deduplicate, judge, select, export, train.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# Where no terminal is near, nothing narrows a table but who sets COLUMNS.
_NARROW = "COLUMNS" in os.environ or any(os.isatty(stream) for stream in (0, 1, 2))
out = Console(highlight=False, width=None if _NARROW else 100)
err = Console(stderr=True, highlight=False, soft_wrap=True)

INTERRUPTED = 130
EVERY = 30.0  # seconds between two plain lines of a step at work

PipelineFile = Annotated[
    Path, typer.Argument(help="the pipeline file (YAML)", metavar="PIPELINE", show_default=False)
]
RunFolder = Annotated[Path, typer.Argument(help="the folder of a run", metavar="FOLDER", show_default=False)]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="STEP.OPTION=VALUE", help="change an option; may be given many times"),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="ROWS",
        help="a small trial: at most so many rows are made (or, where no step makes rows, read)",
    ),
]
Cap = Annotated[
    list[str],
    typer.Option(
        "--budget",
        metavar="DOLLARS",
        help="what the run may cost; at that it pauses. Also tokens=2e6, judge=5, judge.tokens=1e6",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FOLDER", help="the run's folder  [default: data/NAME]", show_default=False
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]


def main() -> None:
    """The entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a terminal that knows no ✓ shows a ? instead of a traceback
            stream.reconfigure(errors="replace")
    app(prog_name="selfinstruct")


def _say(text: str | Text) -> None:
    """Print a line as it is: pipes and narrow terminals get no line breaks of ours."""
    from selfinstruct.screen import safe

    out.print(Text(safe(text)) if isinstance(text, str) else text, soft_wrap=True)


def _draw(what: RenderableType) -> None:
    """Print a table or the like; what is wider than a pipe's assumed width is not cut."""
    out.print(what, crop=out.is_terminal)


def _page(text: str) -> None:
    """Print lines, each wrapped at its own indentation on a terminal."""
    for line in text.splitlines():
        if out.is_terminal and line:
            words = line.lstrip()
            out.print(Padding(Text(words), (0, 0, 0, len(line) - len(words))))
        else:
            _say(line)


@contextmanager
def _told(debug: bool) -> Iterator[None]:
    """Turn errors into one clear text and an exit code."""
    try:
        yield
    except SelfInstructError as error:
        if debug:
            raise
        _print_error(error)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        if err.is_terminal:
            err.print()  # below the ^C
        err.print("interrupted: every answer so far is kept; the same command goes on")
        raise typer.Exit(INTERRUPTED) from None


def _warn(text: str) -> None:
    from selfinstruct.screen import safe

    err.print(Text.assemble(("warning: ", "bold yellow"), safe(text)))


def _print_error(error: SelfInstructError) -> None:
    from selfinstruct.screen import safe

    word = "paused" if error.exit_code in (4, 75) else "error"
    err.print(
        Text.assemble((f"{word}: ", "bold red" if word == "error" else "bold yellow"), safe(error.message))
    )
    if error.hint:
        err.print(Text.assemble(("  hint: ", "bold"), safe(error.hint)))


def _load(
    path: Path, sets: list[str], limit: int | None, budget: list[str], to: Path | None
) -> tuple[Pipeline, Path]:
    from dataclasses import replace

    from selfinstruct.budget import given
    from selfinstruct.document import load

    pipeline = load(path, sets, limit)
    if budget:
        pipeline = replace(pipeline, budget=given(budget))
    return pipeline, to or Path("data") / pipeline.name


@app.command()
def run(
    pipeline: PipelineFile,
    to: Out = None,
    sets: Set = [],  # noqa: B006 (typer copies it)
    limit: Limit = None,
    budget: Cap = [],  # noqa: B006
    fresh: Annotated[
        bool, typer.Option("--fresh", help="work all steps out anew; answers that were paid for are used")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask before paying for what has changed")] = False,
    debug: Debug = False,
) -> None:
    """Run a pipeline, or go on where an earlier run of it stopped."""
    with _told(debug):
        from datetime import date

        from selfinstruct import bookkeeping, screen
        from selfinstruct import pipeline as pipelines

        loaded, folder = _load(pipeline, sets, limit, budget, to)
        names = [step.name for step in loaded.steps]
        models = {
            role: model if isinstance(model, str) else model.get("model")
            for role, model in loaded.models.items()
        }
        said = ", ".join(f"{role} {model}" for role, model in models.items()) or "no teacher"
        _say(f"selfinstruct {__version__}: {loaded.name} ({said}) in {folder}")
        costs = False if fresh else _foretell(loaded, folder)
        if costs and not yes and out.is_terminal and sys.stdin.isatty() and not typer.confirm("go on?"):
            raise KeyboardInterrupt
        planned, facts, old = bookkeeping.begin(loaded, folder, date.today())
        for warning in old:
            _warn(warning)
        with _watching(names) as watch:
            outcome = pipelines.run(loaded, folder, fresh=fresh, watch=watch, facts=facts)
        _summary(folder)
        bookkeeping.end(loaded, folder, planned, date.today())
        for text in screen.warnings(outcome.funnel):
            _warn(text)


def _foretell(loaded: Pipeline, folder: Path) -> bool:
    """Say what a change since the run on file comes to; whether that costs."""
    from selfinstruct import bookkeeping, screen

    told, costs = bookkeeping.foretell(loaded, folder)
    if told:
        _say(Text.assemble(("on file: ", "bold"), screen.safe(told)))
    return costs


@contextmanager
def _watching(names: list[str]) -> Iterator[Any]:
    """Show progress: a live table on a terminal, plain lines elsewhere. SIGTERM ends a run as Ctrl-C does."""
    from selfinstruct import screen

    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # begun with & in a script: it must hear SIGTERM all the same
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    warnings = _Warnings(logging.WARNING)
    logging.getLogger().addHandler(warnings)
    try:
        if out.is_terminal:
            from rich.live import Live

            board = screen.Board(names)
            with Live(board, console=out, refresh_per_second=8, transient=True):
                yield board.watch
        else:
            with _plain(len(names)) as watch:
                yield watch
    finally:
        logging.getLogger().removeHandler(warnings)
        signal.signal(signal.SIGTERM, before)


class _Warnings(logging.Handler):
    """Warnings of ours and of libraries; above the live table, where there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        from selfinstruct import screen

        console = out if out.is_terminal and err.is_terminal else err
        said = Text.assemble(("warning: ", "bold yellow"), screen.safe(record.getMessage()))
        console.print(said, soft_wrap=True)


@contextmanager
def _plain(steps: int) -> Iterator[Any]:
    """A line when a step begins and ends, and now and then while it works."""
    from selfinstruct import screen

    over = threading.Event()
    current: list[tuple[Tally, screen.Pace]] = []

    def watch(event: Event, tally: Tally) -> None:
        current[:] = [(tally, screen.Pace())] if event == "begin" else []
        _say(screen.line(event, tally, steps))

    def beat() -> None:
        while not over.wait(EVERY):
            for tally, pace in current:
                left = None if tally.share is None else pace.left(tally.share, time.monotonic())
                _say(screen.line("progress", tally, steps, left))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _summary(folder: Path) -> None:
    from selfinstruct import screen
    from selfinstruct.actual import FACT, compare
    from selfinstruct.funnel import Funnel
    from selfinstruct.store import Store

    with Store.read(folder) as store:
        found, paid, planned = Funnel.of(store), store.spent(), store.fact(FACT)
    _draw(screen.funnel(found))
    if rows := compare(planned, found):
        _draw(screen.compared(rows))
    _draw(screen.said(found))
    if paid.calls > sum(row.calls for row in found.steps):
        _say_filed(folder)
    _draw(screen.teachers(found.about))
    _say(Text.assemble(("all of it: ", "bold"), str(folder)))


def _say_filed(folder: Path) -> None:
    """What the run has paid for so far, when it has asked for anything."""
    from selfinstruct import screen
    from selfinstruct.store import FILE, Store

    if (folder / FILE).is_file():
        with Store.read(folder) as store:
            if told := screen.filed(store.spent()):
                _say(Text.assemble(("on file: ", "bold"), told))


@app.command()
def plan(
    pipeline: PipelineFile,
    to: Out = None,
    sets: Set = [],  # noqa: B006
    limit: Limit = None,
    budget: Cap = [],  # noqa: B006
    requests: Annotated[
        int | None,
        typer.Option(
            "--pilot",
            min=1,
            metavar="REQUESTS",
            help="pay for at most so many requests first, and plan by their answers; the run uses them",
            show_default=False,
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Check everything, print calls, tokens and cost; sends nothing.

    With --pilot it first pays for a few requests, and plans by their answers.
    """
    with _told(debug):
        from datetime import date

        from selfinstruct import bookkeeping, priors, screen
        from selfinstruct import pilot as pilots
        from selfinstruct import pipeline as pipelines
        from selfinstruct import plan as plans

        loaded, folder = _load(pipeline, sets, limit, budget, to)
        place = loaded.place(folder)
        if requests is None:
            found, rows = None, plans.plan(loaded, place, prior=priors.load())
        else:
            pipelines.check(loaded, place)
            found = pilots.pilot(loaded, place, requests)
            rows = list(found.rows)
        _draw(screen.plan(rows))
        for line in screen.notes(rows, [role.price for role in place.roles.values()], date.today()):
            _say(line)
        _say_filed(folder)
        if sum(row.bytes for row in rows) > (free := bookkeeping.free(folder)):
            _warn(f"{folder}: only {screen.size(free)} are free there")
        pipelines.check(loaded, place)
        _foretell(loaded, folder)
        sound = "everything that can be checked is in order; nothing was sent"
        _say(sound if found is None else f"pilot: {screen.pilot(found)}")


@app.command()
def show(
    folder: RunFolder,
    drops: Annotated[
        str | None,
        typer.Option(
            metavar="STEP", help="print the rows that it dropped as JSON lines, or `all`", show_default=False
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Show a run's funnel: rows made, dropped and kept, and their cost."""
    with _told(debug):
        from selfinstruct import screen
        from selfinstruct.funnel import Funnel
        from selfinstruct.store import Store

        with Store.read(folder) as store:
            found = Funnel.of(store)
            if drops is None:
                _say(f"{found.pipeline} in {folder}, by selfinstruct {found.version}")
                _summary(folder)
                return
            places = [row.n for row in found.steps] if drops == "all" else [_number(found, drops)]
            for place in places:
                name = found.steps[place].name
                for drop in store.drops(place):
                    sample = drop.sample
                    row, id = (sample, None) if isinstance(sample, str) else (sample.to_row(), sample.id)
                    told = {"step": name, "id": id, "reason": drop.reason, **drop.detail, "row": row}
                    sys.stdout.write(screen.as_line(told) + "\n")


def _number(found: Funnel, step: str) -> int:
    """A step's place from its name or its number in the list."""
    places = [row.n for row in found.steps if step in (row.name, str(row.n + 1))]
    if not places:
        raise ConfigError(f"this run has no step `{step}`", nearest(step, {row.name for row in found.steps}))
    if len(places) > 1:
        numbers = ", ".join(str(place + 1) for place in places)
        raise ConfigError(
            f"`{step}` stands {len(places)} times in this run", f"give its number instead: {numbers}"
        )
    return places[0]


@app.command()
def look(
    folder: RunFolder,
    step: Annotated[str, typer.Argument(metavar="STEP", help="its name or number", show_default=False)],
    row: Annotated[int, typer.Argument(metavar="ROW", min=1, help="which of its rows")] = 1,
    dropped: Annotated[bool, typer.Option("--dropped", help="look at the rows it dropped instead")] = False,
    debug: Debug = False,
) -> None:
    """Look at one row and the raw requests behind it.

    Shows its text, its scores, why it was dropped, and what it was made from.
    """
    with _told(debug):
        from selfinstruct import look as looking
        from selfinstruct.funnel import Funnel
        from selfinstruct.store import Store

        with Store.read(folder) as store:
            _draw(looking.sight(store, _number(Funnel.of(store), step), row, dropped=dropped))


@app.command()
def why(
    folder: RunFolder,
    id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="a row's id, or how it begins (4 digits or more)", show_default=False
        ),
    ],
    debug: Debug = False,
) -> None:
    """Tell why a row was kept or dropped, step by step."""
    with _told(debug):
        from selfinstruct import why as whys
        from selfinstruct.store import Store

        with Store.read(folder) as store:
            _draw(whys.story(store, id))


@app.command()
def check(folder: RunFolder, debug: Debug = False) -> None:
    """Read a run's file from end to end and say what is damaged."""
    with _told(debug):
        from selfinstruct import screen
        from selfinstruct.store import Store, repair

        faults = repair.check(folder)
        for fault in faults:
            _say(fault)
        if faults:
            raise StoreError(
                f"{folder}: is damaged", f"`selfinstruct repair {folder}` saves all answers that are whole"
            )
        with Store.read(folder) as store:
            said = f"{screen.many(store.spent().calls, 'answer')}, {screen.many(len(store.steps()), 'step')}"
        _say(f"{folder}: whole ({said})")


@app.command()
def repair(folder: RunFolder, debug: Debug = False) -> None:
    """Make a damaged run's file anew from all that is whole in it.

    The damaged file is kept beside it. Steps are worked out again by the next `run`, from the answers that are saved.
    """
    with _told(debug):
        from selfinstruct import screen
        from selfinstruct.store import repair as repairs

        saved = repairs.repair(folder)
        if saved is None:
            _say(f"{folder}: whole; nothing to repair")
            return
        _say(
            f"saved: {screen.many(saved.answers, 'answer')}, {screen.many(saved.attempts, 'attempt')} in the ledger"
        )
        if saved.lost:
            _say(f"lost: {screen.many(saved.lost, 'answer')}, which the next run asks for again")
        _say(f"the damaged file is now {saved.kept}")


@app.command()
def purge(
    folder: RunFolder,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    debug: Debug = False,
) -> None:
    """Delete a run's prompts, answers and rows; keep what it exported."""
    with _told(debug):
        from selfinstruct.store import repair

        found = repair.holdings(folder)
        if not yes and not typer.confirm(
            f"delete {', '.join(path.name for path in found)} in {folder}? What was paid for is lost"
        ):
            raise typer.Exit(1)
        repair.purge(folder)
        _say(f"{folder}: prompts, answers and rows are deleted; exported files are kept")


@app.command()
def steps(
    name: Annotated[str | None, typer.Argument(metavar="STEP", help="a step", show_default=False)] = None,
    debug: Debug = False,
) -> None:
    """List the steps, or show one with its options."""
    with _told(debug):
        import selfinstruct.steps  # noqa: F401
        from selfinstruct import reference, screen
        from selfinstruct.step import REGISTRY

        if name is None:
            _draw(screen.headed(reference.groups()))
            return
        if name not in REGISTRY:
            raise ConfigError(f"there is no step `{name}`", nearest(name, REGISTRY))
        _page(reference.step(REGISTRY[name]))


@app.command()
def prompts(
    name: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="a prompt, such as alpaca/blocks", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """List the prompts, or print one.

    A file of the same name in a folder prompts/ beside your pipeline replaces it.
    """
    with _told(debug):
        from selfinstruct.prompts import Prompts

        found = Prompts(Path("prompts"))
        if name is None:
            for each in found.names():
                _say(each)
            return
        sys.stdout.write(found.source(name))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="where to write them")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="replace files that exist")] = False,
    debug: Debug = False,
) -> None:
    """Write a commented pipeline.yaml and seed tasks to start from."""
    with _told(debug):
        from selfinstruct import starter

        for path in starter.write(folder, force=force):
            _say(f"wrote {path}")
        _say(f"next: selfinstruct run {folder / 'pipeline.yaml'}")


@app.command()
def doctor(debug: Debug = False) -> None:
    """Check this machine: packages, keys, GPU, memory, disk."""
    with _told(debug):
        from selfinstruct import doctor as doctors

        good = True
        for finding in doctors.findings(Path.cwd(), os.environ):
            mark, style = {"good": ("✓", "green"), "absent": ("-", "dim"), "bad": ("✗", "bold red")}[
                finding.state
            ]
            good = good and finding.state != "bad"
            _say(Text.assemble((f"{mark} ", style), f"{finding.what:<22} {finding.found}"))
            if finding.mend:
                _say(Text(f"  {'':<22} {finding.mend}", style="dim"))
        if not good:
            raise typer.Exit(ConfigError.exit_code)


@app.command()
def schema(debug: Debug = False) -> None:
    """Print the JSON schema of pipeline files, for your editor."""
    with _told(debug):
        from selfinstruct.document import schema as made

        sys.stdout.write(json.dumps(made(), indent=2) + "\n")


@app.callback(invoke_without_command=True)
def version(
    show_version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if show_version:
        _say(f"selfinstruct {__version__}")
        raise typer.Exit
