"""What a conversation is made of: a user's next message, as a model plays it, and lists of openings.

Aligned models are poor users (arXiv 2510.06552): they thank, they offer help, they answer their own question. Each of
these is a reason of its own. The rules about wording read English; politeness is known in a few more languages, and
what a rule can't read, it lets through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from selfinstruct.errors import ParseError
from selfinstruct.parse import json_list
from selfinstruct.sample import Message
from selfinstruct.text import words

ECHOED = 0.8  # share of a message's phrases that stand in the answer before it
_PHRASE = 4  # words of one
_ENOUGH = 8  # words of a message that can be an echo; a shorter one may quote


def user_turn(text: str, said: Sequence[Message], *, sentinel: str = "", fence: str = "") -> str | None:
    """The user's next message after `said`; None where it ends the conversation with the `sentinel` it was told.
    `fence` is the mark that the conversation was shown between.

    Raises ParseError: meta_words (it speaks of the instructions), both_sides (it writes the assistant's part, too),
    role_flip (it speaks as an assistant), answers_itself, politeness_only, repeated (an earlier message of the user's),
    echo (the assistant's last one).
    """
    text = _LABEL.sub("", text.strip(), count=1).strip()
    if not text.strip(_DRESS):
        raise ParseError("empty_output", text[:200])
    if sentinel and (sentinel in text[: len(sentinel) + _NEAR] or sentinel in text[-len(sentinel) - _NEAR :]):
        return None
    if any(mark in text for mark in (sentinel, fence) if mark) or _META.search(text):
        raise ParseError("meta_words", text[:200])
    if _SIDES.search(text):
        raise ParseError("both_sides", text[:200])
    if speaks_as_assistant(text):
        raise ParseError("role_flip", text[:200])
    if _ANSWERED.search(text):
        raise ParseError("answers_itself", text[:200])
    if polite(text):
        raise ParseError("politeness_only", text[:200])
    found = words(text)
    if any(found == words(message.content) for message in said if message.role == "user"):
        raise ParseError("repeated", text[:200])
    heard = next((message.content for message in reversed(said) if message.role == "assistant"), "")
    if len(found) >= _ENOUGH and _shared(found, words(heard)) >= ECHOED:
        raise ParseError("echo", text[:200])
    return text


_NEAR = 4  # characters between the sentinel and an end of the message: quotes, stars, a full stop
_DRESS = " \t\n*_`\"'“”."
_LABEL = re.compile(r"\A(?:\*\*)?(?:human|user)(?:\*\*)?[ \t]{0,3}:(?:\*\*)?", re.IGNORECASE)
_META = re.compile(
    r"\bas (?:the|a) (?:simulated|human) (?:user|human)\b|\bmy persona\b|\b(?:the|this) role-?play\b"
    r"|\bthe human(?:'s|’s) next message\b|\bnext message (?:of|from) the (?:human|user)\b",
    re.IGNORECASE,
)
_SIDES = re.compile(r"^(?:\*\*)?\[?(?:assistant|ai)\]?(?:\*\*)?[ \t]{0,3}:", re.IGNORECASE | re.MULTILINE)
# What only a model says that it is; an AI engineer is a person.
AN_AI = (
    r"(?:an? (?:large )?language model\b"
    r"|an? (?:ai|artificial intelligence)(?:(?: language)? (?:model|assistant|chatbot)\b"
    r"|(?=\W{0,3}(?:$|[,.;:!?\n—–]|(?:i|and|so|but|who|that|trained|created|designed|built|made|here|without)\b))))"
)
_ASSISTANT = re.compile(
    rf"\bas {AN_AI},? i\b|\bi(?:'m| am) (?:just |only )?{AN_AI}"
    r"|\b(?:how|what) (?:can|may|could) i (?:help|assist|do for) you\b"
    r"|\b(?:i'm|i am) (?:here|happy|glad) to (?:help|assist)\b|\bi(?:'d| would) be (?:happy|glad) to (?:help|assist)\b"
    r"|\b(?:is there anything|if there(?:'s| is) anything|do you have any|if you have any) (?:else|other|more|further)"
    r" (?:i can|you(?:'d| would) like|questions)\b"
    r"|\bfeel free to (?:ask|reach|let me know)\b|\byou(?:'re| are) (?:very |most )?welcome\b"
    r"|\A(?:certainly|of course|sure|absolutely)[!,.] (?:here (?:is|are)|here's|i(?:'d| would|'ll| will| can)\b)",
    re.IGNORECASE,
)
_ANSWER = r"(?:\*\*)?(?:answer|solution)(?:\*\*)?[ \t]{0,3}:"
_ANSWERED = re.compile(
    rf"\?[\s*_]{{1,9}}(?:{_ANSWER}|the answer (?:to (?:this|that|my question) )?is\b)|^{_ANSWER}",
    re.IGNORECASE | re.MULTILINE,
)


def speaks_as_assistant(text: str) -> bool:
    """Whether a user's message is what only an assistant would say."""
    return _ASSISTANT.search(text.replace("’", "'")) is not None


_COURTESY = frozenset(
    "thank thanks thx ty cheers bye goodbye farewell hello hi hey appreciate appreciated grateful "
    "great good nice cool awesome amazing perfect wonderful excellent fantastic brilliant ok okay "
    "alright understood welcome merci gracias danke grazie obrigado obrigada spasibo спасибо شكرا "
    "شكراً 谢 感 ありがとう 감사합니다 고마워요 धन्यवाद helpful makes clear see got done".split()
)
_FILLER = frozenset(
    "a again ahead aide all am an and answer answers anyway are be beaucoup been bit but care "
    "clearly d dank day deep detailed do even evening everything exactly explaining explanation "
    "explanations extremely for forward from have help helped helping helps her hope how i i'll i'm "
    "idea information informative insightful insights interesting is it it's its kind know later "
    "life ll looking lot lots luck m makes me much muchas mucho my need needed now of on out pour "
    "pretty providing quick quite re really recommendation recommendations recommending response s "
    "say sense sharing so soon suggestion suggestions t take talk that that's thats the them then "
    "there these this those time tip tips to today tomorrow too true truly u up useful ve very viel "
    "vielen votre wait want was week well what work you you're you've your yours très جزيلا على لك "
    "مرة い ご ざ す ま 了 你 再 助 多 太 好 帮 常 很 您 有 明 白 的 见 非".split()
)


def polite(text: str) -> bool:
    """Whether a message only thanks, praises, greets or says goodbye: it asks for nothing new."""
    if any(mark in text for mark in "?？؟"):
        return False
    found = words(text.replace("’", "'").replace(".", " "))
    return any(word in _COURTESY for word in found) and all(
        word in _COURTESY or word in _FILLER for word in found
    )


def _shared(found: list[str], heard: list[str]) -> float:
    phrases = list(zip(*(found[start:] for start in range(_PHRASE)), strict=False))
    known = set(zip(*(heard[start:] for start in range(_PHRASE)), strict=False))
    return sum(phrase in known for phrase in phrases) / len(phrases)


def items(text: str, *, cut: bool = False) -> list[str | ParseError]:
    """The texts under "items" in a JSON answer; what is no text, or has no letter, becomes a ParseError in its place.
    Of one that was `cut` the items that are whole.

    Raises ParseError when the answer as a whole can't be read.
    """
    found = json_list(text, "items", cut=cut)
    if not found:
        raise ParseError("bad_json", 'an empty list under "items"')
    return [item if isinstance(item, ParseError) else _item(item) for item in found]


def _item(item: object) -> str | ParseError:
    if isinstance(item, str) and any(sign.isalnum() for sign in item):
        return item.strip()
    return ParseError("bad_item", json.dumps(item)[:80])
