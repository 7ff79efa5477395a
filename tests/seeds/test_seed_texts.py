"""Seed answers in prose or in other languages, held to the rules that their instructions state."""

from __future__ import annotations

import re
import unicodedata
from datetime import date

import pytest
from seed_table import Pair, Table, bold, cells, found, minutes, numbers, sentences

CHECKS = Table()


@CHECKS.rule
def snow_triolet(pair: Pair) -> None:
    """ABaAabAB: lines 1, 4, 7 and lines 2, 8 are the same; two rhymes in all."""
    lines = [re.sub(r"\W+", " ", line).strip() for line in pair.output.splitlines()]
    assert len(lines) == 8
    assert lines[0] == lines[3] == lines[6]
    assert lines[1] == lines[7]
    endings = [re.sub(r"ight$", "ite", line)[-3:] for line in lines]
    assert [endings[i] for i in (0, 2, 4)] == ["ite"] * 3
    assert [endings[i] for i in (1, 5)] == ["und"] * 2


@CHECKS.rule
def before_the_storm(pair: Pair) -> None:
    assert not re.search(r"\b(?:dark|cloud|rain|wind|thunder)", pair.output, re.IGNORECASE)
    assert sentences(pair.output) in (4, 5)


@CHECKS.rule
def fifty_word_umbrella(pair: Pair) -> None:
    assert len(pair.output.split()) == 50
    assert "umbrella" in pair.output


@CHECKS.rule
def inventions_podcast_pitch(pair: Pair) -> None:
    assert 60 < len(pair.output.split()) < 100
    assert "episode" in pair.output


@CHECKS.rule
def taxonomy_mnemonic(pair: Pair) -> None:
    ranks = ["domain", "kingdom", "phylum", "class", "order", "family", "genus", "species"]
    assert [word[0].lower() for word in bold(pair.output)[0].split()] == [rank[0] for rank in ranks]
    assert pair.output.splitlines()[-1].rstrip(".").replace("-", "").lower().split(", ") == ranks


@CHECKS.rule
def bill_please(pair: Pair) -> None:
    lines = dict(line.split(": ") for line in pair.output.splitlines())
    assert list(lines) == ["French", "Spanish", "German", "Japanese", "Arabic"]
    for language, scripts in (("Japanese", {"HIRAGANA", "CJK"}), ("Arabic", {"ARABIC"})):
        assert {unicodedata.name(c).split()[0] for c in lines[language] if c.isalpha()} == scripts


@CHECKS.rule
def hindi_courtesies(pair: Pair) -> None:
    assert len(cells(pair.output)) == 5
    for devanagari, roman, meaning in cells(pair.output):
        assert all("DEVANAGARI" in unicodedata.name(c) for c in devanagari if c not in " ?")
        assert (roman + meaning).isascii()


@CHECKS.rule
def message_voisins(pair: Pair) -> None:
    assert sentences(pair.output) == 3
    assert "samedi soir" in pair.output


@CHECKS.rule
def notice_under_25_words(pair: Pair) -> None:
    assert len(pair.output.split()) <= 25
    for fact in ("Sunday 18 May", "8", "9:30", "Weir Street", "jetty"):
        assert fact in pair.input
        assert fact.lower() in pair.output.lower()


@CHECKS.rule
def resume_noticia(pair: Pair) -> None:
    assert len(pair.output.split()) < 25
    assert sentences(pair.output) == 1
    assert {"Villaclara", "1,2"} < set(pair.output.split())
    assert set(numbers(pair.output)) <= set(numbers(pair.input))


@CHECKS.rule
def russian_station_names(pair: Pair) -> None:
    names, key = pair.input.split("\n\nKey: ")
    table = dict(re.findall(r"(\w)=([a-z'])", key))
    assert pair.output.lower() == "".join(table.get(c, c) for c in names.lower())
    assert pair.output.splitlines() == [name.capitalize() for name in pair.output.splitlines()]


@CHECKS.rule
def japanese_cafe_menu(pair: Pair) -> None:
    prices = re.findall(r"(\d+)円", pair.input)
    assert [line.split(": ")[1] for line in pair.output.splitlines()] == [f"{price} yen" for price in prices]


@CHECKS.rule
def chinese_message_dates(pair: Pair) -> None:
    clock = {"下午三点": "15:00", "晚上七点半": "19:30"}
    spoken = re.findall(rf"(\d+)月(\d+)日({'|'.join(clock)})", pair.input)
    assert len(spoken) == 2
    stamps = [f"{date(2025, int(m), int(d))}T{clock[hour]}" for m, d, hour in spoken]
    assert re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d", pair.output) == stamps


@CHECKS.rule
def japanese_polite_style(pair: Pair) -> None:
    for casual, polite in zip(pair.input.splitlines(), pair.output.splitlines(), strict=True):
        assert re.search(r"(?:ます|です|ました|でした)か?。$", polite)
        assert not re.search(r"ます|です|ました", casual)
        assert casual[:4] == polite[:4]


@CHECKS.rule
def korean_shop_notice(pair: Pair) -> None:
    opens, closes = found(r"토요일 (\d\d:\d\d)-(\d\d:\d\d)", pair.input)
    assert f"from {opens} to {closes}" in pair.output
    assert minutes(closes) - minutes(opens) == 6 * 60
    assert "six hours" in pair.output
    assert "일요일과 공휴일은 쉽니다" in pair.input
    assert "closed on Sundays and public holidays" in pair.output


@CHECKS.rule
def corrige_accords(pair: Pair) -> None:
    before, after = pair.input.split(), pair.output.split("\n\n")[0].split()
    changed = [b.strip(".") for a, b in zip(before, after, strict=True) if a != b]
    assert changed == ["sœurs", "arrivées", "lourdes", "mangé"]
    assert pair.output.endswith(f"Quatre mots étaient fautifs : {', '.join(changed)}.")


@CHECKS.rule
def hindi_sentence_gloss(pair: Pair) -> None:
    assert " ".join(row[0] for row in cells(pair.output)) + "।" == pair.input


@CHECKS.rule
def punctuate_harbour_passage(pair: Pair) -> None:
    assert re.findall(r"\w+", pair.output.lower()) == pair.input.split()
    assert pair.output.count('"') == 2


@CHECKS.rule
def eight_word_headline(pair: Pair) -> None:
    assert len(pair.output.split()) <= 8
    assert "Seals" in pair.output


@CHECKS.rule
def product_post_280(pair: Pair) -> None:
    assert len(pair.output) <= 280
    assert "#" not in pair.output
    assert "Fanfold" in pair.output
    assert all(n in numbers(pair.input) for n in numbers(pair.output))


@CHECKS.rule
def council_report_summary(pair: Pair) -> None:
    assert sentences(pair.output) == 3
    assert "almost half" in pair.output
    assert 0.4 < 4300 / 2900 - 1 < 0.5
    assert "86,000 euros" in pair.output


@CHECKS.rule
def summary_against_source(pair: Pair) -> None:
    assert f"26 - 9 = {26 - 9}, not 15" in pair.output
    assert (date(2025, 11, 19) - date(2025, 11, 3)).days == 16
    assert "sixteen days from 3 to 19 November" in pair.output


@CHECKS.rule
def canal_passage_answers(pair: Pair) -> None:
    if "Question: How much were the labourers paid?" in pair.input:
        assert pair.output == "Not stated."
    else:
        start, end = found(r"between (\d{4}) and (\d{4})", pair.input)
        assert int(end) - int(start) == 5
        assert pair.output == f"Five years, from {start} to {end}."


@CHECKS.rule
def grade_photosynthesis(pair: Pair) -> None:
    points = [int(n) for n in re.findall(r"^- .*?: (\d)\b", pair.output, re.MULTILINE)]
    assert bold(pair.output)[0] == f"{sum(points)} of {len(points)} points"
    assert len(points) == pair.input.count("1 point ") == 4


@CHECKS.rule
def continue_ferry_scene(pair: Pair) -> None:
    assert sentences(pair.output) == 2


@CHECKS.rule
def comfort_old_dog(pair: Pair) -> None:
    assert sentences(pair.output) in (4, 5)


@CHECKS.rule
def interview_follow_ups(pair: Pair) -> None:
    lines = pair.output.splitlines()
    assert [line[:3] for line in lines] == ["1. ", "2. ", "3. "]
    assert all(line.endswith("?") for line in lines)


@pytest.mark.parametrize("name", CHECKS.rules)
def test_answer_is_right(name: str) -> None:
    CHECKS.hold(name)


@pytest.mark.parametrize("name", CHECKS.rules)
def test_a_foreign_answer_is_refused(name: str) -> None:
    CHECKS.refuse(name)
