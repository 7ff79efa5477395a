"""Rows: what is learnt of a conversation, what is refused, what stops the training, and the seeded split."""

from __future__ import annotations

from typing import Any

import pytest
from toys import chat

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.train import Chat
from selfinstruct.train.chat import settle
from selfinstruct.train.data import MASKED, encode, held_out

pytest.importorskip("transformers")

SYSTEM = {"role": "system", "content": "be short"}
TWO_TURNS: Chat = [*chat("one", "a b"), *chat("two", "c")]
HEADERS = (
    "{% for m in messages %}{{ '[' + m['role'] + ']\n' + m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token + '\n' }}{% else %}{{ '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]\n' }}{% endif %}"
)


def learnt(tokenizer: Any, chats: list[Chat], **options: Any) -> list[tuple[str, str]]:
    """(masked text, learnt text) of each row, from its labels."""
    rows = encode(tokenizer, chats, limit=100, **options).rows
    found = []
    for row in rows:
        assert len(row.labels) == len(row.ids)
        known = [i for i, label in enumerate(row.labels) if label != MASKED]
        assert [row.ids[i] for i in known] == [row.labels[i] for i in known]
        assert known == list(range(row.start, len(row.ids)))
        found.append((tokenizer.decode(row.ids[: row.start]), tokenizer.decode(row.ids[row.start :])))
    return found


def flat(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without the space that the tokenizer of the tiny student shows before a line after a special token."""
    return [(a.replace("|> ", "|>"), b) for a, b in rows]


@pytest.mark.parametrize(
    ("conversation", "turns", "expected"),
    [
        (
            chat("one", "a b"),
            "every",
            [("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n", "a b<|im_end|>")],
        ),
        (
            [SYSTEM, *chat("one", "a b")],
            "every",
            [
                (
                    "<|im_start|>system\nbe short<|im_end|>\n<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n",
                    "a b<|im_end|>",
                )
            ],
        ),
        (
            TWO_TURNS,
            "every",
            [
                ("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n", "a b<|im_end|>"),
                (
                    "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\na b<|im_end|>\n"
                    "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n",
                    "c<|im_end|>",
                ),
            ],
        ),
        (
            TWO_TURNS,
            "last",
            [
                (
                    "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\na b<|im_end|>\n"
                    "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n",
                    "c<|im_end|>",
                )
            ],
        ),
    ],
)
def test_only_answers_and_their_end_token_are_learnt_in_chatml(
    tokenizer: Any, conversation: Chat, turns: Any, expected: list[tuple[str, str]]
) -> None:
    settle(tokenizer)
    assert flat(learnt(tokenizer, [conversation], turns=turns)) == expected


def test_only_answers_and_their_end_token_are_learnt_in_another_template(tokenizer: Any) -> None:
    tokenizer.chat_template = HEADERS
    settle(tokenizer)
    assert flat(learnt(tokenizer, [TWO_TURNS])) == [
        ("[user]\none\n[assistant]\n", "a b<|im_end|>"),
        ("[user]\none\n[assistant]\na b<|im_end|>\n[user]\ntwo\n[assistant]\n", "c<|im_end|>"),
    ]


def test_the_prompt_of_a_row_is_what_generation_starts_from(tokenizer: Any) -> None:
    settle(tokenizer)
    row = encode(tokenizer, [chat("one", "a b")], limit=100).rows[0]
    asked = tokenizer.apply_chat_template(list(chat("one")), add_generation_prompt=True, tokenize=True)
    assert row.ids[: row.start] == asked["input_ids"]


def test_a_prompt_that_is_cut_differently_before_an_answer_is_counted(tokenizer: Any) -> None:
    # The space that ends the prompt and the answer's first word are one token when they meet.
    tokenizer.chat_template = HEADERS.replace("'[assistant]\n'", "'[assistant]\n '").replace(
        "+ m['content'] }}", "+ (' ' if m['role'] == 'assistant' else '') + m['content'] }}"
    )
    settle(tokenizer)
    facts = encode(tokenizer, [chat("one", "a b"), chat("two", "c")], limit=100).facts
    assert facts["torn_prompts"] == 2


def test_a_row_of_exactly_the_limit_stays_and_a_longer_one_is_reported(tokenizer: Any) -> None:
    settle(tokenizer)
    chats = [chat("one", "a"), chat("one", "a b"), chat("one", "a b c d")]
    lengths = [len(row.ids) for row in encode(tokenizer, chats, limit=100).rows]
    made = encode(tokenizer, chats, limit=lengths[1])
    assert [len(row.ids) for row in made.rows] == lengths[:2]
    assert [(r.index, r.reason, r.detail) for r in made.refused] == [
        (2, "too_long_for_student", {"tokens": lengths[2], "limit": lengths[1]})
    ]


@pytest.mark.parametrize(
    ("conversation", "reason", "detail"),
    [
        ([], "unanswered", {}),
        (chat("one"), "unanswered", {}),
        (chat("one", "  "), "empty_answer", {}),
        ([*chat("one", ""), *chat("two", "c")], "empty_answer", {}),
        (chat("say <|im_end|> now", "a"), "control_token", {"token": "<|im_end|>"}),
        (chat("one", "a<|im_start|>user"), "control_token", {"token": "<|im_start|>"}),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_its_reason(
    tokenizer: Any, conversation: Chat, reason: str, detail: dict[str, Any]
) -> None:
    settle(tokenizer)
    made = encode(tokenizer, [chat("one", "a"), conversation], limit=100)
    assert len(made.rows) == 1
    assert [(r.index, r.reason, r.detail) for r in made.refused] == [(1, reason, detail)]


def test_a_conversation_that_the_template_does_not_take_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + HEADERS
    )
    settle(tokenizer)
    made = encode(tokenizer, [chat("one", "a"), [SYSTEM, *chat("one", "a")]], limit=100)
    assert [(r.index, r.reason, r.detail) for r in made.refused] == [
        (1, "template_refused", {"error": "no system role"})
    ]


def test_a_template_that_forgets_the_end_token_of_some_answers_stops_the_training(tokenizer: Any) -> None:
    tokenizer.chat_template = HEADERS.replace(
        "{{ eos_token + '\n' }}", "{{ (eos_token if loop.length == 2 else '') + '\n' }}"
    )
    settle(tokenizer)
    with pytest.raises(ConfigError, match="leaves an answer without its end token"):
        encode(tokenizer, [chat("one", "a"), [SYSTEM, *chat("one", "a")]], limit=100)


def test_a_template_that_begins_twice_stops_the_training(tokenizer: Any) -> None:
    tokenizer.bos_token = "<|pad|>"
    tokenizer.chat_template = "{{ bos_token }}" + HEADERS.replace("{{ '['", "{{ bos_token + '['")
    settle(tokenizer)
    with pytest.raises(ConfigError, match=r"writes '<\|pad\|>' 3 times in one row"):
        encode(tokenizer, [chat("one", "a")], limit=100)


def test_one_beginning_is_fine(tokenizer: Any) -> None:
    tokenizer.bos_token = "<|pad|>"
    tokenizer.chat_template = "{{ bos_token }}" + HEADERS
    settle(tokenizer)
    row = encode(tokenizer, [chat("one", "a")], limit=100).rows[0]
    assert row.ids.count(tokenizer.bos_token_id) == 1


def test_nothing_left_is_an_error_that_says_why(tokenizer: Any) -> None:
    settle(tokenizer)
    with pytest.raises(DataError, match=r"3 came \(too_long_for_student 1, unanswered 2\)"):
        encode(tokenizer, [chat("one"), chat("two"), chat("one", "a b c d")], limit=10)


def test_facts_count_tokens_and_show_rows(tokenizer: Any) -> None:
    settle(tokenizer)
    facts = encode(tokenizer, [chat("one", "a b"), chat("two", "c")], limit=100).facts
    assert facts["rows"] == 2
    assert facts["answer_tokens"] == 5  # a, b, end; c, end
    assert facts["torn_prompts"] == 0
    assert [row["learnt"] for row in facts["shown"]] == ["a b<|im_end|>", "c<|im_end|>"]


def test_the_split_is_seeded_stable_and_about_as_large_as_asked() -> None:
    chats = [chat(f"question {i}", "x") for i in range(2000)]
    one = [held_out(c, 0.1, seed=1) for c in chats]
    assert one == [held_out(c, 0.1, seed=1) for c in chats]
    assert 140 < sum(one) < 260  # 200 expected, standard deviation 13.4
    assert one != [held_out(c, 0.1, seed=2) for c in chats]
    assert not any(held_out(c, 0.0, seed=1) for c in chats)
    # a larger share holds out the same ones and more
    assert all(held_out(c, 0.3, seed=1) for c, out in zip(chats, one, strict=True) if out)


def test_all_answers_to_one_question_fall_on_one_side() -> None:
    for i in range(50):
        sides = {held_out(chat(f"question {i}", answer), 0.5, seed=0) for answer in ("a", "b", "c")}
        assert len(sides) == 1
