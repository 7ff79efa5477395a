"""evaluate: a model answers questions whose answers are known, before and after its training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import Field

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats.files import atomic
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample, digest
from selfinstruct.step import Samples, step
from selfinstruct.teachers import offline
from selfinstruct.train import require
from selfinstruct.train.metrics import Answers, Question, exact, measure

RESULT = "evaluation.json"
PREDICTIONS = "predictions.jsonl"
_SETS = ("held_out", "offline")


def _check(place: Place, *, tasks: str, families: str | Sequence[str], **_: Any) -> None:
    require()
    if tasks == "offline":
        offline.tasks(1, families=families)
    elif tasks not in _SETS and not place.path(tasks).is_file():
        raise ConfigError(
            f"there is no file {tasks}", f"`tasks` is {', '.join(_SETS)} or a file of answered questions"
        )


def _sees(place: Place, *, tasks: str, **_: Any) -> str:
    return "" if tasks in _SETS else formats.content_digest(place.path(tasks))


def _intact(place: Place, facts: Mapping[str, Any], **_: Any) -> bool:
    return (place.dir / RESULT).is_file()


@step(check=_check, sees=_sees, intact=_intact)
async def evaluate(
    run: Run,
    samples: Samples,
    *,
    tasks: str = "held_out",
    n: Annotated[int, Field(gt=0)] = 400,
    model: str = "model",
    base: str | None = "student",
    max_new_tokens: Annotated[int, Field(gt=0)] | None = None,
    families: str | tuple[str, ...] = "all",
    seed: int = 0,
) -> Samples:
    """Ask the exported model questions with known answers, greedily, through its own chat template.

    An answer that equals the reference and ends by itself is an exact match. ROUGE-L, the likelihood of the references
    and the health of the writing stand beside it, before and after training. The figures go to evaluation.json and
    to the model's card, the answers to predictions.jsonl. The samples pass through unchanged.

    Args:
        tasks: held_out (what `sft` held out), offline (new tasks with computed answers, none of them among the
            samples), or a file of answered questions in any format that `read` takes
        n: questions at most
        model: a folder of this run, any folder, or a name on the Hugging Face Hub
        base: what to compare with, named in the same way; student is what `sft` started from, null is nothing
        max_new_tokens: where an endless answer is cut; by default twice the longest reference
        families: families of the offline tasks: all, drills, or their names
        seed: which questions are chosen
    """
    from selfinstruct.train.evaluation import ask
    from selfinstruct.train.export import extend_card, origin

    rows = [sample async for sample in samples]
    questions = _questions(run, rows, tasks, n, families, seed)
    after = _model(run, model)
    before = (origin(Path(after)) or _model(run, base)) if base == "student" else base and _model(run, base)
    asked = {"before": before, "after": after} if before else {"after": after}
    answers = {
        when: ask(name, questions, max_new_tokens=max_new_tokens, progress=run.progress)
        for when, name in asked.items()
    }
    facts: dict[str, Any] = {"tasks": tasks, "n": len(questions)}
    facts |= {when: measure(questions, given) for when, given in answers.items()}
    with atomic(run.dir / RESULT) as file:
        file.write(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    with atomic(run.dir / PREDICTIONS) as file:
        for row in _predictions(questions, answers):
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    if origin(Path(after)):
        extend_card(Path(after), "Evaluation", facts)
    run.note(**facts, headline=_headline(facts))
    for sample in rows:
        yield sample


def _headline(facts: Mapping[str, Any]) -> str:
    figures = [f"{facts[when]['exact_match']:.3f}" for when in ("before", "after") if when in facts]
    told = f"exact match {' -> '.join(figures)} on {facts['n']:,} questions"
    if facts["tasks"] in _SETS:
        return f"held-out {told}, none of them in the training set"
    return f"{told} of {facts['tasks']}"


def _questions(
    run: Run, rows: Sequence[Sample], tasks: str, n: int, families: str | Sequence[str], seed: int
) -> list[Question]:
    if tasks == "offline":
        known = {row.prompt[-1].content for row in rows if row.prompt}
        made = offline.tasks(n, seed=seed, families=families, exclude=known)
        return [
            Question([{"role": "user", "content": task.prompt}], task.output, task.family) for task in made
        ]
    if tasks == "held_out":
        found: Iterable[Sample] = (row for row in rows if row.meta.get("split") == "held_out")
        hint = "give `sft` a `hold_out`, such as 0.05, or name other `tasks`"
    else:
        found = (row for _, row in formats.read(run.path(tasks)) if isinstance(row, Sample))
        hint = "each row needs a question and its answer"
    usable = [row for row in found if row.answered and row.prompt and row.output.strip()]
    if not usable:
        raise DataError(f"`tasks: {tasks}` holds no answered question", hint)
    chosen = sorted(usable, key=lambda row: digest([seed, row.id]))[:n]
    return [
        Question(
            [{"role": message.role, "content": message.content} for message in row.prompt],
            row.output,
            str(row.meta.get("family", "")),
        )
        for row in chosen
    ]


def _model(run: Run, name: str) -> str:
    """A folder of this run, else a path where there is one, else a name on the Hub."""
    if (run.dir / name).is_dir():
        return str(run.dir / name)
    path = run.path(name)
    return str(path) if path.exists() else name


def _predictions(questions: Sequence[Question], answers: Mapping[str, Answers]) -> Iterable[dict[str, Any]]:
    for place, question in enumerate(questions):
        row: dict[str, Any] = {
            "family": question.family,
            "prompt": [dict(message) for message in question.prompt],
            "reference": question.reference,
        }
        for when, given in answers.items():
            reply = given.replies[place]
            row[when] = {"text": reply.text, "ended": reply.ended, "exact": exact(question, reply)}
        yield row
