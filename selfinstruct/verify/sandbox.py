"""Runs Python that a model wrote: in a process of its own, behind the guards of jail.py, with a time limit.

What it guards against: code that loops, eats memory or disk, starts processes, opens sockets, reads or writes files.
What it is not: a virtual machine. A hole in the kernel is a way out, and where the kernel lacks a guard (see `guards`;
macOS has limits only) that guard is missing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from selfinstruct.errors import ConfigError

JAIL = Path(__file__).with_name("jail.py")
SHOWN = 300  # characters of an error that are kept
PATIENCE = 4  # wall seconds for each CPU second: the machine may be busy


class Ran(NamedTuple):
    """How a program ended, and the last line of its error.

    passed: it ran to its end. failed: it raised. unfinished: it ended itself before its end. timeout, killed: a limit.
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
    token = secrets.token_hex(16)  # written by the jail at the end; the program can't guess it
    with tempfile.TemporaryDirectory(prefix="selfinstruct-", ignore_cleanup_errors=True) as folder:
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
                process.wait(seconds * PATIENCE)
                late = False
            except subprocess.TimeoutExpired:
                late = True
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said = out.read_bytes()[-len(token) :].decode("utf-8", "replace")
        error = err.read_bytes()[-4_000:].decode("utf-8", "replace").strip().rpartition("\n")[2][:SHOWN]
    if late or process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Ran("timeout", f"{seconds} s")
    if process.returncode == 0:
        return Ran("passed") if said == token else Ran("unfinished")
    if process.returncode < 0:
        return Ran("killed", signal.Signals(-process.returncode).name)
    return Ran("unfinished") if process.returncode == 3 else Ran("failed", error)


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
