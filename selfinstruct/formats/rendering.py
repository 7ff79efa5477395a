"""A row of labelled data through a promptsource template: input, target and answer choices.

promptsource's conventions: `|||` splits input from target after rendering and both are stripped; `answer_choices` is
Jinja of its own, rendered first; the filters `choice` and `most_frequent` and the function `zip` are at hand; hyphens
in the names of columns become underscores. A file of templates is somebody else's: it renders in a sandbox, without
attributes that begin with an underscore, with short ranges and without the operations that blow a text up at once.
That stops code, and what floods memory by mistake. It does not stop a template that sets out to: nested loops, or a
text that is doubled again and again.
"""

from __future__ import annotations

import functools
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from selfinstruct.errors import DataError
from selfinstruct.formats.promptsource import SEPARATOR, Template

MOST = 1_000_000  # characters that one template may render to
STEPS = 10_000  # of one range
CUT = 2048  # characters that promptsource leaves of each value

_PIPES = "\ue0b7\ue0b8\ue0b7"  # stands for ||| inside a row's own text; private use, in no text
_RNG = "the rng"  # no identifier: no template can name it
_CHOOSE = "the choice of the label"  # likewise
_WIDE = frozenset({"center", "ljust", "rjust", "zfill", "expandtabs"})


class Rendered(NamedTuple):
    input: str
    target: str
    choices: tuple[str, ...]  # empty where the template has none


class CannotRenderError(Exception):
    """A template has nothing to say about this row. `reason` is the drop's slug; `column` the one that is missing."""

    def __init__(self, reason: str, detail: str = "", column: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.column = column


class Renderer:
    """A template, compiled. Raises DataError with file and line for one that is no valid Jinja.

    With `paper` it does what promptsource does: a column that is missing renders to nothing, a label of -1 takes the
    last choice, and every value is cut at 2,048 characters. Without, the first two are errors of the row, and nothing
    is cut.
    """

    def __init__(self, template: Template, *, paper: bool = False) -> None:
        self.template = template
        self._env = _environment(paper)
        self.columns: frozenset[str] = frozenset()  # the names that it asks for
        source = template.jinja
        if paper:
            source = source.replace("}}", f" | string | truncate({CUT}) }}}}")
        self._text = self._compile(source, labels=not paper)
        self._choices = None
        if template.answer_choices is not None:
            self._choices = self._compile(template.answer_choices, labels=False)

    def _compile(self, source: str, *, labels: bool) -> Any:
        try:
            tree = self._env.parse(source)
            self.columns |= meta.find_undeclared_variables(tree)
            if labels:
                tree = _Labels().visit(tree)
                tree.set_environment(self._env)
            return self._env.from_string(tree)
        except TemplateSyntaxError as error:
            raise DataError(
                f"{self.template.where}: not valid Jinja: {error.message}",
                f"see line {error.lineno} of its text",
            ) from None
        except RecursionError:
            raise DataError(f"{self.template.where}: is nested too deeply", "write it simpler") from None

    def render(self, row: Mapping[str, Any], rng: Callable[[], random.Random]) -> Rendered:
        """Raises CannotRenderError. `rng` is only made when the template draws."""
        slots = {key.replace("-", "_"): _protected(value) for key, value in row.items()}
        slots[_RNG] = rng
        choices: tuple[str, ...] = ()
        if self._choices is not None:
            text = self._fill(self._choices, slots)
            choices = tuple(_restored(each) for each in text.split(SEPARATOR))
        slots["answer_choices"] = (
            [_protected(each) for each in choices] if self._choices is not None else None
        )
        parts = [_restored(part) for part in self._fill(self._text, slots).split(SEPARATOR)]
        if len(parts) != 2:
            if any(parts):
                raise CannotRenderError("bad_split", f"{len(parts) - 1} times {SEPARATOR}")
            raise CannotRenderError("not_applicable", "it renders to nothing")
        if not parts[0]:
            raise CannotRenderError("empty_input")
        if not parts[1]:
            raise CannotRenderError("empty_output")
        return Rendered(parts[0], parts[1], choices)

    def _fill(self, template: Any, slots: dict[str, Any]) -> str:
        size, parts = 0, []
        try:
            for part in template.generate(slots):
                size += len(part)
                if size > MOST:
                    raise CannotRenderError("too_long", f"more than {MOST:,} characters")
                parts.append(part)
        except CannotRenderError:
            raise
        except UndefinedError as error:
            missing = sorted(self.columns - slots.keys())
            column = next((each for each in missing if f"'{each}' is undefined" == str(error)), None)
            raise CannotRenderError(
                "undefined_column" if column else "undefined_value", str(error), column
            ) from None
        except (
            Exception
        ) as error:  # a template may raise anything: a number plus a text, an empty list's first
            raise CannotRenderError("render_error", str(error)[:200]) from None
        return "".join(parts)


def _protected(value: Any) -> Any:
    """The value with every ||| inside its texts out of the way of the split."""
    match value:
        case str():
            return value.replace(SEPARATOR, _PIPES)
        case list() | tuple():
            return [_protected(each) for each in value]
        case dict():
            return {key: _protected(each) for key, each in value.items()}
    return value


def _restored(text: str) -> str:
    return text.strip().replace(_PIPES, SEPARATOR)


class _Labels(NodeTransformer):
    """`answer_choices[label]` checks that there is such a choice; a written-out number may count from the end."""

    def visit_Getitem(self, node: nodes.Getitem, *args: Any, **kwargs: Any) -> nodes.Node:  # noqa: N802
        self.generic_visit(node, *args, **kwargs)
        listed = isinstance(node.node, nodes.Name) and node.node.name == "answer_choices"
        if listed and not isinstance(node.arg, nodes.Slice | nodes.Const | nodes.Neg):
            return nodes.Filter(node.node, _CHOOSE, [node.arg], [], None, None, lineno=node.lineno)
        return node


def _choose(choices: Sequence[str] | None, label: Any) -> str:
    if isinstance(label, Undefined):
        str(label)  # raises, and names it
    if isinstance(label, float) and label.is_integer():  # a column of numbers with gaps, as pandas writes it
        label = int(label)
    if not isinstance(label, int) or not 0 <= label < len(choices or ()):
        raise CannotRenderError("no_label", f"{label!r} is none of {len(choices or ())} choices")
    return (choices or ())[label]


@pass_context
def _drawn(context: Context, choices: Sequence[Any]) -> Any:
    rng: random.Random = context[_RNG]()
    return rng.choice(choices)


def _most_frequent(items: Sequence[Any]) -> list[Any] | None:
    """All items that occur most often."""
    counts = Counter(items)
    return [each for each, count in counts.items() if count == max(counts.values())] if items else None


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" and not (numbers and abs(left) < MOST and abs(right) < 100):
            raise SecurityError("a power of such size")
        if operator == "*" and not numbers:
            sizes = [len(each) if hasattr(each, "__len__") else each for each in (left, right)]
            if all(isinstance(each, int) for each in sizes) and sizes[0] * sizes[1] > MOST:
                raise SecurityError("a text repeated so often")
        if operator == "%" and not numbers:
            raise SecurityError("a text formatted by %")
        return super().call_binop(context, operator, left, right)

    def is_safe_callable(self, obj: Any) -> bool:
        return getattr(obj, "__name__", "") not in _WIDE and super().is_safe_callable(obj)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        text = getattr(value, "__self__", None)
        if isinstance(text, str) and re.search(r"\d{5}", text) and value.__name__ in ("format", "format_map"):
            raise SecurityError("a format of such width")
        return super().wrap_str_format(value)


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > STEPS:
        raise SecurityError(f"a range of more than {STEPS:,}")
    return found


@functools.cache
def _environment(paper: bool) -> _Sandbox:
    env = _Sandbox(undefined=Undefined if paper else StrictUndefined, autoescape=False)
    env.globals.update(zip=zip, range=_range)
    del env.globals["lipsum"]  # it would draw otherwise each time
    for wide in ("center", "format", "indent", "xmlattr"):
        del env.filters[wide]
    env.filters.update(
        {"choice": _drawn, "random": _drawn, "most_frequent": _most_frequent, _CHOOSE: _choose}
    )
    return env
