"""The plan that a run starts with is kept in its file, and what its steps came to is kept for the next plan; what a
change comes to is said first.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from selfinstruct import pricing, priors
from selfinstruct.actual import FACT
from selfinstruct.budget import dollars
from selfinstruct.errors import SelfInstructError, StoreError
from selfinstruct.funnel import Funnel
from selfinstruct.pipeline import Pipeline, check
from selfinstruct.plan import PlanRow, fact, plan, price_of, seen
from selfinstruct.rehearsal import rehearse
from selfinstruct.store import FILE, Store


def begin(pipeline: Pipeline, folder: Path, today: date) -> tuple[list[PlanRow], dict[str, Any], list[str]]:
    """The plan of what is left to do in that folder, the facts for the run's file, and warnings of old prices. All are
    empty where the pipeline can't be planned: the run's own checks say better why.
    """
    try:
        place = pipeline.place(folder)
        rows = plan(pipeline, place, prior=priors.load())
        before = None
        if (folder / FILE).is_file():
            with Store.read(folder) as store:
                before = store.fact(FACT)
        facts = {FACT: fact(rows, pipeline.fingerprints(place), before)}
    except SelfInstructError:
        return [], {}, []
    return rows, facts, pricing.old((role.price for role in place.roles.values()), today)


def end(pipeline: Pipeline, folder: Path, planned: Sequence[PlanRow], today: date) -> None:
    """Keep what the steps came to that had something to ask."""
    place = pipeline.place(folder)
    with Store.read(folder) as store:
        done = {row.n: seen(row, store.latency(row.n)) for row in Funnel.of(store).steps if row.calls}
    found = {
        priors.key(pipeline.steps[row.n], place, row.estimate.role): done[row.n]
        for row in planned
        if row.asks and row.n in done
    }
    if found:
        priors.keep(found, today)


def free(folder: Path) -> int:
    """Bytes that are free where the folder is, or will be."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.is_dir())
    return shutil.disk_usage(there).free


def foretell(pipeline: Pipeline, folder: Path) -> tuple[str, bool]:
    """Where something has changed since the run on file: what is reused and what is to be asked, in words (else empty),
    and whether that costs. Raises what the checks of a run raise.
    """
    place = pipeline.place(folder)
    check(pipeline, place)
    try:
        found = rehearse(pipeline, place)
    except StoreError:  # the run says why, or brings an older file, or one that was just begun, up to date
        return "", False
    if found is None:
        return "", False
    rows = plan(pipeline, place, prior=priors.load())
    nano = price_of(rows, {part.n: part.asks for part in found.parts if part.asks})
    asks = "nothing to ask"
    if found.asks:
        asks = f"{'' if found.exact else 'at least '}{found.asks:,} to ask, about {dollars(nano)}"
    why = f" ({'; '.join(found.changes)})" if found.changes else ""
    return f"{found.reused:,} answer{'s' * (found.reused != 1)} reused, {asks}{why}", bool(
        found.asks
    ) and nano != 0
