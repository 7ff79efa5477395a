"""One process per run directory: a lock that dies with its holder, and a file that says who holds it and how far the
work had got.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from selfinstruct.errors import StoreError

_HOLDER = "holder"


class Lock:
    """`seen` is how many attempts the last holder had on disk; a run's file that knows of fewer has lost some."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self._lock = lock
        self.seen = noted(folder)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        self._file = os.open(folder / _HOLDER, flags, 0o600)
        self.note(self.seen)

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Take the folder, making it when it is new. Raises StoreError naming who holds it, or what is wrong."""
        lock = FileLock(folder / "lock", timeout=0, mode=0o600)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock.acquire()
            return cls(folder, lock)
        except Timeout:
            holder = folder / _HOLDER
            who = holder.read_text("utf-8", "replace").partition("\n")[0] if holder.is_file() else ""
            raise StoreError(
                f"{folder}: {who or 'a process not named'} is working on this run",
                "wait for it, stop it, or choose another folder with --out",
            ) from None
        except OSError as error:
            lock.release()
            raise StoreError(
                f"{folder}: can't be written ({error.strerror})", "choose another folder with --out"
            ) from None

    def note(self, attempts: int) -> None:
        """Say how many attempts are on disk. Written in place and not synced: it must never be ahead of them."""
        self.seen = attempts
        self._say(f"process {os.getpid()} on {socket.gethostname()}")

    def _say(self, who: str) -> None:
        text = f"{who}\n{self.seen:>20}\n".encode()
        with contextlib.suppress(OSError):  # what it is for is a second look; it may not cost an answer
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text)
            os.ftruncate(self._file, len(text))

    def release(self) -> None:
        self._say("nobody")
        os.close(self._file)
        self._lock.release()


def noted(folder: Path) -> int:
    """How many attempts the last process at work in `folder` had on disk."""
    try:
        return int((folder / _HOLDER).read_text("utf-8").splitlines()[1])
    except (OSError, ValueError, IndexError):
        return 0
