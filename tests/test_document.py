from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import ROOT, own_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfinstruct.document import load, schema
from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Pipeline, run
from selfinstruct.step import REGISTRY
from selfinstruct.steps import judge, novelty, read, select, words

PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))

SOUND = """\
name: small
teacher: offline
seed: 3
budget: 1.5
steps:
  - read: {path: rows.jsonl}
  - words:
      low: 2
  - novelty: {threshold: 0.6}
  - words: {high: 90}
  - judge:
  - select: {k: 5}
"""


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    with own_steps():
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(SOUND)
    (tmp_path / "rows.jsonl").write_text('{"instruction": "Say hi.", "input": "", "output": "hi"}\n')
    return path


def wrong(path: Path, text: str | None = None, *, sets: tuple[str, ...] = ()) -> ConfigError:
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(path, sets)
    return raised.value


def test_a_pipeline_is_read(file: Path) -> None:
    pipeline = load(file)
    assert (pipeline.name, pipeline.seed, pipeline.budget, pipeline.beside) == ("small", 3, 1.5, file.parent)
    assert pipeline.models == {"teacher": "offline"}
    assert [step.name for step in pipeline.steps] == ["read", "words", "novelty", "words", "judge", "select"]
    assert pipeline.steps[1].values["low"] == 2
    assert pipeline.steps[3].values["high"] == 90


def test_the_name_is_the_files_unless_given(file: Path) -> None:
    file.write_text("steps: [answered]\n")
    pipeline = load(file)
    assert (pipeline.name, pipeline.seed, pipeline.budget, pipeline.models) == ("p", 0, None, {})


def test_yaml_and_python_are_one_pipeline(file: Path) -> None:
    steps = [
        read(path="rows.jsonl"),
        words(low=2),
        novelty(threshold=0.6),
        words(high=90),
        judge(),
        select(k=5),
    ]
    written = load(file)
    python = Pipeline("another name", steps, {"teacher": "offline"}, seed=3, beside=file.parent)
    place = written.place(file.parent / "run")
    assert written.fingerprints(place) == python.fingerprints(python.place(file.parent / "run"))
    file.write_text(SOUND.replace("0.6", "0.61"))
    changed = load(file).fingerprints(place)
    assert changed[:2] == python.fingerprints(place)[:2]
    assert changed[2] != python.fingerprints(place)[2]


# errors: file, line, the line itself, the mend

BROKEN: list[tuple[str, str, int, str, str]] = [
    ("unknown key", "name: x\nsteeps: []\n", 2, "unknown key `steeps`", "did you mean `steps`?"),
    (
        "unknown step",
        "steps:\n  - read: {path: x}\n  - jugde\n",
        3,
        "step 2: there is no step `jugde`",
        "`judge`?",
    ),
    (
        "unknown option",
        "steps:\n  - novelty:\n      strict: true\n      treshold: 0.5\n",
        4,
        "step 1: step `novelty` has no option `treshold`",
        "did you mean `threshold`?",
    ),
    (
        "wrong type",
        "steps:\n  - words: {low: many}\n",
        2,
        "option `low`: input should be a valid integer",
        "",
    ),
    ("out of range", "steps:\n  - read: {path: x, limit: 0}\n", 2, "option `limit`", ""),
    (
        "missing option",
        "steps:\n  - answered\n  - read\n",
        3,
        "step `read` needs the option `path`",
        "path: ",
    ),
    ("twice at the top", "steps: [answered]\nsteps: [echo]\n", 2, "the key `steps` stands twice", ""),
    (
        "twice in a step",
        "steps:\n  - words:\n      low: 1\n      low: 2\n",
        4,
        "the key `low` stands twice",
        "",
    ),
    (
        "twice in a role",
        "teacher:\n  model: offline\n  model: openai/x\nsteps: [echo]\n",
        3,
        "the key `model` stands twice",
        "",
    ),
    ("tab", "steps:\n\t- echo\n", 2, "not valid YAML", ""),
    ("unclosed", "steps: [echo\nname: x\n", 2, "not valid YAML", ""),
    ("two documents", "steps: [echo]\n---\nsteps: [echo]\n", 2, "not valid YAML", ""),
    ("control character", "steps: [echo]\nname: \x00\n", 1, "not valid YAML", ""),
    ("empty", "", 1, "a pipeline file is a mapping", "`steps:`"),
    ("only a comment", "# nothing\n", 1, "a pipeline file is a mapping", "`steps:`"),
    ("a list", "- echo\n", 1, "a pipeline file is a mapping", ""),
    ("a text", "hello\n", 1, "a pipeline file is a mapping", ""),
    ("no steps", "name: x\n", 1, "no steps", "list them under `steps:`"),
    ("empty steps", "name: x\nsteps: []\n", 1, "no steps", ""),
    ("steps is a text", "name: x\nsteps: echo\n", 2, "`steps` must be a list, got 'echo'", ""),
    ("bait", "steps:\n  - read: {path: !!python/object/apply:os.system [ls]}\n", 2, "not plain YAML", ""),
    ("bait above", "name: !!python/name:os.system\nsteps: [echo]\n", 1, "not plain YAML", ""),
    ("a key that is a list", "? [a, b]\n: 1\nsteps: [echo]\n", 1, "a key must be a plain word", ""),
    ("a loop", "steps: &all\n  - echo\n  - *all\n", 1, "not plain YAML", ""),
    ("two names in a step", "steps:\n  - echo: {}\n    answered: {}\n", 2, "step 1 must be `- name`", ""),
    (
        "options as a list",
        "steps:\n  - words: [low, 1]\n",
        2,
        "the options of step 1 must be a mapping",
        "{option",
    ),
    ("a number as an option", "steps:\n  - words: {0: 3}\n", 2, "step `words` has no option `0`", "known: "),
    (
        "a number in a role",
        "teacher: {model: offline, 3: 4}\nsteps: [echo]\n",
        1,
        "there is no option `3`",
        "",
    ),
    ("a cap of no unit", "budget: {euros: 3}\nsteps: [echo]\n", 1, "there is no unit `euros`", ""),
    ("seed", "steps: [echo]\nseed: many\n", 2, "`seed` must be a whole number, got 'many'", ""),
    ("seed is true", "steps: [echo]\nseed: true\n", 2, "`seed` must be a whole number", ""),
    ("budget", "budget: $5\nsteps: [echo]\n", 1, "`budget` must be a number of dollars", ""),
    ("budget below zero", "budget: -1\nsteps: [echo]\n", 1, "`budget` must be a number of dollars", ""),
    ("budget is no number", "budget: .nan\nsteps: [echo]\n", 1, "`budget` must be a number of dollars", ""),
    ("budget without end", "budget: .inf\nsteps: [echo]\n", 1, "`budget` must be a number of dollars", ""),
    ("role", "steps: [echo]\njudge: [offline]\n", 2, "`judge` must be a model's name, or a mapping", ""),
    (
        "provider",
        "steps: [echo]\nteacher: opnai/x\n",
        2,
        "teacher: no provider serves 'opnai/x'",
        "`openai`?",
    ),
    (
        "role option",
        "steps: [echo]\njudge: {model: offline, concurency: 3}\n",
        2,
        "judge: there is no option `concurency`",
        "did you mean `concurrency`?",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_what_is_wrong_is_said_with_file_and_line(
    file: Path, text: str, line: int, message: str, hint: str
) -> None:
    error = wrong(file, text)
    assert error.message.startswith(f"{file}:{line}: ")
    assert message in error.message
    assert hint in error.hint
    if text.strip() and "\x00" not in text:
        assert text.splitlines()[line - 1].strip() in error.message  # the line itself


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    error = wrong(tmp_path / "nowhere.yaml")
    assert error.message == f"{tmp_path / 'nowhere.yaml'}: can't be read (No such file or directory)"
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    assert "not UTF-8 text" in wrong(tmp_path / "latin.yaml").message
    assert "can't be read" in wrong(tmp_path).message


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SOUND)), cut=st.integers(0, 12), put=st.text(max_size=6))
def test_a_damaged_file_is_an_error_of_ours_or_a_pipeline(
    tmp_path: Path, at: int, cut: int, put: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(SOUND[:at] + put + SOUND[at + cut :], "utf-8", errors="replace")
    try:
        assert load(path).steps
    except ConfigError as error:
        assert error.message.startswith(str(path))  # noqa: PT017 (both ends are good)


# --set and --limit


def test_set_reaches_steps_roles_and_the_top(file: Path) -> None:
    pipeline = load(
        file,
        [
            "novelty.threshold=0.9",
            "4.high=7",
            "read.path=a=b.jsonl",
            "select.per='source'",
            "teacher.concurrency=2",
            "teacher.params.temperature=0",
            "judge={model: offline, wrong: 0.2}",
            "judge.min_score=3",
            "seed=9",
            "budget=0.25",
            "budget.tokens=1000",
            "budget.steps.select=2",
            "name=other",
        ],
    )
    first, _, third, fourth, fifth, last = (step.values for step in pipeline.steps)
    assert (first["path"], third["threshold"], fourth["high"], last["per"]) == ("a=b.jsonl", 0.9, 7, "source")
    assert fifth["min_score"] == 3  # `judge` is a role and a step: each gets what it has
    assert pipeline.models == {
        "teacher": {"model": "offline", "concurrency": 2, "params": {"temperature": 0}},
        "judge": {"model": "offline", "wrong": 0.2},
    }
    assert (pipeline.seed, pipeline.name) == (9, "other")
    assert pipeline.budget == {"dollars": 0.25, "tokens": 1000, "steps": {"select": 2}}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("noveltie.threshold=1", "there is no step `noveltie` in this pipeline", "did you mean `novelty`?"),
        ("words.low=1", "`words` stands 2 times", "2, 4"),
        ("9.low=1", "there is no step `9`", ""),
        ("novelty.treshold=1", "step `novelty` has no option `treshold`", "did you mean `threshold`?"),
        ("novelty.threshold=high", "option `threshold`: input should be a valid number", ""),
        ("novelty.threshold=[1", "the value is not valid YAML", "quote it"),
        ("novelty=1", "which option?", "novelty.option=value"),
        ("novelty", "not understood", "step.option=value"),
        ("=3", "not understood", ""),
        ("novelty..x=3", "not understood", ""),
        ("steps=[echo]", "`steps` can't be set", "edit"),
        ("seed.x=1", "`seed` has no parts", "seed=value"),
        ("seed=abc", "`seed` must be a whole number, got 'abc'", ""),
        ("budget=much", "`budget` must be a number of dollars", ""),
        ("budget.euros=3", "there is no unit `euros`", ""),
        ("budget=.nan", "`budget` must be a number of dollars", ""),
        ("teacher=5", "`teacher` must be a model's name", ""),
        ("teacher=opnai/x", "no provider serves 'opnai/x'", "`openai`?"),
        ("student=opnai/x", "no provider serves 'opnai/x'", "`openai`?"),
        ("judge.mni_score=3", "`model`", ""),
    ],
)
def test_a_set_that_cannot_be(file: Path, text: str, message: str, hint: str) -> None:
    error = wrong(file, sets=(text,))
    assert error.message.startswith(f"--set {text}: ")
    assert message in error.message
    assert hint in error.hint


def test_limit_lowers_what_makes_rows(file: Path) -> None:
    file.write_text("teacher: offline\nsteps: [{read: {path: rows.jsonl}}, {alpaca: {n: 500}}]\n")
    first, second = (step.values for step in load(file, limit=20).steps)
    assert (first["limit"], second["n"]) == (None, 20)
    assert load(file, limit=900).steps[1].values["n"] == 500  # never raises it
    file.write_text("steps: [{read: {path: rows.jsonl}}, {read: {path: rows.jsonl, limit: 7}}, echo]\n")
    assert [step.values["limit"] for step in load(file, limit=20).steps[:2]] == [20, 7]


# use

MINE = '''
"""Steps of my own."""

from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, filter, step


@step
async def shout(run: Run, samples: Samples, *, mark: str = "!") -> Samples:
    """Answer louder.

    Args:
        mark: what is put behind
    """
    async for sample in samples:
        yield sample.answer(sample.output.upper() + mark)


@filter
def not_quiet(sample: Sample, *, least: int = 1) -> str | None:
    """Drop what isn't loud."""
    return None if sample.output.count("!") >= least else "quiet"
'''


def test_a_step_of_ones_own(file: Path) -> None:
    (file.parent / "mine.py").write_text(MINE)
    file.write_text(
        "use: [mine.py]\nsteps: [{read: {path: rows.jsonl}}, {shout: {mark: '!!'}}, {not_quiet: {least: 2}}]\n"
    )
    pipeline = load(file)
    assert [sample.output for sample in run(pipeline, file.parent / "run").samples] == ["HI!!"]
    place = pipeline.place(file.parent / "run")
    before = pipeline.fingerprints(place)
    assert load(file).fingerprints(place) == before
    (file.parent / "mine.py").write_text(MINE.replace("upper", "lower"))
    after = load(file).fingerprints(place)
    assert after[0] == before[0]
    assert after[1] != before[1]
    file.write_text("use: [mine.py]\nsteps: [{shout: {marc: x}}]\n")
    assert "did you mean `mark`?" in wrong(file).hint


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("def f(:\n", "SyntaxError: ", "mend the file"),
        ("import nosuchpackage\n", "No module named 'nosuchpackage'", ""),
        ("1 / 0\n", "ZeroDivisionError: division by zero", ""),
        (MINE.replace("shout", "judge"), "there is already a step named `judge`", "rename yours"),
        (MINE.replace("*, mark", "mark"), "the option `mark` must be keyword-only", "bare *"),
        (None, "there is no such file", "beside the pipeline file"),
    ],
    ids=["syntax", "import", "raises", "name taken", "positional", "no file"],
)
def test_what_is_wrong_in_ones_own_file(file: Path, code: str | None, message: str, hint: str) -> None:
    mine = file.parent / "mine.py"
    if code is not None:
        mine.write_text(code)
    error = wrong(file, "use: [mine.py]\nsteps: [echo]\n")
    assert error.message.startswith(f"{mine}: ")
    assert message in error.message
    assert hint in error.hint


def test_use_must_be_a_list(file: Path) -> None:
    assert "`use` must be a list of Python files" in wrong(file, "use: mine.py\nsteps: [echo]\n").message


# the schema for editors


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="the package jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def plain(text: str) -> Any:
    return yaml.safe_load(text)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_schema_takes_our_pipelines(validator: Any, path: Path) -> None:
    validator.validate(plain(path.read_text()))


def test_the_schema_takes_every_form(validator: Any) -> None:
    validator.validate(plain(SOUND))
    validator.validate(
        {"judge": {"model": "offline", "wrong": 0.5}, "use": ["x.py"], "steps": ["echo", {"words": None}]}
    )


@pytest.mark.parametrize(
    "text",
    [
        "name: x",
        "steps: []",
        "steps: [nosuchstep]",
        "steps: [{nosuchstep: {}}]",
        "steps: [{novelty: {treshold: 0.5}}]",
        "steps: [{words: {low: many}}]",
        "steps: [{read: {}}]",
        "steps: [{echo: {}, answered: {}}]",
        "steps: [echo]\nsteeps: 1",
        "steps: [echo]\nseed: x",
        "steps: [echo]\nteacher: {concurrency: 4}",
    ],
)
def test_the_schema_refuses_what_we_refuse(validator: Any, file: Path, text: str) -> None:
    assert not validator.is_valid(plain(text))
    wrong(file, text)


def test_the_schema_describes_every_option() -> None:
    definitions = schema()["$defs"]
    assert set(definitions) == set(REGISTRY)
    for name, each in REGISTRY.items():
        assert definitions[name].get("properties", {}).keys() == each.options.model_fields.keys()


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_our_pipelines_load(path: Path) -> None:
    assert load(path).name == path.stem
