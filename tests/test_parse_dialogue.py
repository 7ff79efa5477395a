"""What a user may say in a conversation that models play, lists of openings, and Baize's transcripts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import ParseError
from selfinstruct.parse.baize import transcript, transcript_paper
from selfinstruct.parse.dialogue import items, polite, speaks_as_assistant, user_turn
from selfinstruct.sample import Message

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real rows lie beside the repository, not in it"
)
SAID = [
    Message("user", "How do I keep bread fresh for a whole week?"),
    Message(
        "assistant",
        "Wrap the loaf in a linen cloth, keep it in a wooden box, and never put it into the fridge.",
    ),
]


def reason(text: str, said: list[Message] = SAID) -> str:
    with pytest.raises(ParseError) as caught:
        user_turn(text, said, sentinel="[DONE]", fence="c0ffee")
    return caught.value.reason


@pytest.mark.parametrize(
    "text",
    ["[DONE]", " [DONE]\n", "**[DONE]**", '"[DONE]"', "[DONE].", "Thanks, that's all. [DONE]", "[DONE] Bye!"],
)
def test_the_sentinel_ends_a_conversation(text: str) -> None:
    assert user_turn(text, SAID, sentinel="[DONE]") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("And rye bread?", "And rye bread?"),
        ("Human: And rye bread?", "And rye bread?"),
        ("**User:** And rye bread?\n", "And rye bread?"),
        ("Thanks! And rye bread?", "Thanks! And rye bread?"),
        ("Yes please!", "Yes please!"),
        ("I tried it and the crust went soft.", "I tried it and the crust went soft."),
        ("I think the answer is the fridge, isn't it?", "I think the answer is the fridge, isn't it?"),
        ("You said never put it into the fridge. Why?", "You said never put it into the fridge. Why?"),
        ("As an AI, can you even taste bread?", "As an AI, can you even taste bread?"),
        ("I am an AI engineer: how would you automate kneading?",) * 2,
        ("I'm a model, so what may I eat?",) * 2,
        ("谢谢,那黑麦面包呢?", "谢谢,那黑麦面包呢?"),
        ("黑麦面包怎么保存", "黑麦面包怎么保存"),
        ("شكرا! وماذا عن الخبز الأسود؟", "شكرا! وماذا عن الخبز الأسود؟"),
        (
            "Et le pain de seigle, ça se garde combien de temps ?",
            "Et le pain de seigle, ça se garde combien de temps ?",
        ),
        (
            "```python\nprint('bread')\n```\nWhy does this fail?",
            "```python\nprint('bread')\n```\nWhy does this fail?",
        ),
    ],
)
def test_a_request_passes_as_it_is(text: str, said: str) -> None:
    assert user_turn(text, SAID, sentinel="[DONE]", fence="c0ffee") == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty_output"),
        (' "" ', "empty_output"),
        ("Human:", "empty_output"),
        ("I will reply [DONE] when I have no more questions, fine?", "meta_words"),
        ("What stands between the c0ffee marks?", "meta_words"),
        ("As the human user, I would ask about rye.", "meta_words"),
        ("Here is the human's next message: And rye?", "meta_words"),
        ("And rye bread?\n\nAssistant: Rye keeps longer.", "both_sides"),
        ("And rye bread?\n[AI]: Rye keeps longer.", "both_sides"),
        ("As an AI language model, I can't eat bread.", "role_flip"),
        ("I'm an AI assistant and bread is my subject.", "role_flip"),
        ("I'm just an AI, so I never ate any.", "role_flip"),
        ("As an AI I can't eat bread.", "role_flip"),
        ("You're welcome! Is there anything else I can help you with?", "role_flip"),
        ("Certainly! Here are five ways to keep rye bread fresh.", "role_flip"),
        ("How can I help you with bread today?", "role_flip"),
        ("Feel free to ask more about rye bread.", "role_flip"),
        ("How long does rye keep? Answer: ten days.", "answers_itself"),
        ("How long does rye keep?\n**Answer:** ten days.", "answers_itself"),
        ("How long does rye keep? The answer is ten days.", "answers_itself"),
        ("Thank you so much!", "politeness_only"),
        ("Great, that makes sense now. Bye!", "politeness_only"),
        ("OK 👍 thanks", "politeness_only"),
        ("谢谢您的帮助!", "politeness_only"),
        ("谢谢，很有帮助", "politeness_only"),
        ("Merci beaucoup !", "politeness_only"),
        ("شكرا جزيلا لك", "politeness_only"),
        ("how do I keep bread fresh, for a whole week", "repeated"),
        ("Keep it in a wooden box, and never put it into the fridge.", "echo"),
        (
            "So: wrap the loaf in a linen cloth, keep it in a wooden box, and never put it into the fridge?",
            "echo",
        ),
    ],
)
def test_what_a_poor_user_says_has_a_reason(text: str, expected: str) -> None:
    assert reason(text) == expected


def turns(node: dict[str, object], said: list[Message]) -> Iterator[tuple[str, list[Message]]]:
    """What people said after somebody's answer, with what came before it (OASST's trees)."""
    text, role = str(node["text"]), node["role"]
    if role == "prompter" and said:
        yield text, said
    before = [*said, Message("user" if role == "prompter" else "assistant", text)]
    for reply in node.get("replies", []):  # type: ignore[attr-defined]
        yield from turns(reply, before)


# Read by hand: of the 236 messages these ask for nothing, and one is an assistant's; one repeats the answer before it.
THANKS = [
    "Thank you! :)",
    "Thank you for recommendations!",
    "Thanks!",
    "Cool. Thank you for that!",
    "Well done.",
    "hey",
    "Thanks!",
    "Pretty good.Thanks",
    "I want to thank you for your deep work",
    "Thank you for the detailed response.",
    "Thanks, that's a good suggestion",
]


@needs_data
def test_real_follow_ups_of_people_pass() -> None:
    """236 follow-ups of two sets of OASST's trees: 223 pass as they are, 13 have a reason, all of them rightly."""
    found: list[tuple[str, str]] = []
    total = 0
    for file in ("human/oasst2_ranked_trees.jsonl.gz", "chat/oasst_en_tree_40.jsonl.gz"):
        for line in gzip.decompress((SHARED / "permissive" / file).read_bytes()).splitlines():
            for text, said in turns(json.loads(line)["prompt"], []):
                total += 1
                try:
                    assert user_turn(text, said, sentinel="[DONE]") == text.strip()
                except ParseError as fault:
                    found.append((fault.reason, text))
    assert total == 236
    assert [text for why, text in found if why == "politeness_only"] == THANKS
    others = {why: text for why, text in found if why != "politeness_only"}
    assert others["role_flip"].startswith("Certainly! Here is a potential poem")
    assert others["echo"].startswith("Human food can contain ingredients that are unhealthy")
    assert len(found) == len(THANKS) + 2


@needs_data
def test_the_second_turns_of_mt_bench_pass() -> None:
    for line in (SHARED / "permissive/eval_prompts/mt_bench_80.jsonl").read_text("utf-8").splitlines():
        first, second = json.loads(line)["turns"]
        said = [Message("user", first), Message("assistant", "Here it is.")]
        assert user_turn(second, said, sentinel="[DONE]") == second.strip()


@needs_data
def test_instructions_of_any_language_are_no_politeness() -> None:
    """199 Chinese instructions and 175 seed tasks."""
    lines = (
        gzip.decompress((SHARED / "noncommercial/alpaca/alpaca_zh_200.jsonl.gz").read_bytes())
        .decode()
        .splitlines()
    )
    texts = [json.loads(line)["instruction"] for line in lines]
    seeds = (SHARED / "permissive/seeds/self_instruct_175.jsonl").read_text("utf-8").splitlines()
    texts += [json.loads(line)["instruction"] for line in seeds]
    assert len(texts) == 374
    assert [text for text in texts if polite(text) or speaks_as_assistant(text)] == []


@given(st.text())
def test_any_text_is_a_turn_an_end_or_a_reason(text: str) -> None:
    try:
        said = user_turn(text, SAID, sentinel="[DONE]", fence="c0ffee")
    except ParseError:
        return
    assert said is None or said.strip() == said != ""


# lists


def test_items_and_what_is_none() -> None:
    found = items('Here:\n```json\n{"items": ["a", " b\\nc ", "", 3, null]}\n```')
    assert found[:2] == ["a", "b\nc"]
    assert [item.reason for item in found[2:] if isinstance(item, ParseError)] == ["bad_item"] * 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no_json"),
        ('{"items": []}', "bad_json"),
        ('{"items": "a"}', "bad_json"),
        ('{"list": ["a"]}', "bad_json"),
    ],
)
def test_no_list(text: str, expected: str) -> None:
    with pytest.raises(ParseError) as caught:
        items(text)
    assert caught.value.reason == expected


# Baize


def said(text: str, *, cut: bool = False) -> tuple[list[tuple[str, str]], str]:
    talk, fault = transcript(text, cut=cut)
    return [(message.role, message.content) for message in talk], fault.reason if fault else ""


PLAIN = "[Human] Why is bread?\n[AI] Because.\n\nOf flour.\n[Human] And rye?\n[AI] Too."
TALK = [
    ("user", "Why is bread?"),
    ("assistant", "Because.\n\nOf flour."),
    ("user", "And rye?"),
    ("assistant", "Too."),
]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "Here is the transcript:\n\n" + PLAIN + "\n",
        PLAIN.replace("[Human]", "**[Human]**").replace("[AI]", "**[AI]:**"),
        PLAIN.replace("[Human]", "[|Human|]").replace("[AI]", "[|AI|]"),
        PLAIN.replace("[Human]", "[HUMAN]:").replace("[AI]", "- [Assistant]:"),
        PLAIN.replace("\n[Human]", "\n\n [Human]"),
    ],
)
def test_the_layouts_that_models_write(text: str) -> None:
    assert said(text) == (TALK, "")


def test_what_ends_a_transcript_costs_what_comes_after_it() -> None:
    assert said(PLAIN, cut=True) == (TALK[:2], "truncated")
    assert said(PLAIN + "\n[Human] And oats?") == (TALK, "unanswered")
    assert said(PLAIN + "\n[Human]") == (TALK, "empty_turn")
    assert said(PLAIN + "\n[AI] Too, too.\n[Human] x\n[AI] y") == (TALK, "speaker_twice")
    assert said(PLAIN.replace("And rye?", "")) == (TALK[:2], "empty_turn")


def test_a_mark_inside_a_text_is_text() -> None:
    text = "[Human] What do [Human] and [AI] mean?\n[AI] `[AI]` is a mark.\n[Human] Why?\n[AI] So."
    assert said(text)[0][:2] == [
        ("user", "What do [Human] and [AI] mean?"),
        ("assistant", "`[AI]` is a mark."),
    ]


@pytest.mark.parametrize(
    ("text", "cut", "expected"),
    [
        ("I can't write that.", False, "no_marks"),
        ("Human: Why?\nAI: So.", False, "no_marks"),
        ("[AI] Hello!\n[Human] Hi", False, "ai_first"),
        ("[Human] Why?", False, "unanswered"),
        ("[Human] Why?\n[AI] Beca", True, "truncated"),
        ("[Human]\n[AI] So.", False, "empty_turn"),
    ],
)
def test_no_whole_exchange(text: str, cut: bool, expected: str) -> None:
    with pytest.raises(ParseError) as caught:
        transcript(text, cut=cut)
    assert caught.value.reason == expected


marks = st.sampled_from(["[Human] ", "[AI] ", "\n", "**[AI]**:", "why?", " ", "[|Human|]", "x" * 9])


@given(st.one_of(st.text(), st.lists(marks).map("".join)), st.booleans())
def test_any_text_is_whole_exchanges_or_a_reason(text: str, cut: bool) -> None:
    try:
        talk, _ = transcript(text, cut=cut)
    except ParseError:
        return
    assert talk
    assert [message.role for message in talk] == ["user", "assistant"] * (len(talk) // 2)
    assert all(message.content.strip() for message in talk)


@given(st.one_of(st.text(), st.lists(marks).map("".join)))
def test_paper_reads_any_text_as_exchanges_or_none(text: str) -> None:
    try:
        talk = transcript_paper(text)
    except ParseError:
        return
    assert talk
    assert [message.role for message in talk] == ["user", "assistant"] * (len(talk) // 2)
