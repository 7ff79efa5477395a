"""`write`: files that others can load, whole, and the same each time."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet
import pytest
import yaml

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.formats import BESIDE, WRITERS, parquet
from selfinstruct.pipeline import Outcome, execute
from selfinstruct.sample import Message, Sample
from selfinstruct.step import Step
from selfinstruct.steps.read import read
from selfinstruct.steps.write import Format, write

SAMPLES = [
    Sample.of("Add the numbers.", "1 2", "3", meta={"level": 1}).score(quality=4.5),
    Sample.of("Translate “chat” to Chinese.", "", "猫\n```\n</details>").score(length=1.0),
    Sample.of("Say nothing.", "", "", meta={"tags": ["odd", {"deep": None}]}),
]
TALK = Sample((Message("system", "Be brief."), Message("user", "Hi."), Message("assistant", "Hello.")))


def outcome(folder: Path, samples: list[Sample], *steps: Step) -> Outcome:
    folder.mkdir(exist_ok=True)
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


PAIRS = [
    Sample.of("Add the numbers.", "1 2", "3").replace(rejected="4"),
    TALK.replace(rejected="你好\n\nNo."),
]
LABELLED = [*PAIRS, Sample.of("Wait.").replace(rejected="Why?"), Sample.of("Sing.", "", "La.")]


def test_the_formats_of_the_option_are_those_that_there_are() -> None:
    assert get_args(Format) == (*WRITERS, *BESIDE)


@pytest.mark.parametrize(
    ("samples", "formats", "message", "mend"),
    [
        (
            [*PAIRS, TALK],
            ("preference",),
            "1 of 3 samples do not fit into preference, the first: sample",
            "`write`",
        ),
        ([TALK], ("kto",), "no row has a losing answer, so that kto would hold good ones", "`formats`"),
        (
            LABELLED,
            ("kto", "messages"),
            "has a losing answer and no other",
            "[kto, parquet]",
        ),
        (
            [Sample((Message("user", "a"), Message("user", "b"), Message("assistant", "c")))],
            ("sharegpt",),
            ": message 2 is by the user, which is not its turn",
            "[messages, parquet]",
        ),
    ],
)
def test_rows_that_a_format_can_not_hold(
    tmp_path: Path, samples: list[Sample], formats: tuple[Format, ...], message: str, mend: str
) -> None:
    with pytest.raises(DataError) as error:
        outcome(tmp_path, samples, write(formats=formats))
    assert message in error.value.message
    assert mend in error.value.hint
    assert not (tmp_path / "run" / "dataset").exists()


def json_rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_pairs_for_trl_and_for_llama_factory(tmp_path: Path) -> None:
    outcome(tmp_path, PAIRS, write(formats=("preference", "kto", "sharegpt_preference", "sharegpt_kto")))
    folder = tmp_path / "run" / "dataset"
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    assert json_rows(folder / "preference.jsonl")[1] == {
        "prompt": asked,
        "chosen": [{"role": "assistant", "content": "Hello."}],
        "rejected": [{"role": "assistant", "content": "你好\n\nNo."}],
    }
    assert json_rows(folder / "kto.jsonl")[2:] == [
        {"prompt": asked, "completion": [{"role": "assistant", "content": text}], "label": label}
        for text, label in (("Hello.", True), ("你好\n\nNo.", False))
    ]
    asked = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi."}]
    assert json_rows(folder / "sharegpt_preference.jsonl")[1] == {
        "conversations": asked,
        "chosen": {"from": "gpt", "value": "Hello."},
        "rejected": {"from": "gpt", "value": "你好\n\nNo."},
    }
    assert json_rows(folder / "sharegpt_kto.jsonl")[3] == {
        "conversations": [*asked, {"from": "gpt", "value": "你好\n\nNo."}],
        "label": False,
    }


def test_a_row_that_has_only_a_losing_answer(tmp_path: Path) -> None:
    outcome(tmp_path, LABELLED, write(formats=("kto", "parquet")))
    rows = json_rows(tmp_path / "run" / "dataset" / "kto.jsonl")
    assert [row["label"] for row in rows] == [True, False, True, False, False, True]
    again = execute([read(path=str(tmp_path / "run/dataset/train.parquet"))], out=tmp_path / "again")
    assert [(sample.rejected, sample.output) for sample in again.samples] == [
        (sample.rejected, sample.output) for sample in LABELLED
    ]


def seen_by_llama_factory(folder: Path, name: str) -> list[list[tuple[str, str]]]:
    """The turns of each row as data/README.md of LLaMA-Factory says that an entry is read."""
    entry = json.loads((folder / "dataset_info.json").read_text("utf-8"))[name]
    columns, tags = entry["columns"], entry.get("tags", {})
    path = folder / entry["file_name"]
    if path.suffix == ".parquet":
        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        rows = json.loads(path.read_text("utf-8")) if path.suffix == ".json" else json_rows(path)
    if entry.get("formatting", "alpaca") == "alpaca":
        return [[("user", row[columns["prompt"]]), ("assistant", row[columns["response"]])] for row in rows]
    role, text = tags.get("role_tag", "from"), tags.get("content_tag", "value")
    said = {
        tags.get(f"{one}_tag", name): one
        for one, name in (("user", "human"), ("assistant", "gpt"), ("system", "system"))
    }
    found = []
    for row in rows:
        turns = [*row[columns["messages"]]]
        turns += [row[columns[each]] for each in ("chosen", "rejected") if entry.get("ranking")]
        assert all(isinstance(turn, dict) for turn in turns)
        if "kto_tag" in columns:
            assert isinstance(row[columns["kto_tag"]], bool)
        found.append([(said[turn[role]], turn[text]) for turn in turns])
    return found


def test_llama_factory_finds_every_column(tmp_path: Path) -> None:
    kinds: tuple[Format, ...] = ("alpaca", "messages", "sharegpt", "parquet", "llamafactory")
    outcome(tmp_path / "sft", SAMPLES, write(formats=kinds))
    folder = tmp_path / "sft" / "run" / "dataset"
    for kind in ("messages", "sharegpt", "parquet"):
        assert seen_by_llama_factory(folder, f"writing_{kind}") == [
            [(message.role, message.content) for message in sample.messages] for sample in SAMPLES
        ]
    assert seen_by_llama_factory(folder, "writing_alpaca") == [
        [("user", sample.instruction), ("assistant", sample.output)] for sample in SAMPLES
    ]
    kinds = ("preference", "sharegpt_preference", "kto", "sharegpt_kto", "llamafactory")
    outcome(tmp_path / "dpo", PAIRS, write(formats=kinds, name="Pairs & more"))
    folder = tmp_path / "dpo" / "run" / "dataset"
    asked = [[(message.role, message.content) for message in sample.prompt] for sample in PAIRS]
    best, worst = (
        [("assistant", text) for text in texts]
        for texts in ([sample.output for sample in PAIRS], [str(sample.rejected) for sample in PAIRS])
    )
    assert seen_by_llama_factory(folder, "pairs_more_sharegpt_preference") == [
        [*prompt, good, bad] for prompt, good, bad in zip(asked, best, worst, strict=True)
    ]
    assert seen_by_llama_factory(folder, "pairs_more_sharegpt_kto") == [
        [*prompt, answer] for prompt, *answers in zip(asked, best, worst, strict=True) for answer in answers
    ]
    # what holds lists where LLaMA-Factory wants one message has no entry
    assert set(json.loads((folder / "dataset_info.json").read_text())) == {
        "pairs_more_sharegpt_preference",
        "pairs_more_sharegpt_kto",
    }


def test_tools_have_their_column(tmp_path: Path) -> None:
    outcome(tmp_path, [TALK.note(tools="[]")], write(formats=("sharegpt", "llamafactory")))
    entry = json.loads((tmp_path / "run/dataset/dataset_info.json").read_text())["writing_sharegpt"]
    assert entry["columns"] == {"messages": "conversations", "tools": "tools"}


def test_axolotl_is_told_file_and_type(tmp_path: Path) -> None:
    outcome(tmp_path, PAIRS[1:], write(formats=("sharegpt", "preference", "kto", "axolotl"), card=False))
    folder = tmp_path / "run" / "dataset"
    assert sorted(path.name for path in folder.glob("*.yaml")) == [
        "axolotl_preference.yaml",
        "axolotl_sharegpt.yaml",
    ]
    pairs = yaml.safe_load((folder / "axolotl_preference.yaml").read_text())
    (entry,) = pairs["datasets"]
    assert (pairs["rl"], entry["type"], entry["field_messages"]) == ("dpo", "chat_template.default", "prompt")
    (row,) = json_rows(folder / entry["path"])
    assert {entry["field_messages"], entry["field_chosen"], entry["field_rejected"]} == set(row)
    chats = yaml.safe_load((folder / "axolotl_sharegpt.yaml").read_text())
    assert "rl" not in chats
    (entry,) = chats["datasets"]
    assert (entry["ds_type"], entry["type"]) == ("json", "chat_template")
    (row,) = json_rows(folder / entry["path"])
    names = {each: role for role, names in entry["roles"].items() for each in names}
    keys = entry["message_property_mappings"]
    assert [(names[turn[keys["role"]]], turn[keys["content"]]) for turn in row[entry["field_messages"]]] == [
        (message.role, message.content) for message in TALK.messages
    ]


def test_a_trainer_that_reads_none_of_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="llamafactory reads none of these formats") as error:
        outcome(tmp_path, PAIRS, write(formats=("preference", "llamafactory")))
    assert "sharegpt_preference" in error.value.hint
    with pytest.raises(ConfigError, match="`formats` names no data"):
        outcome(tmp_path, PAIRS, write(formats=("llamafactory",)))


def test_what_trainers_were_given_is_written_again(tmp_path: Path) -> None:
    step = write(formats=("messages", "llamafactory", "axolotl"))
    outcome(tmp_path, SAMPLES, step)
    folder = tmp_path / "run" / "dataset"
    before = contents(folder)
    (folder / "dataset_info.json").unlink()
    outcome(tmp_path, SAMPLES, step)
    assert contents(folder) == before


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


def test_datasets_loads_each_format(tmp_path: Path, datasets: Any) -> None:
    kinds: tuple[Format, ...] = tuple(each for each in WRITERS if each != "alpaca")  # type: ignore[misc]
    outcome(tmp_path, PAIRS, write(formats=(*kinds, "llamafactory", "axolotl")))
    folder, cache = tmp_path / "run" / "dataset", str(tmp_path / "cache")
    whole = datasets.load_dataset(str(folder), cache_dir=cache)
    assert {name: part.num_rows for name, part in whole.items()} == {"train": 2}
    assert whole["train"]["rejected"] == [sample.rejected for sample in PAIRS]
    for kind in kinds:
        path = folder / WRITERS[kind].file
        loader = "parquet" if kind == "parquet" else "json"
        rows = datasets.load_dataset(loader, data_files=str(path), split="train", cache_dir=cache)
        assert rows.num_rows == (4 if kind.endswith("kto") else 2)
        if loader == "json":
            assert rows.to_list() == json_rows(path)


def test_datasets_loads_a_folder_of_one_format_without_a_card(tmp_path: Path, datasets: Any) -> None:
    outcome(tmp_path, PAIRS, write(formats=("sharegpt_preference", "llamafactory", "axolotl"), card=False))
    whole = datasets.load_dataset(str(tmp_path / "run" / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert whole["train"].column_names == ["conversations", "chosen", "rejected"]


@pytest.mark.train
def test_trl_knows_the_rows_for_what_they_are(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.data_utils import apply_chat_template, is_conversational

    class Tokenizer:
        def apply_chat_template(self, messages: Any, add_generation_prompt: bool = False, **_: Any) -> str:
            text = "".join(f"<{each['role']}>{each['content']}" for each in messages)
            return text + "<assistant>" * add_generation_prompt

    outcome(tmp_path, PAIRS[1:], write(formats=("prompt_completion", "messages", "preference", "kto")))
    folder = tmp_path / "run" / "dataset"
    asked = "<system>Be brief.<user>Hi.<assistant>"
    for file, expected in {
        "messages": {"text": asked + "Hello."},
        "prompt_completion": {"prompt": asked, "completion": "Hello."},
        "preference": {"prompt": asked, "chosen": "Hello.", "rejected": "你好\n\nNo."},
        "kto": {"prompt": asked, "completion": "Hello.", "label": True},
    }.items():
        row = json_rows(folder / f"{file}.jsonl")[0]
        assert is_conversational(row)
        assert apply_chat_template(row, Tokenizer()) == expected


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
