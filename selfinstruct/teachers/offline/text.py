"""Tasks about sentences and strings: counting, case, formats, finding things in text."""

from __future__ import annotations

import re
from random import Random

from selfinstruct.teachers.offline.family import SPACED, Family, Slots
from selfinstruct.teachers.offline.material import CITIES, NAMES, SENTENCE, nouns, sentence

_PHRASE = {"phrase": SPACED}
_SENTENCE = {"sentence": SENTENCE}
_MAIL = re.compile(r"[a-z.]{1,64}@[a-z.]{1,64}[a-z]")
_TAG = re.compile(r"#[a-z]+")


def _quoted(rng: Random) -> dict[str, str]:
    return {"sentence": sentence(rng)}


def _headline(rng: Random) -> dict[str, str]:
    return {"phrase": sentence(rng).lower().rstrip(".")}


def _few(rng: Random) -> dict[str, str]:
    return {"phrase": " ".join(nouns(rng, 3, 5))}


def _camel(slots: Slots) -> str:
    first, *rest = slots["phrase"].split()
    return first + "".join(word.capitalize() for word in rest)


def _replacement(rng: Random) -> dict[str, str]:
    text = sentence(rng)
    words = [word for word in re.findall("[a-z]{4,}", text) if len(re.findall(rf"\b{word}\b", text)) == 1]
    old, new = rng.choice(words), nouns(rng, 1, 1)[0]
    return {"sentence": text, "old": old, "new": new}


def _replaced(slots: Slots) -> str:
    text, times = re.subn(rf"\b{slots['old']}\b", slots["new"], slots["sentence"])
    if not times:
        raise ValueError(slots["old"])
    return text


def _post(rng: Random) -> dict[str, str]:
    words = sentence(rng).split()
    tags = nouns(rng, 2, 3)
    words.insert(rng.randrange(1, len(words)), "#" + tags[0])
    return {"post": " ".join([*words, *("#" + tag for tag in tags[1:])])}


def _contact(rng: Random) -> dict[str, str]:
    digits = "".join(str(rng.randrange(10)) for _ in range(9))
    name, city = rng.choice(NAMES), rng.choice(CITIES)
    return {
        "contact": rng.choice(
            (
                f"{name} in {city} can be reached at {digits[:4]} {digits[4:]}.",
                f"Call {name}, {city} {digits[:3]}, extension {digits[3:6]}.",
                f"Invoice {digits[:5]} for {name}, customer {digits[5:]}.",
                f"Room {digits[:3]}, {name} from {city}, badge {digits[3:7]}.",
            )
        )
    }


def _message(rng: Random) -> dict[str, str]:
    name, other = rng.sample(NAMES, 2)
    first, second = nouns(rng, 2, 2)
    mail = f"{name.lower()}.{first}@{second}.{rng.choice(('com', 'org', 'net'))}"
    return {
        "message": rng.choice(
            (
                f"Dear {other}, please send the {first} order to {mail} before Friday, thanks, {name}",
                f"Hi {other}! My new address is {mail}, the old one no longer works.",
                f"{other}, the {second} list is with {name} ({mail}), ask there.",
                f"For the keys of the {second} room write to {mail} or see {other}.",
                f"{name} asked {other} to forward the {first} letters to {mail} each week.",
            )
        )
    }


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.findall(text)
    if not found:
        raise ValueError(text)
    return ", ".join(found)


FAMILIES = (
    Family(
        "word_count",
        (
            'How many words are in "{sentence}"?',
            'Count the words of this sentence: "{sentence}"',
            'Give the number of words: "{sentence}"',
            'What is the word count of "{sentence}"?',
            'The sentence "{sentence}" has how many words?',
            'A telegram costs by the word. How many has "{sentence}"?',
        ),
        _quoted,
        lambda slots: str(len(slots["sentence"].split())),
        slots=_SENTENCE,
    ),
    Family(
        "reverse_sentence",
        (
            'Write the words in reverse order, without the full stop: "{sentence}"',
            'Say "{sentence}" backwards, word by word and without full stop.',
            'Last word first, no punctuation: "{sentence}"',
            'Reverse the word order of "{sentence}" and drop the full stop.',
            'Read this sentence from its end to its start, word for word: "{sentence}"',
            'Turn the order of the words around: "{sentence}"',
        ),
        _quoted,
        lambda slots: " ".join(slots["sentence"].rstrip(".").split()[::-1]),
        slots=_SENTENCE,
    ),
    Family(
        "title_case",
        (
            "Capitalise the first letter of every word: {phrase}",
            "Write this headline in title case, all words: {phrase}",
            "Give every word a capital: {phrase}",
            "Title case, please, small words included: {phrase}",
            "Start each word with a capital letter: {phrase}",
            "Format as a title with every word capitalised: {phrase}",
        ),
        _headline,
        lambda slots: " ".join(word.capitalize() for word in slots["phrase"].split()),
        slots=_PHRASE,
        case=True,
    ),
    Family(
        "slug",
        (
            "Make a URL slug of this headline, words joined by hyphens: {sentence}",
            "Turn the title into a lower-case slug with hyphens: {sentence}",
            "Slugify: {sentence}",
            "What would be the web address ending for the article {sentence} Use hyphens.",
            "Lower case, hyphens for spaces, no full stop: {sentence}",
            "Create a hyphenated slug from {sentence}",
        ),
        _quoted,
        lambda slots: slots["sentence"].lower().rstrip(".").replace(" ", "-"),
        slots=_SENTENCE,
        case=True,
    ),
    Family(
        "snake_case",
        (
            "Write {phrase} in snake_case.",
            "Name a variable in snake_case after: {phrase}",
            "Convert to snake_case: {phrase}",
            "Join these words with underscores: {phrase}",
            "Which snake_case identifier stands for {phrase}?",
            "Python style, underscores between words: {phrase}",
        ),
        _few,
        lambda slots: slots["phrase"].replace(" ", "_"),
        slots=_PHRASE,
        case=True,
    ),
    Family(
        "camel_case",
        (
            "Write {phrase} in camelCase.",
            "Name a variable in camelCase after: {phrase}",
            "Convert to camelCase: {phrase}",
            "Join the words, each but the first with a capital: {phrase}",
            "Which camelCase identifier stands for {phrase}?",
            "Java style, small first letter, then humps: {phrase}",
        ),
        _few,
        _camel,
        slots=_PHRASE,
        case=True,
    ),
    Family(
        "replace_word",
        (
            'Replace {old} by {new} in "{sentence}"',
            'Change the word {old} to {new}: "{sentence}"',
            'Write "{sentence}" again with {new} in place of {old}.',
            'Swap {old} for {new} in this sentence: "{sentence}"',
            'Where it says {old}, put {new}: "{sentence}"',
            'Edit the line "{sentence}" so that {new} stands for {old}.',
        ),
        _replacement,
        _replaced,
        slots={**_SENTENCE, "old": "[a-z]+", "new": "[a-z]+"},
    ),
    Family(
        "remove_vowels",
        (
            "Remove the vowels from: {phrase}",
            "Leave out a, e, i, o and u: {phrase}",
            "Write {phrase} without its vowels.",
            "Only consonants, spaces stay: {phrase}",
            "Delete every vowel of {phrase}.",
            "How does {phrase} look once all vowels are gone?",
        ),
        _few,
        lambda slots: re.sub("[aeiou]", "", slots["phrase"]),
        slots=_PHRASE,
    ),
    Family(
        "hashtags",
        (
            "List the hashtags of this post, commas between: {post}",
            "Which hashtags does the post use? {post}",
            "Extract all hashtags, in order.\n\n{post}",
            "Find every word marked with a hash sign: {post}",
            "Collect the tags from the following post.\n\n{post}",
            "Pull out the hashtags in order: {post}",
        ),
        _post,
        lambda slots: _found(_TAG, slots["post"]),
        slots={"post": r"The [A-Za-z #.]+"},
    ),
    Family(
        "mask_digits",
        (
            "Replace every digit by a star: {contact}",
            "Hide the numbers, one * for each digit: {contact}",
            "Mask all digits with asterisks.\n\n{contact}",
            "Make this anonymous by writing * for any digit: {contact}",
            "Censor the digits (use *): {contact}",
            "Before publishing, star out each digit of the line.\n\n{contact}",
        ),
        _contact,
        lambda slots: re.sub(r"\d", "*", slots["contact"]),
        slots={"contact": r"[A-Z][A-Za-z0-9 ,]+\."},
    ),
    Family(
        "find_mail",
        (
            "Which e-mail address is in this message: {message}",
            "Extract the e-mail address from the message.\n\n{message}",
            "Find the address with an @ sign: {message}",
            "Where should the mail be sent?\n\n{message}",
            "Copy out only the e-mail address.\n\n{message}",
            "Read the note and give the e-mail address: {message}",
        ),
        _message,
        lambda slots: _found(_MAIL, slots["message"]),
        slots={"message": r"[A-Z][A-Za-z ,!().]*@[A-Za-z ,!().]*"},
    ),
)
