"""A disk that fails at the k-th write: a small library in front of the system's own calls, and a run that meets it.

The library counts writes, syncs, truncations and renames below one folder and lets the k-th and all later ones fail
with an error of one's choice, or only the k-th. It is compiled on the spot; where there is no C compiler the tests that
need it are skipped.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EROFS": errno.EROFS}


def library(folder: Path) -> Path | None:
    """The compiled library, or None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    source, made = Path(__file__).with_name("faulty.c"), folder / "faulty.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


def ordeal(ks: str, error: str, once: bool) -> Iterator[dict[str, Any]]:
    """Each of `ks` (`1,5,9`, or `all`, or `every 7`) in turn, in a process of its own with the library in front: what
    came of it, as `attempt` says.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = library(Path(folder))
        assert made is not None
        command = [sys.executable, __file__, ks, error, str(int(once)), str(made)]
        environment = {**os.environ, "LD_PRELOAD": str(made), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
        assert process.returncode == 0


def _execute(out: Path) -> None:
    from selfinstruct.pipeline import execute
    from selfinstruct.steps import alpaca, judge, read, select, write

    execute(
        [
            read(path=str(ROOT / "seeds" / "seed_tasks.jsonl")),
            alpaca(n=40, window=8),
            judge(max_unscored=1.0, window=16),
            select(k=20),
            write(),
        ],
        name="faulty",
        out=out,
        teacher="offline",
    )


def _child(out: Path, acknowledged: int) -> None:
    """One run that meets the faulty disk; ends with 0, 10 for a clear error of ours, 20 for any other."""
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.store import Store

    put = Store.put

    async def told(self: Store, request: Any, filed: Any, *more: Any) -> None:
        await put(self, request, filed, *more)
        os.write(acknowledged, f"{request.key}\n".encode())

    Store.put = told  # type: ignore[assignment]
    try:
        _execute(out)
    except SelfInstructError as error:
        sys.stderr.write(f"{error.message} / {error.hint}\n")
        os._exit(10)
    except BaseException:
        traceback.print_exc()
        os._exit(20)
    os._exit(0)


def attempt(
    k: int, error: int, once: bool, folder: Path, faults: ctypes.CDLL, whole: dict[str, bytes]
) -> dict[str, Any]:
    """A run whose k-th write fails, then the same run on a sound disk: its exit status and words, how many
    acknowledged answers are missing, whether half a file lay at a final name, and whether the files came out equal.
    """
    from selfinstruct.store import FILE, Store
    from selfinstruct.store.repair import check

    out = folder / f"run{k}"
    reading, writing = os.pipe()
    words = folder / f"words{k}"
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(words, os.O_CREAT | os.O_WRONLY), 2)
        faults.fault_at(k, error, int(once), str(out).encode())
        _child(out, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        keys = pipe.read().split()
    _, status = os.waitpid(child, 0)
    found = {
        "k": k,
        "status": os.waitstatus_to_exitcode(status),
        "words": words.read_text(),
        "torn": [name for name, body in _files(out).items() if body != whole.get(name, body)],
    }
    lost = 0
    if keys or (out / FILE).is_file():
        with Store.open(out) as store:
            lost = sum(store.get(key) is None for key in keys)
        found["faults"] = check(out)
    _execute(out)
    found |= {"acknowledged": len(keys), "lost": lost, "equal": _files(out) == whole}
    shutil.rmtree(out)
    return found


def _files(out: Path) -> dict[str, bytes]:
    folder = out / "dataset"
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def main(ks: str, error: str, once: str, made: str) -> None:
    faults = ctypes.CDLL(made)
    faults.fault_at.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faults.fault_at(0, 0, 0, str(folder / "whole").encode())
        _execute(folder / "whole")
        total = faults.fault_count()
        faults.fault_at(0, 0, 0, b"")
        whole = _files(folder / "whole")
        step = int(ks.partition(" ")[2] or 1)
        points = range(1, total + 1, step) if ks.startswith(("all", "every")) else map(int, ks.split(","))
        for k in points:
            found = attempt(k, ERRORS[error], bool(int(once)), folder, faults, whole)
            print(json.dumps({**found, "of": total}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
