"""Self-Instruct's completions to values: numbered lists, yes or no, worked instances (Wang et al. 2022).

The functions named `..._paper` read as the published scripts do, traps included; the others hold on to labels and
numbers that begin a line. A part that can't be read comes as a ParseError in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_list


class Instance(NamedTuple):
    """One worked example of a task; `input` is empty where the instruction says everything."""

    input: str
    output: str


# Step 1: instructions

_ITEM = re.compile(r"^[ \t]*+(?:\*\*|#{1,4}[ \t]++)?(\d{1,3})[ \t]?[.)](?:\*\*)?(?=\s)", re.MULTILINE)
_SKIP = 3  # a list may leave out so many numbers less one; what jumps further is text


def numbered(text: str, first: int, *, cut: bool) -> list[str | ParseError]:
    """The items of a list that goes on at number `first`, each on one line.

    The first number may stand in the prompt alone, and a list that starts over at 1 counts as well. Only rising numbers
    at the start of a line begin an item, so that steps inside an item stay in it. `cut` says that the completion ended
    at max_tokens, which makes the last item a fragment.
    """
    heads = list(_ITEM.finditer(text))
    if not heads:
        return [ParseError("no_list", text.strip()[:80])]
    found: list[str | ParseError] = []
    before = text[: heads[0].start()].strip()
    number, begin = int(heads[0][1]), heads[0].end()
    if before and number == first + 1:
        number, begin, heads = first, 0, [heads[0], *heads]
    elif before:
        found.append(ParseError("preface", "text before the list", before))
    starts = [(number, begin)]
    ends: list[int] = []
    for head in heads[1:]:
        if number < int(head[1]) <= number + _SKIP:
            number = int(head[1])
            ends.append(head.start())
            starts.append((number, head.end()))
    items = [text[begin:end] for (_, begin), end in zip(starts, [*ends, len(text)], strict=True)]
    for place, item in enumerate(items):
        line = " ".join(item.split()).strip("*").strip()
        if cut and place == len(items) - 1:
            found.append(ParseError("truncated", "the completion ended inside this item", line))
        else:
            found.append(line)
    return found


def numbered_paper(text: str, *, cut: bool) -> list[str | ParseError]:
    """The published rule (bootstrap_instructions.py): a cut completion gives nothing, items begin after a new line with
    a number, and capitalize() makes every letter but the first small."""
    if cut:
        return [ParseError("truncated", "the completion ended at max_tokens", text)]
    return [" ".join(item.split()).capitalize() for item in re.split(r"\n\d+\s?\. ", text)]


def listed(text: str, *, cut: bool = False) -> list[str | ParseError]:
    """The list under "instructions" in a JSON answer. Raises ParseError when the answer as a whole can't be read."""
    found: list[str | ParseError] = []
    for item in json_list(text, "instructions", cut=cut):
        if isinstance(item, str):
            found.append(item.strip())  # with its lines: code needs them
        else:
            found.append(item if isinstance(item, ParseError) else _no_text(item))
    return found


def _no_text(item: object) -> ParseError:
    return ParseError("bad_item", "no text", json.dumps(item, ensure_ascii=False))


# Step 2: classification or not

_YES_NO = re.compile(
    r"[\W_]{0,9}(?:(?:is it classification|answer|verdict)[\W_]{1,6})?(yes|no)"
    # "No idea" and "no-one" are no verdicts
    r"(?=[\W_]{0,9}\Z|[\W_]{0,3}[.,;:!\n–—，。；：！]|[ \t][-(])",
    re.IGNORECASE,
)


def yes_or_no(text: str) -> bool:
    """Whether the answer is yes: the first word, alone or set off from what follows. Raises ParseError `no_verdict`."""
    found = _YES_NO.match(text)
    if found is None:
        raise ParseError("no_verdict", text.strip()[:80])
    return found[1].lower() == "yes"


def yes_paper(text: str) -> bool:
    """The published rule (generate_instances.py): whatever is not one of three spellings of yes is a no."""
    return text.strip() in ("Yes", "yes", "YES")


# Step 3: instances

_BOLD = r"(?::\*\*|\*\*[ \t]*+:|:)"  # bold labels are a habit of chat models
_HEAD = re.compile(
    r"^[ \t]*+(?:#{1,4}[ \t]++)?(?:\*\*)?(?:"
    r"(?P<example>Example)[ \t]++\d{1,2}[.:]?(?:\*\*)?[.:]?[ \t]*+$"
    rf"|(?P<label>Input|Output)(?:[ \t]*+\d{{1,2}})?{_BOLD}"
    r")",
    re.MULTILINE | re.IGNORECASE,
)
_CLASS = re.compile(
    rf"^[ \t]*+(?:#{{1,4}}[ \t]++)?(?:\*\*)?Class label(?:[ \t]*+\d{{1,2}})?{_BOLD}",
    re.MULTILINE | re.IGNORECASE,
)
_FIELD = re.compile(r"[^\W\d][\w ]{0,30}:[ \t]*+\S")  # "Sentence: ..."
_INPUT = re.compile(rf"(?:\*\*)?Input(?:[ \t]*+\d{{1,2}})?{_BOLD}", re.IGNORECASE)


def worked(text: str, *, cut: bool) -> list[Instance | ParseError]:
    """Input first: lines `Example n`, `Input:`, `Output:`; a task that needs no input has its `Output:` alone.

    Labels count at the start of a line only, so that "for example" or "Output:" inside a sentence is text; `Example n`
    counts in the form of the first one only, so that the "Example 1:" of a problem that is quoted is text. What stands
    before `Output:` under another label ("Sentence: ...") is the input. `cut`: the last instance is a fragment.
    """
    heads = list(_HEAD.finditer(text))
    form = next((_form(head) for head in heads if head["example"]), "")
    sections = _sections([head for head in heads if head["label"] or _form(head) == form], text)
    found: list[Instance | ParseError] = []
    given = text[: sections[0][0].start()].strip() if sections and sections[0][0]["label"] else ""
    if given and not _FIELD.match(given):
        found.append(ParseError("preface", "text before the first label", given))
        given = ""
    whole = False  # whether an input has its output, and nothing but outputs followed
    for head, body in sections:
        if (head["label"] or "").lower() == "output":
            if whole:  # for the same input, or a line of the first one's text?
                if isinstance(found[-1], Instance):
                    found[-1] = ParseError("bad_instance", "two outputs for one input", "\n".join(found[-1]))
                found.append(ParseError("bad_instance", "two outputs for one input", body))
                continue
            found.append(Instance(given, body))
            given, whole = "", bool(given)
            continue
        whole = False
        if given:
            found.append(ParseError("bad_instance", "an input without an output", given))
        given = body
    if given:
        found.append(ParseError("bad_instance", "an input without an output", given))
    return _whole(found, text, cut=cut)


def labelled(text: str, *, cut: bool) -> list[Instance | ParseError]:
    """Output first: lines `Class label:`, each with the input below it, if the task needs one."""
    found: list[Instance | ParseError] = []
    for _, body in _sections(list(_CLASS.finditer(text)), text):
        label, _, given = body.partition("\n")
        own = _INPUT.match(given.lstrip())
        given = _body(given.lstrip()[own.end() :] if own else f"\n{given}")
        found.append(Instance(given, label.strip()))
    return _whole(found, text, cut=cut)


def _form(head: re.Match[str]) -> str:
    return re.sub(r"\d+", "", head[0].strip())


def _sections(heads: Sequence[re.Match[str]], text: str) -> list[tuple[re.Match[str], str]]:
    """Each head with what follows it, up to the next one."""
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [(head, _body(text[head.end() : end])) for head, end in zip(heads, ends, strict=False)]


_BLANK = re.compile(r"(?:[ \t]*+\n)+")


def _body(text: str) -> str:
    """Without the white space around it; of code below its label the first line keeps its indentation."""
    body = text.strip()
    blank = _BLANK.match(text)
    return text[blank.end() :].rstrip() if blank and "\n" in body else body


def examples(text: str, *, cut: bool = False) -> list[Instance | ParseError]:
    """The list under "instances" in a JSON answer. Raises ParseError when the answer as a whole can't be read."""
    found: list[Instance | ParseError] = []
    for item in json_list(text, "instances", cut=cut):
        fields = [item.get(name) for name in Instance._fields] if isinstance(item, dict) else []
        if len(fields) == 2 and all(isinstance(field, str) for field in fields):
            found.append(Instance(*(_body(f"\n{field}") for field in fields)))
        else:
            found.append(item if isinstance(item, ParseError) else _no_text(item))
    return found or [ParseError("no_instance", "an empty list")]


_EXAMPLE_PAPER = re.compile(r"Example\s?\d*\.?")
_OUTPUT_PAPER = re.compile(r"Output\s*+(?:\d++\s*+)?:")
_INPUT_PAPER = re.compile(r"Input\s*+(?:\d++\s*+)?:")


def worked_paper(text: str, *, cut: bool) -> list[Instance | ParseError]:
    """The published rule (prepare_for_finetuning.py): "Example" and "Output:" divide wherever they occur, and a piece
    without "Output:" is an output."""
    body = text.strip()
    if _EXAMPLE_PAPER.search(body):
        pieces = [piece.strip() for piece in _EXAMPLE_PAPER.split(body) if piece.strip()]
    else:
        pieces = [body] if _OUTPUT_PAPER.search(body) else []
    return _whole([_pair_paper(piece) for piece in pieces], text, cut=cut)


def _pair_paper(piece: str) -> Instance:
    before, *after = _OUTPUT_PAPER.split(piece)
    given, output = (before.strip(), after[0]) if after else ("", piece)
    own = _INPUT_PAPER.match(given)
    return Instance(given[own.end() :].strip() if own else given, _INPUT_PAPER.split(output)[0].strip())


def labelled_paper(text: str, *, cut: bool) -> list[Instance | ParseError]:
    """The published rule (prepare_for_finetuning.py): "Class label:" divides, the first line is the label."""
    found: list[Instance | ParseError] = []
    for piece in text.split("Class label:")[1:]:
        label, _, given = piece.strip().partition("\n")
        found.append(Instance(given.strip(), label.strip()))
    return _whole(found, text, cut=cut)


def _whole(found: Sequence[Instance | ParseError], text: str, *, cut: bool) -> list[Instance | ParseError]:
    """With the last one a fragment where the completion was cut, and a ParseError where there is none at all."""
    if not found:
        return [ParseError("truncated" if cut else "no_instance", text.strip()[:80])]
    if not cut:
        return list(found)
    last = found[-1]
    fragment = last.text if isinstance(last, ParseError) else "\n".join(last)
    return [*found[:-1], ParseError("truncated", "the completion ended inside this instance", fragment)]


def instance_faults(instances: Sequence[Instance], *, contradictory_labels: bool = False) -> list[str | None]:
    """Why each instance of one task is not used, or None; the published rules in their order.

    Alone: `echo` (input and output are the same), `empty_output`, `open_end` (input or output ends with a colon). Then
    all of the rest: `conflict` when two have the same input and different outputs, where an empty input counts with
    `contradictory_labels` only. Then `duplicate`.
    """
    reasons = [_fault(instance) for instance in instances]
    outputs: dict[str, str] = {}
    conflict = False
    for instance, reason in zip(instances, reasons, strict=True):
        if reason is None and (instance.input or contradictory_labels):
            conflict |= outputs.setdefault(instance.input, instance.output) != instance.output
    seen: set[Instance] = set()
    for place, (instance, reason) in enumerate(zip(instances, reasons, strict=True)):
        if reason is None:
            reasons[place] = "conflict" if conflict else "duplicate" if instance in seen else None
            seen.add(instance)
    return reasons


def _fault(instance: Instance) -> str | None:
    if instance.input == instance.output:
        return "echo"
    if not instance.output:
        return "empty_output"
    return "open_end" if instance.input.endswith(":") or instance.output.endswith(":") else None
