"""`write`: files that others can load, whole, and the same each time."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import parquet
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Step
from selfinstruct.steps.read import read
from selfinstruct.steps.write import write

SAMPLES = [
    Sample.of("Add the numbers.", "1 2", "3", meta={"level": 1}).score(quality=4.5),
    Sample.of("Translate “chat” to Chinese.", "", "猫\n```\n</details>").score(length=1.0),
    Sample.of("Say nothing.", "", "", meta={"tags": ["odd", {"deep": None}]}),
]
TALK = Sample((Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hello.")))


def outcome(folder: Path, samples: list[Sample], *steps: Step) -> Outcome:
    source = folder / "source.parquet"
    with source.open("wb") as file:
        parquet.write(samples, file)
    return execute([read(path=str(source), license="cc-by-4.0"), *steps], out=folder / "run", name="writing")


def test_the_files(tmp_path: Path) -> None:
    found = outcome(tmp_path, SAMPLES, write())
    folder = tmp_path / "run" / "dataset"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "alpaca.json", "messages.jsonl", "train.parquet")
    ]
    text = (folder / "alpaca.json").read_text()
    assert text.startswith('[\n    {\n        "instruction": "Add the numbers.",\n        "input": "1 2",\n')
    assert json.loads(text) == [
        {"instruction": sample.instruction, "input": sample.input, "output": sample.output}
        for sample in SAMPLES
    ]
    lines = (folder / "messages.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {
        "messages": [
            {"role": "user", "content": "Translate “chat” to Chinese."},
            {"role": "assistant", "content": "猫\n```\n</details>"},
        ]
    }
    assert [sample.id for sample in found.samples] == [sample.id for sample in SAMPLES]
    assert found.funnel.steps[1].facts["rows"] == 3


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = outcome(tmp_path, SAMPLES, write())
    again = execute([read(path=str(tmp_path / "run/dataset/train.parquet"))], out=tmp_path / "again")
    assert again.samples == found.samples


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        outcome(tmp_path / name, SAMPLES, write())
    assert contents(tmp_path / "a/run/dataset") == contents(tmp_path / "b/run/dataset")


def test_files_that_were_removed_are_written_again(tmp_path: Path) -> None:
    outcome(tmp_path, SAMPLES, write())
    folder = tmp_path / "run" / "dataset"
    before = contents(folder)
    (folder / "alpaca.json").unlink()
    outcome(tmp_path, SAMPLES, write())
    assert contents(folder) == before


def test_only_what_is_asked_for_and_where(tmp_path: Path) -> None:
    out = tmp_path / "elsewhere" / "set"
    outcome(tmp_path, [TALK], write(out=str(out), formats=("messages",), card=False))
    assert [path.name for path in out.iterdir()] == ["messages.jsonl"]


@pytest.mark.parametrize(
    ("samples", "message", "mend"),
    [
        ([*SAMPLES, Sample.of("Wait.")], "1 of 4 samples have no answer, the first is 'Wait.'", "`respond`"),
        ([*SAMPLES, TALK], "holds more than one question and its answer", "formats: [messages, parquet]"),
    ],
)
def test_rows_that_do_not_fit_stop_before_anything_is_written(
    tmp_path: Path, samples: list[Sample], message: str, mend: str
) -> None:
    with pytest.raises(DataError) as error:
        outcome(tmp_path, samples, write())
    assert message in error.value.message
    assert mend in error.value.hint
    assert not (tmp_path / "run" / "dataset").exists()


def test_no_rows_at_all(tmp_path: Path) -> None:
    from selfinstruct.steps.filters import words

    with pytest.raises(DataError, match="there are no rows to write"):
        outcome(tmp_path, SAMPLES, words(low=100), write())


def test_half_a_character_is_dropped_and_counted(tmp_path: Path) -> None:
    from selfinstruct.step import REGISTRY, Samples, step

    async def cut(run: Any, samples: Samples) -> Samples:
        """Cut an answer inside an emoji, as a stream may."""
        async for sample in samples:
            yield sample.answer(sample.output + "\ud83d") if sample.input else sample

    try:
        found = outcome(tmp_path, SAMPLES, step(cut)(), write())
    finally:
        REGISTRY.pop("cut", None)
    assert [sample.id for sample in found.samples] == [sample.id for sample in SAMPLES[1:]]
    assert found.funnel.steps[2].drops == {"lone_surrogate": 1}


def test_checks_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(ConfigError, match="is a file"):
        outcome(tmp_path, SAMPLES, write(out=str(tmp_path / "taken")))
    with pytest.raises(ConfigError, match="`formats` is empty"):
        outcome(tmp_path, SAMPLES, write(formats=()))
    with pytest.raises(ConfigError, match="option `formats`"):
        write(formats=("csv",))  # type: ignore[arg-type]


@pytest.fixture
def datasets() -> Iterator[Any]:
    pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party imports; what `load_dataset` warns of still counts
        import datasets
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def test_datasets_loads_the_folder_and_each_file(tmp_path: Path, datasets: Any) -> None:
    outcome(tmp_path, SAMPLES, write())
    folder, cache = tmp_path / "run" / "dataset", str(tmp_path / "cache")
    whole = datasets.load_dataset(str(folder), cache_dir=cache)
    assert list(whole) == ["train"]
    assert whole["train"].num_rows == 3
    assert whole["train"]["score_quality"] == [4.5, None, None]

    table = datasets.load_dataset(
        "parquet", data_files=str(folder / "train.parquet"), split="train", cache_dir=cache
    )
    assert table["output"] == [sample.output for sample in SAMPLES]
    assert table[0]["messages"] == [
        {"role": "user", "content": "Add the numbers.\n\n1 2"},
        {"role": "assistant", "content": "3"},
    ]
    rows = datasets.load_dataset(
        "json", data_files=str(folder / "alpaca.json"), split="train", cache_dir=cache
    )
    assert rows[0] == {"instruction": "Add the numbers.", "input": "1 2", "output": "3"}
    assert rows.column_names == ["instruction", "input", "output"]
    chats = datasets.load_dataset(
        "json", data_files=str(folder / "messages.jsonl"), split="train", cache_dir=cache
    )
    assert chats[1]["messages"][1]["content"] == "猫\n```\n</details>"
