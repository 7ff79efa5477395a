"""Every family against answers worked out by hand, at least two each: the computed answers have no other witness."""

from __future__ import annotations

import pytest

from selfinstruct.teachers.offline import FAMILIES, check, solve
from selfinstruct.teachers.offline.catalog import recognise

TABLE = "name,city,books\nAda,Oslo,7\nBen,Rome,12\nEva,Lima,3"
PERSON = '{"name": "Mina", "age": 41, "city": "Porto"}'
ORDER = "Order 4711, placed on 9 May by Lena from Cork: one kettle."

BY_HAND: dict[str, tuple[tuple[str, str], ...]] = {
    # drills
    "echo": (("Repeat these words: star boat key", "star boat key"), ("Echo: moon door", "moon door")),
    "reverse": (
        ("Reverse these words: star boat key moon", "moon key boat star"),
        ("Flip the order of: a bird", "bird a"),
    ),
    "upper": (
        ("Use all caps: star boat", "STAR BOAT"),
        ("Shout these words: key moon door", "KEY MOON DOOR"),
    ),
    "lower": (
        ("In small letters: STAR BOAT", "star boat"),
        ("Without capitals: KEY MOON DOOR", "key moon door"),
    ),
    "first": (("First word of: star boat key", "star"), ("What comes first? moon door", "moon")),
    "second": (("Second word of: star boat key", "boat"), ("What comes second? moon door cup", "door")),
    "last": (("Last word of: star boat key", "key"), ("What comes last? moon door", "door")),
    "sort_letters": (
        ("Sort these letters: q b z a", "a b q z"),
        ("Order the letters: m c x d e", "c d e m x"),
    ),
    "count_words": (("Count these words: star boat key", "3"), ("How many words? a b c d e", "5")),
    "add_each": (("Add 2 to each: 5 19 40", "7 21 42"), ("Increase by 3: 9 58 1 30", "12 61 4 33")),
    "swap_ends": (
        ("Swap first and last: star boat key moon", "moon boat key star"),
        ("Swap the ends of: door cup", "cup door"),
    ),
    "drop_first": (("Drop the first: star boat key", "boat key"), ("All but the first: moon door", "door")),
    "next_letters": (("Move one letter on: a m y", "b n z"), ("One step later: e k b", "f l c")),
    "opposites": (
        ("Give the opposites: hot up", "cold down"),
        ("Antonyms of: small fast wet", "big slow dry"),
    ),
    # words
    "acronym": (
        ("What is the acronym of Royal Kite Sailing Club?", "RKSC"),
        ("Form an acronym from Northern Ice Forum.", "NIF"),
    ),
    "plural": (
        ("Form plurals: mouse, box, city", "mice, boxes, cities"),
        ("Give the plural of wolf, sheep, tomato.", "wolves, sheep, tomatoes"),
    ),
    "past_tense": (
        ("Conjugate in the past tense: go, take, swim", "went, took, swam"),
        ("What is the simple past of bring, sing, pay?", "brought, sang, paid"),
    ),
    "article": (
        ("Put a or an before each noun: apple, boat, owl", "an apple, a boat, an owl"),
        ("Complete each with a or an: island, lamp", "an island, a lamp"),
    ),
    "letter_count": (
        ('How often does the letter t occur in "The tall poet sat on the hill."?', "5"),
        ('Count every l in this sentence: "The lonely sailor fell asleep."', "6"),
    ),
    "vowels": (
        ('How many vowels does "The old cook." have?', "4"),
        ('What is the vowel count of "The quiet guide."?', "7"),
    ),
    "spell_backwards": (
        ("Spell each word backwards: lamp, river", "pmal, revir"),
        ("Reverse the letters of every word: owl, gate", "lwo, etag"),
    ),
    "longest_word": (
        ("Which is the longest word: owl, umbrella, lamp?", "umbrella"),
        ("Pick the longest of key, door, window.", "window"),
    ),
    "anagram": (
        ("Unscramble palm to one of owl, lamp, door.", "lamp"),
        ("Which of these words is an anagram of revir: gate, river, piano?", "river"),
    ),
    "cipher": (
        ("Caesar cipher, shift 3: lamp, zebra", "odps, cheud"),
        ("Apply a Caesar shift of 2 to owl, key.", "qyn, mga"),
    ),
    "alphabetical": (
        ("Sort alphabetically: pear, apple, plum, banana", "apple, banana, pear, plum"),
        ("Order from A to Z: tower, table, sun", "sun, table, tower"),
    ),
    "word_lengths": (
        ("Measure these words in letters: owl, river, umbrella", "3, 5, 8"),
        ("Letter counts, in order: key, garden", "3, 6"),
    ),
    "acrostic": (
        ("Solve the acrostic: lamp, apple, moon, pond", "lamp"),
        ("Join the opening letters of owl, window, lake.", "owl"),
    ),
    # lists
    "deduplicate": (
        ("Strip the repetitions: key, owl, key, lamp, owl", "key, owl, lamp"),
        ("Delete duplicates from cup, cup, door.", "cup, door"),
    ),
    "nth_item": (
        ("Name the third word: key, owl, lamp, door", "lamp"),
        ("Pick out the second of key, owl, lamp.", "owl"),
    ),
    "in_common": (
        ("Compare key, owl, lamp with door, lamp, key: what do they share?", "key, lamp"),
        ("Find the overlap of cup, moon and of moon, tree.", "moon"),
    ),
    "starts_with": (
        ("Select what starts with l: lamp, owl, lion, key", "lamp, lion"),
        ("Keep only words starting with the letter d: door, desk, cup", "door, desk"),
    ),
    "longer_than": (
        ("Only long words, above 4 letters: lamp, river, owl, garden", "river, garden"),
        ("Drop every word with 3 letters or fewer: key, door, cup", "door"),
    ),
    "join_with_and": (
        ("Replace the last comma by and: key, owl, lamp", "key, owl and lamp"),
        ("Join with commas and one and at the end: a, b, c, d", "a, b, c and d"),
    ),
    "numbered_list": (
        ("Format as a list with numbers: key, owl", "1. key\n2. owl"),
        ("Lay out lamp, door, cup as numbered lines.", "1. lamp\n2. door\n3. cup"),
    ),
    "most_frequent": (
        ("What is the mode of key, owl, key, lamp?", "key"),
        ("The votes were cup, door, door, cup, door. What won?", "door"),
    ),
    "insert_after": (
        ("Insert moon right after owl: key, owl, lamp", "key, owl, moon, lamp"),
        ("Put cup behind door in the list door, desk.", "door, cup, desk"),
    ),
    "interleave": (
        ("Interleave key, owl with lamp, door.", "key, lamp, owl, door"),
        ("Zip together a, b, c / x, y, z", "a, x, b, y, c, z"),
    ),
    # text
    "word_count": (
        ('How many words are in "The tall poet told a funny story."?', "7"),
        ('What is the word count of "The shy cook sang."?', "4"),
    ),
    "reverse_sentence": (
        ('Turn the order of the words around: "The tall poet sang."', "sang poet tall The"),
        ('Last word first, no punctuation: "The cook slept at dawn."', "dawn at slept cook The"),
    ),
    "title_case": (
        ("Start each word with a capital letter: the shy cook sang", "The Shy Cook Sang"),
        ("Give every word a capital: a day at the beach", "A Day At The Beach"),
    ),
    "slug": (
        ("Slugify: The tall poet sang.", "the-tall-poet-sang"),
        ("Create a hyphenated slug from The cook slept on Monday.", "the-cook-slept-on-monday"),
    ),
    "snake_case": (
        ("Convert to snake_case: lamp river owl", "lamp_river_owl"),
        ("Write door key in snake_case.", "door_key"),
    ),
    "camel_case": (
        ("Convert to camelCase: lamp river owl", "lampRiverOwl"),
        ("Write door key in camelCase.", "doorKey"),
    ),
    "replace_word": (
        ('Replace poet by lamp in "The tall poet sang."', "The tall lamp sang."),
        ('Change the word dawn to river: "The cook slept at dawn."', "The cook slept at river."),
    ),
    "remove_vowels": (
        ("Delete every vowel of lamp river.", "lmp rvr"),
        ("Write umbrella owl without its vowels.", "mbrll wl"),
    ),
    "hashtags": (
        ("Pull out the hashtags in order: The cook #owl slept. #lamp", "#owl, #lamp"),
        ("Which hashtags does the post use? The poet sang. #key", "#key"),
    ),
    "mask_digits": (
        (
            "Censor the digits (use *): Call Mina, Oslo 402, extension 17.",
            "Call Mina, Oslo ***, extension **.",
        ),
        (
            "Mask all digits with asterisks.\n\nRoom 9, Leo from Rome, badge 55.",
            "Room *, Leo from Rome, badge **.",
        ),
    ),
    "find_mail": (
        (
            "Where should the mail be sent?\n\nHi Leo! My new address is a.lamp@owl.org, write.",
            "a.lamp@owl.org",
        ),
        (
            "Find the address with an @ sign: For the keys write to bo.key@door.com or see Eva.",
            "bo.key@door.com",
        ),
    ),
    # numbers
    "sum": (("Add up 4, 15, 81.", "100"), ("Find the total: 10, 20, 33, 7", "70")),
    "average": (("Find the mean: 4, 8, 12", "8"), ("What is the average of 10, 20, 31, 39?", "25")),
    "median": (("Find the middle value: 9, 2, 30", "9"), ("What is the median of 5, 50, 7, 1, 8?", "7")),
    "spread": (("Highest minus lowest: 3, 50, 12", "47"), ("What is the range of 100, 40, 60?", "60")),
    "sort_down": (
        ("Biggest first: 3, 50, 12", "50, 12, 3"),
        ("Order 7, 70, 17 from high to low.", "70, 17, 7"),
    ),
    "even_numbers": (
        ("Drop the odd ones from 3, 50, 12.", "50, 12"),
        ("Which of these are even: 9, 8, 21?", "8"),
    ),
    "primes": (("Pick out all primes: 51, 53, 91, 97", "53, 97"), ("Name each prime in 2, 9, 15.", "2")),
    "sequence": (("What comes next: 3, 7, 11, 15?", "19"), ("Which number follows 5, 10, 20, 40?", "80")),
    "from_roman": (("What numbers are XIV, MCMXC?", "14, 1990"), ("Decode from Roman: CDXLIV", "444")),
    "to_roman": (
        ("Translate into Roman: 9, 48", "IX, XLVIII"),
        ("How did the Romans write 1994, 6?", "MCMXCIV, VI"),
    ),
    "binary": (
        ("Decimal to binary: 5, 12", "101, 1100"),
        ("What are 31, 64 as binary numbers?", "11111, 1000000"),
    ),
    "in_words": (
        ("Spell out 347, 12.", "three hundred and forty-seven, twelve"),
        ("Say in words: 2005, 90", "two thousand and five, ninety"),
    ),
    "rounding": (
        ("Round to 1 decimals: 3.141, 2.771", "3.1, 2.8"),
        ("Give 9.996, 0.123 with 2 digits after the point, rounded.", "10.00, 0.12"),
    ),
    "simplify": (("Cancel down 12/18, 20/25.", "2/3, 4/5"), ("Reduce to lowest terms: 7/21", "1/3")),
    "common_divisor": (("Compute gcd(24, 36, 60).", "12"), ("HCF of 14, 49, please.", "7")),
    "digit_sum": (
        ("Cross sums, in order: 348, 91", "15, 10"),
        ("What are the digit sums of 5, 1000?", "5, 1"),
    ),
    "compare_decimals": (
        ("Which is the largest: 0.45, 0.405, 0.5?", "0.5"),
        ("Pick the maximum of 3.07, 3.7, 3.069.", "3.7"),
    ),
    "story_sum": (
        ("Ada has 30 keys, gets 5 more and gives 12 to Ben. How many keys are left?", "23"),
        ("Stock at a bakery: 100 muffins, 20 delivered, 45 sold. What is the new stock?", "75"),
    ),
    "sharing": (
        ("What remains when 50 shells are packed into bags of 8 for a bakery?", "2"),
        ("Ada shares 21 plates equally among 4 people at a pub quiz. How many are left over?", "1"),
    ),
    # money
    "discount": (
        ("What does a lamp of 80 euros cost after 25% off?", "60.00"),
        ("Find the sale price: an oven, 300 euros, minus 15%.", "255.00"),
    ),
    "change": (
        ("How much change from 10 dollars for a bagel at 1.35 and an egg at 0.40?", "8.25"),
        ("Pay 3.90 for a tart, 6.15 for a pie, out of 20. What is left over?", "9.95"),
    ),
    "basket": (
        ("What is the total of 2 rolls at 0.45, 1 soup at 3.20?", "4.10"),
        ("Add up the receipt: 3 eggs at 0.30, 2 pies at 5.00", "10.90"),
    ),
    "fewest_coins": (
        ("Fewest euro coins for each amount in cents: 88, 200", "6, 1"),  # 50+20+10+5+2+1
        ("Pay 4, 99 cents with as few euro coins as possible. Give the number of coins for each.", "2, 6"),
    ),
    "split_bill": (
        ("Split 37.80 evenly among 7 people. What does each pay?", "5.40"),
        ("Divide the rent of 900.00 by 4 tenants in Oslo.", "225.00"),
    ),
    "wage": (
        ("Ada works 4, 6, 5 hours at 12 euros an hour. What is the pay?", "180"),
        ("Multiply the hours 3, 8, added up, by a wage of 20.", "220"),
    ),
    "saving": (
        ("How many weeks of saving 15 pay for a lamp that costs 100?", "7"),
        ("Find the least number of weeks: an oven at 90, savings 30 per week.", "3"),
    ),
    # units
    "to_centimetres": (
        ("Write 3 km, 2.5 m in cm.", "300000 cm, 250 cm"),
        ("How many cm are 4 dm, 7 cm?", "40 cm, 7 cm"),
    ),
    "to_grams": (
        ("Write 0.8 kg, 35 g in g.", "800 g, 35 g"),
        ("How many grams are 2 t, 1.5 kg?", "2000000 g, 1500 g"),
    ),
    "to_millilitres": (
        ("Write 6.1 cl, 2 l in ml.", "61 ml, 2000 ml"),
        ("How many ml are 3 dl, 9 ml?", "300 ml, 9 ml"),
    ),
    "to_fahrenheit": (
        ("What are 0, 100 degrees Celsius in Fahrenheit?", "32, 212"),
        ("Change 25, -40 (Celsius) into degrees Fahrenheit.", "77, -40"),
    ),
    "speed": (
        ("A bus covers 240 km in 4 hours. What is its speed in km/h?", "60 km/h"),
        ("Speed in km/h of a train: 270 km, 3 hours?", "90 km/h"),
    ),
    "rectangle": (
        ("A garden in Oslo is 5 m by 8 m. Give its area and its perimeter.", "40, 26"),
        ("The hall of a gym measures 20 times 11 metres. State area, then perimeter.", "220, 62"),
    ),
    "recipe": (
        ("Scale 150 g flour, 40 g butter from 2 to 6 servings.", "450 g flour, 120 g butter"),
        ("For 4 guests: 100 g rice, 60 g peas. And for 10 guests?", "250 g rice, 150 g peas"),
    ),
    # dates: the moon landing was on a Sunday, the wall came down on a Thursday
    "weekday": (
        ("On which weekday does 20 July 1969 fall?", "Sunday"),
        ("On which weekday does 9 November 1989 fall?", "Thursday"),
    ),
    "add_days": (
        ("Add 30 days to 15 February 2024.", "16 March 2024"),
        ("Which date is 10 days after 25 December 1999?", "4 January 2000"),
    ),
    "days_between": (
        ("Subtract 1 March 2023 from 1 April 2023 in days.", "31"),
        ("How many days lie between 27 February 2000 and 2 March 2000, the first not counted?", "4"),
    ),
    "iso_date": (
        ("Give 3 May 2024, 21 November 1980 in ISO 8601.", "2024-05-03, 1980-11-21"),
        ("Year, month, day with hyphens: 1 January 2001", "2001-01-01"),
    ),
    "earliest_date": (
        ("Find the oldest of 3 May 2024, 21 November 1980, 20 November 1980.", "20 November 1980"),
        ("Which date is the earliest: 9 June 2001, 10 May 2001?", "10 May 2001"),
    ),
    "leap_years": (
        ("Which of these are leap years: 1900, 2000, 2024, 2023?", "2000, 2024"),
        ("Select leap years from 1999, 1996.", "1996"),
    ),
    "weekday_shift": (
        ("Today is Tuesday. Which day is it in 17 days, when Ada visits Oslo?", "Friday"),
        ("A Sunday plus 15 days, for Ada and Ben: weekday?", "Monday"),
    ),
    "clock_add": (
        ("Add 2 hours and 45 minutes to 22:30.", "01:15"),
        ("It is 09:05. What time is it 1 h 10 min later?", "10:15"),
    ),
    "clock_between": (
        ("How long is it from 08:50 to 11:05, in h and min?", "2 h 15 min"),
        ("Opening hours 09:00 to 17:30: how many h and min?", "8 h 30 min"),
    ),
    "to_24_hours": (
        ("Write in 24-hour time: 2:10 am, 6:30 pm", "02:10, 18:30"),
        ("Convert 12:05 am, 12:40 pm to the 24-hour clock.", "00:05, 12:40"),
    ),
    "minutes_to_hours": (
        ("How many h and min are 90, 200 minutes?", "1 h 30 min, 3 h 20 min"),
        ("Express 121, 480 min in the form x h y min.", "2 h 1 min, 8 h 0 min"),
    ),
    # rules
    "kind_of_thing": (
        ("Animal, food, tool or garment? Classify hammer, fox, scarf.", "tool, animal, garment"),
        ("Tag the nouns with animal, food, tool or garment: pizza, saw", "food, tool"),
    ),
    "odd_one_out": (
        ("Find the odd one out: fox, otter, hammer, camel", "hammer"),
        ("Which word does not belong: shirt, pizza, coat, vest?", "pizza"),
    ),
    "one_kind": (
        ("Find every animal: fox, pizza, otter", "fox, otter"),
        ("From saw, coat, hammer, choose what is a kind of tool.", "saw, hammer"),
    ),
    "sentiment": (
        (
            "Label the sentiment (positive, negative): The soup was delicious and the waiter friendly.",
            "positive",
        ),
        ("Label the sentiment (positive, negative): We found the room dirty, the staff rude.", "negative"),
    ),
    "weight_class": (
        ("Use light (under 5), medium, heavy (over 20) for 4, 5, 20, 21.", "light, medium, medium, heavy"),
        ("Light is less than 3, heavy more than 9, else medium. Label 2, 10.", "light, heavy"),
    ),
    "pass_or_fail": (
        ("The pass mark is 50. Write pass or fail for 49, 50, 77.", "fail, pass, pass"),
        ("Who has 60 or more passes, others fail. Results: 61, 12", "pass, fail"),
    ),
    "ticket_price": (
        ("Children under 12 pay 4, others 9. What do visitors aged 8, 35, 12 pay together?", "22"),
        ("Tickets for a pub quiz cost 10, below age 16 only 3. Total for ages 15, 16?", "13"),
    ),
    "password_rule": (
        ("Test Lamp77river (minimum length 8, digit, upper-case letter): valid or invalid?", "valid"),
        ("Test lamp77river (minimum length 8, digit, upper-case letter): valid or invalid?", "invalid"),
    ),
    "tallest": (
        ("In a race Ada beats Ben, Ben beats Eva, Eva beats Leo. Who is first?", "Ada"),
        ("Ben is younger than Ada, Eva younger than Ben, Leo younger than Eva. Who is oldest?", "Ada"),
    ),
    "triangle": (
        ("Ada and Ben build triangle 5, 5, 8. Equilateral, isosceles, scalene or impossible?", "isosceles"),
        ("Ada and Ben build triangle 4, 9, 5. Equilateral, isosceles, scalene or impossible?", "impossible"),
    ),
    # records
    "json_value": ((f"Read the value of age: {PERSON}", "41"), (f"Give the city field of {PERSON}", "Porto")),
    "json_keys": (
        (f"Name the fields in order: {PERSON}", "name, age, city"),
        ('Which keys does {"item": "owl"} have?', "item"),
    ),
    "to_json": (
        ("Make a JSON record of name=Ada; age=30, numbers as numbers.", '{"name": "Ada", "age": 30}'),
        ("Convert to JSON (numbers unquoted): item=owl; city=Oslo", '{"item": "owl", "city": "Oslo"}'),
    ),
    "csv_sum": (
        (f"What is the total of books for a crossword?\n\n{TABLE}", "22"),
        ("What is the total of eggs for a crossword?\n\nname,eggs\nAda,30\nBen,4", "34"),
    ),
    "csv_leader": (
        (f"Find the person with the highest books at a gym.\n\n{TABLE}", "Ben"),
        ("Name the leader by eggs in the Oslo table.\n\nname,eggs\nAda,30\nBen,4", "Ada"),
    ),
    "csv_filter": (
        (f"Which people have more than 5 books at a pub quiz?\n\n{TABLE}", "Ada, Ben"),
        (f"Select everyone at a gym with over 12 books, names only.\n\n{TABLE}", "none"),
    ),
    "markdown_table": (
        (
            "Show the Oslo records as a Markdown table.\n\nname,eggs\nAda,30",
            "| name | eggs |\n| --- | --- |\n| Ada | 30 |",
        ),
        (
            f"Make a Markdown table of these rows from a gym.\n\n{TABLE}",
            "| name | city | books |\n| --- | --- | --- |\n| Ada | Oslo | 7 |\n| Ben | Rome | 12 |\n| Eva | Lima | 3 |",
        ),
    ),
    "order_field": (
        (f"Give the customer of this order: {ORDER}", "Lena"),
        (f"What is the day of the month? {ORDER}", "9"),
    ),
    # code
    "python_slice": (
        ("Evaluate in Python: [4, 8, 15, 16, 23][1:3]", "[8, 15]"),
        ("With x = [7, 9, 2], what is x[0:1]?", "[7]"),
    ),
    "python_loop": (
        ("Python: 10 + sum(3 * x for x in [1, 2, 4])", "31"),
        (
            "What does this loop print?\n\nbill = 5\nfor price in [2, 6]:\n    bill += 2 * price\nprint(bill)",
            "21",
        ),
    ),
    "python_filter": (
        ("Keep what is above 10 and show a Python list: [4, 11, 30, 10]", "[11, 30]"),
        ("Evaluate [v for v in (5, 50) if v > 7] in Python.", "[50]"),
    ),
    "python_text": (
        ('Evaluate in Python: "lamp owl key".title()', "Lamp Owl Key"),
        ('Apply find(" ") to the string "river owl" in Python.', "5"),
    ),
    "boolean": (
        ("If lamp is True, owl is False and key is False, what is (lamp and owl) or not key?", "True"),
        ("If lamp is True, owl is False and key is True, what is (lamp or owl) and not key?", "False"),
    ),
    "walk": (
        ("Moves: 3 north, 2 east, 1 south, 5 west. Where do they lead from (0, 0)?", "(-3, 2)"),
        ("Track a drone from (0, 0): 4 east, 4 west. Final (x, y)?", "(0, 0)"),
    ),
    "stack": (
        ("Which item is on top after push owl, push key, pop, push cup, pop?", "owl"),
        ("Last in, first out: push lamp, push door. Name the top.", "door"),
    ),
    "dictionary": (
        ("How many are owl and key together? {'owl': 4, 'cup': 9, 'key': 30}", "34"),
        ("With d = {'lamp': 1, 'cup': 6}, what is d['cup'] + d['lamp']?", "7"),
    ),
}


def test_every_family_has_two_cases() -> None:
    assert set(BY_HAND) == set(FAMILIES)
    assert min(map(len, BY_HAND.values())) >= 2


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    for prompt, answer in BY_HAND[name]:
        found = recognise(prompt)
        assert found is not None, prompt
        assert found[0].name == name
        assert solve(prompt) == answer
        instruction, _, input = prompt.partition("\n\n")
        assert solve(instruction, input) == answer
        assert solve("Lena runs a bakery in Oslo. " + prompt) == answer
        assert check(prompt, "", answer) is True
        assert check(prompt, "", answer + " owl") is False


@pytest.mark.parametrize(
    ("prompt", "answer", "right"),
    [
        ("Spell out 347, 12.", "Three hundred forty-seven, twelve.", True),  # the American form
        ("Which of these are even: 9, 8, 21?", "  8. ", True),
        ("What comes first? moon door", "The answer is: Moon.", True),
        ("What comes first? moon door", '"moon"', True),
        (
            "Compare key, owl with owl, door, key: what do they share?",
            "owl, key",
            True,
        ),  # in either list's order
        ("Use all caps: star boat", "star boat", False),  # case is the point
        ("What does a lamp of 80 euros cost after 25% off?", "60", True),
        ("Speed in km/h of a train: 270 km, 3 hours?", "90", True),
        ("Convert to JSON (numbers unquoted): age=3; item=owl", '{"age":3,"item":"owl"}', True),
        ("Convert to JSON (numbers unquoted): age=3; item=owl", '{"age": "3", "item": "owl"}', False),
    ],
)
def test_forms_of_an_answer(prompt: str, answer: str, right: bool) -> None:
    assert check(prompt, "", answer) is right


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a poem about autumn.",
        "",
        "Reverse these words:",
        "Give 31 February 2024 in ISO 8601.",
        "Read the Roman numerals IIII.",
        "What is the median of 1, 2, 3, 4?",
        "Read the value of colour: " + PERSON,
        "A stack is empty. Do: pop. What is on top?",
    ],
)
def test_unknown_or_senseless(prompt: str) -> None:
    assert solve(prompt) is None
    assert check(prompt, "", "x") is None
