"""Clusters are the connected components of all pairs above the threshold, found here by comparing every pair."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from selfinstruct.errors import ConfigError, DataError
from selfinstruct.novelty import Cluster, Link, clusters, join, pool

scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


def score(one: str, other: str) -> float:
    return float(scorer.score(one, other)["rougeL"].fmeasure)


def by_every_pair(texts: Sequence[str], threshold: float, strict: bool) -> list[tuple[int, ...]]:
    """The components, the largest first, by a flood over rouge_score's own scores."""
    left = set(range(len(texts)))
    found = []
    while left:
        group: set[int] = set()
        front = {min(left)}
        while front:
            one = front.pop()
            group.add(one)
            left.discard(one)
            for other in left - front:
                reached = score(texts[one], texts[other])
                if reached > threshold or (not strict and reached >= threshold):
                    front.add(other)
        if len(group) > 1:
            found.append(tuple(sorted(group)))
    return sorted(found, key=lambda group: (-len(group), group))


def check(texts: Sequence[str], threshold: float, strict: bool) -> list[Cluster]:
    found = clusters(texts, threshold, strict=strict, tokens="rouge")
    assert [cluster.places for cluster in found] == by_every_pair(texts, threshold, strict)
    for cluster in found:
        assert cluster.texts == tuple(texts[place] for place in cluster.places)
        tied = {cluster.places[0]}
        links = list(cluster.links)
        assert len(links) == len(cluster.places) - 1
        while links:  # a tree: every link ties one more text to those that are tied
            link = next(each for each in links if (each.earlier in tied) != (each.later in tied))
            links.remove(link)
            tied |= {link.earlier, link.later}
            assert link.earlier < link.later
            assert link.score == score(texts[link.earlier], texts[link.later])
            assert link.score > threshold or (not strict and link.score == threshold)
    return found


@st.composite
def sets(draw: st.DrawFn) -> list[str]:
    word = st.integers(0, draw(st.sampled_from([2, 8, 60]))).map(lambda n: f"w{n}")
    texts: list[list[str]] = []
    for _ in range(draw(st.integers(0, 20))):
        changed: bool = draw(st.booleans())
        if texts and changed:
            text = list(draw(st.sampled_from(texts)))
            place = draw(st.integers(0, len(text)))
            text[place : place + draw(st.integers(0, 1))] = draw(st.lists(word, max_size=1))
        else:
            text = draw(st.lists(word, max_size=12))
        texts.append(text)
    return [" ".join(text) for text in texts]


@settings(max_examples=80, deadline=None)
@given(texts=sets(), threshold=st.sampled_from((0.3, 0.5, 0.7, 0.8, 1.0)), strict=st.booleans())
def test_components_and_links(texts: list[str], threshold: float, strict: bool) -> None:
    check(texts, threshold, strict)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "_TEXTS", 4)
        patch.setattr(join, "_waiting", lambda size: 2)
        patch.setattr(join, "_CHUNK", 3)
        patch.setattr(join, "_HITS", 5)
        check(texts, threshold, strict)


def test_by_hand() -> None:
    texts = [
        "a b c d e f",  # 0: a chain: 5/6 with 3, and 4/6 with 5
        "Name a fish.",  # 1: the same as 4
        "quite alone here",
        "a b c d e x",  # 3
        "name a FISH",  # 4
        "a b c d y x",  # 5: 5/6 with 3
        "Name a fish!",  # 6
        "p q r s t",  # 7: 4/5 with 8
        "p q r s u",
    ]
    found = clusters(texts, ids=list("012345678"))
    assert found == [
        Cluster(
            (0, 3, 5),
            (texts[0], texts[3], texts[5]),
            ("0", "3", "5"),
            (Link(pytest.approx(5 / 6), 0, 3), Link(pytest.approx(5 / 6), 3, 5)),  # type: ignore[arg-type]
        ),
        Cluster(
            (1, 4, 6), (texts[1], texts[4], texts[6]), ("1", "4", "6"), (Link(1.0, 1, 4), Link(1.0, 1, 6))
        ),
        Cluster((7, 8), (texts[7], texts[8]), ("7", "8"), (Link(pytest.approx(0.8), 7, 8),)),  # type: ignore[arg-type]
    ]


def test_a_later_text_ties_two_groups() -> None:
    """0 and 1 share half; 2 shares three quarters with each."""
    (found,) = clusters(["a b c d", "a b x y", "a b c x"], 0.7)
    assert found.places == (0, 1, 2)
    assert found.links == (Link(0.75, 0, 2), Link(0.75, 1, 2))


def test_at_the_threshold_strictness_decides() -> None:
    texts = ["a b c d", "a b c x"]
    assert clusters(texts, 0.75) == []
    assert [cluster.places for cluster in clusters(texts, 0.75, strict=False)] == [(0, 1)]
    assert clusters(["a", "a"], 1.0) == []
    assert [cluster.places for cluster in clusters(["a", "a"], 1.0, strict=False)] == [(0, 1)]


def test_texts_without_tokens() -> None:
    texts = ["", "写一首诗", " ", "写一首诗", "🎉", "🎉"]
    assert clusters(texts, tokens="rouge") == []
    assert [cluster.places for cluster in clusters(texts)] == [(0, 2), (1, 3), (4, 5)]


def test_past_the_first_merge_texts_of_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """420 texts of three to eight letters; the last blocks meet posted texts."""
    monkeypatch.setattr(pool, "_TEXTS", 64)
    rng = random.Random(3)
    texts = [" ".join(rng.choices("abcdefghijklm", k=rng.randint(3, 8))) for _ in range(420)]
    assert len(check(texts, 0.95, True)) == 2
    assert len(check(texts, 0.6, True)[0].places) > 100


def test_a_set_of_one_pattern_is_one_cluster() -> None:
    """Every pair passes: 3,000 texts, of which each is compared with few."""
    texts = [f"What is the sum of {n} and {n + 1} in the decimal system" for n in range(3000)]
    done: list[int] = []
    (found,) = clusters(texts, progress=done.append)
    assert found.places == tuple(range(3000))
    assert done[-1] == 3000
    assert done == sorted(set(done))


def test_wrong_input() -> None:
    assert clusters([]) == []
    with pytest.raises(ConfigError, match="novelty threshold is 0"):
        clusters(["a"], 0)
    with pytest.raises(DataError, match="text 1 is int"):
        clusters(["a", 3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="1 ids for 2 texts"):
        clusters(["a", "b"], ids=["x"])
