"""The data files of a folder: what `save_to_disk` left, a dataset as the Hub holds it, or files of one kind.

Which of them are read follows from what the folder says of itself (state.json, the card's `configs`), else from the
names. Files of several splits are never mixed: the user says which.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from selfinstruct.errors import ConfigError, DataError, nearest
from selfinstruct.formats.files import content_digest

_KINDS = (".parquet", ".jsonl", ".json", ".ndjson", ".arrow")
_ABOUT = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "config.json"}
_SHARD = re.compile(r"([^/]+?)-\d{5}-of-\d{5}\b")  # a file of a split, as the Hub names it
_SPLIT = re.compile(r"(?:^|[-_.])(train|training|test|testing|validation|valid|val|dev|eval)(?=[-_.]|$)")


def files(path: Path, split: str | None = None) -> list[Path]:
    """The files whose rows are read for `path`, in order: the file itself, or the data files of a folder.

    Raises ConfigError or DataError for a folder without any, or of which only the user can say what is meant.
    """
    if not path.is_dir():
        if split is not None:
            raise ConfigError(f"{path}: is no folder, so it has no splits", "leave `split` out")
        return [path]
    if (path / "dataset_dict.json").is_file():
        names = _json(path / "dataset_dict.json").get("splits")
        return _saved(path / _chosen(path, _names(path, names), split))
    if (path / "state.json").is_file():
        if split is not None:
            _chosen(path, [str(_json(path / "state.json").get("_split"))], split)
        return _saved(path)
    groups = _by_card(path) or _by_name(path)
    found = groups[_chosen(path, list(groups), split)]
    kinds = sorted({_kind(file) for file in found})
    if len(kinds) > 1:
        raise ConfigError(
            f"{path}: holds files of several kinds: {', '.join(file.name for file in found[:6])}",
            f"they may hold the same rows: name one file, such as {found[0]}",
        )
    return found


def digest(path: Path, split: str | None = None) -> str:
    """SHA-256 of a file's bytes; of a folder's data files, over their names and digests. 64 hex digits."""
    found = files(path, split)
    if found == [path]:
        return content_digest(path)
    lines = "".join(f"{file.relative_to(path).as_posix()} {content_digest(file)}\n" for file in found)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _chosen(path: Path, names: Sequence[str], split: str | None) -> str:
    if split is None and len(names) == 1:
        return names[0]
    known = [name for name in names if name]
    if split is None:
        raise ConfigError(f"{path}: holds the splits {', '.join(known)}", "say which, such as `split: train`")
    if split not in known:
        raise ConfigError(f"{path}: there is no split `{split}`", nearest(split, known))
    return split


def _saved(folder: Path) -> list[Path]:
    """The files of one split as `save_to_disk` lists them."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files"):
        raise DataError(
            f"{folder}: was saved with a selection of rows beside it",
            "save it again by `datasets` 2 or later",
        )
    listed = state.get("_data_files")
    names = [each.get("filename") if isinstance(each, dict) else None for each in listed or ()]
    if not names:
        raise DataError(f"{folder}: its state.json lists no data files", "save the dataset again")
    return [folder / name for name in _names(folder, names)]


def _names(folder: Path, names: Any) -> list[str]:
    """Names of files or folders in `folder`. Raises DataError where one leads out of it."""
    for name in names if isinstance(names, list) else [None]:
        if not isinstance(name, str) or name in ("", ".", "..") or set(name) & set("/\\:"):
            raise DataError(f"{folder}: lists {name!r}, which is no name in it", "save the dataset again")
    return list(names)


def _by_card(folder: Path) -> dict[str, list[Path]]:
    """The files of each split as the card's `configs` name them; none without a card that does."""
    configs = _configs(folder / "README.md")
    if len(configs) > 1:
        chosen = [each for each in configs if each.get("default") or each.get("config_name") == "default"]
        if len(chosen) != 1:
            names = ", ".join(str(each.get("config_name")) for each in configs)
            raise ConfigError(
                f"{folder}: holds several sets of rows: {names}", "name the files, or a folder in it"
            )
        configs = chosen
    stated = configs[0].get("data_files") if configs else None
    entries = stated if isinstance(stated, list) else [stated] if stated else []
    groups: dict[str, list[Path]] = {}
    for entry in entries:
        split, paths = (
            (entry.get("split"), entry.get("path")) if isinstance(entry, dict) else ("train", entry)
        )
        found = groups.setdefault(str(split), [])
        for pattern in paths if isinstance(paths, list) else [paths]:
            if not isinstance(pattern, str) or _leads_out(pattern):
                raise DataError(
                    f"{folder}: its card names {pattern!r}, which is no file in it", "name the file"
                )
            found += sorted(file for file in folder.glob(pattern) if file.is_file() and file not in found)
    missing = [split for split, found in groups.items() if not found]
    if missing and len(missing) == len(groups):
        raise DataError(
            f"{folder}: the files that its card names are not there", "fetch them, or name one file"
        )
    return {split: found for split, found in groups.items() if found}


def _leads_out(pattern: str) -> bool:
    paths = (PurePosixPath(pattern), PureWindowsPath(pattern))
    return not pattern or "://" in pattern or any(path.is_absolute() or ".." in path.parts for path in paths)


def _configs(card: Path) -> list[dict[str, Any]]:
    if not card.is_file():
        return []
    start, _, text = card.read_text("utf-8", "replace").partition("---\n")
    head, end, _ = text.partition("\n---")
    try:
        block = yaml.safe_load(head) if end and not start.strip("\ufeff \n") else None
    except yaml.YAMLError as error:
        raise DataError(f"{card}: its head is no YAML", "mend it, or name the data file") from error
    configs = block.get("configs") if isinstance(block, dict) else None
    return [each for each in configs if isinstance(each, dict)] if isinstance(configs, list) else []


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The data files of the folder, else of its folder `data`, by the split that their names state."""
    for place in (folder, folder / "data"):
        groups: dict[str, list[Path]] = defaultdict(list)
        for file in sorted(place.iterdir()) if place.is_dir() else ():
            if file.is_file() and _kind(file) and file.name not in _ABOUT and not file.name.startswith("."):
                said = _SHARD.match(file.name) or _SPLIT.search(file.name.lower())
                groups[said[1] if said else ""].append(file)
        if groups:
            return groups
    raise ConfigError(
        f"{folder}: holds no data files",
        f"name a file, or a folder with files of one kind: {', '.join(_KINDS)}",
    )


def _kind(file: Path) -> str:
    """The ending that says what a data file is, without .gz; empty for other files."""
    name = file.name.lower().removesuffix(".gz")
    return next((kind for kind in _KINDS if name.endswith(kind)), "")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no readable JSON: {error}", "save the dataset again") from error
    return value if isinstance(value, dict) else {}
