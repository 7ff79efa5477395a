"""UltraChat's `paper` on recorded conversations of people (OASST): two recorded speakers, and what the step makes.

Compared: the longest thread of each of 65 trees, 125 exchanges. Each comes out as it was recorded, without the seven
exchanges whose user turn only thanks or greets (read by hand). Differences: 0.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from given import given

from selfinstruct.pipeline import execute
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.ultrachat import ultrachat
from selfinstruct.teachers import Completion, Request, Teacher

SHARED = Path(__file__).parents[3] / "shared" / "data" / "permissive"
FILES = ("human/oasst2_ranked_trees.jsonl.gz", "chat/oasst_en_tree_40.jsonl.gz")
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recorded rows lie beside the repository, not in it"
)


def longest(node: dict[str, Any]) -> list[Message]:
    """The longest thread below a node, the first of equals."""
    here = Message("user" if node["role"] == "prompter" else "assistant", node["text"].strip())
    return [here, *max(map(longest, node.get("replies", [])), key=len, default=[])]


def threads() -> list[list[Message]]:
    found = []
    for file in FILES:
        for line in gzip.decompress((SHARED / file).read_bytes()).splitlines():
            thread = longest(json.loads(line)["prompt"])
            found.append(thread if thread[-1].role == "assistant" else thread[:-1])
    return found


# Read by hand: of all that people say in these threads, this asks for nothing.
THANKS = {
    "Thank you! :)",
    "Thank you for recommendations!",
    "Cool. Thank you for that!",
    "hey",
    "Thanks!",
    "Pretty good.Thanks",
    "I want to thank you for your deep work",
}


class Recorded:
    """Says what was recorded after what it is shown."""

    structured = False
    raw = False

    def __init__(self, model: str, recorded: list[list[Message]], shown: Callable[[Request], str]) -> None:
        self.model = model
        self.shown = shown
        self.next = {
            block(thread[:place]): thread[place].content
            for thread in recorded
            for place in range(1, len(thread))
        }

    async def complete(self, request: Request) -> Completion:
        return Completion(self.next[self.shown(request)])

    async def close(self) -> None: ...


def block(messages: list[Message]) -> str:
    """A conversation as the user's prompt shows it."""
    return "".join(
        f"{'human' if message.role == 'user' else 'assistant'}: {message.content}\n\n" for message in messages
    )


def heard(request: Request) -> str:
    text = request.messages[-1].content
    return text.partition(" conversation>\n")[2].rpartition("</")[0]


def test_recorded_conversations_come_out_without_thanks(
    tmp_path: Path, play: Callable[[Teacher], str]
) -> None:
    recorded = threads()
    assert len(recorded) == 65
    user = play(Recorded("user", recorded, heard))
    assistant = play(Recorded("assistant", recorded, lambda request: block(list(request.messages))))
    compared = removed = 0
    for rounds in sorted({len(thread) // 2 for thread in recorded}):
        same = [thread for thread in recorded if len(thread) == 2 * rounds]
        outcome = execute(
            [
                given([Sample(tuple(thread[:1])) for thread in same]),
                ultrachat(low=rounds, high=rounds, fidelity="paper"),
            ],
            out=tmp_path / str(rounds),
            teacher=assistant,
            user=user,
        )
        assert len(outcome.samples) == len(same)
        for thread, row in zip(same, outcome.samples, strict=True):
            pairs = list(zip(thread[::2], thread[1::2], strict=True))
            kept = [pair for pair in pairs if pair[0].content not in THANKS]
            assert list(row.messages) == [message for pair in kept for message in pair]
            compared += len(pairs)
            removed += len(pairs) - len(kept)
    assert (compared, removed) == (125, 7)
