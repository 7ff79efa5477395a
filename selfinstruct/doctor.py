"""What `selfinstruct doctor` looks at: Python, packages, keys, GPU, memory, disk, the age of the price table."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from selfinstruct import __version__, pricing
from selfinstruct.errors import ConfigError

EXTRAS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "torch": "train",
    "transformers": "train",
    "trl": "train",
    "peft": "train",
    "datasets": "train",
}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_ROOM = 2 * 1024**3  # bytes of free disk under which a run is likely to get into trouble


class Finding(NamedTuple):
    """One line. `absent` is something optional that is not there; `mend` says what to do about it."""

    state: Literal["good", "absent", "bad"]
    what: str
    found: str
    mend: str = ""


def findings(folder: Path, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at this machine. Keys are only ever said to be set or not."""
    yield Finding("good", "selfinstruct", __version__)
    yield Finding(
        "good", "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    )
    for package, extra in EXTRAS.items():
        if importlib.util.find_spec(package) is None:
            yield Finding("absent", package, "not installed", f'pip install "selfinstruct[{extra}]"')
        else:
            yield Finding("good", package, importlib.metadata.version(package))
    for key in KEYS:
        if environment.get(key):
            yield Finding("good", key, "set")
        else:
            yield Finding("absent", key, "not set", f"export {key}=... to use that provider")
    yield _gpu()
    yield Finding("good", "processors", str(os.cpu_count()))
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield Finding("good", "memory", f"{memory / 1024**3:.0f} GiB")
    free = shutil.disk_usage(folder).free
    mend = "" if free > _ROOM else "make room, or choose another disk with --out"
    yield Finding("good" if free > _ROOM else "bad", "free disk", f"{free / 1024**3:.0f} GiB here", mend)
    writable = os.access(folder, os.W_OK)
    yield Finding(
        "good" if writable else "bad",
        "this folder",
        "can be written" if writable else "can't be written",
        "" if writable else "choose another one with --out",
    )
    aged = pricing.aged(date.today())
    yield Finding("absent" if aged else "good", "price table", aged or f"of {pricing.as_of()}")
    try:
        own = pricing.own_table(folder)
    except ConfigError as error:
        yield Finding("bad", pricing.OWN, error.message, error.hint)
        return
    if own:
        said = pricing.old(own.values(), date.today())
        yield Finding(
            "absent" if said else "good", pricing.OWN, said[0] if said else f"yours, of {len(own)} models"
        )


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("absent", "GPU", "none seen", "training runs on the CPU: fine for small students")
    try:
        told = subprocess.run(  # noqa: S603 (the driver's own tool, no outside input)
            [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("bad", "GPU", f"nvidia-smi fails: {error}", "look at the driver")
    return Finding("good", "GPU", "; ".join(told.stdout.strip().splitlines()))
