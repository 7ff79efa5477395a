"""What an aligned model wrote in the user's place, and the tags of an instruction."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_object
from selfinstruct.parse.dialogue import AN_AI
from selfinstruct.text import normal_form

LEVELS: Mapping[str, tuple[str, ...]] = {
    "difficulty": ("very easy", "easy", "medium", "hard", "very hard"),
    "quality": ("very poor", "poor", "average", "good", "excellent"),
}
CATEGORIES: Mapping[str, str] = {
    "Information seeking": "facts and explanations about the world",
    "Reasoning": "logic, puzzles, working out what follows",
    "Planning": "a plan or strategy for something to be done",
    "Editing": "rewriting, correcting or shortening a text that is there",
    "Coding & Debugging": "writing, reading or mending code",
    "Math": "mathematical concepts, problems and calculations",
    "Role playing": "the model is to speak as somebody else",
    "Data analysis": "making sense of data, tables and statistics",
    "Creative writing": "stories, poems and other inventions",
    "Advice seeking": "what to do in a personal or professional matter",
    "Brainstorming": "many ideas for something",
    "Others": "none of these",
}

# The role's name behind the user's last sentence: what is left of a header when a server leaves out its marks.
_ROLE = re.compile(r"(?:\A|(?<=[.?!…)\"'`。？！؟])\n{0,3})(assistant|model)[ \t]{0,9}\r?\n")
_LEAD = re.compile(r"\A(?:user|human)[ \t]{0,9}:?[ \t]{0,9}\r?\n")
_HELLO = (
    r"(?:hi+|hey+|hello+|hi there|hey there|hello there|greetings|good (?:morning|afternoon|evening|day)|howdy"
    r"|hola|bonjour|salut|hallo|guten tag|ciao"
    r"|ol[áa]|привет|здравствуйте|你好|您好|こんにちは|안녕하세요|مرحبا|السلام عليكم)"
)
_MORE = (
    r"(?:how are you(?: doing)?(?: today)?|how(?:'s| is) it going|what'?s up|(?:how|what) (?:can|may) i"
    r" (?:help|assist|do)(?: for)?(?: you)?(?: with)?(?: today)?|(?:it'?s )?nice to meet you"
    r"|i'?m here to help|there)"
)
_GREETING = re.compile(
    rf"(?:{_HELLO}|{_MORE})(?:[\W_]{{1,9}}(?:{_HELLO}|{_MORE})){{0,4}}[\W_]{{0,9}}", re.IGNORECASE
)
_SPOKEN = re.compile(
    rf"(?:(?:as|i'?m(?: just)?|i am(?: just)?) {AN_AI}"
    r"|(?:sure|certainly|of course|absolutely)[!,.][ \t]{0,9}(?:here|i\b|i'|let)"
    r"|i(?:'m| am) sorry,? but i (?:can't|cannot|am unable))",
    re.IGNORECASE,
)
_SYSTEM = re.compile(r"system[ \t]{0,9}\r?\n|(?:cutting knowledge|today) date:", re.IGNORECASE)
_ALIKE = 40  # characters of a system text by which its repetition is known


class UserTurn(NamedTuple):
    """The user's text, and the rule by which something behind it was cut off."""

    text: str
    cut: str = ""


def user_turn(text: str, *, stop: Sequence[str], whole: bool, system: str = "") -> UserTurn:
    """The user's turn out of a completion.

    `stop` are the template's marks, `whole` says that the completion ended by itself, `system` what stood in the system
    message. What follows a mark, or the other role's name on a line behind a sentence, is the next turn, and cut off.

    Raises ParseError: `empty`, `truncated`, `assistant_text` (the assistant speaks), `greeting`, `system_leak`.
    """
    places = [(found, "template_mark") for mark in stop if (found := text.find(mark)) >= 0]
    role = _ROLE.search(text)
    if role is not None and (
        role[1] == "assistant" or "<start_of_turn>" in stop
    ):  # Gemma's assistant is "model"
        places.append((role.start(), "role_name"))
    end, rule = min(places, default=(len(text), ""))
    rest = _LEAD.sub("", text[:end].strip()).strip()
    if not rest:
        raise ParseError("assistant_text" if rule == "role_name" else "empty", text[:80])
    if not whole and not rule:
        raise ParseError("truncated", rest[-80:])
    if _SYSTEM.match(rest) or (system and normal_form(rest).startswith(normal_form(system)[:_ALIKE])):
        raise ParseError("system_leak", rest[:80])
    if _GREETING.fullmatch(rest):
        raise ParseError("greeting", rest[:80])
    if _SPOKEN.match(rest):
        raise ParseError("assistant_text", rest[:80])
    return UserTurn(rest, rule)


class Tagged(NamedTuple):
    """One tag of an instruction: its value and what the model said about it."""

    value: str
    told: dict[str, Any]


def tag(text: str, kind: str) -> Tagged:
    """The tag `difficulty`, `quality` or `category` in a JSON answer.

    Raises ParseError: `no_json`, `bad_json`, `two_objects`, `no_tag`, `unknown_tag` (a level or category that is none).
    """
    answer = json_object(text)
    value = answer.get(kind)
    if not isinstance(value, str) or not value.strip():
        raise ParseError("no_tag", repr(value)[:80])
    allowed = LEVELS.get(kind) or tuple(CATEGORIES)
    known = {each.lower(): each for each in allowed}
    found = known.get(" ".join(value.strip(" `*.\"'").lower().split()))
    if found is None:
        raise ParseError("unknown_tag", value[:80])
    told: dict[str, Any] = {}
    if kind == "category":
        others = answer.get("others")
        named = others if isinstance(others, list) else []
        told["other_categories"] = [
            known[o.lower()] for o in named if isinstance(o, str) and o.lower() in known
        ]
    for name in ("intent", "knowledge", "explanation"):
        if isinstance(answer.get(name), str):
            told[name] = answer[name].strip()
    return Tagged(found, told)
