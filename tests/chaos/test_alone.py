"""One process at a time, nothing but loopback, and rows that add up whatever the steps."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from course import ANSWERS, Course
from fakes import PATHS, ROOT, own_steps, python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import Loopback
from trials import Answerer, written

from selfinstruct.pipeline import execute
from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Samples, filter, step
from selfinstruct.steps import novelty, select, words

SECOND = """
import sys, time
from pathlib import Path
from selfinstruct.errors import StoreError
from selfinstruct.store import Store

began = time.perf_counter()
try:
    Store.open(Path(sys.argv[1]))
except StoreError as error:
    print(time.perf_counter() - began, error.message)
"""


def test_r4_five_processes_one_works(tmp_path: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    written(100, source)
    with Loopback(Answerer(), latency=0.2) as server:
        course = Course(tmp_path / "run", server, ANSWERS, source)
        first = course.start()
        while not course.paid:
            time.sleep(0.002)
        others = [python("-c", SECOND, str(course.folder)) for _ in range(4)]
        for other in others:
            out, err = other.communicate(timeout=60)
            seconds, _, said = out.partition(" ")
            assert float(seconds) < 1, err
            assert f"process {first.pid} on " in said
            assert "is working on this run" in said
        assert first.communicate(timeout=60)[0].endswith("done\n")
        assert course.paid == course.filed == 100


ISOLATED = """
import sys
from pathlib import Path
from loopback import Loopback
from trials import Answerer, ask
with Loopback(Answerer(), latency=0.001) as server:
    print(len(ask(Path(sys.argv[1]), server, 20).samples))
"""


def test_r20_no_network_but_loopback(tmp_path: Path) -> None:
    """In a network of its own, in which only loopback is up."""
    unshare = shutil.which("unshare")
    inside = [unshare or "unshare", "--net", "--map-root-user", "sh", "-c"]
    up = "ip link set lo up"
    if unshare is None or subprocess.run([*inside, up], capture_output=True, check=False).returncode:
        pytest.skip("needs unshare and ip, and the right to make a network namespace")
    path = ":".join(map(str, PATHS))
    offline = f"{sys.executable} -m selfinstruct run {ROOT}/pipelines/alpaca.yaml --set alpaca.n=30 --out {tmp_path}/a"
    served = f"{sys.executable} -c '{ISOLATED}' {tmp_path}/b"
    done = subprocess.run(
        [*inside, f"{up} && {offline} && {served}"],
        env={"PYTHONPATH": path, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("20\n")
    assert done.stderr == ""


with own_steps():

    @step
    async def multiplied(run: Run, samples: Samples, *, times: int) -> Samples:
        """Each row and so many copies of it with another number; every fifth is dropped as a text."""
        async for sample in samples:
            yield sample
            for copy in range(times):
                run.made()
                if run.rng(sample.id, copy).random() < 0.2:
                    run.drop(f"{sample.instruction} {copy}", "unlucky")
                else:
                    yield Sample.of(f"{sample.instruction} {copy}", "", sample.output).score(accuracy=copy)

    @filter
    def sometimes(sample: Sample, *, seed: int) -> str | None:
        """Drop a third, by chance."""
        return "chance" if random.Random(f"{seed}{sample.instruction}").random() < 0.3 else None

    @step
    async def source(run: Run, samples: Samples, *, rows: int) -> Samples:
        """Rows of a few words."""
        async for sample in samples:
            yield sample
        for i in range(rows):
            run.made()
            yield Sample.of(" ".join(f"w{i * k % 7}" for k in range(1, 3 + i % 9)), "", "answer").score(
                accuracy=i % 5
            )


makes = st.one_of(
    st.integers(0, 3).map(lambda times: multiplied(times=times)),
    st.integers(0, 9).map(lambda seed: sometimes(seed=seed)),
    st.tuples(st.integers(1, 4), st.integers(4, 9)).map(lambda pair: words(low=pair[0], high=pair[1])),
    st.sampled_from([0.3, 0.7, 1.0]).map(lambda threshold: novelty(threshold=threshold)),
    st.integers(1, 20).map(lambda k: select(k=k)),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 40), chain=st.lists(makes, max_size=6))
def test_r16_rows_add_up_at_every_step(tmp_path: Path, rows: int, chain: list[object]) -> None:
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    outcome = execute([source(rows=rows), *chain], out=tmp_path / "run")  # type: ignore[list-item]
    before = 0
    for row in outcome.funnel.steps:
        assert row.came == before
        assert row.came + row.made == row.kept + row.dropped
        assert row.pending == 0
        before = row.kept
    assert len(outcome.samples) == before
