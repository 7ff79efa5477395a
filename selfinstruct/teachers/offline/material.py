"""The words that tasks are made of: names, places, things, sentences. All invented here, everyday and harmless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random

NAMES = tuple(
    "Ada Amir Anna Bea Ben Carla Chen Clara Cora Dan Dina Elif Emil Emma Eva Farid Fay Felix Finn "
    "Gina Greta Hana Hugo Ida Ines Ivan Iris Jack Jana Jon Jude Kai Kofi Lara Lena Leo Lina Luca "
    "Mara Maya Mia Milo Mina Nadia Nina Noah Nora Olga Omar Oscar Paul Pia Priya Quinn Raj Rosa "
    "Ruth Sam Sara Sofia Tara Theo Tina Tom Uma Vera Wade Wanda Yara Yuki Zara Zoe".split()
)
CITIES = tuple(
    "Athens Bergen Berlin Bilbao Boston Bristol Cairo Cork Dakar Delhi Denver Dublin Genoa Ghent "
    "Hanoi Havana Izmir Kyoto Lagos Leeds Lima Lisbon London Lyon Madrid Malmo Milan Nairobi "
    "Naples Osaka Oslo Ottawa Paris Perth Porto Prague Quito Riga Rome Seoul Seville Split Sydney "
    "Tallinn Tampere Tokyo Turin Utrecht Vienna Warsaw York Zagreb".split()
)
PLACES = (
    "a bakery", "a bike shop", "a book shop", "a boat yard", "a bus depot", "a cafe", "a cheese stall", "a nursery",
    "a dental practice", "a farm shop", "a fish market", "a flower stall", "a garden centre", "a gym", "a tool store",
    "a hostel", "a hotel", "a laundry", "a library", "a museum", "a night school", "a pet shop", "a post office",
    "a pottery studio", "a radio station", "a repair shop", "a school kitchen", "a ski school", "a small brewery",
    "a small theatre", "a swimming club", "a tailor shop", "a toy shop", "a travel agency", "a vineyard", "a warehouse",
    "an animal shelter", "an art school", "an ice cream van", "an observatory", "an online shop", "an orchard",
)  # fmt: skip
EVENTS = (
    "a birthday party", "a book club evening", "a charity run", "a chess evening", "a class reunion", "a coding week",
    "a cooking contest", "a family picnic", "a farewell dinner", "a flea market", "a garden party", "a harvest feast",
    "a hiking weekend", "a job fair", "a kite festival", "a language exam", "a math contest", "a museum night",
    "a pub quiz", "a school fair", "a science week", "a sports day", "a staff meeting", "a street parade",
    "a summer camp", "a theatre evening", "a tree planting", "a village fete", "a wedding lunch", "an open day",
)  # fmt: skip
PROJECTS = (
    "a budget review", "a crossword", "a customer newsletter", "a delivery plan", "a family recipe book",
    "a garden plan", "a history essay", "a house move", "a kitchen renovation", "a lab report", "a language course",
    "a membership list", "a packing list", "a phone directory", "a puzzle magazine", "a school play", "a seating plan",
    "a shift roster", "a shop inventory", "a spelling test", "a stock check", "a student survey", "a tax return",
    "a travel diary", "a vocabulary trainer", "a weather log", "a welcome booklet", "an address book",
    "an exam revision", "an insurance form",
)  # fmt: skip
SUBJECTS = tuple(
    "algebra astronomy baking biology botany carpentry chemistry chess cycling economics fencing "
    "fishing gardening geography geometry grammar history knitting law logic nursing painting "
    "physics pottery rowing sailing singing spelling statistics swimming typing".split()
)
RELATIVES = tuple(
    "aunt boss brother cousin daughter father friend grandson mother neighbour niece sister son uncle".split()
)

_POOLS: Mapping[str, tuple[str, ...]] = {
    "name": NAMES,
    "city": CITIES,
    "place": PLACES,
    "event": EVENTS,
    "project": PROJECTS,
    "subject": SUBJECTS,
    "relative": RELATIVES,
}
PATTERNS: Mapping[str, str] = {
    "name": "[A-Z][a-z]+",
    "city": "[A-Z][a-z]+",
    "place": "an? [a-z ]+",
    "event": "an? [a-z ]+",
    "project": "an? [a-z ]+",
    "subject": "[a-z]+",
    "relative": "[a-z]+",
}


def complete(slots: dict[str, str], wanted: Iterable[str], rng: Random) -> None:
    """Fill the wanted slots that are still empty; `name2` differs from `name`."""
    for slot in wanted:
        if slot not in slots:
            pool = _POOLS[slot.rstrip("0123456789")]
            value = rng.choice(pool)
            while value in slots.values():
                value = rng.choice(pool)
            slots[slot] = value


# Everyday nouns for lists: lower case, one word, no plural.
NOUNS = tuple(
    "anchor apple apron arrow basket beach bell bench berry bird blanket boat bottle bowl branch "
    "bread brick bridge broom brush bucket button cabin cable cactus candle canoe carpet carrot "
    "castle chair cherry circle clock cloud coat coin comb copper corner cotton cradle cup curtain "
    "cushion desk dolphin donkey door drum eagle engine fabric falcon feather fence ferry finger "
    "flag flower forest fork fountain fridge garden garlic gate ginger glass glove grape guitar "
    "hammer harbor harvest hat helmet hill honey hotel island jacket jar jungle kettle key kitchen "
    "kite ladder lake lamp lantern leaf lemon letter lily lion lizard magnet mango marble meadow "
    "melon mirror monkey moon mountain needle nest oasis ocean olive onion orange oven owl paddle "
    "palace panda paper parrot pebble pencil pepper piano pillow pilot planet plate pocket pond "
    "potato pump puzzle rabbit radio rain raft ribbon ring river robin rocket roof rope saddle "
    "salad sand scarf school shadow shell ship shirt shoe silver sock sofa spider spoon spring "
    "squirrel stable stamp star station stone storm sugar summer table tailor teapot temple thread "
    "ticket tiger tomato tower tractor train tree trumpet tulip tunnel turtle umbrella valley vase "
    "velvet village violin wagon wallet walnut water wheel whistle willow window winter wolf yarn "
    "zebra".split()
)

_WHO = tuple(
    "baker barber captain carpenter cleaner clerk cook dancer dentist doctor driver farmer "
    "fisherman gardener guard guide hunter janitor judge lawyer librarian mayor mechanic nurse "
    "painter pilot plumber poet porter sailor singer student tailor teacher tourist waiter writer".split()
)
_HOW = tuple(
    "brave calm careful cheerful clever curious friendly gentle grumpy happy honest hungry kind "
    "lazy lonely lucky noisy old patient polite proud quiet shy sleepy strict tall tired wise "
    "young".split()
)
_DID = (
    "bought fresh bread", "carried two heavy baskets", "cleaned the dusty windows", "counted the silver coins",
    "fed a stray cat", "fixed the broken gate", "found an old letter", "hid the spare key", "lost a red glove",
    "made strong coffee", "opened the back door", "packed a small suitcase", "painted the wooden fence",
    "planted seven rose bushes", "repaired a rusty bicycle", "saw a white owl", "sold three green lamps",
    "told a funny story", "waited for the last train", "washed the blue car", "watched the autumn rain",
    "wrote a long letter", "borrowed a thick novel", "baked an apple cake", "caught a silver fish", "cut tall grass",
)  # fmt: skip
_WHERE = (
    "at the harbor", "behind the church", "beside the canal", "by the river", "in the attic", "in the garden",
    "in the market", "in the village", "near the bridge", "near the station", "on the beach", "on the hill",
    "outside the museum", "under the oak tree", "at the bus stop", "across the street",
)  # fmt: skip
_WHEN = (
    "after lunch", "at dawn", "at midnight", "before breakfast", "before sunset", "in early spring", "last night",
    "on Friday evening", "on Monday", "on Sunday morning", "this morning", "yesterday", "on a cold day",
)  # fmt: skip
SENTENCE = r"The [A-Za-z ]+\."


def sentence(rng: Random) -> str:
    """`The shy baker found an old letter near the bridge yesterday.`: 6 to 15 words, no comma."""
    text = f"The {rng.choice(_HOW)} {rng.choice(_WHO)} {rng.choice(_DID)}"
    if rng.random() < 0.8:
        text += " " + rng.choice(_WHERE)
    if rng.random() < 0.6:
        text += " " + rng.choice(_WHEN)
    return text + "."


def nouns(rng: Random, low: int, high: int) -> list[str]:
    """Between `low` and `high` different nouns."""
    return rng.sample(NOUNS, rng.randint(low, high))


def listed(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in items)


def counted(n: int, thing: str, things: str | None = None) -> str:
    """`1 apple`, `3 apples`."""
    return f"{n} {thing if n == 1 else things or thing + 's'}"
