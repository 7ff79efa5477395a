"""The rules for new instructions: `paper` against what the published code let through, `fixed` against its errors."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from selfinstruct.heuristics import ALPACA_WORDS, SELF_INSTRUCT_WORDS, instruction_fault

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="the published data are not beside this checkout")


def load(name: str) -> list[dict[str, str]]:
    raw = (SHARED / name).read_bytes()
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("instruction", "fault"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("Name three colours", "too_short"),  # 3 words or fewer go
        ("Name three primary colours", None),
        ("word " * 150, None),  # more than 150 go
        ("word " * 151, "too_long"),
        ("Describe the plot of the novel.", "banned_word"),
        ("Describe an IMAGE to me", "banned_word"),
        ("Why do we go to Mars?", "banned_word"),
        ("Describe the imagery of the poem", None),  # whole words only
        ("Compare two music genres please", "banned_word"),
        ("Write a program to sort numbers", "write_a_program"),
        ("write a program to sort numbers", None),  # as published, the case counts
        ("- sort the numbers below", "odd_start"),
        ("¿Cuál es la capital?", "odd_start"),
        ("给出 三个 保持 健康 的提示", "odd_start"),
        ("列出三个提示", "too_short"),  # one word, when spaces separate
    ],
)
def test_paper(instruction: str, fault: str | None) -> None:
    assert instruction_fault(instruction, fidelity="paper") == fault


def test_the_first_fault_in_the_published_order_is_named() -> None:
    assert instruction_fault("- draw", fidelity="paper") == "too_short"
    assert instruction_fault("Write a program that draws a map", fidelity="paper") == "banned_word"
    assert instruction_fault("- go to the image", fidelity="paper") == "banned_word"


def test_the_lists_of_words() -> None:
    assert len(SELF_INSTRUCT_WORDS) == 13
    assert set(ALPACA_WORDS) - set(SELF_INSTRUCT_WORDS) == {"video", "audio", "music", "flowchart", "diagram"}


@needs_data
@pytest.mark.parametrize(
    "name",
    [
        "noncommercial/alpaca/alpaca_data.json.gz",
        "noncommercial/alpaca/regen_golden/avniavdulla__stanford_alpaca.json.gz",
        "noncommercial/alpaca/regen_golden/minpeter__stanford_alpaca_regen.json.gz",
    ],
)
def test_paper_lets_through_all_that_the_original_let_through(name: str) -> None:
    """Every row of these files passed the published filters when it was made."""
    faults = Counter(instruction_fault(row["instruction"], fidelity="paper") for row in load(name))
    assert set(faults) == {None}


# Prompts that people really ask for, with words of the list.
HARMLESS = [
    "Describe the plot of the novel in two sentences.",
    "File a complaint about a late delivery.",
    "Explain the map function of Python.",
    "Explain to me how a video game is made.",
    "Draw a conclusion from these two statements.",
    "Draw a clear distinction between weather and climate.",
    "Why do people want to go to Mars?",
    "Picture yourself as an old tree in a forest.",
    "Write a slogan for my video game project.",
    "Write a script for a video about jazz.",
    "What are the main differences between classical and jazz music?",
    "Compile a playlist of relaxing music.",
    "Create a storyboard for a short animated video.",
    "Generate an image caption dataset schema in SQL.",
    "Design a poster for a music festival.",
    "Read a text file and count its words in Python.",
    "Fix the bug in this file, please.",
    "Find the shortest path in the given graph.",
    "Write a plot for a story about two twins.",
    "Write a program that reverses a list.",
    "Create a music theory quiz with ten questions.",
    "How do I take a good picture at night?",
]
BEYOND = [
    "Draw a picture of the harbour at night.",
    "Plot a graph of the visitors over one year.",
    "Play the audio file of the speech.",
    "Look at the image of the crowd and count the people.",
    "Make a short video about gardening.",
    "Create a flowchart that shows how to apply for a visa.",
    "Please generate an image for the invitation.",
    "Open the map of the city and mark the station.",
    "Compose a short piece of music for the wedding.",
    "Go to the library and ask for the opening hours.",
    "Sketch a diagram that explains photosynthesis.",
    "Describe what you see in this photo.",
    "Write a story about the given picture.",
    "Based on the photo provided, name three objects.",
    "How many people are in the video attached?",
    "Identify the main theme of a given piece of music.",
    "Listen to this audio and write down the words.",
    "Summarise the text. Then draw a comic about it.",
]


@pytest.mark.parametrize("instruction", HARMLESS)
def test_fixed_keeps_what_text_can_do(instruction: str) -> None:
    assert instruction_fault(instruction) is None


@pytest.mark.parametrize("instruction", BEYOND)
def test_fixed_drops_what_text_cannot_do(instruction: str) -> None:
    assert instruction_fault(instruction) == "beyond_text"


@pytest.mark.parametrize(
    "instruction",
    [
        "¿Cuál es la capital de Francia hoy?",
        "«Liberté, égalité» : d'où vient cette devise ?",
        "給出三個保持健康的提示。",
        "「枕草子」の冒頭を現代語に訳してください。",
        "اكتب ثلاث نصائح للحفاظ على الصحة",
        "Écris un poème sur la mer.",
        "😀 What does this emoji mean?",
        ".NET or Java: which one first?",
        "#include <stdio.h> needs what exactly?",
        "$20 is split among four people.",
        '"To be or not to be": who wrote it?',
        "ประเทศไทยมีกี่จังหวัด",
    ],
)
def test_fixed_is_safe_for_languages_and_code(instruction: str) -> None:
    assert instruction_fault(instruction) is None


@pytest.mark.parametrize(
    "instruction",
    [
        "- use reusable bags when shopping",
        "* write down the main points",
        "[insert political opinions here] and classify them",
        "(please provide the e-mail to classify)",
        "| country | continent | population |",
        "```python def add(a, b): return a```",
        ": the following list of words",
        "… and then sort the words",
        "• Sort the words by length",
        "，请把下面的句子翻译成英文",
    ],
)
def test_fixed_drops_leftovers(instruction: str) -> None:
    assert instruction_fault(instruction) == "odd_start"


def test_the_bounds_hold_in_every_script() -> None:
    assert instruction_fault("翻译吧") == "too_short"
    assert instruction_fault("翻译一下") is None
    assert instruction_fault("字" * 290) is None  # 146 words and a half, at two characters a word
    assert instruction_fault("字" * 302) == "too_long"
    assert instruction_fault("word " * 150) is None
    assert instruction_fault("word " * 151) == "too_long"
    assert instruction_fault("Calculate 14 + 6.") is None
    assert instruction_fault("Explain this.", low=2) is None
    assert instruction_fault("one two three four five six", high=5) == "too_long"


@pytest.mark.parametrize("fidelity", ["fixed", "paper"])
def test_banned_words_of_ones_own(fidelity: str) -> None:
    def fault(text: str) -> str | None:
        return instruction_fault(text, fidelity=fidelity, banned=("C++", "tax return"))  # type: ignore[arg-type]

    assert fault("Write my Tax Return for this year") == "banned_word"
    assert fault("Describe the plot of the novel") is None
    assert instruction_fault("Describe the plot of it", banned=()) is None


@needs_data
def test_fixed_on_real_instructions() -> None:
    """Chinese instructions all pass; of Alpaca's 52,002 only those about a picture that is not there are dropped."""
    chinese = load("noncommercial/alpaca/alpaca_zh_200.jsonl.gz")
    assert {instruction_fault(row["instruction"]) for row in chinese} == {None}
    dropped = [
        row["instruction"]
        for row in load("noncommercial/alpaca/alpaca_data.json.gz")[:20_000]
        if instruction_fault(row["instruction"])
    ]
    assert dropped
    for instruction in dropped:
        assert "photo" in instruction or "diagram" in instruction


def test_a_hostile_text_takes_no_time() -> None:
    for text in (
        "create " + "a" * 200_000,
        "create a b " * 20_000,
        "given " * 40_000,
        "create piece of " * 12_000,
    ):
        instruction_fault(text, high=10**9)
