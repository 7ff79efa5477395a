"""Clusters as a page for people and as JSON lines for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from selfinstruct.novelty.clusters import Cluster

_CLUSTERS = 200  # on the page: more than anyone reads; the JSON lines have all
_TEXTS = 20  # of a cluster on the page
_CHARACTERS = 300  # of a text on the page
# Controls, and marks that turn the direction of what follows them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")


def page(clusters: Sequence[Cluster], marks: Sequence[str], intro: str) -> str:
    """Markdown: the largest clusters, their texts cut to a line each and unable to mark anything up.

    `marks[place]` says what became of a text; it stands before it.
    """
    parts = ["# Near-duplicates", intro]
    for number, cluster in enumerate(clusters[:_CLUSTERS], 1):
        scores = _scores(cluster)
        lines = [
            f"## {number}: {len(cluster.texts):,} texts",
            "",
            "| score | | text |",
            "| --- | --- | --- |",
        ]
        for place, text in list(zip(cluster.places, cluster.texts, strict=True))[:_TEXTS]:
            score = f"{scores[place]:.3f}" if place in scores else ""
            lines.append(f"| {score} | {_line(marks[place])} | {_line(text)} |")
        if len(cluster.texts) > _TEXTS:
            lines += ["", f"and {len(cluster.texts) - _TEXTS:,} more"]
        parts.append("\n".join(lines))
    if len(clusters) > _CLUSTERS:
        parts.append(f"And {len(clusters) - _CLUSTERS:,} smaller clusters.")
    return "\n\n".join(parts) + "\n"


def lines(clusters: Sequence[Cluster], marks: Sequence[str]) -> Iterator[str]:
    """One JSON object for each cluster: all its texts, with their ids and marks, and its links as
    [score, earlier, later], counted within the cluster from 0. ASCII, so that any text can be written."""
    for cluster in clusters:
        within = {place: i for i, place in enumerate(cluster.places)}
        texts = [
            {"id": id, "mark": marks[place], "text": text}
            for place, id, text in zip(cluster.places, cluster.ids, cluster.texts, strict=True)
        ]
        links = [[link.score, within[link.earlier], within[link.later]] for link in cluster.links]
        yield json.dumps({"texts": texts, "links": links}) + "\n"


def _scores(cluster: Cluster) -> dict[int, float]:
    """By place: the highest score of a text's links with earlier ones; those without have none."""
    scores: dict[int, float] = {}
    for link in cluster.links:
        scores[link.later] = max(link.score, scores.get(link.later, 0.0))
    return scores


def _line(text: str) -> str:
    plain = " ".join(_CONTROL.sub(" ", text[: 4 * _CHARACTERS]).split())
    cut = plain if len(plain) <= _CHARACTERS and len(text) <= 4 * _CHARACTERS else plain[:_CHARACTERS] + " …"
    cut = cut.replace("&", "&amp;").replace("<", "&lt;")
    # A dot or a colon that makes a link of bare text becomes harmless too.
    return re.sub(r"([\\`*_{}\[\]|#!~$@>])", r"\\\1", cut).replace("://", "&#58;//")
