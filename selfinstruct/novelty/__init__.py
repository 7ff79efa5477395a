"""Is this text new? Exact ROUGE-L against a growing pool, usable alone.

    >>> from selfinstruct.novelty import NoveltyIndex
    >>> index = NoveltyIndex(0.7)
    >>> index.add_if_new("Write a poem about the sea.")
    >>> index.add_if_new("Write a short poem about the sea.")
    Match(score=0.923076923076923, text='Write a poem about the sea.', id=None)

ROUGE-L is the F-measure of the longest common subsequence of two texts' tokens (Lin 2004). Self-Instruct
(arXiv 2212.10560) and Alpaca drop an instruction whose ROUGE-L with any earlier one is above 0.7; the
decisions here are theirs, bit by bit, without comparing every pair.

    >>> from selfinstruct.novelty import clusters
    >>> [cluster.places for cluster in clusters(["Name a fish.", "Sort it.", "Name a big fish."])]
    [(0, 2)]
"""

from selfinstruct.novelty.clusters import Cluster, Link, clusters
from selfinstruct.novelty.index import Match, NoveltyIndex, Similar

__all__ = ["Cluster", "Link", "Match", "NoveltyIndex", "Similar", "clusters"]
