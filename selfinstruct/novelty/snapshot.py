"""A saved index: one .npz file of plain arrays (never pickled) with a JSON header."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfinstruct.errors import DataError
from selfinstruct.novelty.vocabulary import Block, pack

FORMAT = 1
HEADER = {"rules": str, "tokens": str, "threshold": float, "strict": bool, "tokenless": int, "ids": list}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`numbers` are the token numbers, places in `vocabulary`, of all texts one after the other; `lengths`
    how many each text has."""

    header: dict[str, Any]
    texts: list[str]
    vocabulary: list[str]
    numbers: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def block(self, texts: slice) -> Block:
        ends = self.lengths.cumsum()[texts]
        lengths = self.lengths[texts]
        return pack(self.numbers[int(ends[0] - lengths[0]) : int(ends[-1])], lengths)


def write(path: Path, snapshot: Snapshot) -> None:
    header = json.dumps({"format": FORMAT, **snapshot.header}).encode()
    arrays: dict[str, Any] = {
        "header": np.frombuffer(header, np.uint8),
        **_joined("texts", snapshot.texts),
        **_joined("vocabulary", snapshot.vocabulary),
        "numbers": snapshot.numbers.astype(np.int32),
        "lengths": snapshot.lengths,
    }
    # Written beside and renamed, so that a crash leaves the old file or the new one.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: the index can't be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> Snapshot:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT:
                raise DataError(
                    f"{path}: an index of format {header['format']}, and this version reads format {FORMAT}",
                    "build the index anew from the texts",
                )
            snapshot = Snapshot(
                header=header,
                texts=_split(arrays, "texts"),
                vocabulary=_split(arrays, "vocabulary"),
                numbers=arrays["numbers"].astype(np.int64),
                lengths=arrays["lengths"].astype(np.int64),
            )
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: this is no saved index, or it is damaged", "build it anew") from error
    count = len(snapshot.texts)
    whole = (
        all(isinstance(header.get(name), kind) for name, kind in HEADER.items())
        and count == len(snapshot.lengths) == len(header["ids"])
        and snapshot.lengths.sum() == len(snapshot.numbers)
        and snapshot.lengths.min(initial=0) >= 0
        and snapshot.numbers.min(initial=0) >= 0
        and snapshot.numbers.max(initial=-1) < len(snapshot.vocabulary)
    )
    if not whole:
        raise DataError(
            f"{path}: the parts of this index do not fit together", "build it anew from the texts"
        )
    return snapshot


def _joined(name: str, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Texts as bytes one after the other and where each ends; surrogates that stand alone are kept as they
    are."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    ends = np.fromiter(map(len, parts), np.int64, len(parts)).cumsum()
    return {name: np.frombuffer(b"".join(parts), np.uint8), f"{name}_end": ends}


def _split(arrays: Any, name: str) -> list[str]:
    whole = arrays[name].tobytes()
    ends = [0, *arrays[f"{name}_end"].tolist()]
    if ends[-1] != len(whole):
        raise ValueError(name)
    return [whole[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]
