"""What a word is, in any script, and when two texts are the same text.

`words` cuts a text into comparable tokens. Scripts written with spaces give words; scripts written without
them (Chinese, Japanese, Thai, Khmer...) give one token per character with its combining marks, because no
list of words is needed to compare two such texts, only a unit that both are cut into in the same way.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

# Counts up when `words` cuts any text differently: a stored index names the rules that cut it.
WORDS_VERSION = 1

# Characters without a shape of their own: soft hyphen, joiners, direction marks, variation selectors, tags.
# Two texts that differ in them look the same, and they sit inside words (Persian, Hindi, emoji).
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_TYPOGRAPHIC = str.maketrans(
    dict.fromkeys("‘’‛ʼ", "'") | dict.fromkeys("“”‟„", '"') | dict.fromkeys("‐‑‒–—―−", "-")
)

# Blocks of scripts that put no space between words (line breaking classes ID and SA of UAX #14, as letters).
_UNSPACED = (
    (0x0E00, 0x0E7F),  # Thai
    (0x0E80, 0x0EFF),  # Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3005, 0x3007),  # ideographic iteration mark and zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x303C),  # kana repeat marks
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Han extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA000, 0xA4CF),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar extended B
    (0xAA60, 0xAADF),  # Myanmar extended A, Tai Viet
    (0xF900, 0xFAFF),  # Han compatibility
    (0x11700, 0x1174F),  # Ahom
    (0x1AFF0, 0x1B16F),  # kana extensions
    (0x20000, 0x323AF),  # Han extensions B to H
)


def words(text: str) -> list[str]:
    """The tokens of `text`, in order: case, width and invisible characters make no difference.

    Kept whole: accented letters and combining marks, numbers (`3.14`, `1,000`), dotted names (`node.js`,
    `e.g`), and the signs that tell languages apart (`c++`, `c#`, `f#`, `.net`). All other punctuation
    separates. Characters of unspaced scripts are tokens of their own. A text of punctuation or emoji alone
    has no word.
    """
    if text.isascii():
        return _ascii_word().findall(text.lower())
    return _unicode_word().findall(_fold(text))


def symbols(text: str) -> list[str]:
    """The visible characters of `text`, folded as in `words`: what is left to compare when it has no word."""
    return [c for c in _fold(text) if not c.isspace()]


def normal_form(text: str) -> str:
    """The form under which two texts count as the same: equal but for case, width, spacing, invisible
    characters and typographic quotes and dashes. Punctuation stays, so that "C++" and "C#" differ."""
    return " ".join(_fold(text).translate(_TYPOGRAPHIC).split())


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Twice, because case folding can leave a text that is not in normal form (UAX #15, NFKC_Casefold).
    for _ in range(2):
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return unicodedata.normalize("NFKC", text)


def _word(unit: str, letter: str, digit: str) -> re.Pattern[str]:
    """Units joined by a dot between letters or digits and by a thousands separator, with the sign of C++, C#
    or A+."""
    joint = rf"(?<={letter})\.(?={letter})|(?<={digit})(?:[.٫](?={digit})|[,٬](?={digit}{{3}}(?!{digit})))"
    sign = rf"(?<={letter})(?:\+\+(?![+#])|[+#](?!{unit}|[+#]))"
    return re.compile(rf"{unit}+(?:(?:{joint}){unit}+)*(?:{sign})?|(?<![.\d])\.net(?!{unit})")


@functools.cache
def _ascii_word() -> re.Pattern[str]:
    return _word("[a-z0-9]", "[a-z]", "[0-9]")


@functools.cache
def _unicode_word() -> re.Pattern[str]:
    # `re` has no classes for marks or scripts, and its \w leaves combining marks out, which would cut every
    # word of Hindi or Arabic with vowel signs. The classes are read from Python's own Unicode tables at first
    # need (10 ms).
    marks = _ranges(c for c in (*range(0x300, 0x1F000), *range(0xE0100, 0xE01F0)) if _category(c) == "M")
    unspaced = _ranges(c for low, high in _UNSPACED for c in range(low, high + 1) if _category(c) == "L")
    pattern = _word(rf"(?:(?![{unspaced}])[^\W_][{marks}]*)", r"[^\W\d_]", r"\d").pattern
    return re.compile(rf"[{unspaced}][{marks}]*|{pattern}")


def _category(code: int) -> str:
    return unicodedata.category(chr(code))[0]


def _ranges(codes: Iterable[int]) -> str:
    """The body of a character class for ascending code points."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in runs)


def script(letter: str) -> str:
    """The script that a letter belongs to, as Unicode names it: LATIN, CYRILLIC, CJK... Empty for what has no name."""
    return unicodedata.name(letter, "").partition(" ")[0]


def scripts(language: str) -> frozenset[str]:
    """The scripts that a language is written in, by its English name ("Brazilian Portuguese", "Chinese (simplified)");
    empty for one that is not known here."""
    for word in re.findall(r"[a-z]+", language.lower()):
        if word in _WRITTEN:
            return frozenset(_WRITTEN[word].split())
    return frozenset()


_LATIN = (
    "english german french spanish portuguese italian dutch swedish danish norwegian finnish icelandic polish czech "
    "slovak slovenian croatian bosnian romanian hungarian estonian latvian lithuanian turkish azerbaijani vietnamese "
    "indonesian malay filipino tagalog swahili yoruba igbo hausa zulu xhosa afrikaans somali catalan basque galician "
    "irish welsh maltese albanian luxembourgish latin esperanto"
)
_WRITTEN: dict[str, str] = {
    **dict.fromkeys(_LATIN.split(), "LATIN"),
    **dict.fromkeys(
        "russian ukrainian belarusian bulgarian macedonian mongolian kazakh kyrgyz tajik".split(), "CYRILLIC"
    ),
    "serbian": "CYRILLIC LATIN",
    "uzbek": "LATIN CYRILLIC",
    **dict.fromkeys("arabic persian farsi urdu pashto dari uyghur".split(), "ARABIC"),
    **dict.fromkeys("hindi marathi nepali sanskrit".split(), "DEVANAGARI"),
    **dict.fromkeys("chinese mandarin cantonese".split(), "CJK"),
    "japanese": "CJK HIRAGANA KATAKANA",
    "korean": "HANGUL",
    "greek": "GREEK",
    **dict.fromkeys("hebrew yiddish".split(), "HEBREW"),
    **{
        name: name.upper()
        for name in "bengali tamil telugu kannada malayalam gujarati thai lao khmer georgian".split()
    },
    **{name: name.upper() for name in "armenian tibetan myanmar sinhala".split()},
    "burmese": "MYANMAR",
    "punjabi": "GURMUKHI",
    **dict.fromkeys("amharic tigrinya".split(), "ETHIOPIC"),
}
