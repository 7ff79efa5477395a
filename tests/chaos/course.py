"""A pipeline in a process of its own, asking a server of ours that counts what it is paid for; to be killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from fakes import ROOT, python
from loopback import Loopback

from selfinstruct.store import FILE, Store

CONCURRENCY = 8
PIPELINE = """
import os, pathlib, signal, sys
from selfinstruct.pipeline import execute
from selfinstruct.steps import alpaca, judge, read, select, write

seeds, url, out, torn = sys.argv[1:]
if torn:  # the process dies in the moment that this exported file would appear
    replace = pathlib.Path.replace
    def tear(self, target):
        if pathlib.Path(target).name == torn:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)
    pathlib.Path.replace = tear

execute(
    [
        read(path=seeds),
        alpaca(n=60, window=12),
        judge(max_unscored=1.0, window=24),
        select(k=40),
        write(),
    ],
    name="crash",
    out=out,
    teacher={"model": "openai/test", "base_url": url, "endpoint": "loop", "concurrency": 8},
)
print("done")
"""


# many prompts, one answer each, by the command line
ANSWERS = """
import pathlib, sys
from selfinstruct.cli import main

prompts, url, out, _ = sys.argv[1:]
pipeline = pathlib.Path(f"{out}.yaml")
pipeline.write_text(f'''
name: answers
teacher: {{model: openai/test, base_url: "{url}", endpoint: loop, concurrency: 20}}
steps:
  - read: {{path: "{prompts}"}}
  - respond: {{window: 40}}
  - write
''')
sys.argv[1:] = ["run", str(pipeline), "--out", out]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
print("done")
"""


class Course:
    """A pipeline in a process of its own, asking a server of ours that counts what it is paid for."""

    def __init__(
        self, folder: Path, server: Loopback, pipeline: str = PIPELINE, source: Path | None = None
    ) -> None:
        self.folder = folder
        self.server = server
        self.signalled = 0.0  # when the last signal was sent (monotonic seconds)
        self._pipeline = pipeline
        self._source = source or ROOT / "seeds" / "seed_tasks.jsonl"

    def start(self, torn: str = "") -> subprocess.Popen[str]:
        return python("-c", self._pipeline, str(self._source), self.server.url, str(self.folder), torn)

    def finish(self) -> None:
        process = self.start()
        out, err = process.communicate(timeout=60)
        assert out.endswith("done\n"), err

    def stop_when(self, ripe: Callable[[], bool], how: signal.Signals, *, may_end: bool = False) -> int:
        """The exit status of a process that is sent the signal as soon as it is `ripe`, or that `may_end` before."""
        process = self.start()
        try:
            while not ripe():
                if process.poll() == 0 and may_end:
                    break
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.0005)
            self.signalled = time.monotonic()
            process.send_signal(how)
            process.communicate(timeout=30)
        finally:
            process.kill()
        self.settle()
        return process.returncode

    def stop_at(self, paid: int, how: signal.Signals, *, within: float = 60.0) -> int:
        """The same, when the server has been paid so often, or after so many seconds."""
        deadline = time.monotonic() + within
        return self.stop_when(lambda: self.paid >= paid or time.monotonic() > deadline, how, may_end=True)

    def settle(self) -> None:
        """Let the server end what it has begun for a client that is gone."""
        while self.server.in_flight:
            time.sleep(0.002)

    @property
    def paid(self) -> int:
        return len(self.server.paid)

    @property
    def filed(self) -> int:
        if not (self.folder / FILE).is_file():
            return 0
        with Store.read(self.folder) as store:
            return store.spent().calls

    @property
    def lost(self) -> int:
        """Answers that were paid for and are not in the store."""
        return self.paid - self.filed

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((self.folder / "dataset").iterdir())}
