"""Tasks about single words: letters, spelling, forms, order of the alphabet."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from string import ascii_lowercase

from selfinstruct.teachers.offline import material
from selfinstruct.teachers.offline.family import Family, Slots
from selfinstruct.teachers.offline.material import NOUNS, listed, nouns, sentence

_TITLE = "[A-Z][a-z]+(?: [A-Z][a-z]+)+"
_SENTENCE = {"sentence": material.SENTENCE, "letter": "[a-z]"}

_ORGANISATIONS = (
    tuple(
        "Atlantic Baltic Central Coastal Eastern Global Inner Lower National Northern Royal "
        "Southern United".split()
    ),
    tuple(
        "Amateur Botanical Climate Digital Electric Fishing Garden Harbor Ice Jazz Kite Lake "
        "Mountain Night Ocean Poetry".split()
    ),
    tuple(
        "Archive Brewers Cycling Dance Energy Film History Insurance Logistics Harvest Research "
        "Sailing Tennis".split()
    ),
    tuple(
        "Agency Board Club Council Forum Guild Institute League Museum Network Office Society "
        "Trust Union".split()
    ),
)

_PLURALS = dict(
    pair.split("-")
    for pair in (
        "baby-babies box-boxes brush-brushes bus-buses butterfly-butterflies calf-calves cherry-cherries "
        "child-children church-churches city-cities class-classes country-countries crisis-crises "
        "daisy-daisies deer-deer dish-dishes dress-dresses echo-echoes elf-elves family-families fly-flies "
        "foot-feet fox-foxes glass-glasses goose-geese half-halves hero-heroes key-keys kiss-kisses "
        "knife-knives lady-ladies leaf-leaves life-lives loaf-loaves lunch-lunches man-men match-matches "
        "monkey-monkeys mouse-mice ox-oxen party-parties peach-peaches penny-pennies piano-pianos "
        "potato-potatoes puppy-puppies sheep-sheep shelf-shelves story-stories table-tables thief-thieves "
        "tomato-tomatoes tooth-teeth toy-toys wife-wives wish-wishes wolf-wolves woman-women"
    ).split()
)
_PASTS = dict(
    pair.split("-")
    for pair in (
        "become-became begin-began bend-bent bite-bit blow-blew break-broke bring-brought build-built "
        "buy-bought catch-caught choose-chose come-came deal-dealt dig-dug do-did drive-drove drink-drank "
        "eat-ate fall-fell feed-fed feel-felt fight-fought find-found fly-flew forget-forgot freeze-froze "
        "give-gave go-went grow-grew hear-heard hide-hid hold-held keep-kept know-knew lead-led leave-left "
        "lose-lost make-made meet-met pay-paid ride-rode ring-rang rise-rose run-ran say-said see-saw "
        "sell-sold send-sent shake-shook shine-shone shoot-shot sing-sang sink-sank sit-sat sleep-slept "
        "speak-spoke spend-spent stand-stood steal-stole swim-swam swing-swung take-took teach-taught "
        "tear-tore tell-told think-thought throw-threw understand-understood wake-woke wear-wore win-won "
        "write-wrote"
    ).split()
)


def _each(change: Callable[[str], str]) -> Callable[[Slots], str]:
    return lambda slots: listed(change(word) for word in slots["words"].split(", "))


def _some(pool: tuple[str, ...], low: int, high: int) -> Callable[[Random], dict[str, str]]:
    return lambda rng: {"words": listed(rng.sample(pool, rng.randint(low, high)))}


def _article(word: str) -> str:
    if word not in NOUNS:  # `hour` and `uniform` would go wrong by the first letter
        raise ValueError(word)
    return ("an " if word[0] in "aeiou" else "a ") + word


def _shifted(word: str, n: int) -> str:
    return "".join(ascii_lowercase[(ascii_lowercase.index(letter) + n) % 26] for letter in word)


def _cipher(slots: Slots) -> str:
    return listed(_shifted(word, int(slots["n"])) for word in slots["words"].split(", "))


def _letter(rng: Random) -> dict[str, str]:
    text = sentence(rng)
    return {"sentence": text, "letter": rng.choice([c for c in text.lower() if c.isalpha()])}


def _longest(slots: Slots) -> str:
    ranked = sorted(slots["words"].split(", "), key=len)
    if len(ranked[-1]) == len(ranked[-2]):
        raise ValueError("two words are longest")
    return ranked[-1]


def _one_longest(rng: Random) -> dict[str, str]:
    while True:
        slots = {"words": listed(nouns(rng, 4, 6))}
        lengths = sorted(len(word) for word in slots["words"].split(", "))
        if lengths[-1] > lengths[-2]:
            return slots


def _scrambled(rng: Random) -> dict[str, str]:
    words = nouns(rng, 4, 6)
    spelt = [sorted(word) for word in words]
    letters = list(
        rng.choice([word for word in words if spelt.count(sorted(word)) == 1])
    )  # not lemon beside melon
    rng.shuffle(letters)
    return {"words": listed(words), "scramble": "".join(letters)}


def _unscrambled(slots: Slots) -> str:
    letters = sorted(slots["scramble"])
    (word,) = (word for word in slots["words"].split(", ") if sorted(word) == letters)
    return word


_BY_LETTER = {letter: tuple(word for word in NOUNS if word[0] == letter) for letter in ascii_lowercase}
_SPELLABLE = tuple(
    word for word in NOUNS if len(word) in (4, 5, 6) and all(len(_BY_LETTER[c]) > 2 for c in word)
)


def _acrostic(rng: Random) -> dict[str, str]:
    return {"words": listed(rng.choice(_BY_LETTER[letter]) for letter in rng.choice(_SPELLABLE))}


FAMILIES = (
    Family(
        "acronym",
        (
            "What is the acronym of {title}?",
            "Abbreviate {title} to its initials.",
            "Which initials stand for the {title}?",
            "Shorten the name {title} to an acronym.",
            "Under which initials is the {title} known?",
            "Form an acronym from {title}.",
        ),
        lambda rng: {
            "title": " ".join(
                rng.choice(pool) for pool in _ORGANISATIONS if rng.random() < 0.9 or pool[0] == "Agency"
            )
        },
        lambda slots: "".join(word[0] for word in slots["title"].split()),
        slots={"title": _TITLE},
    ),
    Family(
        "plural",
        (
            "Give the plural of {words}.",
            "What are the plurals of these nouns: {words}?",
            "Write in the plural: {words}",
            "More than one: how do {words} change?",
            "Form plurals: {words}",
            "Turn each noun into its plural: {words}",
        ),
        _some(tuple(_PLURALS), 3, 5),
        _each(_PLURALS.__getitem__),
    ),
    Family(
        "past_tense",
        (
            "Put these verbs in the past tense: {words}",
            "What is the simple past of {words}?",
            "Yesterday instead of today: change {words}.",
            "Give the past forms of {words}.",
            "Conjugate in the past tense: {words}",
            "How do these verbs look in the past? {words}",
        ),
        _some(tuple(_PASTS), 3, 5),
        _each(_PASTS.__getitem__),
    ),
    Family(
        "article",
        (
            "Put a or an before each noun: {words}",
            "Which article, a or an, do these take: {words}?",
            "Add the indefinite article: {words}",
            "Complete each with a or an: {words}",
            "Is it a or an? Write both words each time: {words}",
            "Use the right indefinite article with {words}.",
        ),
        _some(NOUNS, 4, 6),
        _each(_article),
    ),
    Family(
        "letter_count",
        (
            'How often does the letter {letter} occur in "{sentence}"?',
            'Count every {letter} in this sentence: "{sentence}"',
            'Find the number of times {letter} appears here: "{sentence}"',
            'In "{sentence}", how many letters are {letter}?',
            'Tally the letter {letter} in the line "{sentence}"',
            'State the count of {letter} in: "{sentence}"',
        ),
        _letter,
        lambda slots: str(slots["sentence"].lower().count(slots["letter"])),
        slots=_SENTENCE,
    ),
    Family(
        "vowels",
        (
            'How many vowels does "{sentence}" have?',
            'Count the vowels (a, e, i, o, u): "{sentence}"',
            'Number of vowels in the sentence "{sentence}"',
            'Tell me how many of the letters are vowels in "{sentence}"',
            'Go through "{sentence}" and count a, e, i, o and u.',
            'What is the vowel count of "{sentence}"?',
        ),
        lambda rng: {"sentence": sentence(rng)},
        lambda slots: str(sum(slots["sentence"].lower().count(vowel) for vowel in "aeiou")),
        slots=_SENTENCE,
    ),
    Family(
        "spell_backwards",
        (
            "Spell each word backwards: {words}",
            "Reverse the letters of every word: {words}",
            "How do {words} read from right to left, word by word?",
            "Mirror the spelling of these words: {words}",
            "Letters in opposite order, words in place: {words}",
            "Turn the letters of {words} around, one word after another.",
        ),
        _some(NOUNS, 2, 4),
        _each(lambda word: word[::-1]),
    ),
    Family(
        "longest_word",
        (
            "Which is the longest word: {words}?",
            "Find the word with the most letters: {words}",
            "Pick the longest of {words}.",
            "One word here is longer than the others: {words}. Which?",
            "Name the longest entry: {words}",
            "Of {words}, which has the most letters?",
        ),
        _one_longest,
        _longest,
    ),
    Family(
        "anagram",
        (
            "Which of these words is an anagram of {scramble}: {words}?",
            "Unscramble {scramble} to one of {words}.",
            "The letters {scramble} spell a word of this list: {words}. Which one?",
            "Choose the word hidden in {scramble}: {words}",
            "Rearranging {scramble} gives which word? Options: {words}",
            "Match the jumbled letters {scramble} with a word: {words}",
        ),
        _scrambled,
        _unscrambled,
        slots={"scramble": "[a-z]+"},
    ),
    Family(
        "cipher",
        (
            "Encode {words} by moving each letter {n} places forward in the alphabet.",
            "Caesar cipher, shift {n}: {words}",
            "Apply a Caesar shift of {n} to {words}.",
            "Encrypt with a letter shift of {n}: {words}",
            "Every letter moves {n} forward, z is followed by a: {words}",
            "Secret writing: replace each letter by the one {n} later. {words}",
        ),
        lambda rng: {"words": listed(nouns(rng, 2, 4)), "n": str(rng.randint(2, 9))},
        _cipher,
    ),
    Family(
        "alphabetical",
        (
            "Put these words in alphabetical order: {words}",
            "Sort alphabetically: {words}",
            "Arrange as in a dictionary: {words}",
            "In which order would a dictionary list {words}?",
            "Order from A to Z: {words}",
            "Alphabetise the entries {words}.",
        ),
        lambda rng: {"words": listed(nouns(rng, 5, 7))},
        lambda slots: listed(sorted(slots["words"].split(", "))),
    ),
    Family(
        "word_lengths",
        (
            "How many letters does each word have: {words}?",
            "Give the length of each word: {words}",
            "Write the number of letters instead of each word: {words}",
            "Letter counts, in order: {words}",
            "Measure these words in letters: {words}",
            "State how long each of {words} is, in letters.",
        ),
        _some(NOUNS, 4, 6),
        _each(lambda word: str(len(word))),
    ),
    Family(
        "acrostic",
        (
            "Which word do the first letters spell: {words}?",
            "Read the initials of {words} as one word.",
            "Take the first letter of each: {words}. What do you get?",
            "An acrostic hides in {words}. Find it.",
            "Solve the acrostic: {words}",
            "Join the opening letters of {words}.",
        ),
        _acrostic,
        lambda slots: "".join(word[0] for word in slots["words"].split(", ")),
    ),
)
