"""The 175 seed tasks: form, spread, distance from known prompt sets. tests/seeds checks their answers."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rapidfuzz.distance import LCSseq
from rouge_score import rouge_scorer
from rouge_score.tokenizers import DefaultTokenizer

ROOT = Path(__file__).resolve().parents[1]
SEEDS = ROOT / "seeds" / "seed_tasks.jsonl"
SHARED = ROOT.parent / "shared" / "data"
LINES = SEEDS.read_text(encoding="utf-8").splitlines()
TASKS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
BY_NAME: dict[str, dict[str, Any]] = {task["name"]: task for task in TASKS}
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared/data is absent")


# --- form ---------------------------------------------------------------------------------------------------


def test_every_line_is_the_json_of_its_row() -> None:
    assert len(LINES) == 175
    for line, task in zip(LINES, TASKS, strict=True):
        assert line == json.dumps(task, ensure_ascii=False)


def test_schema() -> None:
    for number, task in enumerate(TASKS):
        assert list(task) == ["id", "name", "instruction", "instances", "is_classification"]
        assert task["id"] == f"seed_task_{number}"
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", task["name"])
        assert isinstance(task["is_classification"], bool)
        assert 1 <= len(task["instances"]) <= 3
        for instance in task["instances"]:
            assert list(instance) == ["input", "output"]
            assert isinstance(instance["input"], str)
            assert isinstance(instance["output"], str)


def test_nothing_occurs_twice() -> None:
    assert len(BY_NAME) == len(TASKS)
    assert len({task["instruction"].casefold() for task in TASKS}) == len(TASKS)
    pairs = [(task["name"], i["input"]) for task in TASKS for i in task["instances"]]
    assert len(set(pairs)) == len(pairs)
    inputs = [i["input"] for task in TASKS for i in task["instances"][:1] if i["input"]]
    assert len(set(inputs)) == len(inputs)


def test_texts_survive_the_usual_instance_filters() -> None:
    """Self-Instruct drops empty and echoed outputs and texts ending in a colon; Alpaca splits blocks at `###`."""
    for task in TASKS:
        for text in (task["instruction"], *(t for i in task["instances"] for t in i.values())):
            assert text == text.strip()
            assert not text.endswith(":")
            assert "###" not in text
            assert unicodedata.is_normalized("NFC", text)
        for instance in task["instances"]:
            assert instance["output"]
            assert instance["output"] != instance["input"]


PLACEHOLDERS = re.compile(
    r"""\[(?:your|name|insert|date|company|recipient|title|city)\b[^\]]*\]
    | <(?:your|name|insert|mask|noinput)[^>]*>
    | \b(?:your\ (?:text|name)\ here|lorem\ ipsum|foo|foobar|xyz|xxx+|todo|tbd|john\ doe|jane\ doe|acme)\b
    | _{3,}""",
    re.IGNORECASE | re.VERBOSE,
)


@pytest.mark.parametrize(
    "text", ["Dear [Your Name],", "Lorem ipsum", "foo(bar)", "<insert here>", "I am ____"]
)
def test_the_placeholder_pattern_finds(text: str) -> None:
    assert PLACEHOLDERS.search(text)


def test_no_placeholders_and_only_example_domains() -> None:
    for task in TASKS:
        for text in (task["instruction"], *(t for i in task["instances"] for t in i.values())):
            assert not PLACEHOLDERS.search(text), (task["name"], PLACEHOLDERS.search(text))
            assert "http://" not in text
            assert "https://" not in text
            for address in re.findall(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", text):
                assert re.search(r"[@.](?:example\.(?:com|org|net)|[\w-]+\.example)$", address.lower()), (
                    address
                )


def test_the_machine_task_heuristics_would_keep_every_instruction() -> None:
    banned = r"images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram"
    for task in TASKS:
        text = task["instruction"]
        assert 4 <= len(text.split()) <= 150, text
        assert not re.search(rf"\b(?:{banned})\b", text, re.IGNORECASE), text
        assert not text.startswith("Write a program")
        assert text[0].isascii()
        assert text[0].isalnum()


# --- spread -------------------------------------------------------------------------------------------------


def test_openings_vary() -> None:
    first = Counter(re.findall(r"[\w-]+", task["instruction"])[0].casefold() for task in TASKS)
    assert len(first) >= 110
    assert max(first.values()) <= 4


def test_lengths_vary() -> None:
    words = [len(task["instances"][0]["output"].split()) for task in TASKS]
    assert sum(w > 100 for w in words) >= 20
    assert sum(w > 200 for w in words) >= 3
    assert sum(w <= 20 for w in words) >= 40
    assert max(words) <= 300


def test_a_third_has_no_input() -> None:
    share = sum(not task["instances"][0]["input"] for task in TASKS) / len(TASKS)
    assert 0.30 <= share <= 0.36


def test_many_scripts_occur() -> None:
    letters = "".join(t for task in TASKS for i in task["instances"] for t in i.values())
    scripts = {unicodedata.name(c).split()[0] for c in set(letters) if c.isalpha()}
    assert scripts >= {"LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "HIRAGANA", "KATAKANA", "CJK", "HANGUL"}


LABELS: dict[str, tuple[str, ...]] = {
    "ticket_queue": ("Billing", "Login", "Delivery", "Defect"),
    "repair_urgency": ("emergency", "urgent", "routine"),
    "sentence_register": ("formal", "neutral", "slang"),
    "romance_language": ("Catalan", "Galician", "Italian", "Occitan", "Portuguese", "Romanian", "Spanish"),
    "data_format": ("JSON", "YAML", "TOML", "CSV", "XML"),
    "statement_logic": ("follows", "contradicts", "open"),
    "triangle_sort": ("equilateral", "isosceles", "scalene", "impossible"),
    "log_severity": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "literary_device": ("simile", "personification", "hyperbole", "oxymoron", "alliteration"),
    "waste_bin": ("paper", "glass", "compost", "residual"),
    "return_policy": ("refund", "exchange", "refusal"),
    "loop_cost": ("O(1)", "O(log n)", "O(n)", "O(n log n)", "O(n^2)"),
    "integer_kind": ("prime", "composite", "neither"),
    "text_message_screen": ("phishing", "advertising", "harmless"),
    "http_blame": ("client", "server", "nobody"),
    "street_stance": ("for", "against", "undecided"),
    "french_tense": ("présent", "imparfait", "passé composé", "futur simple"),
    "allergy_label": ("safe", "unsafe", "unclear"),
    "speech_act": ("request", "promise", "apology", "complaint", "thanks"),
    "fallacy_name": ("ad hominem", "straw man", "false dilemma", "slippery slope", "circular reasoning"),
    "animal_class": ("mammal", "bird", "reptile", "amphibian", "fish"),
    "privacy_mark": ("private", "public"),
    "command_risk": ("read-only", "reversible", "destructive"),
    "event_century": ("15th", "16th", "17th", "18th", "19th"),
    "chinese_review_return": ("yes", "no", "unsure"),
    "password_gate": ("accept", "reject"),
}


def test_classification_labels_stand_in_the_instruction() -> None:
    marked = [task for task in TASKS if task["is_classification"]]
    assert {task["name"] for task in marked} == set(LABELS)
    assert 0.13 <= len(marked) / len(TASKS) <= 0.17
    for task in marked:
        labels = LABELS[task["name"]]
        for label in labels:
            assert re.search(rf"(?<!\w){re.escape(label)}(?!\w)", task["instruction"]), (task["name"], label)
        for instance in task["instances"]:
            assert instance["input"]
            assert instance["output"] in labels


# --- distance -----------------------------------------------------------------------------------------------


def tokens(text: str) -> list[str]:
    return list(DefaultTokenizer(False).tokenize(text))


def rouge_l(target: list[str], prediction: list[str]) -> float:
    """ROUGE-L F as rouge_score computes it, with the longest common subsequence from rapidfuzz."""
    common = LCSseq.similarity(target, prediction)
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(target)
    return 2 * precision * recall / (precision + recall)


def test_rouge_l_equals_rouge_score() -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    texts = [task["instruction"] for task in TASKS[:15]]
    for a, b in itertools.combinations(texts, 2):
        assert rouge_l(tokens(a), tokens(b)) == scorer.score(a, b)["rougeL"].fmeasure


def test_no_two_instructions_are_alike() -> None:
    for (a, x), (b, y) in itertools.combinations([(t["name"], tokens(t["instruction"])) for t in TASKS], 2):
        assert rouge_l(x, y) < 0.5, (a, b)


def shared_rows(path: str) -> list[dict[str, Any]]:
    raw = (SHARED / path).read_bytes()
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


PROMPT_SETS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "permissive/seeds/self_instruct_175.jsonl": lambda row: [row["instruction"]],
    "permissive/eval_prompts/self_instruct_user_252.jsonl.gz": lambda row: [row["instruction"]],
    "permissive/eval_prompts/ifeval_541.jsonl.gz": lambda row: [row["prompt"]],
    "permissive/eval_prompts/mt_bench_80.jsonl": lambda row: row["turns"],
    "permissive/eval_prompts/vicuna_80.jsonl": lambda row: row["turns"],
    "noncommercial/eval_prompts/alpaca_eval_805.jsonl.gz": lambda row: [row["instruction"]],
    "noncommercial/eval_prompts/wizardlm_218.jsonl.gz": lambda row: [row["Instruction"]],
}


@needs_shared
@pytest.mark.parametrize("path", PROMPT_SETS)
def test_no_instruction_resembles_a_known_prompt(path: str) -> None:
    known = [(text, tokens(text)) for row in shared_rows(path) for text in PROMPT_SETS[path](row)]
    assert known
    for task in TASKS:
        mine = tokens(task["instruction"])
        for text, theirs in known:
            assert rouge_l(mine, theirs) < 0.5, (task["name"], text)
