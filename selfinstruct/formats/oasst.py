"""Message trees of OpenAssistant (Köpf et al. 2023): a question, its answers, the questions that follow each answer...

People ranked the answers to a question (rank 0 is the best). `sample` takes the best conversation out of a tree,
`pairs` the best and the worst answer to each question. What was deleted, or failed its review, is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfinstruct.errors import DataError
from selfinstruct.formats import chat
from selfinstruct.sample import Message, Sample

Node = Mapping[str, Any]
_NEXT = {"prompter": "assistant", "assistant": "prompter"}


def knows(row: Mapping[str, Any]) -> bool:
    return "message_tree_id" in row


def sample(row: Mapping[str, Any]) -> Sample:
    """The conversation along the best ranked answers: at each question the best answer, and after it the first question
    that was answered. A tree without answers waits for one. Raises DataError without place.
    """
    path = [_root(row)]
    while answers := _replies(path[-1]):
        path.append(answers[0])
        more = [question for question in _replies(path[-1]) if _replies(question)]
        if not more:
            break
        path.append(more[0])
    return Sample(_said(path), meta={**_about(row), "message_id": path[-1].get("message_id")})


def pairs(row: Mapping[str, Any]) -> list[Sample]:
    """For each question with two answers of different rank, the best as the answer and the worst as `rejected`.

    Raises DataError without place.
    """
    found = []
    open_paths = [[_root(row)]]
    while open_paths:
        path = open_paths.pop()
        replies = _replies(path[-1])
        open_paths += [[*path, reply] for reply in reversed(replies)]
        ranked = [reply for reply in replies if reply.get("rank") is not None]
        if path[-1]["role"] == "prompter" and ranked and ranked[0]["rank"] < ranked[-1]["rank"]:
            best, worst = ranked[0], ranked[-1]
            meta = {
                **_about(row),
                "message_id": best.get("message_id"),
                "rejected_id": worst.get("message_id"),
            }
            found.append(Sample(_said([*path, best]), worst["text"], meta=meta))
    return found


def _root(row: Mapping[str, Any]) -> Node:
    if "prompt" not in row:
        raise DataError(
            "is one message, not a tree of them",
            "take the file of whole trees, which is named ...trees.jsonl.gz",
        )
    root = _node(row["prompt"], "prompter")
    if not _usable(root):
        raise DataError("its first message is empty or was deleted", "remove the row")
    return root


def _replies(node: Node) -> list[Node]:
    """The replies that can be used, the best ranked first; those without a rank follow in their order."""
    replies = node.get("replies")
    if not isinstance(replies, list | None):
        raise DataError(f"the `replies` of {_name(node)} are no list", "mend or remove the row")
    found = [_node(reply, _NEXT[node["role"]]) for reply in replies or ()]
    return sorted(filter(_usable, found), key=lambda each: (each.get("rank") is None, each.get("rank") or 0))


def _node(value: Any, role: str) -> Node:
    if not isinstance(value, Mapping) or not isinstance(value.get("text"), str):
        raise DataError(
            "holds a message without text", 'each is {"text": ..., "role": ..., "replies": [...]}'
        )
    if value.get("role") != role:
        raise DataError(
            f"{_name(value)} is by {value.get('role')!r}, where {role} has its turn", "mend or remove the row"
        )
    rank = value.get("rank")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int)):
        raise DataError(
            f"the `rank` of {_name(value)} is {rank!r}", "a rank is a whole number, 0 is the best"
        )
    return value


def _usable(node: Node) -> bool:
    return not node.get("deleted") and node.get("review_result") is not False and bool(node["text"].strip())


def _name(node: Node) -> str:
    return f"message {str(node.get('message_id') or node.get('text'))[:40]!r}"


def _said(path: Sequence[Node]) -> tuple[Message, ...]:
    return tuple(Message(chat.SPEAKERS[node["role"]], node["text"]) for node in path)


def _about(row: Mapping[str, Any]) -> dict[str, Any]:
    lang = row["prompt"].get("lang")
    return {**({} if lang is None else {"lang": lang}), **chat.rest(row, "prompt")}
