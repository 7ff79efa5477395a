"""The step: a function `samples -> samples` with its options. `@step` and `@filter` make one from a plain function.

The function's keyword-only parameters become a pydantic model, so that the options in a YAML file, in Python, in
`selfinstruct steps NAME`, in docs/steps.md and in the editor's JSON schema are one thing.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from selfinstruct.errors import ConfigError, DataError, ParseError, nearest
from selfinstruct.outlook import PASS, Estimate, Outlook
from selfinstruct.run import Place, Prompt, RoleName, Run
from selfinstruct.sample import Sample, digest, rivals
from selfinstruct.teachers import Completion

Samples = AsyncIterator[Sample]
Count = Annotated[int, Field(ge=1)]  # for options: a number of things, at least one
P = ParamSpec("P")
Read = TypeVar("Read")

Check = Callable[
    ..., None
]  # (place, **options): can the step run? Raises ConfigError or DataError before any call
Sees = Callable[..., Any]  # (place, **options): what it reads from outside (a file's digest), as a JSON value
Intact = Callable[..., bool]  # (place, facts, **options): is what it left outside the store still there?
Forecast = Callable[..., Estimate]  # (outlook, **options): rows, calls and tokens, for `plan`

REGISTRY: dict[str, StepType] = {}


@dataclass(frozen=True)
class StepType:
    """A step without its options, as the registry holds it."""

    name: str
    module: str
    function: Callable[..., Samples]
    options: type[BaseModel]
    help: str
    code: str = ""  # digest of the source file of a user's own step; ours change with the version
    check: Check | None = None
    sees: Sees | None = None
    intact: Intact | None = None
    forecast: Forecast | None = None
    dry: Mapping[str, Any] | None = None  # options with which a step that has `intact` leaves nothing behind
    filters: bool = False  # it drops rows by a rule and asks nobody

    @property
    def summary(self) -> str:
        """The first line of its help."""
        return self.help.partition("\n")[0]

    def make(self, **options: Any) -> Step:
        """The step with its options. Raises ConfigError naming the wrong option and the nearest right one."""
        try:
            return Step(self, self.options(**options))
        except ValidationError as error:
            # a misspelt option is named before the one that it leaves missing
            faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
            raise self._wrong(faults[0]) from None

    def _wrong(self, fault: Any) -> ConfigError:
        option = str(fault["loc"][0]) if fault["loc"] else ""
        if fault["type"] == "extra_forbidden":
            return ConfigError(
                f"step `{self.name}` has no option `{option}`", nearest(option, self.options.model_fields)
            )
        known = self.options.model_fields.get(option)
        hint = f"{option}: {known.description}" if known and known.description else ""
        if fault["type"] == "missing":
            return ConfigError(f"step `{self.name}` needs the option `{option}`", hint)
        message = fault["msg"].removeprefix("Value error, ").lower()
        return ConfigError(f"step `{self.name}`, option `{option}`: {message}, got {fault['input']!r}", hint)


@dataclass(frozen=True)
class Step:
    """A step with its options, ready to be called."""

    type: StepType
    options: BaseModel

    @property
    def name(self) -> str:
        return self.type.name

    @property
    def values(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return self.options.model_dump(mode="json")

    @property
    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self.options, name) for name in self.type.options.model_fields}

    def __call__(self, run: Run, samples: Samples) -> Samples:
        return self.type.function(run, samples, **self._arguments)

    def check(self, place: Place) -> None:
        """Raises ConfigError or DataError when the step can't run here."""
        if self.type.check is not None:
            self.type.check(place, **self._arguments)

    def fingerprint(self, upstream: str, place: Place) -> str:
        """Changes with everything that this step's rows depend on."""
        seen = self.type.sees(place, **self._arguments) if self.type.sees is not None else None
        return digest([upstream, self.name, self.type.code, self.values, seen])

    def intact(self, place: Place, facts: Mapping[str, Any]) -> bool:
        """Whether the files that a finished step left are still there; if not, it runs again."""
        return self.type.intact is None or self.type.intact(place, facts, **self._arguments)

    def dry(self) -> Step:
        """The step as it is rehearsed: it keeps and drops the same rows and leaves nothing outside the store."""
        return Step(self.type, self.options.model_copy(update=dict(self.type.dry or {})))

    def forecast(self, outlook: Outlook) -> Estimate:
        if self.type.forecast is None:
            if self.type.filters:
                count = outlook.rows.count.times(PASS, 1, 1)
                return Estimate(
                    replace(outlook.rows, count=count), source="all rows pass; low: half of them (assumption)"
                )
            if not self.type.module.startswith("selfinstruct."):
                count = replace(outlook.rows.count, ceiling=None)
                unknown = replace(outlook.rows, count=count, longest=None, text=None)
                return Estimate(
                    unknown, source="a step of your own without a forecast: its calls are not counted"
                )
            return Estimate(outlook.rows)
        return self.type.forecast(outlook, **self._arguments)


async def numbered(samples: Samples) -> AsyncIterator[tuple[Sample, int]]:
    """Each row, and how many rows with the same prompt came before it: equal rows are told apart by it, where each is
    to have an answer of its own."""
    seen: Counter[str] = Counter()
    async for sample in samples:
        prompt = digest([[message.role, message.content] for message in sample.prompt])
        yield sample, seen[prompt]
        seen[prompt] += 1


def contests(
    run: Run,
    rows: Iterable[Sample],
    *,
    most: int,
    to: str,
    before: str,
    answers: bool = True,
    per: str | None = None,
) -> Iterator[list[Sample]]:
    """The rows that are to be looked at side by side: of one prompt, or of one value of the key `per`. Of more than
    `most` the later ones are dropped (too_many).

    Raises DataError when `answers` are looked at and a row has none; `to` says what for, `before` which step that is.
    """
    for group in rivals(rows, per):
        if answers and not all(row.answered for row in group):
            raise DataError(
                f"a row has no answer to {to}: {group[0].instruction[:60]!r}",
                f"put a step `answers` or `respond` before `{before}`",
            )
        for row in group[most:]:
            run.drop(row, "too_many", rule="most", threshold=most)
        yield group[:most]


async def clearest(
    ask: Callable[[int], Awaitable[tuple[list[Read | ParseError], Completion]]], *, draws: int
) -> tuple[list[Read | ParseError], Completion]:
    """The reading, of at most `draws`, in which the most items can be read; no more are asked for once all can, or when
    the provider refuses. `ask` takes the number of the draw.
    """
    best: list[Read | ParseError] = []
    for draw in range(draws):
        found, completion = await ask(draw)
        if not best or _readable(found) > _readable(best):
            best, kept = found, completion
        if _readable(best) == len(best) or completion.finish_reason == "rejected":
            break
    return best, kept


def _readable(found: Sequence[Any]) -> int:
    return sum(not isinstance(each, ParseError) for each in found)


async def whole(
    run: Run,
    prompt: Prompt,
    *,
    by: RoleName = "teacher",
    draw: int = 0,
    draws: int = 2,
    max_tokens: int | None = None,
    **params: Any,
) -> Completion:
    """The first completion of at most `draws`, counted from `draw`, that ended by itself and is not empty, else the
    last one. One that was cut is drawn again with twice the room; what is refused for good is not asked again.
    """
    for each in range(draw, draw + draws):
        completion = await run.generate(prompt, by=by, draw=each, max_tokens=max_tokens, **params)
        ended = completion.finish_reason == "stop" and completion.text.strip()
        if ended or completion.finish_reason == "rejected":
            break
        if completion.finish_reason == "length" and max_tokens is not None:
            max_tokens *= 2
    return completion


@overload
def step(function: Callable[Concatenate[Run, Samples, P], Samples], /) -> Callable[P, Step]: ...
@overload
def step(
    *,
    check: Check | None = None,
    sees: Sees | None = None,
    intact: Intact | None = None,
    forecast: Forecast | None = None,
    dry: Mapping[str, Any] | None = None,
    filters: bool = False,
) -> Callable[[Callable[Concatenate[Run, Samples, P], Samples]], Callable[P, Step]]: ...
def step(function: Any = None, /, **hooks: Any) -> Any:
    """Make a step of an async generator function `(run, samples, *, options...)`.

    Its name is the function's; its help the docstring, whose `Args:` section describes the options.
    """
    if function is None:
        return lambda function: step_type(function, function, skip=2, **hooks).make
    return step_type(function, function, skip=2).make


def filter(rule: Callable[Concatenate[Sample, P], str | None]) -> Callable[P, Step]:
    """Make a step of a rule `(sample, *, options...)` that returns the reason to drop the sample, or None."""

    async def apply(run: Run, samples: Samples, **options: Any) -> Samples:
        async for sample in samples:
            reason = rule(sample, **options)  # type: ignore[call-arg]
            if reason is None:
                yield sample
            else:
                run.drop(sample, reason, **{"rule": rule.__name__, **options})

    return cast(Callable[P, Step], step_type(rule, apply, skip=1, filters=True).make)


def step_type(
    described: Callable[..., Any], function: Callable[..., Any], *, skip: int, **hooks: Any
) -> StepType:
    """Register the step that `described` names, documents and gives options to, run by `function`."""
    name, module = described.__name__, described.__module__
    known = REGISTRY.get(name)
    if known is not None and known.module != module:
        raise ConfigError(
            f"{module}: there is already a step named `{name}` in {known.module}", "rename yours"
        )
    if not inspect.isasyncgenfunction(function):
        raise ConfigError(
            f"step `{name}` never yields", "write `async def`, and yield the samples that it keeps"
        )
    text, options = _options(described, skip)
    code = "" if module.startswith("selfinstruct.") else _code(described)
    REGISTRY[name] = StepType(name, module, function, options, text, code, **hooks)
    return REGISTRY[name]


def _code(function: Callable[..., Any]) -> str:
    """Digest of the file that a step stands in or, in a notebook, of the step's own text."""
    path = inspect.getsourcefile(function)
    if path and Path(path).is_file():
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(function).encode("utf-8")).hexdigest()
    except OSError:  # typed into the interpreter
        return ""


def _options(function: Callable[..., Any], skip: int) -> tuple[str, type[BaseModel]]:
    hints = get_type_hints(function, include_extras=True)
    text, lines = _docstring(function)
    fields: dict[str, Any] = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if place < skip:
            continue
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ConfigError(
                f"step `{function.__name__}`: the option `{parameter.name}` must be keyword-only",
                "put a bare * before the options",
            )
        if parameter.name not in hints:
            raise ConfigError(
                f"step `{function.__name__}`: the option `{parameter.name}` has no type",
                f"write {parameter.name}: int, or whatever it is",
            )
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[parameter.name] = (
            hints[parameter.name],
            Field(default, description=lines.get(parameter.name)),
        )
    model = create_model(
        function.__name__,
        __config__=ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=()),
        **fields,
    )
    return text, model


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The docstring without its `Args:` section, and that section as option -> description."""
    text, _, section = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    found: dict[str, str] = {}
    option = ""
    for line in section.splitlines():
        if not line.startswith(" "):
            if line:
                break
            continue
        start = re.match(r" {4}(\w+): (.*)", line)
        if start:
            option = start[1]
            found[option] = start[2]
        elif option:
            found[option] += " " + line.strip()
    return text.strip(), found
