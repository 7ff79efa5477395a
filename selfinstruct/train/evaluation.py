"""Measuring a saved model: greedy answers through its own chat template, exact match, ROUGE-L, likelihood, health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from selfinstruct.errors import ConfigError
from selfinstruct.train import Chat, Progress, hush, silent
from selfinstruct.train.chat import render, settle, tokenize
from selfinstruct.train.data import encode

_BATCH = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked (messages up to the answer), the answer that is right, and the family it is counted under."""

    prompt: Chat
    reference: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model wrote, whether it ended by itself, and how many tokens that took (the end token included)."""

    text: str
    ended: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Replies:
    """One reply to each question, and the log-likelihood of the references: nats, over this many tokens."""

    replies: list[Reply]
    nll: float
    tokens: int


def answers(
    model: str, questions: Sequence[Question], *, max_new_tokens: int, progress: Progress = silent
) -> Replies:
    """Ask a model, loaded from disk, all `questions`: greedily, in batches padded on the left.

    Args:
        model: a folder or a name on the Hub.
        questions: what to ask.
        max_new_tokens: where an answer that doesn't end is cut.
        progress: called after each batch.

    Raises:
        ConfigError: the libraries or the model are missing.
    """
    hush()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    gpu = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        student = AutoModelForCausalLM.from_pretrained(model, dtype="auto" if gpu else "float32")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the model {model!r} can't be opened: {str(error).splitlines()[0]}",
            "give a folder with a model and its tokenizer, or a name on the Hugging Face Hub",
        ) from error
    student = student.to("cuda" if gpu else "cpu").eval()
    known = student.generation_config.eos_token_id
    settle(tokenizer)
    ends = {tokenizer.eos_token_id, *([] if known is None else [known] if isinstance(known, int) else known)}
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
    prompts = tokenize(tokenizer, [render(tokenizer, q.prompt, ask=True) for q in questions])
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    replies: list[Reply] = [Reply("", False, 0)] * len(questions)
    with torch.inference_mode():
        for low in range(0, len(order), _BATCH):
            part = order[low : low + _BATCH]
            batch = tokenizer.pad({"input_ids": [prompts[i] for i in part]}, return_tensors="pt").to(student.device)
            written = student.generate(**batch, generation_config=greedy)[:, batch["input_ids"].shape[1] :].tolist()
            for i, ids in zip(part, written, strict=True):
                replies[i] = _reply(tokenizer, ids, ends)
            progress(low + len(part), len(order), "answering")
        nll, tokens = _likelihood(student, tokenizer, questions)
    return Replies(replies, nll, tokens)


def _reply(tokenizer: Any, ids: list[int], ends: set[int]) -> Reply:
    length = next((n for n, i in enumerate(ids) if i in ends), None)
    text = tokenizer.decode(ids[:length], skip_special_tokens=True).strip()
    return Reply(text, length is not None, len(ids) if length is None else length + 1)


def _likelihood(student: Any, tokenizer: Any, questions: Sequence[Question]) -> tuple[float, int]:
    """Summed over all answer tokens, so that the mean doesn't depend on how they were batched."""
    import torch

    chats = [[*q.prompt, {"role": "assistant", "content": q.reference}] for q in questions if q.reference.strip()]
    if not chats:
        return 0.0, 0
    rows = encode(tokenizer, chats, limit=10**9, turns="last").rows
    rows.sort(key=lambda row: -len(row.ids))
    total, count = 0.0, 0
    for low in range(0, len(rows), _BATCH):
        part = rows[low : low + _BATCH]
        width = len(part[0].ids)
        ids = torch.tensor([row.ids + [tokenizer.pad_token_id] * (width - len(row.ids)) for row in part])
        labels = torch.tensor([row.labels + [-100] * (width - len(row.ids)) for row in part])[:, 1:]
        seen = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in part])
        hidden = student.base_model(
            input_ids=ids.to(student.device), attention_mask=seen.to(student.device), use_cache=False
        ).last_hidden_state
        kept = labels != -100
        logits = student.get_output_embeddings()(hidden[:, :-1][kept.to(student.device)]).float()
        wanted = labels[kept].to(student.device)
        total += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        count += int(kept.sum())
    return total, count
