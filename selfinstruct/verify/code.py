"""Programs for the sandbox: an answer's code with the tests of its row, or an answer's text with the row's checks."""

from __future__ import annotations

import re

from selfinstruct.errors import ParseError

_FENCE = re.compile(
    r"^[ \t]{0,3}```[ \t]*([\w+#.-]{0,20})[^\n]{0,80}\n(.*?)^[ \t]{0,3}```", re.MULTILINE | re.DOTALL
)
_DEFINES = re.compile(r"^[ \t]{0,40}(?:async[ \t]{1,9})?(?:def|class)[ \t]", re.MULTILINE)
_PYTHON = {"", "python", "py", "python3", "py3"}


def code(text: str) -> str:
    """The Python of an answer: the first fenced block that defines something, else the first one; without any fence,
    the whole text. Raises ParseError `no_answer` when there is nothing, or only blocks in other languages.
    """
    if "```" not in text:
        if text.strip():
            return text
        raise ParseError("no_answer", "no code")
    blocks = [match[2] for match in _FENCE.finditer(text) if match[1].lower() in _PYTHON]
    if not blocks:
        raise ParseError("no_answer", "no whole block of Python")
    return next((block for block in blocks if _DEFINES.search(block)), blocks[0])


def with_tests(answer: str, tests: str) -> str:
    """The answer's code, then the row's tests. `response` is the whole answer, for tests that look at it."""
    return f"{code(answer)}\nresponse = {answer!r}\n{tests}\n"


def with_check(answer: str, check: str) -> str:
    """One check of the row, a function `evaluate(response)`, and what it must say of the answer."""
    return f"{check}\nassert evaluate({answer!r}), 'evaluate: no'\n"
