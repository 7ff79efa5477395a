"""Runs one Python file behind guards, as a program of its own: `python -I -S jail.py FILE TOKEN SECONDS MEGABYTES`.

It is never imported. Limits are set first, then what the kernel offers: files outside the working folder and the
standard library can't be opened (Landlock) or changed otherwise, no socket, process or thread can be made and no other
process touched (seccomp). Then the file runs; TOKEN is written when it has run to its end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import runpy
import signal
import struct
import sys
from pathlib import Path

# seccomp: what is refused, by machine: sockets, processes and threads, other processes (signals, priorities, places in
# memory), limits, doors of the kernel, memory that outlives its process, and what Landlock lets pass: the modes,
# owners, times and attributes of files, and cutting one by its name. Last, `fcntl`.
_REFUSED = {
    "x86_64": (
        0xC000003E,
        "29 41 53 56 57 58 59 62 64 68 76 90 91 92 93 94 101 129 132 141 142 144 157 160 161 165 188 189 190 197 198 "
        "199 200 203 234 235 240 248 249 250 251 256 260 261 268 272 279 280 297 298 302 308 310 311 314 321 322 323 "
        "424 425 434 435 440 452 463 466",
        72,
    ),
    "aarch64": (
        0xC00000B7,
        "5 6 7 14 15 16 30 40 45 51 52 53 54 55 88 97 117 118 119 122 129 130 131 138 140 164 167 180 186 190 194 198 "
        "199 217 218 219 220 221 238 239 240 241 261 268 270 271 274 280 281 282 424 425 434 435 440 452 463 466",
        25,
    ),
}
_OWNER, _SIGNAL, _OWNER_EX = 8, 10, 15  # of `fcntl`: they have the kernel send any signal to any process
_EPERM = 0x00050000 | 1
_ALLOW = 0x7FFF0000
_LOAD, _EQUAL, _ABOVE, _RETURN = 0x20, 0x15, 0x35, 0x06
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER, _WITH_PARENT = 38, 22, 2, 1

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
    machine, calls, fcntl = known
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
    code.extend([(_EQUAL, 0, 7, fcntl), (_LOAD, 0, 0, 24)])  # its second argument
    for command in (_OWNER, _SIGNAL, _OWNER_EX):
        code.extend([(_EQUAL, 0, 1, command), (_RETURN, 0, 0, _EPERM)])
    code.append((_RETURN, 0, 0, _ALLOW))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    libc.prctl(_SECCOMP, _FILTER, struct.pack("HxxxxxxP", len(code), ctypes.addressof(program)), 0, 0)


def main(file: str, token: str, seconds: str, megabytes: str) -> int:
    _limits(int(seconds), int(megabytes))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_WITH_PARENT, signal.SIGKILL, 0, 0, 0)  # a run that is killed leaves no program behind
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _landlock(libc)
        _seccomp(libc)
    sys.argv = [file]
    del sys.orig_argv[1:]  # the token was there
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
