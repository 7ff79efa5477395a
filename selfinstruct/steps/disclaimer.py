"""disclaimer: a filter for conversations."""

from __future__ import annotations

import re

from selfinstruct.sample import Sample
from selfinstruct.step import filter

_DENIES = re.compile(
    r"\b(?:i|we)(?: am|'m)? (?:do not|don't|cannot|can't|not able to|am unable to|unable to|lack|never) "
    r"(?:really |actually |truly |personally |have |feel |hold |experience |possess |form |express |any |the |ability "
    r"|to |capacity |for |personal |own |my |human |real |subjective ){0,9}"
    r"(?:emotions?|feelings?|opinions?|beliefs?|preferences?|consciousness|(?<=personal )experiences?"
    r"|(?<=human )experiences?|(?<=subjective )experiences?)\b",
    re.IGNORECASE,
)


@filter
def disclaimer(sample: Sample) -> str | None:
    """Drop conversations in which the assistant says that it has no feelings, opinions or experiences of its own.

    Any answer counts, not only the last. Reads English. Source: the card of UltraChat 200k, which leaves such
    conversations out because they answer what nobody asked.
    """
    said = (message.content.replace("’", "'") for message in sample.messages if message.role == "assistant")
    return "disclaimer" if any(_DENIES.search(text) for text in said) else None
