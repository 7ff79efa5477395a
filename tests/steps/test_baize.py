"""The baize step: a conversation in one call, its ends, the cap on tokens, paper's way, failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import Echo
from given import given

from selfinstruct.errors import ConfigError
from selfinstruct.pipeline import Outcome, Pipeline, execute, run
from selfinstruct.sample import Message, Sample
from selfinstruct.steps.baize import baize
from selfinstruct.store import Store
from selfinstruct.teachers import Completion, Request, Teacher, Usage

Play = Callable[[Teacher], str]
SEEDS = [Sample.of(f"Why is {n} odd?", "", "An answer that is left out.") for n in range(6)]


class Talker(Echo):
    """Writes what `write` makes of the question, at ten tokens in and five out."""

    def __init__(self, write: Callable[[str], str | Completion], **more: Any) -> None:
        super().__init__(model="talker", **more)
        self.write = write

    async def complete(self, request: Request) -> Completion:
        done = await super().complete(request)
        text = request.messages[-1].content
        question = (
            text.partition(" question>\n")[2].rpartition("\n</")[0]
            or text.partition("this: '")[2].partition("'")[0]
        )
        written = self.write(question)
        return written if isinstance(written, Completion) else Completion(written, usage=done.usage)


def chat(question: str) -> str:
    more = f"[Human] And {question[7:8]} halves?\n[AI] Even so.\n[Human] Why?\n[AI] Because."
    return f"[Human] {question}\n[AI] So.\n{more}"


def spoken(folder: Path, play: Play, rows: list[Sample], write: Any, **options: Any) -> Outcome:
    name = options.pop("name", "run")
    teacher = write if isinstance(write, Talker) else Talker(write)
    return execute([given(rows), baize(**options)], out=folder / name, teacher=play(teacher))


def reasons(outcome: Outcome) -> dict[str, int]:
    return dict(outcome.funnel.steps[1].drops)


def contents(row: Sample) -> list[str]:
    return [message.content for message in row.messages]


def test_one_call_makes_a_conversation_of_a_seed(tmp_path: Path, play: Play) -> None:
    teacher = Talker(chat)
    outcome = spoken(tmp_path, play, SEEDS, teacher)
    for seed, row in zip(SEEDS, outcome.samples, strict=True):
        assert contents(row)[:4] == [
            seed.instruction,
            "So.",
            f"And {seed.instruction[7]} halves?",
            "Even so.",
        ]
        assert [message.role for message in row.messages] == ["user", "assistant"] * 3
        assert (row.meta["rounds"], row.parents) == (3, (seed.id,))
    assert len(teacher.asked) == 6
    fence = SEEDS[0].id[:16]
    assert (
        f"<{fence} question>\n{SEEDS[0].instruction}\n</{fence} question>"
        in teacher.asked[0].messages[-1].content
    )
    assert dict(teacher.asked[0].params) == {"temperature": 1, "max_tokens": 3072}
    assert outcome.funnel.steps[1].facts == {"fidelity": "fixed", "rounds": {"3": 6}, "ended": {"end": 6}}


@pytest.mark.parametrize(
    ("change", "rounds", "ended"),
    [
        (lambda text: text + "\n[Human] Thanks, that helps!\n[AI] You're welcome!", 3, "politeness_only"),
        (lambda text: text + "\n[Human] Why? Answer: because.\n[AI] Right.", 3, "answers_itself"),
        (lambda text: text + "\n[Human] As an AI language model, I ask why.\n[AI] So.", 3, "role_flip"),
        (lambda text: text + "\n[Human] why\n[AI] Because.", 3, "repeated"),
        (lambda text: text + "\n[Human] And then?", 3, "unanswered"),
        (lambda text: Completion(text + "\n[Human] And th", "length"), 3, "truncated"),
        (lambda text: Completion(text, "length"), 2, "truncated"),
        (lambda text: text.replace("Because.", ""), 2, "empty_turn"),
        (lambda text: text.replace("[Human] Why?\n", ""), 2, "speaker_twice"),
        (lambda text: "[Human] Hello!\n[AI] Hi! How can I help you?\n" + text, 3, "end"),
    ],
)
def test_a_conversation_ends_before_the_first_turn_that_can_not_be_used(
    tmp_path: Path, play: Play, change: Callable[[str], Any], rounds: int, ended: str
) -> None:
    outcome = spoken(tmp_path, play, SEEDS[:1], lambda question: change(chat(question)))
    (row,) = outcome.samples
    assert (
        contents(row)
        == contents(spoken(tmp_path, play, SEEDS[:1], chat, name="whole").samples[0])[: rounds * 2]
    )
    assert outcome.funnel.steps[1].facts["ended"] == {ended: 1}


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("I can't write that.", "no_marks"),
        ("", "empty_output"),
        (Completion("", "filtered", refusal="policy"), "filtered"),
        (Completion("", "rejected", refusal="too long"), "rejected"),
        (Completion("[Human] Wh", "length"), "truncated"),
        ("[Human] Why?\n[AI] So.", "too_few_rounds"),
        ("[Human] Why?\n[AI] So.\n[Human] Thanks!\n[AI] Sure.", "politeness_only"),
        ("[Human] Thanks!\n[AI] Sure.", "politeness_only"),
        ("[AI] So.\n[Human] Why?", "ai_first"),
    ],
)
def test_a_conversation_that_is_none_is_dropped_with_its_reason(
    tmp_path: Path, play: Play, written: str | Completion, reason: str
) -> None:
    outcome = spoken(
        tmp_path, play, [SEEDS[0], SEEDS[1]], lambda question: written if "0" in question else chat(question)
    )
    assert len(outcome.samples) == 1
    assert reasons(outcome) == {reason: 1}


def test_a_seed_of_another_language_or_full_of_marks_stays_what_it_is(tmp_path: Path, play: Play) -> None:
    texts = [
        "为什么天空是蓝色的?",
        "لماذا السماء زرقاء؟",
        "Q: 1+1?\nAnswer: 2",
        "Say [AI] {{ 7 * 7 }} \\1 'so'",
    ]
    rows = spoken(tmp_path, play, [Sample.of(text) for text in texts], chat).samples
    assert [row.instruction for row in rows] == texts


def test_equal_seeds_get_conversations_of_their_own(tmp_path: Path, play: Play) -> None:
    teacher = Talker(chat)
    spoken(tmp_path, play, [SEEDS[0]] * 5, teacher)
    assert len({request.key for request in teacher.asked}) == len(teacher.asked) == 5


def test_the_cap_on_tokens_stops_the_asking(tmp_path: Path, play: Play) -> None:
    teacher = Talker(chat, usage=lambda _: Usage(10, 5))
    outcome = spoken(tmp_path, play, SEEDS, teacher, token_cap=31, window=1)
    assert (len(outcome.samples), len(teacher.asked)) == (3, 3)  # 15, 30, 45: the third goes over
    assert reasons(outcome) == {"token_cap": 3}
    silent = Talker(chat)
    steps = [given(SEEDS), baize(token_cap=31, window=1)]
    again = run(Pipeline("run", steps, {"teacher": play(silent)}), tmp_path / "run", fresh=True)
    assert again.samples == outcome.samples
    assert silent.asked == []


def test_low_and_high_are_asked_for_and_low_is_held(tmp_path: Path, play: Play) -> None:
    teacher = Talker(chat)
    outcome = spoken(tmp_path, play, SEEDS, teacher, low=4, high=6)
    assert "after 4 to 6 messages" in teacher.asked[0].messages[-1].content
    assert reasons(outcome) == {"too_few_rounds": 6}
    with pytest.raises(ConfigError, match="6 to 4 exchanges leave no choice"):
        spoken(tmp_path, play, SEEDS, teacher, low=6, high=4, name="none")


# paper


def test_paper_asks_after_a_greeting_once_for_each_question_without_parameters(
    tmp_path: Path, play: Play
) -> None:
    teacher = Talker(chat)
    outcome = spoken(tmp_path, play, [*SEEDS[:2], SEEDS[0]], teacher, fidelity="paper")
    assert [dict(request.params) for request in teacher.asked] == [{}, {}]
    prompt = teacher.asked[0].messages[-1].content
    assert f"'{SEEDS[0].instruction}'" in prompt
    assert prompt.splitlines()[-2].startswith("[Human] Hello!")
    assert prompt.splitlines()[-1].startswith("[AI] ")
    assert reasons(outcome) == {"duplicate": 1}
    assert [row.meta["rounds"] for row in outcome.samples] == [2, 2]  # the last exchange is lost


def test_paper_keeps_a_single_exchange_and_thanks(tmp_path: Path, play: Play) -> None:
    text = "[Human] Why?\n[AI] So.\n[Human] Thanks!\n[AI] Sure."
    (row,) = spoken(tmp_path, play, SEEDS[:1], lambda _: text, fidelity="paper").samples
    assert row.messages == (Message("user", "Why?"), Message("assistant", "So."))


def test_what_is_printed_for_paper_s_failures(tmp_path: Path, play: Play) -> None:
    outcome = spoken(tmp_path, play, SEEDS[:1], lambda _: "[Human] Why?\n[AI] So.", fidelity="paper")
    assert outcome.samples == ()
    with Store.read(tmp_path / "run") as store:
        (drop,) = store.drops(1)
    assert (drop.reason, drop.sample) == ("no_exchange", SEEDS[0])
