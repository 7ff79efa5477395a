"""Pipeline files: YAML to `Pipeline`, with errors that name file, line and the mend; `--set`, `--limit`; the schema."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import selfinstruct.steps  # noqa: F401  (fills the registry)
from selfinstruct.budget import Caps
from selfinstruct.errors import ConfigError, nearest
from selfinstruct.pipeline import Pipeline
from selfinstruct.roles import role
from selfinstruct.run import ROLES
from selfinstruct.sample import digest
from selfinstruct.step import REGISTRY, Step

LARGEST = 1_000_000  # characters of a pipeline file
MOST = 100_000  # values in one
KEYS = ("name", *ROLES, "seed", "budget", "use", "steps")
_WANTED: dict[str, tuple[tuple[type, ...], str]] = {
    "name": ((str,), "a text"),
    "seed": ((int,), "a whole number"),
    "budget": ((int, float, dict), "a number of dollars, or a mapping of caps"),
    "use": ((list,), "a list of Python files"),
    "steps": ((list,), "a list"),
    **dict.fromkeys(ROLES, ((str, dict), "a model's name, or a mapping with `model`")),
}


def load(path: Path, sets: Sequence[str] = (), limit: int | None = None) -> Pipeline:
    """Read a pipeline file.

    `sets` are `step.option=value` (or `teacher=...`, `judge.concurrency=...`, `seed=...`); where a step occurs twice,
    its number in the list stands for its name. `limit` lowers the `n` of the steps that make rows, or, in a pipeline
    without one, the `limit` of its `read` steps.

    Raises ConfigError with file and line.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: can't be read ({reason})", "give the path of a pipeline file") from None
    source = _Source(path, text)
    for name in source.top.get("use", []):
        _use(path.parent / str(name))
    overrides = [_Override(each) for each in sets]
    top = {key: value for key, value in source.top.items() if key not in ("steps", "use")}
    steps = source.steps()
    for override in overrides:
        override.apply(top, steps)
    if limit is not None:
        _lower(steps, limit)
    made = [_make(source, entry, overrides) for entry in steps]
    models: dict[str, Any] = {name: top[name] for name in ROLES if name in top}
    for name, model in models.items():
        try:
            role(name, model)
        except ConfigError as error:
            for override in overrides:
                if override.target == name and override.entry is None:
                    raise ConfigError(f"--set {override.text}: {error.message}", error.hint) from None
            raise source.wrong(source.lines[name], error.message, error.hint) from None
    return Pipeline(
        name=str(top.get("name", path.stem)),
        steps=tuple(made),
        models=models,
        seed=int(top.get("seed", 0)),
        beside=path.parent,
        budget=top.get("budget"),
    )


def _fault(key: str, value: Any) -> str:
    """What is wrong with the value of a top-level key; empty when nothing is."""
    types, words = _WANTED[key]
    sound = isinstance(value, types) and not isinstance(value, bool)
    if key == "budget":
        try:
            Caps.of(value)
        except ConfigError as error:
            return error.message
    if key == "name" and sound and (value in ("", ".", "..") or set(value) & set("/\\\0")):
        return f"`name` must be a plain name, got {value!r}: the run's folder bears it"
    return "" if sound else f"`{key}` must be {words}, got {value!r}"


class _Loader(yaml.SafeLoader):
    """Plain YAML, in which no key of a mapping may stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key `{key.value}` stands twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for when its aliases are unfolded; infinite where it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


class _Entry:
    """One item under `steps:`: its name, its options, and the lines they stand on."""

    def __init__(
        self, number: int, name: str, options: dict[str, Any], line: int, lines: dict[str, int]
    ) -> None:
        self.number, self.name, self.options, self.line, self.lines = number, name, options, line, lines


class _Source:
    """The YAML document with its line numbers."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._lines = text.splitlines()
        if len(text) > LARGEST:
            raise self.wrong(0, f"is longer than {LARGEST:,} characters", "is it a pipeline file, or data?")
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise self.wrong(mark.line if mark else 0, f"not valid YAML: {error.problem}") from None
        except yaml.YAMLError as error:
            raise self.wrong(0, f"not valid YAML: {error}") from None
        except RecursionError:
            raise self.wrong(0, "is nested too deeply", "a pipeline is a few levels deep") from None
        size = 0 if root is None else _size(root, {})
        if size == math.inf:
            raise self.wrong(
                0, "not plain YAML: an alias stands inside of what it names", "write out what is meant"
            )
        if size > MOST:
            raise self.wrong(0, f"its aliases unfold to more than {MOST:,} values", "write out what is meant")
        if not isinstance(root, yaml.MappingNode):
            raise self.wrong(0, "a pipeline file is a mapping", "it needs at least `steps:` with a list")
        self.top: dict[str, Any] = {}
        self.lines: dict[str, int] = {}
        self._steps: yaml.Node | None = None
        for key, value in self._pairs(root):
            if key.value not in KEYS:
                raise self.wrong(key.start_mark.line, f"unknown key `{key.value}`", nearest(key.value, KEYS))
            self.top[key.value] = self._plain(value)
            self.lines[key.value] = key.start_mark.line
            if key.value == "steps":
                self._steps = value
            if fault := _fault(key.value, self.top[key.value]):
                raise self.wrong(key.start_mark.line, fault)
        if not isinstance(self._steps, yaml.SequenceNode) or not self._steps.value:
            raise self.wrong(0, "no steps", "list them under `steps:`, each as `- name: {option: value}`")

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.wrong(key.start_mark.line, "a key must be a plain word")
            if key.value in seen:
                raise self.wrong(key.start_mark.line, f"the key `{key.value}` stands twice")
            seen.add(key.value)
        return list(node.value)

    def _plain(self, node: yaml.Node) -> Any:
        loader = _Loader("")
        try:
            return loader.construct_object(node, deep=True)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise self.wrong(mark.line if mark else 0, f"not plain YAML: {error.problem}") from None
        finally:
            loader.dispose()

    def steps(self) -> list[_Entry]:
        assert isinstance(self._steps, yaml.SequenceNode)
        entries = []
        for number, node in enumerate(self._steps.value, start=1):
            line = node.start_mark.line
            if isinstance(node, yaml.ScalarNode):
                entries.append(_Entry(number, node.value, {}, line, {}))
                continue
            if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
                raise self.wrong(line, f"step {number} must be `- name` or `- name: {{option: value}}`")
            ((key, value),) = self._pairs(node)
            if isinstance(value, yaml.MappingNode):
                lines = {option.value: option.start_mark.line for option, _ in self._pairs(value)}
                entries.append(_Entry(number, key.value, self._plain(value), line, lines))
            elif self._plain(value) is None:
                entries.append(_Entry(number, key.value, {}, line, {}))
            else:
                raise self.wrong(
                    line, f"the options of step {number} must be a mapping", "write {option: value}"
                )
        return entries

    def wrong(self, line: int, message: str, hint: str = "") -> ConfigError:
        shown = f"\n\n    {self._lines[line].strip()}\n" if line < len(self._lines) else ""
        return ConfigError(f"{self.path}:{line + 1}: {message}{shown}", hint)


def _make(source: _Source, entry: _Entry, overrides: Sequence[_Override]) -> Step:
    if entry.name not in REGISTRY:
        raise source.wrong(
            entry.line, f"step {entry.number}: there is no step `{entry.name}`", nearest(entry.name, REGISTRY)
        )
    for name in entry.options:
        if not isinstance(name, str):
            known = nearest(str(name), REGISTRY[entry.name].options.model_fields)
            raise source.wrong(
                entry.line, f"step {entry.number}: step `{entry.name}` has no option `{name}`", known
            )
    try:
        return REGISTRY[entry.name].make(**entry.options)
    except ConfigError as error:
        for override in overrides:
            if override.entry is entry and f"`{override.option}`" in error.message:
                raise ConfigError(f"--set {override.text}: {error.message}", error.hint) from None
        line = next((at for name, at in entry.lines.items() if f"`{name}`" in error.message), entry.line)
        raise source.wrong(line, f"step {entry.number}: {error.message}", error.hint) from None


class _Override:
    """One `--set target.option=value`; the value is read as YAML."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entry: _Entry | None = None
        path, equals, value = text.partition("=")
        self.target, *self._keys = path.strip().split(".")
        if not equals or not all([self.target, *self._keys]):
            raise ConfigError(
                f"--set {text}: not understood", "write step.option=value, such as alpaca.n=100"
            )
        self.option = self._keys[0] if self._keys else ""
        try:
            self._value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text}: the value is not valid YAML", "quote it") from None

    def apply(self, top: dict[str, Any], steps: Sequence[_Entry]) -> None:
        found = [e for e in steps if self.target in (e.name, str(e.number))]
        # `judge` is a role and a step: the step is meant where it has such an option
        if self.target in KEYS and not any(_has(e, self.option) for e in found):
            self._set_top(top)
            return
        if not found:
            raise ConfigError(
                f"--set {self.text}: there is no step `{self.target}` in this pipeline",
                nearest(self.target, [*{e.name for e in steps}, *ROLES, "seed", "budget"]),
            )
        if len(found) > 1:
            numbers = ", ".join(str(e.number) for e in found)
            raise ConfigError(
                f"--set {self.text}: `{self.target}` stands {len(found)} times",
                f"give its number in the list instead of its name: {numbers}",
            )
        if not self._keys:
            raise ConfigError(f"--set {self.text}: which option?", f"write {self.target}.option=value")
        self.entry = found[0]
        _put(self.entry.options, self._keys, self._value)

    def _set_top(self, top: dict[str, Any]) -> None:
        if self.target in ("steps", "use"):
            raise ConfigError(f"--set {self.text}: `{self.target}` can't be set", "edit the pipeline file")
        if not self._keys:
            if fault := _fault(self.target, self._value):
                raise ConfigError(f"--set {self.text}: {fault}")
            top[self.target] = self._value
            return
        if self.target not in (*ROLES, "budget"):
            raise ConfigError(
                f"--set {self.text}: `{self.target}` has no parts", f"write {self.target}=value"
            )
        if self.target in top and not isinstance(top[self.target], dict):
            top[self.target] = {"dollars" if self.target == "budget" else "model": top[self.target]}
        _put(top.setdefault(self.target, {}), self._keys, self._value)
        if fault := _fault(self.target, top[self.target]):
            raise ConfigError(f"--set {self.text}: {fault}")


def _put(into: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = into.get(key)
        into[key] = inner if isinstance(inner, dict) else {}
        into = into[key]
    into[keys[-1]] = value


def _has(entry: _Entry, option: str) -> bool:
    return entry.name in REGISTRY and option in REGISTRY[entry.name].options.model_fields


def _lower(steps: Sequence[_Entry], limit: int) -> None:
    option = "n" if any(_has(entry, "n") and entry.name != "evaluate" for entry in steps) else "limit"
    for entry in steps:
        if _has(entry, option):
            given = entry.options.get(option)
            entry.options[option] = min(limit, given) if isinstance(given, int) else limit


def _use(path: Path) -> None:
    """Load a user's own steps from a Python file."""
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file", "`use:` lists Python files beside the pipeline file"
        )
    name = f"selfinstruct_use_{path.stem}_{digest(str(path.resolve()))[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file", "`use:` lists Python files beside the pipeline file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", error.hint) from error
    except Exception as error:
        raise ConfigError(
            f"{path}: {type(error).__name__}: {error}", "mend the file; it is run as it stands"
        ) from error


_CAP = {"dollars": {"type": "number", "minimum": 0}, "tokens": {"type": "number", "minimum": 0}}
_CAPS = {
    **_CAP,
    "steps": {
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"type": "number"},
                {"type": "object", "properties": _CAP, "additionalProperties": False},
            ]
        },
    },
}


def schema() -> dict[str, Any]:
    """The JSON schema of pipeline files, for editors."""
    model = {
        "anyOf": [
            {"type": "string"},
            {"type": "object", "required": ["model"], "properties": {"model": {"type": "string"}}},
        ]
    }
    definitions: dict[str, Any] = {}
    shapes: list[Mapping[str, Any]] = [{"enum": sorted(REGISTRY)}]
    for name, each in sorted(REGISTRY.items()):
        options = each.options.model_json_schema(ref_template=f"#/$defs/{name}/$defs/{{model}}")
        definitions[name] = options
        shapes.append(
            {
                "type": "object",
                "description": each.summary,
                "properties": {name: {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}},
                "required": [name],
                "additionalProperties": False,
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "selfinstruct pipeline",
        "type": "object",
        "additionalProperties": False,
        "required": ["steps"],
        "properties": {
            "name": {"type": "string", "description": "default: the file's name"},
            **{name: {**model, "description": f"the model that plays the {name}"} for name in ROLES},
            "seed": {"type": "integer", "description": "of all that is drawn at random"},
            "budget": {
                "anyOf": [
                    {"type": "number"},
                    {"type": "object", "properties": _CAPS, "additionalProperties": False},
                ],
                "description": "dollars, or caps in dollars and tokens; reaching one pauses the run",
            },
            "use": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Python files with steps of yours",
            },
            "steps": {"type": "array", "minItems": 1, "items": {"anyOf": shapes}},
        },
        "$defs": definitions,
    }
