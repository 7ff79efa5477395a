"""The reference of steps, made from the steps themselves: for `selfinstruct steps NAME` and docs/steps.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from selfinstruct.step import REGISTRY, StepType

# What the steps are for; those of users stand under a heading of their own.
GROUPS: Mapping[str, str] = {
    "read, mix, write": "read read_documents chunk template layout mix write",
    "make tasks": "alpaca self_instruct classify instances cot_self_instruct evol "
    "magpie persona personas ground backtranslate",
    "answer": "respond answers orca best_of evol_quality translate",
    "converse": "openings ultrachat baize magpie_turns",
    "filter": "answered echo heuristics novelty placeholder refusal disclaimer repetition urls words magpie_filter",
    "judge, select, pair": "judge self_curate tag ultrafeedback rank pairwise select pairs",
    "train, measure": "sft dpo evaluate",
}


def groups() -> list[tuple[str, list[StepType]]]:
    """The steps by what they are for."""
    found = [(heading, [REGISTRY[name] for name in names.split()]) for heading, names in GROUPS.items()]
    ours = {each.name for _, steps in found for each in steps}
    rest = [REGISTRY[name] for name in sorted(REGISTRY.keys() - ours)]
    return [*found, ("your own", rest)] if rest else found


def options(found: StepType) -> list[tuple[str, str, str, str]]:
    """Each option's name, type, default (empty when it must be given) and meaning."""
    schema = found.options.model_json_schema()
    needed = schema.get("required", ())
    rows = []
    for name, each in schema.get("properties", {}).items():
        default = "" if name in needed else json.dumps(each.get("default"), ensure_ascii=False)
        rows.append((name, _type(each, schema), default, each.get("description", "")))
    return rows


def _type(each: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "$ref" in each:
        return _type(schema["$defs"][each["$ref"].rpartition("/")[2]], schema)
    if "enum" in each:
        return " | ".join(str(value) for value in each["enum"])
    if "const" in each:
        return str(each["const"])
    if "anyOf" in each:
        return " | ".join(_type(part, schema) for part in each["anyOf"])
    if each.get("type") == "array":
        return f"list of {_type(each.get('items', {}), schema)}"
    words = {"integer": "whole number", "object": "mapping", "boolean": "true | false", "string": "text"}
    kind = str(each.get("type", "anything"))
    bounds = [f"{sign} {each[name]:g}" for name, sign in _BOUNDS.items() if name in each]
    return " ".join([words.get(kind, kind), " and ".join(bounds)]).strip()


_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def step(found: StepType) -> str:
    """Plain text for the terminal."""
    lines = [found.name, "", found.help, ""]
    rows = options(found)
    lines.append("options:" if rows else "no options")
    for name, kind, default, meaning in rows:
        lines.append(f"  {name}: {kind}, {f'default {default}' if default else 'must be given'}")
        if meaning:
            lines.append(f"      {meaning}")
    return "\n".join(lines)


def page() -> str:
    """docs/steps.md."""
    parts = [
        "# Steps",
        "",
        "Made from the code by `python -m selfinstruct.reference`; CI checks that it is up to date. In a terminal,",
        "`selfinstruct steps NAME` says the same. A word in brackets is the reason under which rows are dropped.",
        "",
        "| step | |",
        "| --- | --- |",
    ]
    for heading, steps in groups():
        parts.append(f"| **{heading}** | |")
        parts += [f"| [{each.name}](#{each.name}) | {_cell(each.summary)} |" for each in steps]
    parts.append("")
    for name, found in sorted(REGISTRY.items()):
        parts += [f"## {name}", "", _markdown(found.help), ""]
        rows = options(found)
        if not rows:
            parts += ["No options.", ""]
            continue
        parts += ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
        for option, kind, default, meaning in rows:
            cells = (f"`{option}`", kind, f"`{default}`" if default else "must be given", meaning)
            parts.append("| " + " | ".join(map(_cell, cells)) + " |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _cell(text: str) -> str:
    return _markdown(text).replace("|", "\\|")


def _markdown(text: str) -> str:
    """Angle brackets would be HTML, but for those in code."""
    return re.sub(r"`[^`]*`|<", lambda found: "&lt;" if found[0] == "<" else found[0], text)


if __name__ == "__main__":
    import sys

    import selfinstruct.steps  # noqa: F401  (fills the registry)

    sys.stdout.write(page())
