"""template: labelled rows become instructions by templates (FLAN, T0/P3, Super-NaturalInstructions). Asks nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.formats import promptsource
from selfinstruct.formats.promptsource import Collection
from selfinstruct.formats.rendering import CannotRenderError, Rendered, Renderer
from selfinstruct.outlook import PASS, Estimate, Outlook, tokens
from selfinstruct.run import Place, Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, step

Fidelity = Literal["fixed", "paper"]
Row = Mapping[str, Any]
Share = Annotated[float, Field(ge=0, le=1)]
Shots = Annotated[int, Field(ge=0, le=100)]

LOOKS = 20  # rows that are looked at, for each exemplar wanted
# What a shipped collection stands for in FLAN's mixture; the others are Flan 2021's, files from elsewhere T0's.
_COLLECTIONS = {"cot": "cot", "superni": "niv2", "tk_instruct": "niv2"}


def _load(place: Place, templates: str, **chosen: Any) -> tuple[Collection, list[Renderer]]:
    """The collection, and those of its templates that the options choose, compiled."""
    found = promptsource.read(promptsource.find(templates, place.path(templates)))
    return found, _chosen(found, **chosen)


def _chosen(
    found: Collection,
    *,
    names: Sequence[str],
    original_task_only: bool,
    language: str | None,
    fidelity: Fidelity,
    **_: Any,
) -> list[Renderer]:
    known = [each.name for each in found.templates]
    for pattern in names:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ConfigError(f"no template of `{found.task}` is named `{pattern}`", nearest(pattern, known))
    kept = [
        each
        for each in found.templates
        if (not names or any(fnmatchcase(each.name, pattern) for pattern in names))
        and (each.original_task or not original_task_only)
        and (language is None or language in each.languages)
    ]
    if not kept:
        raise ConfigError(
            f"no template of `{found.task}` is left by names, original_task_only and language",
            f"it has {len(known)}: {', '.join(known)}",
        )
    return [Renderer(each, paper=fidelity == "paper") for each in kept]


def _check(
    place: Place, *, templates: str, choices: Sequence[str], shots: Sequence[int], **chosen: Any
) -> None:
    _load(place, templates, **chosen)
    if len(set(choices)) < len(choices):
        raise ConfigError("`choices` names a label twice", "give each number its own name")
    if not shots:
        raise ConfigError("`shots` is empty", "write [0] for no exemplars")


def _sees(place: Place, *, templates: str, **_: Any) -> str:
    path = promptsource.find(templates, place.path(templates))
    return formats.content_digest(path)


def _forecast(outlook: Outlook, *, templates: str, use: str, shots: Sequence[int], **chosen: Any) -> Estimate:
    _, renderers = _load(outlook.place, templates, **chosen)
    each = len(renderers) if use == "all" else 1
    frame = sum(tokens(one.template.jinja) for one in renderers) // len(renderers)
    shown = 1 + sum(shots) / len(shots)
    rows = replace(
        outlook.rows,
        count=outlook.rows.count.times(each * PASS, each, each),
        tokens=round((outlook.rows.tokens + frame) * shown),
        longest=None,  # a template may say a column as often as it likes
        text=None,
        waiting=0.0,
    )
    source = f"{each} renderings a row" if each > 1 else "one rendering a row"
    return Estimate(rows, source=f"{source}; low: half of the rows fit their template (assumption)")


@step(check=_check, sees=_sees, forecast=_forecast)
async def template(
    run: Run,
    samples: Samples,
    *,
    templates: str,
    names: tuple[str, ...] = (),
    use: Literal["draw", "all"] = "draw",
    original_task_only: bool = False,
    language: str | None = None,
    choices: tuple[str, ...] = (),
    shots: tuple[Shots, ...] = (0,),
    options: Share = 0.0,
    task: str | None = None,
    collection: str | None = None,
    fidelity: Fidelity = "fixed",
) -> Samples:
    """Put labelled rows into words: each becomes an instruction and its answer, by a promptsource template.

    The rows come from `read` with `format: rows` (any columns), superni or flan_cot. Templates are promptsource's own
    files (Bach et al. 2022, as T0 used them) or collections that come with the package: classification, nli,
    paraphrase, qa, multiple_choice, summarisation, cot, superni, tk_instruct. With `shots`, solved rows of the same
    task stand before each, put into words by the same template, never the row itself or one that asks the same (FLAN's
    layout: a blank line before an answer, two after it). A row whose template says nothing, or has no answer for it, is
    dropped. Rows without columns, such as those of an earlier `template`, pass unchanged.

    `fidelity: paper` does what promptsource does: columns that are missing render to nothing, a label of -1 takes the
    last choice, and each value is cut at 2,048 characters. `fixed` drops such rows, names a column that no row has,
    and cuts nothing.

    Args:
        templates: a collection that comes with the package, or a templates.yaml in promptsource's format
        names: only the templates of these names; patterns such as `invert_*` work
        use: draw one template for each row, of those that suit it, or render it with all
        original_task_only: leave out templates that ask for something else than the dataset was made for
        language: only templates whose own words are in this language, such as en
        choices: the names of the labels by their numbers; a `label` that is one of the names becomes its number
        shots: solved rows before each; of several numbers one is drawn for each rendering
        options: the share of renderings that list the answer choices at the end, where the template doesn't name them
        task: the task's name in `meta`; by default the row's, else the template file's dataset
        collection: the part of FLAN's mixture that it belongs to; by default cot, niv2, flan2021 or t0
        fidelity: fixed, or paper for promptsource's behaviour
    """
    found, renderers = _load(
        run.place,
        templates,
        names=names,
        original_task_only=original_task_only,
        language=language,
        fidelity=fidelity,
    )
    belongs = _COLLECTIONS.get(templates, "flan2021") if templates in promptsource.SHIPPED else "t0"
    came = []
    async for sample in samples:
        if isinstance(sample.meta.get("row"), Mapping):
            came.append(sample)
        else:
            yield sample
    _refuse(came)
    rows = _Rows(run, [_columns(each, choices) for each in came])
    tasks = [str(task or each.meta.get("task") or found.task) for each in came]
    peers: dict[str, list[int]] = defaultdict(list)
    for n, name in enumerate(tasks):
        peers[name].append(n)
    for n, sample in enumerate(came):
        order = run.rng("template", n).sample(renderers, len(renderers))
        attempts = [[each] for each in renderers] if use == "all" else [order]
        run.made(len(attempts) - 1)
        for candidates in attempts:
            used, done = rows.first(n, candidates)
            key = (n, used.template.name)
            if isinstance(done, CannotRenderError):
                run.drop(sample, done.reason, template=used.template.name, why=done.detail)
                continue
            wanted = run.rng("shots", *key).choice(shots)
            solved = rows.exemplars(n, used, peers[tasks[n]], wanted, done)
            if wanted and not solved:
                run.drop(sample, "no_exemplar", template=used.template.name, threshold=wanted)
                continue
            named = used.template.choices_in_prompt
            listed = not named and done.target in done.choices
            listed = listed and run.rng("options", *key).random() < options
            kept = {name: value for name, value in sample.meta.items() if name != "row"}
            meta = {
                **kept,
                "recipe": "template",
                "task": tasks[n],
                "template": used.template.name,
                "collection": collection or kept.get("collection") or belongs,
                **({"choices": True} if done.choices and (named or listed) else {}),
                **({"shots": len(solved)} if solved else {}),
            }
            text = _laid_out([*solved.values(), done], listed)
            parents = (sample.id, *(came[other].id for other in solved))
            yield Sample.of(text, "", done.target, meta=meta, parents=parents)


def _refuse(came: Sequence[Sample]) -> None:
    """Raises DataError for rows that no template can be applied to."""
    if not came:
        raise DataError(
            "template: no row that came has columns", "read labelled rows with `format: rows` before it"
        )
    if any("answer_choices" in each.meta["row"] for each in came):
        raise DataError(
            "template: the rows have a column `answer_choices`, which templates need for themselves",
            "rename the column",
        )


def _columns(sample: Sample, choices: Sequence[str]) -> Row:
    """The row as its template sees it."""
    row = dict(sample.meta["row"])
    if choices:
        row["choices"] = list(choices)
        if row.get("label") in choices:
            row["label"] = choices.index(row["label"])
    return row


class _Rows:
    """All rows, and what templates make of them."""

    def __init__(self, run: Run, rows: Sequence[Row]) -> None:
        self._run = run
        self._rows = rows

    def first(self, n: int, candidates: Sequence[Renderer]) -> tuple[Renderer, Rendered | CannotRenderError]:
        """What the first template makes of row n that makes something of it; else why the very first can't."""
        failed: list[CannotRenderError] = []
        for each in candidates:
            try:
                return each, self._render(n, each)
            except CannotRenderError as error:
                failed.append(error)
        return candidates[0], failed[0]

    def exemplars(
        self, n: int, by: Renderer, peers: Sequence[int], wanted: int, done: Rendered
    ) -> dict[int, Rendered]:
        """Up to `wanted` other rows in the same words, none of which asks what row n or another of them asks."""
        found: dict[int, Rendered] = {}
        asked = {done.input}
        rng = self._run.rng("exemplars", n, by.template.name)
        for other in rng.sample(peers, min(len(peers), wanted * LOOKS)):
            if len(found) == wanted:
                break
            try:
                shown = self._render(other, by)
            except CannotRenderError:
                continue
            if other != n and shown.input not in asked:
                asked.add(shown.input)
                found[other] = shown
        return found

    def _render(self, n: int, by: Renderer) -> Rendered:
        try:
            return by.render(self._rows[n], lambda: self._run.rng("choice", n, by.template.name))
        except CannotRenderError as error:
            if error.column is not None and error.column not in self._known:
                hint = nearest(error.column, self._known.values())
                if error.column == "choices":
                    hint = (
                        "name the labels by the option `choices`, or, where each row has its own, in a column"
                    )
                raise DataError(
                    f"{by.template.where}: no row has the column `{error.column}`",
                    f"{hint}; rename it by `columns` of `read`, or choose other templates by `names`",
                ) from None
            raise

    @cached_property
    def _known(self) -> dict[str, str]:
        """What templates call each column, and what the rows call it."""
        return {name.replace("-", "_"): name for row in self._rows for name in row}


def _laid_out(shown: Sequence[Rendered], listed: bool) -> str:
    """FLAN's few-shot layout of solved rows and the one to solve, with its list of options where it is wanted."""
    asked = [
        "\n- ".join((f"{each.input}\n\nOPTIONS:", *each.choices)) if listed else each.input for each in shown
    ]
    solved = [f"{text}\n\n{each.target}" for text, each in zip(asked[:-1], shown, strict=False)]
    return "\n\n\n".join((*solved, asked[-1]))
