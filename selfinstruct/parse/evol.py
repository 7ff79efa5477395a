"""Evol-Instruct's elimination rules, and its verdict on two prompts (Xu et al. 2023, WizardLM, section 3.2).

`paper` is what was published. `fixed` keeps what each rule is for and lets through what the rule was never meant to
stop; beside each rule is what that came to on data of others.

    rule            paper                                      fixed
    meta words      a phrase of the rewriting prompt           not one that the parent has, too (20 of Alpaca's
                    anywhere in the evolved text               52,002 tasks speak of "the given prompt")
    sorry           "sorry" in an answer of fewer than 80      the answer must begin with it, and say that something
                    words, words being what spaces separate    can't be done (of 81 answers of Alpaca's, 63 are
                                                               letters of apology and the like); words of any
                                                               script are counted
    stop words      an answer of nothing but stop words and    an answer of nothing but dots (of 103 answers of
                    ASCII punctuation, or an empty one         Alpaca's, 28 are empty, and 75 are right to be short:
                                                               "No.", "A", "their", ":-)")
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from rapidfuzz.distance import LCSseq

from selfinstruct.errors import ParseError
from selfinstruct.heuristics import refusal_fault
from selfinstruct.parse import json_object
from selfinstruct.text import normal_form, symbols, words

Fidelity = Literal["fixed", "paper"]

PROMPT_WORDS = ("given prompt", "rewritten prompt", "created prompt")  # with # before and after, too
RESPONSE_WORDS = (*PROMPT_WORDS, "given response", "rewritten response")
SHORT = 80  # words, from which on an answer with "sorry" in it counts as an answer
NEAR = 0.95  # ROUGE-L F above which more than fillers must have been added


class Fault(NamedTuple):
    """Why an evolution is eliminated: the reason, and what a drop says of the rule."""

    reason: str
    detail: Mapping[str, Any]


def meta_fault(
    text: str, parent: str, fidelity: Fidelity, known: tuple[str, ...] = PROMPT_WORDS
) -> Fault | None:
    """Words of the rewriting prompt that found their way into the evolved text."""
    low, before = text.lower(), "" if fidelity == "paper" else parent.lower()
    for phrase in known:
        if low.count(phrase) > before.count(phrase):
            return Fault("meta_words", {"rule": "meta_words", "value": phrase})
    return None


def change_fault(text: str, parent: str, least: int | None = None, most: int | None = None) -> Fault | None:
    """An evolved text that is its parent, a refusal, or that grew by fewer than `least` or more than `most` words."""
    old, new = words(parent) or symbols(parent), words(text) or symbols(text)
    if normal_form(text) == normal_form(parent) or (old == new and _signs(text) == _signs(parent)):
        return Fault("unchanged", {"rule": "same_words"})
    score = LCSseq.similarity(old, new) * 2 / (len(old) + len(new))
    if NEAR < score < 1 and all(word in _FILLERS for word in _added(old, new)):
        return Fault("unchanged", {"rule": "rouge_l", "value": round(score, 4), "threshold": NEAR})
    refused = _refuses(text)
    if refused is not None and _refuses(parent) is None:
        return Fault(refused, {"rule": "refusal"})
    grown = len(new) - len(old)
    for crossed, bound in (
        (least is not None and grown < least, least),
        (most is not None and grown > most, most),
    ):
        if crossed:
            return Fault("growth", {"rule": "words", "value": grown, "threshold": bound})
    return None


def _signs(text: str) -> list[str]:
    """Signs that may mean something, as in 3 + 4: not those that a sentence is set with."""
    return [char for char in symbols(text) if not char.isalnum() and char not in ".,;:!?…'\"“”‘’「」。，"]


_FILLERS = frozenset("a an the this that these those of to please now also just so then very too".split())


def _added(old: list[str], new: list[str]) -> list[str]:
    """The words of `new` that a longest common subsequence with `old` leaves over."""
    return [new[edit.dest_pos] for edit in LCSseq.editops(old, new) if edit.tag == "insert"]


def _refuses(text: str) -> str | None:
    return "sorry" if _regrets(text) else refusal_fault(text)


def answer_fault(answer: str, fidelity: Fidelity) -> Fault | None:
    """An answer that gives nothing."""
    paper = fidelity == "paper"
    size = len(answer.split()) if paper else max(len(answer.split()), len(words(answer)))
    if "sorry" in answer.lower() and size < SHORT and (paper or _regrets(answer)):
        return Fault("sorry", {"rule": "sorry", "value": size, "threshold": SHORT})
    if paper:
        return Fault("stop_words", {"rule": "stop_words"}) if _says_nothing(answer) else None
    if _DOTS.fullmatch(answer):
        return Fault("empty_output", {"rule": "dots"})
    refused = refusal_fault(answer)
    return None if refused is None else Fault(refused, {"rule": "refusal"})


_SORRY = re.compile(
    r"\W{0,9}(?:(?:i'm|i am|we're|we are|my)\s{1,9})?(?:(?:so|very|truly|really|deeply|sincerely)\s{1,9})?sorry\b",
    re.IGNORECASE,
)
_UNABLE = re.compile(
    r"\b(?:can(?:no|')t|can not|unable|not (?:able|capable|possible)|won't|will not|do(?:es)?(?:n't| not) have"
    r"|impossible)\b",
    re.IGNORECASE,
)


def _regrets(answer: str) -> bool:
    text = answer.replace("’", "'")
    return bool(_SORRY.match(text) and _UNABLE.search(text))


def _says_nothing(answer: str) -> bool:
    parts = (part.strip(string.punctuation) for part in answer.lower().split())
    return all(not part or part in _STOP for part in parts)


_DOTS = re.compile(r"[\s.…]{0,9}")
_STOP = frozenset(
    "a an the this that these those i me my mine myself we us our ours ourselves you your yours yourself yourselves he "
    "him his himself she her hers herself it its itself they them their theirs themselves what which who whom whose am "
    "is are was were be been being have has had having do does did doing will would shall should can could may might "
    "must and but if or nor because as until while of at by for with without about against between into through during "
    "before after above below to from up down in out on off over under again further then once here there when where "
    "why how all any both each few more most other some such no not only own same so than too very just now also "
    "please s t d m o re ve ll don".split()
)


SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["Equal", "Not Equal"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
_DRESS = r"[ \t*_`#\"'“”()\[\]<>-]{0,8}"
_WORD = r"(?P<not>not[ \t-]{0,3}|un)?equal"
_LABEL = r"(?:(?:my|your|the|final)[ \t]){0,2}(?:judge?ment|verdict|answer|conclusion)"
_END = r"[ \t*_`\"'”)\]>]{0,8}(?:$|[.,;:!—–]|-\s)"
_ALONE = re.compile(rf"{_DRESS}(?:{_LABEL}{_DRESS}[:=]{_DRESS})?{_WORD}{_END}", re.IGNORECASE)
_LABELLED = re.compile(rf"\b{_LABEL}{_DRESS}[:=]{_DRESS}{_WORD}{_END}", re.IGNORECASE | re.MULTILINE)


def equal(text: str) -> bool:
    """Whether the verdict is Equal: a JSON object {"verdict"}, a first line that begins with nothing but the verdict,
    or a labelled one ("Judgement: Not Equal"). "equal" inside "not equal" is never Equal.

    Raises ParseError: `no_verdict`, `two_verdicts` (they disagree), `two_objects`, `bad_json`.
    """
    if "{" in text and '"verdict"' in text:
        said = json_object(text).get("verdict")
        match = _ALONE.match(said.strip()) if isinstance(said, str) else None
        if match is None:
            raise ParseError("no_verdict", repr(said)[:80])
        return match["not"] is None
    first = text.strip().partition("\n")[0].strip()
    matches = [_ALONE.match(first), *_LABELLED.finditer(text)]
    found = {match["not"] is None for match in matches if match is not None}
    if not found:
        raise ParseError("no_verdict", first[:80])
    if len(found) > 1:
        raise ParseError("two_verdicts", text.strip()[:80])
    return found.pop()
