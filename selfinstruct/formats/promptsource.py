"""Template files in promptsource's format (Bach et al. 2022): YAML with the tags `!Template` and `!TemplateMetadata`.

    dataset: ag_news
    subset: null
    templates:
      24e44a81-...: !Template
        name: classify
        jinja: "{{text}} What label describes this? ||| {{answer_choices[label]}}"
        answer_choices: World ||| Sports ||| Business
        metadata: !TemplateMetadata {original_task: true, choices_in_prompt: false, languages: [en]}

The tags make plain mappings here, never objects. `SHIPPED` are the collections that come with the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.formats import files

SHIPPED = {path.stem: path for path in sorted((Path(__file__).parent / "templates").glob("*.yaml"))}
SEPARATOR = "|||"  # between input and target, and between answer choices
LARGEST = 2_000_000  # characters of a template file; the longest of promptsource has a tenth of it


@dataclass(frozen=True)
class Template:
    """One prompt template. `original_task`: it asks for what the dataset was made for, rather than for something else
    that its columns allow. `choices_in_prompt`: the input names the answer choices. `languages` are those of the
    template's own words. `where` is its file and line, for errors.
    """

    name: str
    jinja: str
    answer_choices: str | None = None
    original_task: bool = False
    choices_in_prompt: bool = False
    languages: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    reference: str = ""
    where: str = ""


@dataclass(frozen=True)
class Collection:
    """The templates of one dataset, in the order of their file."""

    dataset: str
    subset: str | None
    templates: tuple[Template, ...]

    @property
    def task(self) -> str:
        return f"{self.dataset}_{self.subset}" if self.subset else self.dataset


def find(name: str, path: Path) -> Path:
    """The file of a collection: a shipped one by its name, else `path`. Raises ConfigError when there is none."""
    if name in SHIPPED:
        return SHIPPED[name]
    if not path.exists() and not path.suffix:
        raise ConfigError(f"there is no template collection `{name}`", nearest(name, SHIPPED))
    files.check(path)
    return path


def read(path: Path) -> Collection:
    """The collection in a file. Raises ConfigError when it can't be read, DataError with file and line for the rest."""
    with files.opened(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise DataError(
            f"{path}: is longer than {LARGEST:,} bytes", "is it a file of templates, or one of rows?"
        )
    top = _yaml(path, data)
    if not isinstance(top, dict) or not isinstance(top.get("templates"), dict):
        raise DataError(
            f"{path}: has no mapping `templates`", "give a templates.yaml in promptsource's format"
        )
    dataset, subset = top.get("dataset"), top.get("subset")
    if not isinstance(dataset, str) or not isinstance(subset, str | None):
        raise DataError(
            f"{path}: `dataset` must be a text, and `subset` too where there is one", "name the dataset"
        )
    templates = tuple(_template(path, key, value) for key, value in top["templates"].items())
    if not templates:
        raise DataError(f"{path}: holds no templates", "write one under `templates:`")
    seen: set[str] = set()
    for each in templates:
        if each.name in seen:
            raise DataError(
                f"{each.where}: a second template is named `{each.name}`", "rename one of the two"
            )
        seen.add(each.name)
    return Collection(dataset, subset, templates)


class _Loader(yaml.SafeLoader):
    """Plain YAML, with promptsource's two tags as mappings; a template's line goes along as "line"."""


def _mapping(loader: _Loader, node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.MarkedYAMLError(problem=f"{node.tag} is no mapping", problem_mark=node.start_mark)
    found = loader.construct_mapping(node, deep=True)
    return {**{str(key): value for key, value in found.items()}, "line": node.start_mark.line + 1}


_Loader.add_constructor("!Template", _mapping)
_Loader.add_constructor("!TemplateMetadata", _mapping)


def _yaml(path: Path, data: bytes) -> Any:
    try:
        loader = _Loader(data.decode("utf-8-sig"))
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is not UTF-8", "save the file as UTF-8") from None
    except yaml.constructor.ConstructorError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(
            f"{path}: line {line}: {error.problem}",
            "the tags of a template file are !Template and !TemplateMetadata",
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DataError(f"{path}: line {line}: is not YAML: {error.problem}", "mend the file there") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise DataError(f"{path}: is not YAML: {why}", "mend the file") from None


def _template(path: Path, key: Any, value: Any) -> Template:
    if not isinstance(value, dict) or "line" not in value:
        raise DataError(
            f"{path}: the template `{key}` has no tag !Template", "write `ID: !Template` before it"
        )
    where = f"{path}: line {value['line']}"
    name, jinja, meta = value.get("name"), value.get("jinja"), value.get("metadata") or {}
    if not isinstance(name, str) or not name.strip():
        raise DataError(
            f"{where}: the template `{key}` has no `name`", "every template needs a name of its own"
        )
    where += f": template `{name}`"
    if not isinstance(jinja, str) or SEPARATOR not in jinja:
        raise DataError(
            f"{where}: `jinja` has no {SEPARATOR}", f"write the input, then {SEPARATOR}, then the target"
        )
    choices = value.get("answer_choices")
    if not isinstance(choices, str | None):
        raise DataError(f"{where}: `answer_choices` is no text", "write them as A ||| B ||| C")
    if not isinstance(meta, dict):
        raise DataError(f"{where}: `metadata` is no mapping", "write `metadata: !TemplateMetadata`")
    for flag in ("original_task", "choices_in_prompt"):
        if not isinstance(meta.get(flag), bool | None):
            raise DataError(f"{where}: `{flag}` is neither true nor false", f"write `{flag}: true`")
    reference = value.get("reference")
    return Template(
        name=name,
        jinja=jinja,
        answer_choices=choices,
        original_task=bool(meta.get("original_task")),
        choices_in_prompt=bool(meta.get("choices_in_prompt")),
        languages=_texts(where, "languages", meta.get("languages")),
        metrics=_texts(where, "metrics", meta.get("metrics")),
        reference=reference if isinstance(reference, str) else "",
        where=where,
    )


def _texts(where: str, name: str, value: Any) -> tuple[str, ...]:
    # YAML reads the language code `no` (Norwegian) as false
    if isinstance(value, list):
        value = ["no" if each is False else each for each in value]
    if value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return tuple(value or ())
    raise DataError(f"{where}: `{name}` is no list of texts", f"write `{name}:` with one text a line")
