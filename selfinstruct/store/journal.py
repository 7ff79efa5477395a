"""The journal of batches at the providers: written before one is handed in, so that after a crash it is found again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from selfinstruct.store import Store
from selfinstruct.store.layout import BATCHES, insert, sealed
from selfinstruct.store.records import Batch
from selfinstruct.teachers import Request


class Journal:
    """A store's table `batches`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, model: str, mark: str, sent: float, requests: Sequence[Request]) -> Batch:
        """Write down that a batch is about to be handed in; it is on disk when this returns."""
        n = 1 + self._store._one("SELECT coalesce(max(n), 0) FROM batches")[0]
        text = json.dumps([request.to_row() for request in requests])
        with self._store._commit() as db:
            db.execute(
                insert("batches"), sealed("batches", (n, model, mark, text, "", "intent", float(sent)))
            )
        return Batch(n, model, mark, tuple(requests), "", "intent", sent)

    def mark(self, n: int, remote: str, state: str) -> None:
        """Write down what became of a batch."""
        row = self._store._one(f"SELECT {', '.join(BATCHES)}, seal FROM batches WHERE n = ?", (n,))  # noqa: S608
        n, model, mark, text, _, _, sent = self._store._whole("batches", row)
        with self._store._commit() as db:
            db.execute(
                insert("batches", how="INSERT OR REPLACE"),
                sealed("batches", (n, model, mark, text, remote, state, sent)),
            )

    def unfinished(self, model: str) -> list[Batch]:
        """Those of a model that are not known to have ended, oldest first."""
        found = []
        open = "model = ? AND state IN ('intent', 'sent') ORDER BY n"
        for row in self._store._all(f"SELECT {', '.join(BATCHES)}, seal FROM batches WHERE {open}", (model,)):  # noqa: S608
            n, model, mark, text, remote, state, sent = self._store._whole("batches", row)
            found.append(
                Batch(n, model, mark, tuple(map(Request.from_row, json.loads(text))), remote, state, sent)
            )
        return found

    def remotes(self) -> list[str]:
        """The providers' names of all batches in the journal."""
        return [remote for (remote,) in self._store._all("SELECT remote FROM batches WHERE remote != ''")]
