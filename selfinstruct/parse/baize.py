"""Baize's transcripts: [Human] and [AI] marks (Xu et al. 2023, collect.py and preprocess.py)."""

from __future__ import annotations

import re

from selfinstruct.errors import ParseError
from selfinstruct.sample import Message, Role

_MARK = re.compile(
    r"^[ \t]{0,8}(?:[-*#>]{1,3}[ \t]{1,8})?(?:\*\*|__)?\[\|?(human|user|ai|assistant|ai assistant)\|?\]"
    r"(?:\*\*|__)?[ \t]{0,8}:?(?:\*\*|__)?",
    re.IGNORECASE | re.MULTILINE,
)


def transcript(text: str, *, cut: bool) -> tuple[list[Message], ParseError | None]:
    """The whole exchanges of a transcript, and what ended it before its end, if anything did.

    A mark counts at the start of a line, in any case, bold, with |...| or a colon. What stands before the first mark is
    no part of the conversation. `cut` says that the completion ended at max_tokens, which makes the last turn a
    fragment. What ends it: truncated, unanswered (the last turn is the human's), speaker_twice, empty_turn.

    Raises ParseError: no_marks, ai_first, or what ended it, when not one exchange is whole.
    """
    heads = list(_MARK.finditer(text))
    if not heads:
        raise ParseError("no_marks", text[:80])
    ends = [*(head.start() for head in heads[1:]), len(text)]
    turns = [(_role(head[1]), text[head.end() : end].strip()) for head, end in zip(heads, ends, strict=True)]
    if turns[0][0] == "assistant":
        raise ParseError("ai_first", turns[0][1][:80])
    talk: list[Message] = []
    fault = None
    if cut:
        turns.pop()
        fault = ParseError("truncated", "the completion ended inside a turn")
    for role, said in turns:
        if role == (talk[-1].role if talk else "assistant"):
            fault = ParseError("speaker_twice", said[:80])
            break
        if not said:
            fault = ParseError("empty_turn", role)
            break
        talk.append(Message(role, said))
    if talk and talk[-1].role == "user":
        fault = fault or ParseError("unanswered", talk[-1].content[:80])
        talk.pop()
    if not talk:
        assert fault is not None
        raise fault
    return talk, fault


def _role(name: str) -> Role:
    return "user" if name.lower() in ("human", "user") else "assistant"


def transcript_paper(text: str) -> list[Message]:
    """Baize's own rule: pieces between "[Human]", wherever that stands, without the first and the last one; each must
    hold "[AI]" exactly once, or the conversation ends before it. So the last exchange is always lost, and a mark inside
    a text ends the conversation. Raises ParseError: no_exchange.
    """
    talk: list[Message] = []
    for piece in text.split("[Human]")[1:-1]:
        parts = piece.split("[AI]")
        if len(parts) != 2:
            break
        talk += [Message("user", parts[0].strip()), Message("assistant", parts[1].strip())]
    if not talk:
        raise ParseError("no_exchange", text[:80])
    return talk
