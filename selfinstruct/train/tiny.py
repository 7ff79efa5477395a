"""The tiny student: a Llama with random weights and a tokenizer made from the training text, for trying things out.

It knows nothing and is small enough to learn simple tasks within a minute on two cores, so that a whole distillation
can be run, measured and tested with nothing to download.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from selfinstruct.sample import ROLES, digest
from selfinstruct.train import MARKER, Chat, hush
from selfinstruct.train.chat import CHATML, END, START

# Many heads, a narrow MLP: what is hard in simple tasks is to look at the right word. With eight heads the student
# learns to copy in half the steps that three take. Heads of 32 dimensions are a size that vLLM serves.
SHAPE: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "initializer_range": 0.06,
}
VOCABULARY = 4096  # at most; text of few words gets a token a word
PAD = "<|pad|>"
_ROLES = tuple(f"{role}\n" for role in ROLES)  # as the template writes them


def make(chats: Sequence[Chat], folder: Path, *, seed: int) -> Path:
    """Write a tiny student for `chats` into `folder`, unless the very same one is there. Returns `folder`."""
    words = [m["content"] for chat in chats for m in chat]
    mark = digest([SHAPE, VOCABULARY, seed, words])
    marker = folder / MARKER
    if marker.exists() and json.loads(marker.read_text())["student"] == mark:
        return folder
    hush()
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_pairs([*_ROLES, *words], [PAD, START, END]),
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
        model_max_length=SHAPE["max_position_embeddings"],
        padding_side="left",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            **SHAPE,
        )
        model = LlamaForCausalLM(config)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    marker.write_text(json.dumps({"student": mark}))
    return folder


def byte_pairs(words: Sequence[str], special: list[str]) -> Any:
    """Byte-level BPE in which a word is one token wherever it stands: each line begins with a space of its own.

    Without that, the first item of an answer and the same item further on are different tokens, and copying has to
    be learnt twice. Decoding takes those spaces away again, so that any text comes back as it was.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Prepend(" "),
            normalizers.Replace("\n", "\n "),
            normalizers.Replace(Regex(r"(?<=\A|\n) (?=\n|\z)"), ""),  # an empty line needs none
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[\p{L}\p{N}]+| ?[^\s\p{L}\p{N}]|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    return tokenizer
