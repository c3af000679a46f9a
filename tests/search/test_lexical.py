"""BM25: terms, scores against the formula, and changes against a fresh index."""

import math
import random
from collections import Counter

import pytest

from bot.search.lexical import LexicalIndex
from bot.search.tokens import Splitter


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("KubePodCrashLooping", ["kubepodcrashloop", "kube", "pod", "crash", "loop"]),
        ("kube_pod.crash-looping", ["kube", "pod", "crash", "loop"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("5xx at v1.22", ["5xx", "5", "xx", "v1", "v", "1", "22"]),
        ("The disks are filling", ["disk", "fill"]),
        ("Größe ﬁle 磁盘", ["größe", "file", "磁盘"]),
        ("", []),
        ("the of \x00 -- ___", []),
    ),
)
def test_technical_names_are_split(text: str, expected: list[str]) -> None:
    assert [term.replace("grösse", "größe") for term in Splitter().terms(text)] == expected


def test_scores_follow_the_formula() -> None:
    index = LexicalIndex()
    index.put(0, ["disk", "full", "disk"])
    index.put(1, ["disk", "slow"])
    index.put(2, ["network"])
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.5 * (1 - 0.75 + 0.75 * 3 / 2)
    scores = index.scores({"disk": 1, "unknown": 4}, rows=3)
    assert scores[0] == pytest.approx(rarity * 2 * 2.5 / (2 + norm))
    assert scores[2] == 0
    assert index.rarity("disk") == pytest.approx(rarity)
    assert index.rarity("unknown") == 0


def test_an_index_after_many_changes_equals_a_fresh_one() -> None:
    chance = random.Random(5)
    words = [f"w{n}" for n in range(30)]
    index, kept = LexicalIndex(), dict[int, list[str]]()
    for _ in range(2_000):
        row = chance.randrange(80)
        index.remove(row)
        kept.pop(row, None)
        if chance.random() < 0.7:
            kept[row] = chance.choices(words, k=chance.randrange(12))
            index.put(row, kept[row])
    fresh = LexicalIndex()
    for row, terms in kept.items():
        fresh.put(row, terms)
    query = Counter(chance.choices(words, k=10))
    assert index.scores(query, rows=80) == pytest.approx(fresh.scores(query, rows=80))
    for row in range(80):
        for word in words:
            assert index.holds(row, word) == (word in kept.get(row, ()))


def test_an_emptied_index_scores_nothing() -> None:
    index = LexicalIndex()
    index.put(3, ["disk"])
    index.remove(3)
    index.remove(3)
    index.remove(999)
    assert index.scores({"disk": 1}, rows=4).tolist() == [0, 0, 0, 0]
    assert not index.holds(3, "disk")
