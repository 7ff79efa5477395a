"""Each filter on cases by hand, and all of them on Alpaca against what was counted there by others."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from selfinstruct.run import Run
from selfinstruct.sample import Sample
from selfinstruct.step import Step
from selfinstruct.steps.filters import (
    answered,
    echo,
    heuristics,
    placeholder,
    refusal,
    repetition,
    urls,
    words,
)

ALPACA = Path(__file__).parents[2].parent / "shared" / "data" / "noncommercial" / "alpaca"
needs_alpaca = pytest.mark.skipif(
    not ALPACA.exists(), reason="Alpaca's 52,002 rows are not beside this checkout"
)
EVERY = (heuristics(), words(), answered(), placeholder(), refusal(), echo(), repetition(), urls())


def reasons(step: Step, samples: Iterable[Sample]) -> list[str | None]:
    """Why each sample is dropped; checks that each is either dropped or passed through as it is."""
    found: list[str | None] = []

    class Watching:
        def drop(self, sample: Sample, reason: str, **detail: Any) -> None:
            found.append(reason)

    async def source() -> AsyncIterator[Sample]:
        for sample in samples:
            sent.append(sample)
            yield sample

    async def drain() -> None:
        async for sample in step(cast(Run, Watching()), source()):
            assert sample is sent[-1]
            found.append(None)

    sent: list[Sample] = []
    asyncio.run(drain())
    assert len(found) == len(sent)
    return found


def reason(
    step: Step, instruction: str = "Go on.", input: str = "", output: str | None = "Fine."
) -> str | None:
    return reasons(step, [Sample.of(instruction, input, output)])[0]


def test_heuristics_takes_the_rules_of_the_recipes() -> None:
    assert reason(heuristics(), "Describe the plot of the novel.") is None
    assert reason(heuristics(fidelity="paper"), "Describe the plot of the novel.") == "banned_word"
    assert reason(heuristics(banned=("novel",)), "Describe the plot of the novel.") == "banned_word"
    assert reason(heuristics(low=7), "Describe the plot of the novel.") == "too_short"


def test_words() -> None:
    assert reason(words(low=2), output="One") == "too_short"
    assert reason(words(low=2), output="One two") is None
    assert reason(words(high=2), output="One two three") == "too_long"
    assert reason(words(), output="") == "too_short"
    assert reason(words(field="input", high=3), input="a b c d") == "too_long"
    assert reason(words(field="instruction", low=4), "翻译一下") is None  # four characters
    assert reason(words(), output="¯\\_(ツ)_/¯") is None
    assert reason(words(), output="+") is None  # no word, but a text


def test_answered() -> None:
    assert reason(answered(), output=None) == "unanswered"
    assert reason(answered(), output=" \n") == "empty_output"
    for output in ("<nooutput>", "<No Output - this is a visual task.>", " [no_output]"):
        assert reason(answered(), output=output) == "no_output"
    for output in ("No output is printed.", "0", "<no>", "<node>output</node>"):
        assert reason(answered(), output=output) is None


@pytest.mark.parametrize(
    ("input", "expected"),
    [
        *(
            (text, "no_input")
            for text in ("No input", "<noinput>.", '"<noinput>"', "N/A", "none", "No input required.")
        ),
        *(
            (text, "placeholder")
            for text in ("[insert text]", "<your text>", "[Link to article]", "<image>", "(Story)")
        ),
        *(
            (text, "placeholder")
            for text in ("<Image of a Corgi>", "[Attached table]", "<insert photo here>")
        ),
        ("Dear [insert name],\nthank you.", "placeholder"),
        *(
            (text, None)
            for text in ("", "[1, 2, 3]", "[a, b, c, d]", "(x + 3)(2x - 5)", "[[2, 3],\n [4, 5]]")
        ),
        *(
            (text, None)
            for text in ("<p>Hello</p>", "<table>", "<input>", '{"name": "Ada"}', "[I love apples]")
        ),
        *(
            (text, None)
            for text in ("None of the students", "无", "NaN", "list.insert(0, x)", "No", "a[insert]")
        ),
        *(
            (text, None)
            for text in ("(the end)", "(a, b)", "INSERT INTO t VALUES (1)", "std::vector<int> v;")
        ),
    ],
)
def test_placeholder(input: str, expected: str | None) -> None:
    assert reason(placeholder(), input=input) == expected


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "Sorry, I cannot provide that information.",
    "I cannot fulfill this request.",
    "I can't create images, but I can describe one.",
    "I am unable to answer this question without more information.",
    "I'm not able to browse the internet.",
    "I don't have access to real-time data.",
    "I do not have the ability to play music.",
    "Unfortunately, I cannot complete this task.",
    "I apologize, but I cannot generate that kind of content.",
    "My apologies, but I am not able to open links.",
    "As an AI language model, I cannot do this task.",
    "As an AI, I don't have personal experiences.",
    "I'm sorry, but as an AI language model, I am not programmed to give medical advice.",
    "I'm sorry but without any image I am not able to identify the shape.",
    "I must decline to write this.",
    "I won't help with that.",
    "I'm afraid I can't do that.",
    "I am not able to generate a logo, as this requires an image.",
    "I'm sorry, but this request goes against my guidelines.",
]
ANSWERS = [
    "I'm sorry to hear about your loss.",
    "Sorry for the late reply! I was on holiday.",
    "Dear Ada, I can't make it to your party on Saturday, but have fun!",
    "I can't make it to the party, sorry.",
    "I cannot believe that summer is over already.",
    "I can't wait to see you.",
    "I'm sorry, I can't come to see the play tonight.",
    "I don't have any pets.",
    "Unfortunately, the weather was bad and the match was called off.",
    "We are sorry for the inconvenience and will refund you.",
    "I am not a fan of long meetings.",
    "As an artist, I paint what I can't say.",
    "As an air traffic controller, I see many planes.",
    "An AI assistant is a program that answers questions.",
    "The model cannot see the image because it reads text only.",
    "I'm sorry, the question was unclear; the answer is 42.",
    "Sorry seems to be the hardest word.",
    "I apologise for my behaviour yesterday.",
    "抱歉，我来晚了。",
    "Je ne peux pas venir demain.",
    "def sorry():\n    raise NotImplementedError('I cannot do this')",
    "",
]


@pytest.mark.parametrize("output", REFUSALS)
def test_refusals_are_dropped(output: str) -> None:
    assert reason(refusal(), output=output) == "refusal"


@pytest.mark.parametrize("output", ANSWERS)
def test_answers_are_no_refusals(output: str) -> None:
    assert reason(refusal(), output=output) is None


def test_boilerplate() -> None:
    output = "Colours are a matter of taste. As an AI language model, I like none of them."
    assert reason(refusal(), output=output) == "boilerplate"
    assert reason(refusal(boilerplate=False), output=output) is None
    assert reason(refusal(), output="I'm just an AI model, but blue is nice.") == "boilerplate"


def test_echo() -> None:
    assert reason(echo(), "Repeat.", "The cat sat.", " The cat sat.\n") == "echo"
    assert reason(echo(), "What is up?", "", "What is up?") == "echo"
    assert reason(echo(), "Correct it.", "The cat sat.", "The cat sat!") is None
    assert reason(echo(), "Correct it.", "", "") is None


def test_repetition() -> None:
    assert reason(repetition(), output="I like to eat apples. " * 30) == "repetition"
    assert reason(repetition(), output="我喜欢吃苹果。" * 30) == "repetition"
    assert reason(repetition(), output="ha " * 10) is None  # short
    numbers = " ".join(str(n) for n in range(200))
    assert reason(repetition(), output=numbers) is None
    # 97 phrases of four words: the second run of 50 words brings 47 again (48.5 %), three lie across the seam
    half = " ".join(str(n) for n in range(50))
    assert reason(repetition(high=0.48), output=f"{half} {half}") == "repetition"
    assert reason(repetition(high=0.49), output=f"{half} {half}") is None


def test_urls() -> None:
    assert reason(urls(), "Summarise https://example.org/a") == "url"
    assert reason(urls(), input="www.example.org") == "url"
    assert reason(urls(), output="See https://example.org") is None
    assert reason(urls(fields=("output",)), output="See https://example.org") == "url"
    assert reason(urls(), "What does HTTPS: stand for? And http?", "wwwhat") is None


@pytest.mark.parametrize("step", EVERY, ids=lambda step: step.name)
@pytest.mark.parametrize(
    "sample",
    [
        Sample.of("给出三个保持健康的提示。", "", "1. 均衡饮食。\n2. 多运动。\n3. 充足睡眠。"),
        Sample.of("اكتب ثلاث نصائح للحفاظ على الصحة", "", "تناول طعامًا صحيًا، ومارس الرياضة، ونم جيدًا."),
        Sample.of("Corrige la phrase : « il a manger ».", "Il a manger.", "Il a mangé."),
        Sample.of(
            "Fix this Python function.", "def f(x): retrun x", "```python\ndef f(x):\n    return x\n```"
        ),
        Sample.of("What does this element do in HTML?", "<table>", "It holds rows and cells."),
    ],
    ids=["chinese", "arabic", "french", "python", "html"],
)
def test_good_rows_pass_every_filter(step: Step, sample: Sample) -> None:
    assert reasons(step, [sample]) == [None]


@pytest.fixture(scope="module")
def alpaca() -> list[Sample]:
    rows = json.loads(gzip.decompress((ALPACA / "alpaca_data.json.gz").read_bytes()))
    return [Sample.of(row["instruction"], row["input"], row["output"]) for row in rows]


@needs_alpaca
def test_counts_on_alpaca(alpaca: list[Sample]) -> None:
    """Counted by others on the same file: 28 empty outputs, 40 <nooutput>, 668 stand-ins for no input, 55 outputs
    equal to their input. We count "<N/A>" (3 rows), too.
    """
    found = reasons(answered(), alpaca)
    assert (found.count("empty_output"), found.count("no_output")) == (28, 40)
    assert reasons(placeholder(), alpaca).count("no_input") == 668 + 3
    echoes = [sample for sample, why in zip(alpaca, reasons(echo(), alpaca), strict=True) if why]
    assert sum(sample.output.strip() == sample.input.strip() for sample in echoes) == 55


@needs_alpaca
def test_labels_by_hand(alpaca: list[Sample]) -> None:
    """Rows 0 to 999 of Alpaca as the AlpacaDataCleaned project labelled them: what the filters drop is bad, and they
    find the inputs that were edited. Wrong answers (most of `output_fixed`) and dull tasks (`removed`) are a judge's.
    """
    path = ALPACA / "cleaned_labels_rows_0_999.jsonl.gz"
    labels = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    rows = [alpaca[label["row"]] for label in labels]
    filters = (heuristics(), answered(), placeholder(), refusal(), echo(), repetition(), urls())
    hits = {n for step in filters for n, why in enumerate(reasons(step, rows)) if why}
    assert len(hits) >= 15
    assert all(labels[n]["bad"] for n in hits)
    edited = {n for n, label in enumerate(labels) if "input_edited" in label["labels"]}
    assert (len(edited), len(edited & hits)) == (11, 10)
