"""Asking a saved model: loaded from disk, through its own chat template, greedily, in batches padded on the left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfinstruct.train import Progress, hush, silent
from selfinstruct.train.chat import render, settle, tokenize
from selfinstruct.train.data import encode
from selfinstruct.train.metrics import Answers, Question, Reply
from selfinstruct.train.stage import unopened

_BATCH = 100
_SHORTEST = 32  # new tokens that an answer may have at least, where the user sets no limit


def ask(
    model: str,
    questions: Sequence[Question],
    *,
    max_new_tokens: int | None = None,
    progress: Progress = silent,
) -> Answers:
    """The model's replies to all `questions`, and the likelihood that it gives to their references.

    Args:
        model: a folder or a name on the Hub.
        questions: what to ask, at least one.
        max_new_tokens: where an answer that doesn't end is cut; by default twice the longest reference.
        progress: called after each batch.

    Raises:
        ConfigError: the libraries or the model are missing, or its chat template fails a gate.
        DataError: no reference can be scored.
    """
    hush()
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gpu = torch.cuda.is_available()
    progress(0, len(questions), "loading the model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        student = AutoModelForCausalLM.from_pretrained(model, dtype="auto" if gpu else "float32")
    except (OSError, ValueError) as error:
        raise unopened(model, error) from error
    student = student.to("cuda" if gpu else "cpu").eval()
    settle(tokenizer)
    with torch.inference_mode():
        nll, tokens = _likelihood(student, tokenizer, questions)
        replies = _replies(student, tokenizer, questions, max_new_tokens, progress)
    return Answers(replies, nll, tokens)


def _replies(
    student: Any, tokenizer: Any, questions: Sequence[Question], most: int | None, progress: Progress
) -> list[Reply]:
    from transformers import GenerationConfig

    if most is None:
        longest = max(len(ids) for ids in tokenize(tokenizer, [question.reference for question in questions]))
        most = max(_SHORTEST, 2 * longest)
    known = student.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *([] if known is None else [known] if isinstance(known, int) else known)}
    greedy = GenerationConfig(
        max_new_tokens=most,
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
    )
    # Sampling settings that came with the model would only be warned about in greedy decoding.
    student.generation_config = greedy
    prompts = tokenize(tokenizer, [render(tokenizer, question.prompt, ask=True) for question in questions])
    order = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
    replies: list[Reply] = [Reply("", False, 0)] * len(prompts)
    for low in range(0, len(order), _BATCH):
        part = order[low : low + _BATCH]
        batch = tokenizer.pad({"input_ids": [prompts[place] for place in part]}, return_tensors="pt")
        batch = batch.to(student.device)
        written = student.generate(**batch, generation_config=greedy)
        for place, ids in zip(part, written[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            replies[place] = _reply(tokenizer, ids, ends)
        progress(low + len(part), len(order), "answering")
    return replies


def _reply(tokenizer: Any, ids: list[int], ends: set[int]) -> Reply:
    length = next((n for n, token in enumerate(ids) if token in ends), None)
    text = tokenizer.decode(ids[:length], skip_special_tokens=True).strip()
    return Reply(text, length is not None, len(ids) if length is None else length + 1)


def _likelihood(student: Any, tokenizer: Any, questions: Sequence[Question]) -> tuple[float, int]:
    import torch

    chats = [
        [*question.prompt, {"role": "assistant", "content": question.reference}] for question in questions
    ]
    rows = sorted(encode(tokenizer, chats, limit=10**9, turns="last").rows, key=lambda row: -len(row.ids))
    total, count = 0.0, 0
    for low in range(0, len(rows), _BATCH):
        part = rows[low : low + _BATCH]
        gaps = [len(part[0].ids) - len(row.ids) for row in part]
        ids = torch.tensor([row.ids + [0] * gap for row, gap in zip(part, gaps, strict=True)])
        seen = torch.tensor([[1] * len(row.ids) + [0] * gap for row, gap in zip(part, gaps, strict=True)])
        learnt = torch.tensor([row.labels + [-100] * gap for row, gap in zip(part, gaps, strict=True)])[:, 1:]
        # The head sees answers only: over a large vocabulary, logits of everything would not fit into memory.
        states = student.base_model(
            input_ids=ids.to(student.device), attention_mask=seen.to(student.device), use_cache=False
        ).last_hidden_state[:, :-1]
        kept = (learnt != -100).to(student.device)
        logits = student.get_output_embeddings()(states[kept]).float()
        wanted = learnt.to(student.device)[kept]
        total += float(torch.nn.functional.cross_entropy(logits, wanted, reduction="sum"))
        count += len(wanted)
    return total, count
