"""BM25 and TF-IDF against the formulas written out, after any number of changes."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bot.search.lexical import LexicalIndex

WORDS = [f"w{number}" for number in range(12)]
TERMS = st.lists(st.sampled_from(WORDS), max_size=8)
ROWS = st.integers(0, 24)
WEIGHTS = st.sampled_from((0.0, 0.05, 0.4, 1.0, 1.7, 5.0))
QUERY = st.dictionaries(st.sampled_from([*WORDS, "unknown"]), WEIGHTS, max_size=6)

Kept = Mapping[int, list[str]]


def rarity(kept: Kept, term: str) -> float:
    """Okapi's inverse document frequency as Lucene has it."""
    found = sum(term in terms for terms in kept.values())
    return math.log(1 + (len(kept) - found + 0.5) / (found + 0.5)) if found else 0.0


def bm25(kept: Kept, row: int, query: Mapping[str, float]) -> float:
    """BM25 with k1 = 1.5 and b = 0.75."""
    counts = Counter(kept.get(row, ()))
    average = max(sum(map(len, kept.values())) / len(kept), 1.0) if kept else 1.0
    norm = 1.5 * (0.25 + 0.75 * sum(counts.values()) / average)
    return sum(
        weight * rarity(kept, term) * counts[term] * 2.5 / (counts[term] + norm)
        for term, weight in query.items()
        if counts[term]
    )


def cosine(kept: Kept, row: int, query: Mapping[str, float]) -> float:
    """TF-IDF cosine; a weight below 1 weighs a term, one above counts it."""
    here = {t: (1 + math.log(n)) * rarity(kept, t) for t, n in Counter(kept.get(row, ())).items()}
    asked = {t: (1 + math.log(max(w, 1))) * min(w, 1) * rarity(kept, t) for t, w in query.items()}
    lengths = math.hypot(*here.values()) * math.hypot(*asked.values())
    return sum(here[t] * asked[t] for t in here if t in asked) / lengths if lengths else 0.0


def covered(kept: Kept, row: int, query: Mapping[str, float]) -> float:
    rarities = {term: rarity(kept, term) for term in kept.get(row, ())}
    whole = sum(rarities.values())
    return sum(rarities[term] for term in rarities if term in query) / whole if whole else 0.0


class AnyChanges(RuleBasedStateMachine):
    """Put and remove rows in any order; the index always equals the formulas."""

    def __init__(self) -> None:
        super().__init__()
        self.index = LexicalIndex(fields=2)
        self.kept: dict[int, list[str]] = {}
        self.parts: dict[int, list[str]] = {}
        self.new = 0

    @rule(row=ROWS, terms=TERMS, length=st.integers(0, 8))
    def put(self, row: int, terms: list[str], length: int) -> None:
        self.index.remove(row)
        part = terms if length == len(terms) else terms[:length]
        self.index.put(row, terms, part)
        self.kept[row], self.parts[row] = terms, part

    @rule(row=ROWS)
    def put_a_term_nobody_had(self, row: int) -> None:
        """Its number may be one that an earlier term had."""
        self.new += 1
        self.put(row, [f"new{self.new}", WORDS[0]], self.new % 3)

    @rule(row=ROWS)
    def remove(self, row: int) -> None:
        self.index.remove(row)
        self.kept.pop(row, None)
        self.parts.pop(row, None)

    @rule(query=QUERY)
    def ask(self, query: dict[str, float]) -> None:
        rows = np.arange(25)
        scores = self.index.scores(query, rows=25)
        expected = [bm25(self.kept, row, query) for row in range(25)]
        assert scores.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert scores.max() <= self.index.most(query) + 1e-5
        expected = [cosine(self.kept, row, query) for row in range(25)]
        joined = self.index.joined(rows)
        found = self.index.cosines(query, joined).tolist()
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
        for field, kept in enumerate((self.kept, self.parts)):
            expected = [bm25(kept, row, query) for row in range(25)]
            found = self.index.scores_of(query, joined, field=field).tolist()
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
            expected = [covered(kept, row, query) for row in range(25)]
            found = self.index.covered(query, joined, field=field).tolist()
            assert found == pytest.approx(expected, abs=1e-5)

    @precondition(lambda self: self.new)
    @invariant()
    def a_term_that_came_and_went_is_where_it_is_alone(self) -> None:
        term = f"new{self.new}"
        rows = np.arange(25)
        assert set(rows[self.index.having(term, rows)].tolist()) == {
            row for row, terms in self.kept.items() if term in terms
        }

    @invariant()
    def each_term_is_where_it_is(self) -> None:
        for term in WORDS[:3]:
            assert self.index.rarity(term) == pytest.approx(rarity(self.kept, term))
            having = self.index.having(term, np.arange(25)).tolist()
            assert having == [term in self.kept.get(row, ()) for row in range(25)]
        for row in range(25):
            shared = [word for word in WORDS if word in self.kept.get(row, ())]
            assert self.index.shared(row, [*WORDS, "unknown"]) == shared


TestAnyChanges = AnyChanges.TestCase
TestAnyChanges.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_scores_follow_the_formula() -> None:
    index = LexicalIndex()
    index.put(0, ["disk", "full", "disk"])
    index.put(1, ["disk", "slow"])
    index.put(2, ["network"])
    rare = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    norm = 1.5 * (1 - 0.75 + 0.75 * 3 / 2)
    scores = index.scores({"disk": 1, "unknown": 4}, rows=3)
    assert scores[0] == pytest.approx(rare * 2 * 2.5 / (2 + norm))
    assert scores[2] == 0
    assert index.rarity("disk") == pytest.approx(rare)
    assert index.rarity("unknown") == 0


@given(st.dictionaries(ROWS, TERMS, min_size=1), QUERY, WEIGHTS)
def test_a_term_nobody_has_raises_only_what_could_have_been(
    kept: dict[int, list[str]], query: dict[str, float], weight: float
) -> None:
    index = LexicalIndex()
    for row, terms in kept.items():
        index.put(row, terms)
    more = {**query, "nobody": weight}
    assert (index.scores(more, rows=25) == index.scores(query, rows=25)).all()
    assert index.most(more) >= index.most(query)
    assert index.most({"nobody": 1.0}) >= max(index.most({word: 1.0}) for word in WORDS)


def test_a_document_asked_for_by_its_own_terms_is_as_near_as_can_be() -> None:
    index = LexicalIndex()
    index.put(0, ["disk", "disk", "full"])
    index.put(1, ["queue"])
    joined = index.joined(np.array([0, 1]))
    assert index.cosines({"disk": 2, "full": 1}, joined).tolist() == pytest.approx([1, 0])
    assert index.covered(["full", "disk"], joined).tolist() == pytest.approx([1, 0])


def test_numbers_of_terms_are_used_again() -> None:
    """Otherwise an index in which documents come and go grows for ever."""
    index = LexicalIndex()
    for number in range(5_000):
        index.put(0, [f"term{number}", f"other{number}"])
        index.remove(0)
    assert index._numbers.end == 2
    index.put(0, ["fresh"])
    assert index.shared(0, ["term4999", "fresh", "other4999"]) == ["fresh"]
    assert not index.having("term4999", np.array([0])).any()
    assert index.scores({"other4999": 1.0}, rows=1).tolist() == [0]


def test_an_emptied_index_scores_nothing() -> None:
    index = LexicalIndex()
    index.put(3, ["disk"])
    index.remove(3)
    index.remove(3)
    index.remove(999)
    rows = np.arange(4)
    assert index.scores({"disk": 1}, rows=4).tolist() == [0, 0, 0, 0]
    assert index.scores_of({"disk": 1}, index.joined(rows)).tolist() == [0, 0, 0, 0]
    assert index.cosines({"disk": 1}, index.joined(rows)).tolist() == [0, 0, 0, 0]
    assert index.covered(["disk"], index.joined(rows)).tolist() == [0, 0, 0, 0]
    assert index.cosines({"disk": 1}, index.joined(rows[:0])).tolist() == []
    assert index.scores({"disk": 1}, rows=0).tolist() == []
    assert index.shared(3, ["disk"]) == []
    assert not index.having("disk", rows).any()
    assert index.most({}) == 0
