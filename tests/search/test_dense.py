"""The vector index against plain arithmetic, after any number of changes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.search import exact, slots
from bot.search.dense import DenseIndex

Vectors = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DIMENSION = 8
ROWS = 60
NEAR = 3e-3  # what two roundings to float16 may cost a cosine


def unit(count: int, chance: np.random.Generator) -> Vectors:
    vectors = chance.normal(size=(count, DIMENSION)).astype(np.float32) + 0.5
    unit_vectors: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit_vectors


def everything(rows: int = ROWS) -> Mask:
    return np.ones(rows, dtype=np.bool_)


@dataclass
class Oracle:
    """An index, and what it must hold."""

    index: DenseIndex
    kept: dict[int, tuple[Vectors, Mask]] = field(default_factory=dict)

    def put(self, row: int, vectors: Vectors, gist: Mask) -> None:
        self.index.put(row, vectors, gist)
        if len(vectors):
            self.kept[row] = vectors, gist
        else:
            self.kept.pop(row, None)

    def remove(self, row: int) -> None:
        self.index.remove(row)
        self.kept.pop(row, None)

    def check(self, query: Vectors, allowed: Mask, limit: int) -> None:
        """Compare with plain arithmetic, as far as roundings allow."""
        assert len(self.index) == sum(len(vectors) for vectors, _ in self.kept.values())
        apply = self.index.whitening.apply
        whitened = apply(query.reshape(1, -1))[0]
        meaning = {row: apply(vectors) @ whitened for row, (vectors, _) in self.kept.items()}
        best = {row: float(products.max()) for row, products in meaning.items()}
        found = self.index.nearest(query, allowed=allowed, limit=limit).tolist()
        expected = sorted((best[row] for row in best if allowed[row]), reverse=True)[:limit]
        assert len(found) == len(set(found)) == len(expected)
        assert all(allowed[row] and row in self.kept for row in found)
        assert [best[row] for row in found] == pytest.approx(expected, abs=NEAR)
        self._check_comparison(query, meaning)

    def _check_comparison(self, query: Vectors, meaning: dict[int, Vectors]) -> None:
        asked = np.arange(-1, ROWS + 3)
        compared = self.index.compare(query, asked)
        for place, row in enumerate(asked.tolist()):
            if row not in self.kept:
                values = compared.meaning[place], compared.gist[place], compared.cosine[place]
                assert np.isnan(values).all()
                continue
            vectors, gist = self.kept[row]
            products = meaning[row]
            assert compared.meaning[place] == pytest.approx(products.max(), abs=NEAR)
            assert compared.cosine[place] == pytest.approx((vectors @ query).max(), abs=NEAR)
            assert products[compared.chunk[place]] == pytest.approx(products.max(), abs=NEAR)
            expected = products[gist].max() if gist.any() else np.nan
            assert compared.gist[place] == pytest.approx(expected, abs=NEAR, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    deeds=st.lists(
        st.sampled_from(("put", "put", "put", "many", "remove", "wipe", "maintain", "ask")),
        max_size=60,
    ),
    exact_up_to=st.sampled_from((10_000, 90, 20)),
    block=st.sampled_from((16, 16_384)),
)
def test_whatever_happens_the_answers_are_those_of_plain_arithmetic(
    seed: int, deeds: list[str], exact_up_to: int, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_BLOCK", block)
        patch.setattr(slots, "_BLOCK", block)
        live(seed, deeds, exact_up_to)


def live(seed: int, deeds: list[str], exact_up_to: int) -> None:
    """Do some deeds to an index, and compare it with the oracle whenever it is asked."""
    chance = np.random.default_rng(seed)
    oracle = Oracle(DenseIndex(DIMENSION, exact_up_to=exact_up_to))
    for deed in deeds:
        rows = {"put": 1, "many": 40, "remove": 1, "wipe": 50}.get(deed, 0)
        for row in chance.integers(ROWS, size=rows).tolist():
            if deed in {"put", "many"}:
                count = int(chance.integers(0, 6))
                oracle.put(row, unit(count, chance), chance.random(count) < 0.5)
            else:
                oracle.remove(row)
        if deed == "maintain":
            oracle.index.maintain()
        if deed == "ask":
            allowed = chance.random(ROWS) < chance.choice((0.1, 0.6, 1.0))
            oracle.check(unit(1, chance)[0], allowed, int(chance.integers(1, ROWS)))
    oracle.check(unit(1, chance)[0], everything(), 7)
    while oracle.index.maintain():
        pass
    oracle.check(unit(1, chance)[0], everything(), 7)
    assert oracle.index.exact or len(oracle.index) > 0.7 * exact_up_to


def test_rows_of_many_chunks_do_not_hide_the_others() -> None:
    chance = np.random.default_rng(5)
    oracle = Oracle(DenseIndex(DIMENSION))
    query = unit(1, chance)[0]
    oracle.put(0, np.tile(query, (64, 1)), everything(64))
    for row in range(1, 10):
        oracle.put(row, unit(2, chance), everything(2))
    oracle.check(query, everything(), 5)


def test_a_query_between_any_two_slices_of_a_rebuild_sees_what_is_there() -> None:
    chance = np.random.default_rng(7)
    oracle = Oracle(DenseIndex(DIMENSION, exact_up_to=3000))
    for row in range(ROWS):
        oracle.put(row, unit(64, chance), chance.random(64) < 0.5)
    slices = 0
    while oracle.index.maintain():
        slices += 1
        row = int(chance.integers(ROWS))
        if slices % 3:
            oracle.remove(row)
        else:
            oracle.put(row, unit(64, chance), everything(64))
        oracle.check(unit(1, chance)[0], everything(), 10)
    assert slices > 5
    assert oracle.index.whitening.count > 0


def test_all_rows_can_go_and_come_again() -> None:
    chance = np.random.default_rng(9)
    oracle = Oracle(DenseIndex(DIMENSION))
    for _ in range(3):
        for row in range(ROWS):
            oracle.put(row, unit(3, chance), everything(3))
        while oracle.index.maintain():
            pass
        oracle.check(unit(1, chance)[0], everything(), 10)
        for row in range(ROWS):
            oracle.remove(row)
        while oracle.index.maintain():
            pass
        oracle.check(unit(1, chance)[0], everything(), 10)


def test_the_same_changes_give_the_same_answers() -> None:
    def built() -> DenseIndex:
        chance = np.random.default_rng(11)
        index = DenseIndex(DIMENSION, exact_up_to=1000)
        for row in range(2000):
            index.put(row, unit(1, chance), everything(1))
        while index.maintain():
            pass
        return index

    one, other = built(), built()
    assert not one.exact
    query = unit(1, np.random.default_rng(1))[0]
    rows = one.nearest(query, allowed=everything(2000), limit=50)
    assert rows.tolist() == other.nearest(query, allowed=everything(2000), limit=50).tolist()
    assert (one.compare(query, rows).meaning == other.compare(query, rows).meaning).all()


def test_nothing_stored_or_nothing_allowed_finds_nothing() -> None:
    index = DenseIndex(DIMENSION)
    query = unit(1, np.random.default_rng(1))[0]
    assert index.nearest(query, allowed=everything(1), limit=5).tolist() == []
    index.put(0, query.reshape(1, -1), everything(1))
    assert index.nearest(query, allowed=np.array([False]), limit=5).tolist() == []
    assert index.nearest(query, allowed=everything(0), limit=5).tolist() == []
    index.remove(0)
    assert index.nearest(query, allowed=everything(1), limit=5).tolist() == []
    assert len(index.compare(query, []).meaning) == 0


def test_vectors_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 5\), expected \(n, 8\)"):
        DenseIndex(DIMENSION).put(0, np.zeros((2, 5), dtype=np.float32), everything(2))


def test_a_vector_that_is_not_finite_is_refused_and_harms_nothing() -> None:
    oracle = Oracle(DenseIndex(DIMENSION))
    chance = np.random.default_rng(13)
    oracle.put(0, unit(2, chance), everything(2))
    for bad in (np.nan, np.inf, 1e30):
        with pytest.raises(ValueError, match="not finite"):
            oracle.index.put(0, np.full((1, DIMENSION), bad, dtype=np.float32), everything(1))
    oracle.check(unit(1, chance)[0], everything(), 5)


def test_marks_that_do_not_fit_the_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="marks for 2 vectors"):
        DenseIndex(DIMENSION).put(0, np.zeros((2, DIMENSION), dtype=np.float32), everything(3))


def test_what_is_near_may_all_lie_in_one_block_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_BLOCK", 256)
    chance = np.random.default_rng(15)
    query = unit(1, chance)[0]
    vectors = unit(5000, chance)
    sorted_by_place = vectors[np.argsort(vectors @ query)]
    scan = exact.ExactScan(DIMENSION)
    scan.write(np.arange(5000), sorted_by_place)
    nearest_barred = np.arange(5000) < 3000
    for selectable in (*(chance.random(5000) < share for share in (1, 0.7, 0.2)), nearest_barred):
        expected = np.flatnonzero(selectable)[::-1][:200]
        found = scan.search(query, 200, selectable=selectable)
        products = sorted_by_place @ query
        assert np.allclose(products[found], products[expected], atol=1e-3)
        assert selectable[found].all()


def test_what_was_removed_has_no_part_in_the_map() -> None:
    def built(*, passing: int) -> DenseIndex:
        chance, index = np.random.default_rng(17), DenseIndex(DIMENSION)
        for row in range(passing):
            index.put(row, -unit(4, np.random.default_rng(row)), everything(4))
        for row in range(passing):
            index.remove(row)
        for row in range(200):
            index.put(row, unit(1, chance), everything(1))
        while index.maintain():
            pass
        return index

    query = unit(50, np.random.default_rng(1))
    clean, used = (index.whitening.apply(query) for index in (built(passing=0), built(passing=90)))
    assert np.allclose(clean @ clean.T, used @ used.T, atol=1e-4)
