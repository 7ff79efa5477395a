"""The dataset card: a README.md that says what is in the folder, how it was made and under which licence.

Everything in it comes from the funnel and the rows. Nothing is assumed, and no time of day is in it: the same
run gives the same card.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from selfinstruct.budget import NANO
from selfinstruct.formats import WRITERS
from selfinstruct.funnel import Funnel, StepRow
from selfinstruct.sample import Sample

# Licences by what they ask of whoever uses the data, the least first; named as on the Hugging Face Hub.
LICENSES = (
    ("cc0-1.0", "unlicense", "pddl"),
    (
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "isc",
        "apache-2.0",
        "odc-by",
        "cc-by-2.0",
        "cc-by-3.0",
        "cc-by-4.0",
    ),
    ("odbl", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    ("cc-by-nd-4.0",),
    ("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    ("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    ("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
)
_SIZES = (  # the Hub's size categories: rows below -> name
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
_CLIP = 1_500  # characters of one text in the example row


def render(
    funnel: Funnel,
    rows: Sequence[Sample],
    *,
    formats: Sequence[str],
    name: str | None = None,
    license: str | None = None,
    language: Sequence[str] = (),
) -> str:
    """The card as Markdown with its YAML block.

    Args:
      funnel: What the steps before the export did.
      rows: The rows that are exported, at least one.
      formats: Names of the formats in the folder, as WRITERS has them.
      name: The title; the pipeline's name by default.
      license: Overrides the licence that the sources' licences give.
      language: Language codes; the block has none when it is empty.
    """
    steps = [row for row in funnel.steps if row.done]
    sources = [row.facts for row in steps if row.name in ("read", "read_documents")]
    chosen, why = (license, "as set by the makers of this set") if license else strictest(sources)
    title = " ".join((name or funnel.pipeline or "instruction set").split())
    parts = [
        _block(title, chosen, language, rows, formats),
        f"# {_line(title)}",
        _what(rows, formats),
        _section("Made by", _teachers(funnel)),
        _section("Recipe", _recipe(steps, funnel)),
        _section("From candidates to rows", _funnel(steps, len(rows))),
        _section("Sources and licence", _sources(sources, chosen, why)),
        _section("Example", _fenced(_example(rows[0]), "json")),
        _section("Make it again", _again(funnel)),
        _section("Limits", _limits(funnel)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def strictest(sources: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """The licence that binds most among those stated, and a sentence saying why.

    "unknown" as soon as one source states none or there is no source; "other" for a name not in LICENSES.
    """
    stated = [
        (str(each.get("source", "")), str(each.get("license") or "").strip().lower()) for each in sources
    ]
    silent = [source for source, licence in stated if not licence]
    if not stated:
        return "unknown", "no source states one"
    if silent:
        return "unknown", f"not stated for {', '.join(map(_code, silent))}"
    names = {licence for _, licence in stated}
    ranks = {known: rank for rank, group in enumerate(LICENSES) for known in group}
    strange = sorted(names - ranks.keys())
    if strange:
        return "other", f"see the licences of the sources ({', '.join(map(_code, strange))})"
    if len(names) == 1:
        return names.pop(), "the licence of all sources"
    return max(sorted(names), key=lambda each: ranks[each]), "the strictest of the sources' licences"


def _block(
    title: str, license: str, language: Sequence[str], rows: Sequence[Sample], formats: Sequence[str]
) -> str:
    """The metadata that the Hub and `load_dataset(folder)` read."""
    # Several files hold the same rows, so exactly one is the data set: the one that holds the most.
    main = WRITERS[max(formats, key=list(WRITERS).index)].file
    block: dict[str, Any] = {"pretty_name": title, "license": license}
    if language:
        block["language"] = list(language)
    block |= {
        "task_categories": ["text-generation"],
        "size_categories": [next((label for below, label in _SIZES if len(rows) < below), "n>10M")],
        "tags": [*_uses(rows), "synthetic", "selfinstruct"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": main}]}],
    }
    return "---\n" + yaml.safe_dump(block, sort_keys=False, allow_unicode=True) + "---"


def _uses(rows: Sequence[Sample]) -> list[str]:
    """What the rows can teach, as the Hub's tags name it: by right answers, by losing ones, or by both."""
    lost = sum(row.rejected is not None for row in rows)
    return ["instruction-tuning"] * (lost < len(rows)) + ["preference"] * (lost > 0)


def _what(rows: Sequence[Sample], formats: Sequence[str]) -> str:
    with_input = sum(bool(row.input) for row in rows)
    turns = sum(message.role == "assistant" for row in rows for message in row.messages)
    lost = sum(row.rejected is not None for row in rows)
    count = f"{len(rows):,} {_many('row', len(rows))}"
    use = "preference" if lost == len(rows) else "instruction"
    text = f"{count} for {use} tuning, {with_input:,} of them with an input"
    if lost:
        text += f", {lost:,} with a rejected answer"
    if turns > len(rows):
        text += f", {turns:,} answers in all"
    listing = "\n".join(f"- `{WRITERS[each].file}`: {WRITERS[each].about}" for each in formats)
    return f"{text}.\n\n{listing}"


def _teachers(funnel: Funnel) -> str:
    if not funnel.teachers:
        return "No model took part: the rows come from the sources below."
    lines = [f"- {_line(role)}: {_code(model)}" for role, model in sorted(funnel.teachers.items())]
    said = [funnel.about[model] for model in sorted(set(funnel.teachers.values())) if model in funnel.about]
    return "\n\n".join(["\n".join(lines), *dict.fromkeys(said)])


def _offline(model: str) -> bool:
    return model == "offline" or model.startswith("offline/")


def _recipe(steps: Sequence[StepRow], funnel: Funnel) -> str:
    recipe: list[Any] = []
    for row in steps:
        options = {name: _portable(value) for name, value in row.options.items() if value is not None}
        recipe.append({row.name: options} if options else row.name)
    head = {**funnel.models, **({"seed": funnel.seed} if funnel.seed else {})}
    text = yaml.safe_dump({**head, "steps": recipe}, sort_keys=False, allow_unicode=True, width=100)
    said = [*map(_alike, steps), *(str(row.facts["card"]) for row in steps if "card" in row.facts)]
    return "\n\n".join([_fenced(text.rstrip("\n"), "yaml"), *filter(None, said)])


def _alike(row: StepRow) -> str:
    """How this step tells new from known, for the steps that do."""
    said = {**row.options, **row.facts}
    cut = {"words": "the words of any script", "rouge": "runs of a-z and 0-9, as rouge_score does"}
    if "threshold" not in said or said.get("tokens") not in cut:
        return ""
    return (
        f"`{row.name}` takes an instruction for new while its ROUGE-L F1 to each one kept before is not "
        f"above {said['threshold']:g}, counted over {cut[said['tokens']]}."
    )


def _portable(value: Any) -> Any:
    """The options without the folders of the machine that ran them."""
    if isinstance(value, dict):
        return {key: _portable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(each) for each in value]
    if isinstance(value, str) and "\n" not in value:
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute() or value.startswith("~"):
                return kind(value).name
    return value


def _funnel(steps: Sequence[StepRow], kept: int) -> str:
    lines = ["| step | came | made | dropped | kept | calls | tokens in | tokens out | cost |"]
    lines.append("| --- " + "| ---: " * 8 + "|")
    for row in steps:
        numbers = (row.came, row.made, row.dropped, row.kept, row.calls, row.input_tokens, row.output_tokens)
        lines.append(f"| {_cell(row.name)} | {' | '.join(f'{n:,}' for n in numbers)} | {_cost(row)} |")
    reasons = [
        f"- {_cell(row.name)}: " + ", ".join(f"{_cell(why)} {count:,}" for why, count in _most(row.drops))
        for row in steps
        if row.drops
    ]
    text = "\n".join(lines) + f"\n\n{kept:,} {_many('row', kept)} in this folder."
    return text + ("\n\nDropped, by reason:\n\n" + "\n".join(reasons) if reasons else "")


def _most(drops: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(drops.items(), key=lambda pair: (-pair[1], pair[0]))


def _cost(row: StepRow) -> str:
    if not row.calls:
        return ""
    return "unknown" if row.cost_nano is None else f"${row.cost_nano / NANO:,.4f}".replace("$0.0000", "$0")


def _sources(sources: Sequence[Mapping[str, Any]], license: str, why: str) -> str:
    lines = []
    for each in sources:
        licence = _code(str(each["license"])) if each.get("license") else "none stated"
        known = (
            f"{each.get('rows', 0):,} rows, licence: {licence}, SHA-256 {_code(str(each.get('sha256', '')))}"
        )
        lines.append(f"- {_code(str(each.get('source', '')))}: {known}")
    text = "\n".join(lines) or "- none"
    return (
        f"{text}\n\nLicence of this set: {_code(license)} ({why}). The terms of the models named above apply "
        "to what they wrote, whatever the licence of the sources; check both before you publish or train."
    )


def _example(row: Sample) -> str:
    shown = {"instruction": row.instruction, "input": row.input, "output": row.output}
    if len(row.messages) > 2 or row.messages[0].role != "user":
        shown = {f"{place} {each.role}": each.content for place, each in enumerate(row.messages, 1)}
    if row.rejected is not None:
        shown["rejected"] = row.rejected
    return json.dumps({key: _clip(text) for key, text in shown.items()}, indent=2, ensure_ascii=False)


def _again(funnel: Funnel) -> str:
    text = "Put the recipe above into `pipeline.yaml`, next to the source files; "
    text += f"with selfinstruct {funnel.version}:\n\n"
    text += _fenced("selfinstruct run pipeline.yaml", "sh")
    if all(_offline(model) for model in funnel.teachers.values()):
        return text + "\n\nNo step of it depends on time or chance: the same files come out, byte for byte."
    return text + (
        "\n\nFrom the stored completions of this run the same files come out, byte for byte; asked anew, a "
        "model answers differently."
    )


def _limits(funnel: Funnel) -> str:
    lines = ["Nobody has read these rows one by one. They can hold wrong, biased or unsafe answers."]
    if any(_offline(model) for model in funnel.teachers.values()):
        lines.append(
            "Rows of the offline teacher are narrow by design: good for trials and tests, not for a product."
        )
    lines.append("Whether rows overlap with an evaluation set was checked only if a step above says so.")
    return "\n".join(f"- {line}" for line in lines)


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _fenced(text: str, language: str) -> str:
    """A code block with a fence longer than any run of backticks inside, so that no row breaks out of it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    """Inline code that the text can't end."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _line(text: str) -> str:
    """Plain text on one line, in which no character starts markup."""
    return re.sub(r"([\\`*_<>|#\[\]])", r"\\\1", " ".join(text.split())) if text else ""


def _cell(text: str) -> str:
    return _line(text).replace(r"\_", "_")  # an underscore inside a word marks nothing


def _many(word: str, count: int) -> str:
    return word if count == 1 else word + "s"


def _clip(text: str) -> str:
    return text if len(text) <= _CLIP else text[:_CLIP] + "…"
