"""Rows through templates: promptsource's conventions, its traps, and what a hostile file can't do."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.formats import promptsource
from selfinstruct.formats.promptsource import Template
from selfinstruct.formats.rendering import CannotRenderError, Rendered, Renderer

ROWS: dict[str, dict[str, Any]] = {
    "classification": {"text": "A late goal.", "label": 1, "choices": ["world", "sport", "arts"]},
    "nli": {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
    "paraphrase": {"sentence1": "He left.", "sentence2": "He went away.", "label": 1},
    "qa": {"context": "Oslo lies in Norway.", "question": "Where is Oslo?", "answer": "Norway"},
    "multiple_choice": {"question": "Two and two?", "choices": ["3", "4"], "label": 1},
    "summarisation": {"document": "It rained all day and all night.", "summary": "Rain."},
    "cot": {"question": "What is 1 + 1?", "rationale": "One and one are two.", "answer": "2"},
    "superni": {
        "definition": "Reverse the word.",
        "input": "abc",
        "output": "cba",
        "outputs": ["cba"],
        "positive": [{"input": "no", "output": "on", "explanation": "Backwards."}],
        "negative": [{"input": "no", "output": "no", "explanation": ""}],
    },
}
ROWS["tk_instruct"] = ROWS["superni"]


def render(
    jinja: str, row: dict[str, Any], choices: str | None = None, *, paper: bool = False, seed: int = 0
) -> Rendered:
    renderer = Renderer(Template("t", jinja, choices, where="f"), paper=paper)
    return renderer.render(row, lambda: random.Random(seed))


def reason(jinja: str, row: dict[str, Any], choices: str | None = None, *, paper: bool = False) -> str:
    with pytest.raises(CannotRenderError) as error:
        render(jinja, row, choices, paper=paper)
    return error.value.reason


# conventions


def test_input_and_target_are_stripped_and_choices_are_jinja_of_their_own() -> None:
    found = render(
        " {{q}}\n|||\n {{answer_choices[label]}} ",
        {"q": " Why? ", "a": "A", "b": "B", "label": 1},
        "{{a}} ||| {{b}} ",
    )
    assert found == ("Why?", "B", ("A", "B"))


def test_without_choices_the_list_is_none() -> None:
    assert render("{{answer_choices is none}} ||| x", {}).input == "True"


def test_zip_most_frequent_and_hyphens() -> None:
    row = {"label-coarse": 2, "a": [1, 2], "b": ["x", "y"], "votes": ["p", "q", "p", "q", "r"]}
    jinja = "{% for n, t in zip(a, b) %}{{n}}{{t}} {% endfor %}{{label_coarse}}"
    jinja += " ||| {{votes | most_frequent | join('+')}}"
    assert render(jinja, row)[:2] == ("1x 2y 2", "p+q")
    assert render("{{[] | most_frequent}} ||| x", {}).input == "None"


def test_choice_draws_by_the_rng_that_is_given() -> None:
    jinja = "{{ range(1000) | list | choice }} ||| {{ ['a'] | choice }}"
    assert render(jinja, {}, seed=1) == render(jinja, {}, seed=1)
    assert render(jinja, {}, seed=1) != render(jinja, {}, seed=2)


def test_the_separator_inside_a_row_is_text() -> None:
    row = {"q": "a ||| b", "options": ["x|||y", "z"], "label": 0}
    found = render("{{q}} ||| {{answer_choices[label]}}", row, '{{ options | join("|||") }}')
    assert found == ("a ||| b", "x|||y", ("x|||y", "z"))


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_text_passes_unharmed(a: str, b: str) -> None:
    if a.strip() and b.strip():
        assert render("{{a}} ||| {{b}}", {"a": a, "b": b})[:2] == (a.strip(), b.strip())


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7 * 7 }} {% raw %}",
        "北京的天气怎么样？",
        "كيف حالك؟",
        "Où est l'hôtel ?",
        "if x:\n\treturn {'a': [1]}\n",
    ],
)
def test_what_a_row_says_is_never_a_template(text: str) -> None:
    assert render("{{a}} ||| {{a}}", {"a": text})[:2] == (text.strip(), text.strip())


@pytest.mark.parametrize("filter", ["choice", "random"])
def test_what_a_template_draws_comes_from_the_rng(filter: str) -> None:
    jinja = f"{{{{ range(1000) | {filter} }}}} ||| b"
    drawn = [render(jinja, {}, seed=seed).input for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_filler_text_would_differ_each_time() -> None:
    assert reason("{{ lipsum() }} ||| b", {}) == "undefined_column"


# what has no rendering


@pytest.mark.parametrize(
    ("jinja", "expected"),
    [
        ("{% if x > 1 %}{{x}} ||| y{% endif %}", "not_applicable"),
        ("{% if x > 1 %}|||{% else %}some text{% endif %}", "bad_split"),
        ("a ||| b ||| c", "bad_split"),
        (" ||| b", "empty_input"),
        ("a ||| {{ '' }}", "empty_output"),
        ("{{ y }} ||| b", "undefined_column"),
        ("{{ x.y }} ||| b", "undefined_value"),
        ("{{ x / 0 }} ||| b", "render_error"),
        ("{{ x + 'a' }} ||| b", "render_error"),
        ("{% for a in range(9999) %}{{ 'x' * 101 }}{% endfor %} ||| b", "too_long"),
    ],
)
def test_a_row_without_a_rendering_has_its_reason(jinja: str, expected: str) -> None:
    assert reason(jinja, {"x": 1}) == expected


def test_the_missing_column_is_named() -> None:
    with pytest.raises(CannotRenderError) as error:
        render("{{ text }} ||| {{ lable }}", {"text": "a", "label": 1})
    assert error.value.column == "lable"


@pytest.mark.parametrize("label", [-1, 2, None, "1", 1.5, -1.0, [0]])
def test_a_label_without_a_choice_is_no_label(label: object) -> None:
    assert reason("a ||| {{ answer_choices[label] }}", {"label": label}, "A ||| B") == "no_label"


def test_a_number_that_a_table_made_a_float_is_a_label() -> None:
    assert render("a ||| {{ answer_choices[label] }}", {"label": 1.0}, "A ||| B").target == "B"


def test_counting_from_the_end_is_the_templates_right() -> None:
    jinja = "{{ answer_choices[:-1] | join(', ') }} or {{ answer_choices[-1] }}? ||| {{ answer_choices[1 - label] }}"
    assert render(jinja, {"label": 0}, "A ||| B ||| C")[:2] == ("A, B or C?", "B")
    assert reason(jinja, {"label": 2}, "A ||| B ||| C") == "no_label"


# paper


def test_paper_does_as_promptsource_does() -> None:
    assert reason("a ||| {{ answer_choices[lable] }}", {"label": 1}, "A ||| B", paper=True) == "empty_output"
    assert render("a ||| {{ answer_choices[label] }}", {"label": -1}, "A ||| B", paper=True).target == "B"
    long = "word " * 1000
    assert render("{{a}} ||| {{a}}", {"a": long}).input == long.strip()
    cut = render("{{a}} ||| {{a}}", {"a": long}, paper=True).input
    assert cut.endswith("...")
    assert 2000 < len(cut) <= 2048


# a hostile file


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ ''.__class__.__mro__ }} ||| b",
        "{{ zip.__self__ }} ||| b",
        "{{ cycler.__init__.__globals__ }} ||| b",
        "{{ rows.append(1) }}{{ rows }} ||| b",
        "{{ rows | attr('__class__') }} ||| b",
        "{{ range(99999) | list }} ||| b",
        "{{ 'a' * 2000000 }} ||| b",
        "{{ 2000000 * 'a' }} ||| b",
        "{{ 2000 * ('a' * 2000) }} ||| b",
        "{{ 9 ** 9 ** 9 }} ||| b",
        "{{ '%999999999d' % 1 }} ||| b",
        "{{ '{:>999999999}'.format(1) }} ||| b",
        "{{ 'a'.ljust(999999999) }} ||| b",
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %} ||| b",
    ],
)
def test_a_template_can_neither_reach_out_nor_blow_up(jinja: str) -> None:
    rows = [0]
    assert reason(jinja, {"rows": rows}) in ("render_error", "undefined_value", "too_long")
    assert rows == [0]


@pytest.mark.parametrize(
    "jinja", ["{{ 'a' | center(999999999) }}", "{{ '%9d' | format(1) }}", "{{ 'a' | indent(9) }}"]
)
def test_filters_that_widen_are_not_there(jinja: str) -> None:
    with pytest.raises(Exception, match="No filter named"):
        Renderer(Template("t", jinja + " ||| b", where="f"))


# shipped collections


@pytest.mark.parametrize("name", promptsource.SHIPPED)
@pytest.mark.parametrize("paper", [False, True])
def test_every_shipped_template_renders_its_row(name: str, paper: bool) -> None:
    for each in promptsource.read(promptsource.SHIPPED[name]).templates:
        found = Renderer(each, paper=paper).render(ROWS[name], random.Random)
        assert "{" not in found.input + found.target, each.name
        assert found.target not in ("None", "")
        if each.choices_in_prompt:
            assert all(choice.lower() in found.input.lower() for choice in found.choices) or name in (
                "nli",
                "paraphrase",
            )
        if each.original_task and found.choices and name != "multiple_choice":
            assert found.target in found.choices


def test_letters_and_numbers_name_the_right_choice() -> None:
    found = {
        each.name: Renderer(each).render(ROWS["multiple_choice"], random.Random).target
        for each in promptsource.read(promptsource.SHIPPED["multiple_choice"]).templates
    }
    assert (found["letters"], found["letter_and_text"], found["numbers"]) == ("B", "(b) 4", "2")
    assert {found[name] for name in ("choose", "inline", "open", "exam", "helper")} == {"4"}


def test_the_labels_of_nli_and_paraphrase_mean_the_same_in_every_wording() -> None:
    """Of the labels 0, 1, 2 the first is the one that follows, in each template's own words."""
    yes = {"Yes", "True", "entailment", "Supported", "It must be true", "Correct"}
    no = {"No", "False", "contradiction", "Contradicted", "It can't be true", "Wrong"}
    same = {"Yes", "yes", "same", "No, it did not.", "They are paraphrases.", "equal in meaning"}
    for each in promptsource.read(promptsource.SHIPPED["nli"]).templates:
        if each.original_task:
            assert Renderer(each).render({**ROWS["nli"], "label": 0}, random.Random).target in yes
            assert Renderer(each).render({**ROWS["nli"], "label": 2}, random.Random).target in no
    for each in promptsource.read(promptsource.SHIPPED["paraphrase"]).templates:
        if each.original_task:
            assert Renderer(each).render(ROWS["paraphrase"], random.Random).target in same
        else:
            assert reason_of(each, {**ROWS["paraphrase"], "label": 0}) == "not_applicable"


def reason_of(template: Template, row: dict[str, Any]) -> str:
    with pytest.raises(CannotRenderError) as error:
        Renderer(template).render(row, random.Random)
    return error.value.reason
