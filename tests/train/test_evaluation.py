"""Asking a model: batching changes nothing, only a written end token counts, the likelihood is that of the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from toys import chat, toys

from selfinstruct.errors import ConfigError
from selfinstruct.train.metrics import Question, Reply

pytest.importorskip("torch")

QUESTIONS = [Question(chat(question), answer, family) for family, question, answer in toys(12, seed=3)]
QUESTIONS += [Question(chat("Copy: " + " ".join("abcdefghij")), "a b c d e f g h i j", "echo")]


@pytest.fixture(scope="module")
def sharp(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student whose random weights are large, so that its answers depend on every token before them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(student)
    for weight in model.parameters():
        if weight.dim() == 2:
            torch.nn.init.normal_(weight, std=0.4)
    folder = tmp_path_factory.mktemp("sharp")
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(student).save_pretrained(folder)
    return folder


def test_questions_asked_together_are_answered_as_when_asked_alone(sharp: Path) -> None:
    from selfinstruct.train.evaluation import ask

    together = ask(str(sharp), QUESTIONS, max_new_tokens=8)
    alone = [ask(str(sharp), [question], max_new_tokens=8) for question in QUESTIONS]
    assert together.replies == [one.replies[0] for one in alone]
    assert len({reply.text for reply in together.replies}) > 5
    assert together.tokens == sum(one.tokens for one in alone)
    assert together.nll == pytest.approx(sum(one.nll for one in alone), rel=1e-5)


def test_the_likelihood_is_that_of_answer_and_end_token_alone(sharp: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfinstruct.train.evaluation import ask

    question = QUESTIONS[0]
    tokenizer = AutoTokenizer.from_pretrained(sharp)
    model = AutoModelForCausalLM.from_pretrained(sharp).eval()
    prompt = "<|im_start|>user\n" + question.prompt[0]["content"] + "<|im_end|>\n<|im_start|>assistant\n"
    before = len(tokenizer(prompt)["input_ids"])
    ids = torch.tensor([tokenizer(prompt + question.reference + "<|im_end|>")["input_ids"]])
    with torch.no_grad():
        logs = model(input_ids=ids).logits[0].log_softmax(-1)
    expected = -sum(float(logs[i - 1, ids[0, i]]) for i in range(before, ids.shape[1]))
    found = ask(str(sharp), [question], max_new_tokens=1)
    assert found.tokens == ids.shape[1] - before
    assert found.nll == pytest.approx(expected, rel=1e-5)


def test_a_reply_ends_at_its_first_end_token_or_not_at_all(tokenizer: Any) -> None:
    from selfinstruct.train.evaluation import _reply

    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    word = tokenizer("list")["input_ids"][0]
    assert _reply(tokenizer, [word, end, word], {end}) == Reply("list", True, 2)
    assert _reply(tokenizer, [word, word], {end}) == Reply("list list", False, 2)
    assert _reply(tokenizer, [end], {end}) == Reply("", True, 1)


def test_an_endless_answer_is_cut_at_the_limit_or_at_twice_the_longest_reference(student: Path) -> None:
    from selfinstruct.train.evaluation import ask

    assert max(r.tokens for r in ask(str(student), QUESTIONS, max_new_tokens=5).replies) == 5
    assert max(r.tokens for r in ask(str(student), QUESTIONS).replies) == 32
    long = Question(chat("Copy"), " ".join(["list"] * 40))
    assert max(r.tokens for r in ask(str(student), [long]).replies) == 80


def test_a_model_that_is_not_there_is_named() -> None:
    from selfinstruct.train.evaluation import ask

    with pytest.raises(ConfigError, match="'no/such-model' can't be opened"):
        ask("no/such-model", QUESTIONS)
