"""Conversations -> token rows whose labels cover answers and their end token only; gates; the seeded split."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.sample import digest
from selfinstruct.train import Chat, Progress, silent
from selfinstruct.train.chat import control_tokens, render, tokenize

Turns = Literal["every", "last"]
MASKED = -100  # torch's cross_entropy ignores it
_BLOCK = 1000  # conversations rendered between two reports of progress
_SHOWN = 3  # rows decoded for the eye


@dataclass(frozen=True, slots=True)
class Row:
    """One training row: token `ids`, of which those from `start` on are learnt; the last one is the end token."""

    ids: list[int]
    start: int

    @property
    def labels(self) -> list[int]:
        return [MASKED] * self.start + self.ids[self.start :]


def digest_rows(rows: Sequence[Row]) -> str:
    """Names the rows: equal for the same token ids and labels in the same order."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(array("q", [row.start, len(row.ids), *row.ids]).tobytes())
    return sha.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Refused:
    """A conversation that must not be trained on: its place in the input, a slug and JSON facts."""

    index: int
    reason: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """What `encode` made of the conversations. `facts` are counts for the record."""

    rows: list[Row]
    refused: list[Refused]
    facts: dict[str, Any]


def held_out(chat: Chat, share: float, seed: int) -> bool:
    """Whether a conversation belongs to the held-out `share` (0 to 1).

    Decided by a digest of the seed and of everything before the last answer: it holds for that question whatever else
    is in the set, and all answers to one question fall on one side.
    """
    question = [[m["role"], m["content"]] for m in (chat[:-1] if chat[-1]["role"] == "assistant" else chat)]
    return int(digest([seed, question])[:13], 16) < share * 16**13


def encode(
    tokenizer: Any, chats: Sequence[Chat], *, limit: int, turns: Turns = "every", progress: Progress = silent
) -> Rows:
    """Render, tokenise and label conversations with the tokenizer's chat template.

    Each assistant turn (or the last one) makes one row of everything before it and itself, cut after its end token.
    Prompt and answer are tokenised together and the answer starts where that leaves the prompt's own tokens, as in
    TRL; what the template writes after the end token is not learnt. No answer is ever cut: a conversation with a row
    of more than `limit` tokens is refused (`too_long_for_student`), as are those without an answer (`unanswered`),
    with an empty one (`empty_answer`), with a control token in somebody's words (`control_token`) and those that the
    template doesn't take (`template_refused`).

    Args:
        tokenizer: settled by `chat.settle`.
        chats: the conversations, in order.
        limit: tokens that a row may have.
        turns: `every` assistant turn makes a row, or the `last` one.
        progress: called now and then.

    Raises:
        ConfigError: a gate fails: a row without its end token, or with more than one token of beginning.
        DataError: no row is left.
    """
    controls = control_tokens(tokenizer)
    end: int = tokenizer.eos_token_id
    rows: list[Row] = []
    refused: list[Refused] = []
    torn = 0
    for low in range(0, len(chats), _BLOCK):
        progress(low, len(chats), "rendering and tokenising")
        rendered: list[tuple[int, str, str]] = []
        for index, chat in enumerate(chats[low : low + _BLOCK], start=low):
            texts = _render(tokenizer, chat, turns, controls)
            if isinstance(texts, tuple):
                refused.append(Refused(index, *texts))
            else:
                rendered += [(index, asked, whole) for asked, whole in texts]
        prompts = tokenize(tokenizer, [asked for _, asked, _ in rendered])
        wholes = tokenize(tokenizer, [whole for _, _, whole in rendered])
        fresh: dict[int, list[Row]] = {}
        for (index, _, whole), prompt, ids in zip(rendered, prompts, wholes, strict=True):
            start = _shared(prompt, ids)
            torn += start < len(prompt)
            fresh.setdefault(index, []).append(_row(tokenizer, ids, start, end, whole))
        for index, made in fresh.items():
            longest = max(len(row.ids) for row in made)
            if longest > limit:
                refused.append(Refused(index, "too_long_for_student", {"tokens": longest, "limit": limit}))
            else:
                rows += made
    progress(len(chats), len(chats), "rendering and tokenising")
    if not rows:
        raise none_left(chats, refused)
    refused.sort(key=lambda each: each.index)
    return Rows(rows, refused, _facts(tokenizer, rows, torn))


def none_left(chats: Sequence[Chat], refused: Sequence[Refused]) -> DataError:
    """The error for a set of which nothing can be trained on."""
    reasons = Counter(each.reason for each in refused)
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(reasons.items()))
    return DataError(
        f"no row is left to train on: {len(chats)} came" + (f" ({why})" if why else ""),
        "samples must be answered and fit into `max_length`; see the drop reasons of the steps before",
    )


def _render(
    tokenizer: Any, chat: Chat, turns: Turns, controls: Sequence[str]
) -> list[tuple[str, str]] | tuple[str, dict[str, Any]]:
    """(prompt, prompt and answer) of each turn that is learnt, or why the conversation is refused."""
    import jinja2

    if not chat or chat[-1]["role"] != "assistant":
        return "unanswered", {}
    places = [i for i, m in enumerate(chat) if m["role"] == "assistant" and i > 0]
    if turns == "last" or not places:
        places = places[-1:]
    if not places or any(not chat[i]["content"].strip() for i in places):
        return ("empty_answer", {}) if places else ("unanswered", {})
    for message in chat:
        for control in controls:
            if control in message["content"]:
                return "control_token", {"token": control}
    try:
        return [
            (render(tokenizer, chat[:i], ask=True), render(tokenizer, chat[: i + 1], ask=False))
            for i in places
        ]
    except jinja2.TemplateError as error:
        return "template_refused", {"error": str(error)}


def _shared(prompt: list[int], whole: list[int]) -> int:
    if whole[: len(prompt)] == prompt:
        return len(prompt)
    return next(i for i, (a, b) in enumerate(zip([*prompt, -1], [*whole, -2], strict=False)) if a != b)


def _row(tokenizer: Any, ids: list[int], start: int, end: int, text: str) -> Row:
    """The row up to its end token, past the gates."""
    last = len(ids) - 1
    while last >= start and ids[last] != end:
        last -= 1
    if last < start:
        raise ConfigError(
            f"the chat template leaves an answer without its end token {tokenizer.eos_token!r}: {text[-200:]!r}",
            "end every assistant turn with that token, or the student will never stop",
        )
    bos = tokenizer.bos_token_id
    if bos is not None and bos != end and ids.count(bos) > 1:
        raise ConfigError(
            f"the chat template writes {tokenizer.bos_token!r} {ids.count(bos)} times in one row: {text[:200]!r}",
            "let the template write it once",
        )
    return Row(ids[: last + 1], start)


def _facts(tokenizer: Any, rows: list[Row], torn: int) -> dict[str, Any]:
    lengths = sorted(len(row.ids) for row in rows)
    few = min(_SHOWN, len(rows))
    shown = [rows[i * len(rows) // few] for i in range(few)]
    return {
        "rows": len(rows),
        "tokens": sum(lengths),
        "answer_tokens": sum(len(row.ids) - row.start for row in rows),
        "longest_row": lengths[-1],
        "median_row": lengths[len(lengths) // 2],
        "torn_prompts": torn,
        "shown": [
            {
                "asked": tokenizer.decode(row.ids[: row.start]),
                "learnt": tokenizer.decode(row.ids[row.start :]),
            }
            for row in shown
        ],
    }
