"""Runs Python that a model wrote: in a process of its own, behind the guards of jail.py, with a time limit.

What it guards against: code that loops, eats memory or disk, starts processes, opens sockets, reads or writes files.
What it is not: a virtual machine. A hole in the kernel is a way out, and where the kernel lacks a guard (see `guards`;
macOS has limits only) that guard is missing. Nor is it an examiner: answer and tests are one program, so code that sets
out to cheat can reach into the tests, or into the frames of jail.py, and pass.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from selfinstruct.errors import ConfigError

JAIL = Path(__file__).with_name("jail.py")
SHOWN = 300  # characters of an error that are kept
PATIENCE = 4  # wall seconds for each CPU second: the machine may be busy
LOOK = 0.2  # seconds between looks at what the program has written
ENTRIES = 1_000  # files and folders that it may make
WRITTEN = 64 * 2**20  # bytes that it may write, over all files


class Ran(NamedTuple):
    """How a program ended, and the last line of its error.

    passed: it ran to its end. failed: it raised. unfinished: it ended itself before its end. timeout, killed: a limit
    (of time; of memory, files or disk).
    """

    outcome: Literal["passed", "failed", "unfinished", "timeout", "killed"]
    detail: str = ""


class Guards(NamedTuple):
    """What holds on this machine beside the limits: no network, no new processes, no files of others."""

    network: bool
    processes: bool
    files: bool


def run(program: str, *, seconds: int = 5, megabytes: int = 512) -> Ran:
    """Run `program` in an empty temporary folder, with no environment and the standard library alone."""
    require()
    token = secrets.token_hex(16)  # written by the jail at the end; no program ends with it by chance
    with _folder() as folder:
        inside, out, err = (Path(folder, name) for name in ("inside", "out", "err"))
        inside.mkdir()
        (inside / "answer.py").write_text(program, "utf-8", errors="replace")
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603 (that is what it is for, behind the guards)
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-X",
                    "utf8",
                    str(JAIL),
                    "answer.py",
                    token,
                    str(seconds),
                    str(megabytes),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                cwd=inside,
                env={},
                start_new_session=True,
            )
            try:
                stopped = _wait(process, seconds * PATIENCE, inside)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said = out.read_bytes()[-len(token) :].decode("utf-8", "replace")
        error = err.read_bytes()[-4_000:].decode("utf-8", "replace").strip().rpartition("\n")[2][:SHOWN]
    if stopped == "disk":
        return Ran("killed", f"more than {ENTRIES:,} files or {WRITTEN // 2**20} MiB")
    if stopped == "time" or process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Ran("timeout", f"{seconds} s")
    if process.returncode == 0:
        return Ran("passed") if said == token else Ran("unfinished")
    if process.returncode < 0:
        return Ran("killed", signal.Signals(-process.returncode).name)
    return Ran("unfinished") if process.returncode == 3 else Ran("failed", error)


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """A temporary folder that goes away whatever a program did in it: folders nested thousands deep (too deep for
    shutil.rmtree), or none that may be entered."""
    folder = tempfile.mkdtemp(prefix="selfinstruct-")
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            Path(folder, "inside").chmod(0o700)
        subprocess.run(["/bin/rm", "-rf", "--", folder], stderr=subprocess.DEVNULL, check=False)  # noqa: S603


def _wait(process: subprocess.Popen[bytes], seconds: float, inside: Path) -> Literal["", "time", "disk"]:
    """Wait for the end of the program; else says what it ran out of."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
        if _full(inside):
            return "disk"
        if process.returncode is not None:
            return ""
    return "time"


def _full(inside: Path) -> bool:
    entries = written = 0
    folders = [str(inside)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for each in found:
                entries += 1
                with contextlib.suppress(OSError):
                    written += each.stat(follow_symlinks=False).st_size
                if entries > ENTRIES or written > WRITTEN:
                    return True
                if each.is_dir(follow_symlinks=False):
                    folders.append(each.path)
    return False


def require() -> None:
    """Raises ConfigError where there is no way to set limits."""
    if os.name != "posix":
        raise ConfigError(
            "code can't be run here: this system has no resource limits", "use Linux, macOS or WSL"
        )


@cache
def guards() -> Guards:
    """Tried out, once a process. Raises ConfigError where not even an empty program runs to its end."""
    empty = run("")
    if empty.outcome != "passed":
        raise ConfigError(
            f"the sandbox runs nothing here: {empty.outcome} {empty.detail}", "see whether memory is short"
        )
    tries = {
        "network": "import socket\nsocket.socket()",
        "processes": "import os\nif not os.fork():\n    os._exit(0)",
        "files": f"open({str(Path(__file__))!r}).read()",
    }
    return Guards(**{name: run(f"{program}\n").outcome == "failed" for name, program in tries.items()})
