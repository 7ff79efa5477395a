"""Datasets in folders: which files are read, in which order, and what only the user can say."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from selfinstruct import formats
from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import folders
from selfinstruct.sample import Sample


def row(n: int) -> dict[str, str]:
    return {"instruction": f"Count to {n}.", "output": str(n)}


def jsonl(path: Path, *numbers: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row(n)) + "\n" for n in numbers))
    return path


def table(path: Path, *numbers: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row(n) for n in numbers]), path)
    return path


def outputs(path: Path, **options: Any) -> list[str]:
    found = [item for _, item in formats.read(path, **options)]
    return [item.output for item in found if isinstance(item, Sample)]


def names(path: Path, **options: Any) -> list[str]:
    return [file.relative_to(path).as_posix() for file in folders.files(path, **options)]


def test_files_of_one_kind_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    jsonl(tmp_path / "b.jsonl", 3)
    jsonl(tmp_path / "a.jsonl", 1, 2)
    for other in ("README.md", ".hidden.jsonl", "notes.txt", "dataset_info.json"):
        (tmp_path / other).write_text("{}")
    assert outputs(tmp_path) == ["1", "2", "3"]


def test_shards_of_the_hub_in_its_folder_data(tmp_path: Path) -> None:
    table(tmp_path / "data" / "train-00001-of-00002.parquet", 3)
    table(tmp_path / "data" / "train-00000-of-00002.parquet", 1, 2)
    assert outputs(tmp_path) == ["1", "2", "3"]


def test_splits_are_never_mixed(tmp_path: Path) -> None:
    table(tmp_path / "data" / "train-00000-of-00001.parquet", 1)
    table(tmp_path / "data" / "test-00000-of-00001.parquet", 2)
    with pytest.raises(ConfigError, match="holds the splits test, train") as error:
        folders.files(tmp_path)
    assert "`split: train`" in error.value.hint
    assert outputs(tmp_path, split="train") == ["1"]
    assert outputs(tmp_path, split="test") == ["2"]
    with pytest.raises(ConfigError, match="there is no split `tset`") as error:
        folders.files(tmp_path, "tset")
    assert "did you mean `test`?" in error.value.hint


def test_the_hub_names_the_splits_of_its_shards(tmp_path: Path) -> None:
    for name, number in (("train_prefs", 1), ("train_sft", 2), ("test_sft", 3)):
        table(tmp_path / "data" / f"{name}-00000-of-00001.parquet", number)
    with pytest.raises(ConfigError, match="holds the splits test_sft, train_prefs, train_sft"):
        folders.files(tmp_path)
    assert outputs(tmp_path, split="train_sft") == ["2"]


def test_a_word_inside_a_name_is_no_split(tmp_path: Path) -> None:
    jsonl(tmp_path / "latest.jsonl", 1)
    jsonl(tmp_path / "trained.jsonl", 2)
    assert outputs(tmp_path) == ["1", "2"]


def test_files_of_several_kinds_may_hold_the_same_rows(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", 1)
    table(tmp_path / "rows.parquet", 1)
    with pytest.raises(ConfigError, match=r"several kinds: rows\.jsonl, rows\.parquet") as error:
        folders.files(tmp_path)
    assert "name one file" in error.value.hint


def card(folder: Path, text: str) -> None:
    (folder / "README.md").write_text(f"---\n{text}---\n\n# Rows\n")


def test_the_card_says_which_files_are_which_split(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows" / "one.jsonl", 1)
    jsonl(tmp_path / "rows" / "two.jsonl", 2)
    jsonl(tmp_path / "held.jsonl", 3)
    jsonl(tmp_path / "unnamed.jsonl", 4)
    card(
        tmp_path,
        "configs:\n- config_name: default\n  data_files:\n"
        "  - {split: train, path: rows/*.jsonl}\n  - {split: test, path: [held.jsonl, held.jsonl]}\n",
    )
    assert names(tmp_path, split="train") == ["rows/one.jsonl", "rows/two.jsonl"]
    assert names(tmp_path, split="test") == ["held.jsonl"]


def test_a_card_without_configs_says_nothing(tmp_path: Path) -> None:
    jsonl(tmp_path / "rows.jsonl", 1)
    for text in ("license: mit\n", "configs: none\n", "- a\n"):
        card(tmp_path, text)
        assert outputs(tmp_path) == ["1"]
    (tmp_path / "README.md").write_text("# Rows\n\n---\nconfigs: [\n---\n")
    assert outputs(tmp_path) == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("configs: [\n", "its head is no YAML"),
        (
            "configs:\n- {config_name: a, data_files: x.jsonl}\n- {config_name: b}\n",
            "several sets of rows: a, b",
        ),
        ("configs:\n- {data_files: gone.jsonl}\n", "the files that its card names are not there"),
        ("configs:\n- {data_files: ../rows.jsonl}\n", "which is no file in it"),
        ("configs:\n- {data_files: /etc/passwd}\n", "which is no file in it"),
        ("configs:\n- {data_files: 'https://host/x.jsonl'}\n", "which is no file in it"),
        ("configs:\n- {data_files: [{split: train, path: 7}]}\n", "which is no file in it"),
    ],
)
def test_a_card_that_does_not_help(tmp_path: Path, text: str, message: str) -> None:
    folder = tmp_path / "set"
    jsonl(folder / "rows.jsonl", 1)
    jsonl(tmp_path / "rows.jsonl", 2)
    card(folder, text)
    with pytest.raises((ConfigError, DataError), match=message) as error:
        folders.files(folder)
    assert error.value.hint


def test_a_folder_that_we_wrote_is_read_as_its_table(tmp_path: Path) -> None:
    from selfinstruct.pipeline import execute
    from selfinstruct.steps.read import read
    from selfinstruct.steps.write import write

    source = jsonl(tmp_path / "rows.jsonl", 1, 2)
    first = execute([read(path=str(source), source="x"), write()], out=tmp_path / "a", name="first")
    again = execute([read(path=str(tmp_path / "a" / "dataset"))], out=tmp_path / "b", name="again")
    assert again.samples == first.samples


def test_no_data_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no data files") as error:
        folders.files(tmp_path)
    assert ".parquet" in error.value.hint
    with pytest.raises(ConfigError, match="is no folder, so it has no splits"):
        folders.files(jsonl(tmp_path / "x.jsonl", 1), "train")


def test_a_fault_names_its_file(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", 1)
    (tmp_path / "b.jsonl").write_text('{"instruction": "Go on.", "output": ""}\n{"instruction": 7}\n')
    (fault,) = (item for _, item in formats.read(tmp_path) if isinstance(item, formats.Fault))
    assert str(fault.error()) == f"{tmp_path / 'b.jsonl'}: line 2: as alpaca: `instruction` is 7"


def test_the_digest_sees_names_and_content_of_what_is_read_and_nothing_else(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        jsonl(folder / "a.jsonl", 1)
    assert formats.content_digest(first) == formats.content_digest(second)
    (second / "notes.txt").write_text("x")
    assert formats.content_digest(first) == formats.content_digest(second)
    jsonl(second / "b.jsonl", 2)
    assert formats.content_digest(first) != formats.content_digest(second)
    both = formats.content_digest(second)
    (second / "b.jsonl").rename(second / "c.jsonl")
    assert formats.content_digest(second) != both


def saved(folder: Path, *shards: list[int], **state: Any) -> Path:
    """A folder as `save_to_disk` leaves it, written by pyarrow alone."""
    folder.mkdir(parents=True)
    files = []
    for number, shard in enumerate(shards):
        name = f"data-{number:05}-of-{len(shards):05}.arrow"
        rows = pyarrow.Table.from_pylist([row(n) for n in shard])
        with (
            pyarrow.OSFile(str(folder / name), "wb") as sink,
            pyarrow.ipc.new_stream(sink, rows.schema) as out,
        ):
            out.write_table(rows)
        files.append({"filename": name})
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": "train", **state}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_a_saved_dataset(tmp_path: Path) -> None:
    folder = saved(tmp_path / "x", [1, 2], [3])
    assert outputs(folder) == outputs(folder, split="train") == ["1", "2", "3"]
    with pytest.raises(ConfigError, match="there is no split `test`"):
        folders.files(folder, "test")


def test_a_saved_dataset_of_splits(tmp_path: Path) -> None:
    saved(tmp_path / "train", [1])
    saved(tmp_path / "test", [2])
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert outputs(tmp_path, split="test") == ["2"]
    with pytest.raises(ConfigError, match="holds the splits train, test"):
        folders.files(tmp_path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("{", "is no readable JSON"),
        ("[]", "lists no data files"),
        ('{"_data_files": [{"filename": "../x.arrow"}]}', "which is no name in it"),
        ('{"_data_files": [{}]}', "which is no name in it"),
        (
            '{"_data_files": [{"filename": "x"}], "_indices_data_files": [{}]}',
            "a selection of rows beside it",
        ),
    ],
)
def test_a_damaged_state(tmp_path: Path, state: str, message: str) -> None:
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(DataError, match=message) as error:
        folders.files(tmp_path)
    assert error.value.hint


def test_arrow_files_alone(tmp_path: Path) -> None:
    rows = pyarrow.Table.from_pylist([row(1), row(2)])
    path = tmp_path / "x.arrow"
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, rows.schema) as out:
        out.write_table(rows)
    assert outputs(path) == ["1", "2"]
    path.write_bytes(b"\xff\xff\xff\xff and nothing else")
    with pytest.raises(DataError, match=r"x\.arrow: is no readable Arrow file"):
        outputs(path)
    path.write_bytes(b"ARROW1 and nothing else")
    with pytest.raises(DataError, match=r"x\.arrow: is no readable Arrow file"):
        outputs(path)


@pytest.fixture
def datasets() -> Iterator[Any]:
    pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party imports
        import datasets
    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


def test_what_datasets_itself_saves(tmp_path: Path, datasets: Any) -> None:
    talk = {
        "conversations": [{"from": "human", "value": "Hi?"}, {"from": "gpt", "value": "Hello."}],
        "score": 0.5,
    }
    whole = datasets.Dataset.from_list([talk, {**talk, "score": None}, talk])
    whole.select([2, 1]).save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict(train=whole, test=whole.select([0])).save_to_disk(str(tmp_path / "two"))
    found = [item for _, item in formats.read(tmp_path / "one")]
    assert [item.meta for item in found if isinstance(item, Sample)] == [{"score": 0.5}, {"score": None}]
    assert len(list(formats.read(tmp_path / "two", split="train"))) == 3
    assert len(list(formats.read(tmp_path / "two", split="test"))) == 1
