"""The sandbox: programs that pass, fail, and try to get out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from selfinstruct.errors import ConfigError, ParseError
from selfinstruct.verify import sandbox
from selfinstruct.verify.code import code, with_check, with_tests
from selfinstruct.verify.sandbox import Guards, guards, run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no resource limits here")
ALL = Guards(network=True, processes=True, files=True)


@pytest.mark.parametrize(
    ("program", "outcome", "detail"),
    [
        ("x = 1 + 1\nassert x == 2\n", "passed", ""),
        ("import dataclasses, heapq, math, re, typing\n", "passed", ""),
        ("print('中文 ' * 10)\n", "passed", ""),
        ("1 / 0\n", "failed", "ZeroDivisionError: division by zero"),
        ("def f(:\n", "failed", "SyntaxError: invalid syntax"),
        ("raise AssertionError('no')\n", "failed", "AssertionError: no"),
        ("import sys\nsys.exit(0)\n", "unfinished", ""),
        ("import os\nos._exit(0)\n", "unfinished", ""),
        ("input()\n", "failed", "EOFError"),
        ("x = 'a' * 10**10\n", "failed", "MemoryError"),
        ("def f(n): return f(n + 1)\nf(0)\n", "failed", "RecursionError"),
        ("print('y' * 10**7)\n", "failed", "File too large"),
        ("open('x', 'w').write('y' * 10**7)\n", "failed", "File too large"),
        ("import os\nassert not [k for k in os.environ if k != 'LC_CTYPE'], os.environ\n", "passed", ""),
        ("import os\nassert os.listdir() == ['answer.py']\n", "passed", ""),
        ("x = '\ud800'\n", "passed", ""),
        ("import rapidfuzz\n", "failed", "No module named"),
        ("import selfinstruct\n", "failed", "No module named"),
    ],
)
def test_how_a_program_ends(program: str, outcome: str, detail: str) -> None:
    ran = run(program)
    assert ran.outcome == outcome, ran
    assert detail in ran.detail


def test_a_loop_ends() -> None:
    began = time.monotonic()
    assert run("while True: pass\n", seconds=1).outcome == "timeout"
    assert run("import time\ntime.sleep(60)\n", seconds=1).outcome == "timeout"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("seconds", [1])
def test_a_program_that_fills_its_folder_leaves_nothing(
    seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("for n in range(50): open(str(n), 'w').write('x')\n", seconds=seconds)
    assert list(tmp_path.iterdir()) == []


ESCAPES = {
    "socket": "import socket\nsocket.socket()\n",
    "fork": "import os\nos.fork()\n",
    "thread": "import threading\nthreading.Thread(target=print).start()\n",
    "program": "import subprocess\nsubprocess.run(['/bin/true'])\n",
    "exec": "import os\nos.execv('/bin/true', ['true'])\n",
    "passwords": "open('/etc/passwd').read()\n",
    "environment of the parent": "import os\nopen(f'/proc/{os.getppid()}/environ').read()\n",
    "own command line": "open('/proc/self/cmdline').read()\n",
    "above": "open('../out', 'w')\n",
    "link": "import os\nos.symlink('/etc/passwd', 'p')\nopen('p').read()\n",
    "kill": "import os\nos.kill(os.getppid(), 9)\n",
    "limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (10**6, 10**6))\n",
    "home": "import os\nos.listdir(os.path.expanduser('~'))\n",
    "mode of a file": "import os\nos.chmod({victim!r}, 0o777)\n",
    "times of a file": "import os\nos.utime({victim!r}, (0, 0))\n",
    "attributes of a file": "import os\nos.setxattr({victim!r}, b'user.a', b'b')\n",
    "cut": "import os\nos.truncate({victim!r}, 0)\n",
    "priority": "import os\nos.setpriority(os.PRIO_PROCESS, os.getppid(), 1)\n",
    "processors": "import os\nos.sched_setaffinity(os.getppid(), {0})\n",
    "owner of a pipe": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())\n",
    "signal of a pipe": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 10, 9)\n",
    "memory that stays": "import ctypes\nassert ctypes.CDLL(None).shmget(0, 2**20, 0o1600) >= 0\n",
    "token": "import os, sys\nos.write(1, sys.orig_argv[-3].encode())\nos._exit(0)\n",
    "trace": "import ctypes, os\nassert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0\n",
}


@pytest.mark.skipif(guards() != ALL, reason=f"this system lacks guards: {guards()}")
@pytest.mark.parametrize("way", ESCAPES)
def test_there_is_no_way_out_where_all_guards_are(way: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("x")
    assert run(ESCAPES[way].replace("{victim!r}", repr(str(victim)))).outcome == "failed"


def test_what_a_program_may_do_with_its_own_files() -> None:
    assert run(
        "import fcntl, json, os, pathlib, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    path = pathlib.Path(folder, 'a.json')\n"
        "    path.write_text(json.dumps([1]))\n"
        "    assert json.loads(path.read_text()) == [1]\n"
        "    with path.open('r+') as file:\n"
        "        fcntl.flock(file, fcntl.LOCK_EX)\n"
        "        fcntl.fcntl(file, fcntl.F_SETFD, fcntl.FD_CLOEXEC)\n"
        "        file.truncate(0)\n"
        "    os.rename(path, 'b')\n"
    ) == sandbox.Ran("passed")


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("import os\nfor i in range(3000):\n    os.mkdir('a')\n    os.chdir('a')\n", "killed"),
        ("import os\nos.umask(0o777)\nos.mkdir('a')\nopen('b', 'w').close()\n", "passed"),
        ("import os\nos.chmod('.', 0)\n", "failed"),
        ("i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * 2**20)\n    i += 1\n", "killed"),
        ("i = 0\nwhile True:\n    open(str(i), 'wb').close()\n    i += 1\n", "killed"),
    ],
)
def test_whatever_a_program_does_to_its_folder_nothing_is_left(
    program: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ran = run(program)
    assert list(tmp_path.iterdir()) == []
    assert ran.outcome == outcome or guards() != ALL, ran


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends with its parent")
def test_a_program_ends_with_the_run_that_started_it(tmp_path: Path) -> None:
    """A program that sleeps spends no processor time, so no limit would end it."""
    mark = f"{tmp_path.name}-{os.getpid()}"
    host = "import sys\nfrom selfinstruct.verify.sandbox import run\nrun(sys.argv[1], seconds=60)\n"
    program = f"import time\nopen('{mark}', 'w').close()\ntime.sleep(600)\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", host, program], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        until = time.monotonic() + 30
        while not list(tmp_path.glob(f"*/inside/{mark}")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert _jails(tmp_path)
    finally:
        parent.kill()
        parent.wait()
    until = time.monotonic() + 10
    while _jails(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)


def _jails(folder: Path) -> list[int]:
    """The processes that work somewhere below a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (each / "cwd").readlink().is_relative_to(folder):
                found.append(int(each.name))
    return found


def test_the_guards_can_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the jail's guards the probes see that, and that nothing runs at all."""
    for outcome in ("passed", "failed"):
        guards.cache_clear()
        monkeypatch.setattr(sandbox, "run", lambda program, outcome=outcome, **_: sandbox.Ran(outcome))
        try:
            if outcome == "passed":
                assert guards() == Guards(network=False, processes=False, files=False)
            else:
                with pytest.raises(ConfigError, match="the sandbox runs nothing here"):
                    guards()
        finally:
            guards.cache_clear()


BLOCKS = "Here is how:\n```bash\npip install x\n```\n```python\nprint(1)\n```\n```python\ndef f():\n    return 2\n```\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("def f(): ...\n", "def f(): ...\n"),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```\nx = 1\n```\nDone.", "x = 1\n"),
        (BLOCKS, "def f():\n    return 2\n"),
    ],
)
def test_the_code_of_an_answer(text: str, found: str) -> None:
    assert code(text) == found


@pytest.mark.parametrize("text", ["", "  \n", "```js\nx\n```", "```python\nx = 1"])
def test_an_answer_without_code(text: str) -> None:
    with pytest.raises(ParseError, match="no_answer"):
        code(text)


def test_code_is_run_with_its_tests() -> None:
    answer = "Sure!\n```python\ndef double(n):\n    return 2 * n\n```\nIt doubles."
    assert run(with_tests(answer, "assert double(4) == 8")).outcome == "passed"
    assert run(with_tests(answer, "assert double(4) == 9")).outcome == "failed"
    assert run(with_tests(answer, "assert 'doubles' in response")).outcome == "passed"
    emoji = "x = 1  # 😀 '\""
    assert (
        run(with_tests(emoji, "assert response.index('😀') == 9 and len(response) == 13")).outcome == "passed"
    )


def test_a_check_says_yes_or_no() -> None:
    check = "def evaluate(response):\n    return len(response.split()) < 4"
    assert run(with_check('three "short" words', check)).outcome == "passed"
    assert run(with_check("these are rather more words\n'''", check)).outcome == "failed"
    assert run(with_check("x", "def nothing(): ...")).outcome == "failed"
