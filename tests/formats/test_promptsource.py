"""promptsource's YAML: what is read, and what is said about files that can't be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import promptsource
from selfinstruct.formats.rendering import Renderer

HEAD = "dataset: toys\nsubset: small\ntemplates:\n"
GOOD = HEAD + (
    "  a1: !Template\n    answer_choices: Yes ||| No\n    id: a1\n    jinja: '{{text}} ||| {{answer_choices[label]}}'\n"
    "    metadata: !TemplateMetadata\n      choices_in_prompt: true\n      languages: [en, no]\n"
    "      metrics: [Accuracy]\n      original_task: true\n    name: is it\n    reference: somebody\n"
)


def compiled(path: Path) -> list[Renderer]:
    return [Renderer(each) for each in promptsource.read(path).templates]


def told(folder: Path, text: str | bytes) -> str:
    path = folder / "templates.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError) as error:
        compiled(path)
    assert error.value.hint
    return error.value.message.removeprefix(f"{path}: ")


def test_a_template_and_what_the_file_says_of_it(tmp_path: Path) -> None:
    path = tmp_path / "templates.yaml"
    path.write_text(GOOD)
    found = promptsource.read(path)
    (one,) = found.templates
    assert (found.dataset, found.subset, found.task) == ("toys", "small", "toys_small")
    assert (one.name, one.reference, one.answer_choices) == ("is it", "somebody", "Yes ||| No")
    assert (one.original_task, one.choices_in_prompt, one.metrics) == (True, True, ("Accuracy",))
    assert one.languages == ("en", "no")  # which YAML reads as false
    assert one.where == f"{path}: line 4: template `is it`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("answer_choices: Yes", "answer_choices: 'Yes"), "line 7: is not YAML: "),
        (
            GOOD.replace("!TemplateMetadata", "!Other"),
            "line 8: could not determine a constructor for the tag '!Other'",
        ),
        (
            GOOD.replace("!Template\n", "!!python/object/apply:os.system [ls]\n").split("    answer")[0],
            "line 4: could",
        ),
        (GOOD.replace("!Template\n", "\n"), "the template `a1` has no tag !Template"),
        (HEAD + "  a1: !Template text\n", "line 4: is not YAML: !Template is no mapping"),
        (GOOD.replace(" ||| {{", " {{"), "line 4: template `is it`: `jinja` has no |||"),
        (GOOD.replace("{{text}}", "{{text"), "line 4: template `is it`: not valid Jinja: "),
        (GOOD.replace("{{text}}", "{% if x %}"), "line 4: template `is it`: not valid Jinja: "),
        (GOOD.replace("name: is it", "name: ''"), "line 4: the template `a1` has no `name`"),
        (
            GOOD.replace("answer_choices: Yes ||| No", "answer_choices: [Yes]"),
            "line 4: template `is it`: `answer_choices`",
        ),
        (
            GOOD.replace("original_task: true", "original_task: 3"),
            "line 4: template `is it`: `original_task` is neither",
        ),
        (
            GOOD.replace("metrics: [Accuracy]", "metrics: {a: b}"),
            "line 4: template `is it`: `metrics` is no list",
        ),
        (
            GOOD + GOOD.removeprefix(HEAD).replace("a1: ", "a2: "),
            "line 15: template `is it`: a second template",
        ),
        (HEAD + "  {}\n", "holds no templates"),
        ("- a\n", "has no mapping `templates`"),
        ("templates: {}\n", "`dataset` must be a text"),
        (b"dataset: a\nsubset: \xff\n", "line 2: is not UTF-8"),
        ("dataset: \x00", "is not YAML: "),
        ("[" * 20_000, "is nested too deeply"),
    ],
)
def test_a_bad_file_is_told_by_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    said = told(tmp_path, text)
    assert message in said
    assert len(said) < 300


def test_an_alias_bomb_is_no_list_of_texts(tmp_path: Path) -> None:
    bomb = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))
    text = "x0: &x0 [lol]\n" + bomb + GOOD.replace("[Accuracy]", "*x11")
    assert "`metrics` is no list of texts" in told(tmp_path, text)


def test_a_long_file_is_refused(tmp_path: Path) -> None:
    assert "is longer than" in told(tmp_path, "#" * 2_000_001)


def test_shipped_collections_are_found_by_name_and_others_by_path(tmp_path: Path) -> None:
    assert promptsource.find("nli", tmp_path / "nli") == promptsource.SHIPPED["nli"]
    with pytest.raises(ConfigError, match="no template collection `nly`") as error:
        promptsource.find("nly", tmp_path / "nly")
    assert "did you mean `nli`" in error.value.hint
    with pytest.raises(ConfigError, match="there is no such file"):
        promptsource.find("mine.yaml", tmp_path / "mine.yaml")


@pytest.mark.parametrize("name", promptsource.SHIPPED)
def test_a_shipped_collection_has_ten_templates_for_its_task(name: str) -> None:
    found = promptsource.read(promptsource.SHIPPED[name])
    assert found.dataset == name
    if name != "tk_instruct":  # these are settings of one wording
        assert sum(each.original_task for each in found.templates) >= 10
        assert any(each.name.startswith("invert_") for each in found.templates)
    for each in found.templates:
        assert each.original_task != each.name.startswith("invert_")
        assert each.languages == ("en",)
        assert re.fullmatch(r"[a-z0-9_]+", each.name)
