"""Runs one Python file behind guards, as a program of its own: `python -I -S jail.py FILE TOKEN SECONDS MEGABYTES`.

It is never imported. Limits are set first, then what the kernel offers: files outside the working folder and the
standard library can't be opened (Landlock), no socket, process or thread can be made and no other process touched
(seccomp). Then the file runs; TOKEN is written when it has run to its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import runpy
import struct
import sys
from pathlib import Path

# seccomp: what is refused, by machine: sockets, processes and threads, other processes, limits, doors of the kernel.
_REFUSED = {
    "x86_64": (
        0xC000003E,
        "41 53 56 57 58 59 62 101 129 160 161 165 200 234 248 249 250 272 297 298 302 308 310 311 321 322 323 424 425 "
        "434 435",
    ),
    "aarch64": (
        0xC00000B7,
        "40 51 97 117 129 130 131 138 164 198 199 217 218 219 220 221 240 241 261 268 270 271 280 281 282 424 425 434 "
        "435",
    ),
}
_EPERM = 0x00050000 | 1
_ALLOW = 0x7FFF0000
_LOAD, _EQUAL, _ABOVE, _RETURN = 0x20, 0x15, 0x35, 0x06
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2

# Landlock: what a folder or file may be used for.
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute (shared libraries), read a file, list a folder
_READ_FILE = 1 << 2
_MAKE_RULESET, _ADD_RULE, _RESTRICT = 444, 445, 446


def _limits(seconds: int, megabytes: int) -> None:
    size = megabytes * 2**20
    for name, limit in (
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", size),
        ("RLIMIT_DATA", size),
        ("RLIMIT_FSIZE", 2**20),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NPROC", 0),
    ):
        with contextlib.suppress(
            AttributeError, ValueError, OSError
        ):  # a system without it, or with a lower one
            resource.setrlimit(getattr(resource, name), (limit, limit))


def _landlock(libc: ctypes.CDLL) -> None:
    abi = libc.syscall(_MAKE_RULESET, None, 0, 1)
    if abi < 1:
        return
    handled = (1 << (13 if abi < 2 else 14 if abi < 3 else 15)) - 1
    ruleset = libc.syscall(_MAKE_RULESET, struct.pack("Q", handled), 8, 0)
    if ruleset < 0:
        return
    libraries = (Path(os.__file__).parent, Path(sys.base_prefix) / "lib", "/lib", "/lib64", "/usr/lib")
    places: dict[Path | str, int] = {
        Path.cwd(): handled,
        **dict.fromkeys((*libraries, "/usr/share/zoneinfo"), _READ),
        **dict.fromkeys(("/dev/null", "/dev/urandom", "/etc/localtime"), _READ_FILE),
    }
    for path, allowed in places.items():
        with contextlib.suppress(OSError):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            libc.syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
            os.close(place)
    libc.syscall(_RESTRICT, ruleset, 0)
    os.close(ruleset)


def _seccomp(libc: ctypes.CDLL) -> None:
    known = _REFUSED.get(platform.machine())
    if known is None:
        return
    machine, calls = known
    code = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _EPERM),
        (_LOAD, 0, 0, 0),
        (_ABOVE, 0, 1, 0x40000000),  # x86-64's other numbering of the same calls
        (_RETURN, 0, 0, _EPERM),
    ]
    for call in map(int, calls.split()):
        code.extend([(_EQUAL, 0, 1, call), (_RETURN, 0, 0, _EPERM)])
    code.append((_RETURN, 0, 0, _ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    libc.prctl(_SECCOMP, _FILTER, struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)), 0, 0)


def main(file: str, token: str, seconds: str, megabytes: str) -> int:
    _limits(int(seconds), int(megabytes))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _landlock(libc)
        _seccomp(libc)
    sys.argv = [file]
    try:
        runpy.run_path(file, run_name="answer")
    except SystemExit:  # code that ends itself has not run to its end
        return 3
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os.write(1, token.encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
