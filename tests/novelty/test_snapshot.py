import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfinstruct.errors import DataError
from selfinstruct.novelty import NoveltyIndex, index

TEXTS = [
    "Write a poem.",
    "写一首诗",
    "",
    "\ud83d",
    "\ude00 \x00",
    "🎉",
    "naïve C++ code",
    *(f"text {i} of {i}" for i in range(40)),
]


@pytest.mark.parametrize("tokens", ["words", "rouge"])
def test_a_loaded_index_goes_on_as_the_saved_one(
    tokens: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = NoveltyIndex(0.6, strict=False, tokens=tokens)
    saved.add_all(TEXTS, [None, *map(str, range(1, len(TEXTS)))])
    path = tmp_path / "pool"
    saved.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["pool"]
    monkeypatch.setattr(index, "_LOADED", 7)
    loaded = NoveltyIndex.load(path)
    assert (loaded.threshold, loaded.strict, loaded.tokens) == (0.6, False, tokens)
    assert (len(loaded), loaded.tokenless) == (len(saved), saved.tokenless)
    more = ["Write a poem", "写一首", "text 7 of 7", "quite another thing", "", "quite another thing"]
    assert loaded.similar(more) == saved.similar(more)
    assert loaded.add_all(more) == saved.add_all(more)


def test_an_empty_index(tmp_path: Path) -> None:
    NoveltyIndex().save(tmp_path / "pool.npz")
    assert len(NoveltyIndex.load(tmp_path / "pool.npz")) == 0


def test_saving_replaces_whole_and_an_error_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pool"
    pool = NoveltyIndex()
    pool.add("one")
    pool.save(path)
    pool.add("two")

    def full(*args: Any, **arrays: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", full)
        with pytest.raises(DataError, match="can't be written: No space left"):
            pool.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["pool"]
    assert len(NoveltyIndex.load(path)) == 1
    pool.save(path)
    assert len(NoveltyIndex.load(path)) == 2


def parts(path: Path) -> dict[str, Any]:
    pool = NoveltyIndex()
    pool.extend(["one two", "three"], ["a", "b"])
    pool.save(path)
    with np.load(path) as arrays:
        return dict(arrays)


def with_header(arrays: dict[str, Any], **changes: Any) -> dict[str, Any]:
    header = json.loads(arrays["header"].tobytes()) | changes
    return arrays | {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}


def rewrite(path: Path, arrays: dict[str, Any]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def test_another_format_or_tokenisation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    arrays = parts(path)
    rewrite(path, with_header(arrays, format=2))
    with pytest.raises(DataError, match="an index of format 2, and this version reads format 1"):
        NoveltyIndex.load(path)
    for rules, tokens in (("words 0, Unicode 3.2.0", "words"), ("pieces 1", "pieces")):
        rewrite(path, with_header(arrays, rules=rules, tokens=tokens))
        with pytest.raises(DataError, match=f"by the rules `{rules}`") as caught:
            NoveltyIndex.load(path)
        assert caught.value.hint == "build the index anew from the texts"


@pytest.mark.parametrize(
    "damage",
    [
        {"lengths": np.array([2])},
        {"lengths": np.array([1, 1])},
        {"lengths": np.array([-1, 4])},
        {"numbers": np.array([0, 1, 3])},
        {"numbers": np.array([0, 1, -1])},
        {"texts_end": np.array([3, 11])},
        {"texts_end": np.array([3, 12, 12])},
        {"texts": np.frombuffer(b"\xff" * 12, np.uint8)},
        {"header": np.frombuffer(b"{", np.uint8)},
        {"header": np.frombuffer(b"[]", np.uint8)},
        {"header": np.frombuffer(b'{"format": 1}', np.uint8)},
        {"numbers": np.array(["x"], dtype=object)},
    ],
)
def test_damage_is_named(damage: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    rewrite(path, parts(path) | damage)
    with pytest.raises(DataError, match=r"damaged|do not fit together"):
        NoveltyIndex.load(path)


@pytest.mark.parametrize("field", ["threshold", "strict", "tokens", "tokenless", "ids"])
def test_a_header_of_wrong_values_is_named(field: str, tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    rewrite(path, with_header(parts(path), **{field: {"no": "value"}}))
    with pytest.raises(DataError, match=r"damaged|do not fit together"):
        NoveltyIndex.load(path)


def test_what_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "pool.npz"
    parts(path)
    whole = path.read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="no saved index"):
            NoveltyIndex.load(path)
    with pytest.raises(DataError, match="there is no such file"):
        NoveltyIndex.load(tmp_path / "absent")
    with pytest.raises(DataError, match="no saved index"):
        NoveltyIndex.load(tmp_path)
    with pytest.raises(DataError, match="can't be written"):
        NoveltyIndex().save(tmp_path / "no folder" / "pool")
