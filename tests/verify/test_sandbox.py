"""The sandbox: programs that pass, fail, and try to get out."""

from __future__ import annotations

import os
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
    "trace": "import ctypes, os\nassert ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0\n",
}


@pytest.mark.skipif(guards() != ALL, reason=f"this system lacks guards: {guards()}")
@pytest.mark.parametrize("way", ESCAPES)
def test_there_is_no_way_out_where_all_guards_are(way: str) -> None:
    assert run(ESCAPES[way]).outcome == "failed"


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
