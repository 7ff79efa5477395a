import json

from selfinstruct.novelty import Cluster, Link, clusters
from selfinstruct.novelty.report import lines, page


def test_a_page_of_two_clusters() -> None:
    texts = ["a b c d e f", "Name a fish.", "a b c d e x", "Name a FISH!", "a b c d e y"]
    marks = ["kept", "eval.json: line 1", "dropped", "dropped", "dropped"]
    found = clusters(texts, ids=list("01234"))
    assert page(found, marks, "Five rows.") == (
        "# Near-duplicates\n\nFive rows.\n\n"
        "## 1: 3 texts\n\n| score | | text |\n| --- | --- | --- |\n"
        "|  | kept | a b c d e f |\n| 0.833 | dropped | a b c d e x |\n| 0.833 | dropped | a b c d e y |\n\n"
        "## 2: 2 texts\n\n| score | | text |\n| --- | --- | --- |\n"
        "|  | eval.json: line 1 | Name a fish. |\n| 1.000 | dropped | Name a FISH\\! |\n"
    )
    rows = [json.loads(line) for line in lines(found, marks)]
    assert rows[1] == {
        "texts": [
            {"id": "1", "mark": "eval.json: line 1", "text": "Name a fish."},
            {"id": "3", "mark": "dropped", "text": "Name a FISH!"},
        ],
        "links": [[1.0, 0, 1]],
    }
    assert [link[1:] for link in rows[0]["links"]] == [[0, 1], [0, 2]]


def pair(text: str) -> Cluster:
    return Cluster((0, 1), (text, text), (None, None), (Link(1.0, 0, 1),))


def test_texts_mark_nothing_up() -> None:
    text = "# head | <b>x</b> &amp; [a](http://b) `c` *d*\n\n---\n| e |\x1b[31m \u202e\ud800 ![i](j) https://k ~~l~~"
    shown = page([pair(text)], ["kept", "x | y"], "Two.").split("| --- | --- | --- |\n")[1]
    assert shown == (
        r"|  | kept | \# head \| &lt;b\>x&lt;/b\> &amp;amp; \[a\](http&#58;//b) \`c\` \*d\* --- \| e \| \[31m "
        r"\!\[i\](j) https&#58;//k \~\~l\~\~ |"
        "\n"
        r"| 1.000 | x \| y | \# head \| &lt;b\>x&lt;/b\> &amp;amp; \[a\](http&#58;//b) \`c\` \*d\* --- \| e \| "
        r"\[31m \!\[i\](j) https&#58;//k \~\~l\~\~ |"
        "\n"
    )
    (line,) = lines([pair(text)], ["", ""])
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["texts"][0]["text"] == text


def test_long_texts_large_clusters_and_many_clusters_are_cut_on_the_page_alone() -> None:
    many = [pair("x" * 10_000)] * 201
    shown = page(many, ["", ""], "")
    assert shown.count("## ") == 200
    assert shown.endswith("And 1 smaller clusters.\n")
    assert "x" * 300 + " …" in shown
    assert "x" * 301 not in shown
    assert len(list(lines(many, ["", ""]))) == 201
    large = Cluster(tuple(range(50)), ("y",) * 50, (None,) * 50, tuple(Link(1.0, 0, i) for i in range(1, 50)))
    shown = page([large], [""] * 50, "")
    assert shown.count("| y |") == 20
    assert "and 30 more" in shown
    (line,) = lines([large], [""] * 50)
    assert len(json.loads(line)["texts"]) == 50
