"""A folder, measured through the bot's own engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bot.domain.documents import Kind
from bot.search.ranker import FALLBACK, SIGNALS, Calibration, Ranker, Trained
from bot.search.training.asking import Answer, NoMeaning, OnceEncoder, engine
from bot.search.training.datasets import Dataset, Question, read
from bot.search.training.evaluating import Evaluation, evaluate, figures, trust
from bot.search.training.plots import reliability_plot
from bot.search.training.reports import WARNING, report, summary
from tests.search.encoders import FailingEncoder, WordEncoder
from tests.search.training.folders import dead, document, folder, query

SURE = replace(
    FALLBACK,
    calibrations=dict.fromkeys(Kind, Calibration(intercept=-2, coefficients={"coverage": 5.0})),
)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    queries = [
        *(query(n, service="api" if n % 2 else "db") for n in range(12)),
        *(query(n, id=f"S{n}", variant="strict", text=f"part {n}") for n in range(12)),
    ]
    return read(folder(tmp_path / "set", queries=queries, without_answer=[dead(1), dead(2)]))


async def measured(dataset: Dataset, ranker: Ranker = SURE, **more: object) -> Evaluation:
    return await evaluate(dataset, OnceEncoder(WordEncoder()), ranker, **more)  # type: ignore[arg-type]


async def test_each_variant_is_measured_by_the_default_and_by_bm25(dataset: Dataset) -> None:
    found = figures(await measured(dataset))
    assert set(found) == {"desc", "strict"}
    assert set(found["desc"]) == {"default", "bm25"}
    assert set(found["desc"]["default"]) == {"R@1", "R@3", "R@5", "MRR@10", "nDCG@10"}
    assert found["desc"]["default"]["MRR@10"] > 0.9


async def test_each_signal_can_be_measured_alone(dataset: Dataset) -> None:
    found = figures(await measured(dataset, signals=SIGNALS))
    assert {"words", "meaning"} < set(found["desc"])
    assert "service" not in found["desc"]  # nothing here has one


async def test_the_same_folder_gives_the_same_figures(dataset: Dataset) -> None:
    assert await measured(dataset) == await measured(dataset)


async def test_a_document_that_asks_and_later_ones_are_never_found(tmp_path: Path) -> None:
    documents = [
        document(1, created="2026-01-01T00:00:00Z"),
        document(9, created="2026-03-01T00:00:00Z"),
        document(2),
    ]
    asked = [query(1, doc_id="D2", created="2026-02-01T00:00:00Z")]
    made = read(folder(tmp_path, documents=documents, queries=asked))
    async with engine(made.documents, WordEncoder()) as search:
        from bot.search.training.asking import answers

        first, hidden = await answers(search, made)
    assert first.found == ("D1",)
    assert hidden.found == ()
    assert hidden.novel


async def test_confidence_is_measured_with_a_quarter_of_novel_cases(dataset: Dataset) -> None:
    found = await measured(dataset)
    assert found.trust["desc"].error is not None
    assert 0 <= found.trust["desc"].error <= 1
    assert sum(each.weight for each in found.trust["desc"].bins) == pytest.approx(1.0)
    assert found.overall.claims == 12 + 12 + 2 + 24
    assert found.trust["strict"].auroc_dead is None  # it has no question without an answer
    assert found.trust["desc"].auroc_dead is not None


async def test_a_ranker_without_calibration_claims_nothing(dataset: Dataset) -> None:
    found = await measured(dataset, FALLBACK)
    assert found.overall.error is None
    assert "not calibrated" in summary(found)


async def test_a_ranker_that_has_seen_the_folder_is_told_on(dataset: Dataset) -> None:
    seen = replace(SURE, trained=(Trained(name="x", sha256=dataset.sha256, queries=1),))
    found = await measured(dataset, seen)
    assert found.seen
    assert WARNING in summary(found)
    assert not (await measured(dataset)).seen


async def test_values_of_a_field_are_compared_where_there_are_enough(tmp_path: Path) -> None:
    queries = [
        query(n % 12, id=f"Q{n}", team=["red", "all"] if n < 20 else "blue") for n in range(60)
    ]
    made = read(folder(tmp_path, queries=queries))
    found = await measured(made, by="team")
    assert found.by["blue"].questions == 40
    assert found.too_small == {"all": 20, "red": 20}
    text = summary(found, by="team")
    assert "Too few questions, under 30, to say anything of: all (20), red (20)." in text


async def test_a_field_of_the_documents_is_found_as_well(tmp_path: Path) -> None:
    documents = [document(n, area="net") for n in range(12)]
    queries = [query(n % 12, id=f"Q{n}") for n in range(30)]
    made = read(folder(tmp_path, documents=documents, queries=queries))
    assert (await measured(made, by="area")).by["net"].questions == 30
    assert "say anything of nothing" in summary(await measured(made, by="nothing"), by="nothing")


async def test_the_report_names_its_picture_and_keeps_its_columns(dataset: Dataset) -> None:
    found = await measured(dataset)
    text = report([found], {"set": "out-set.svg"})
    assert "![Reliability: claimed against right](out-set.svg)" in text
    lines = [line for line in text.splitlines() if line.startswith("| desc")]
    assert len({line.count("|") for line in lines if "bm25" in line or "default" in line}) == 1
    picture = ElementTree.fromstring(reliability_plot(found.overall.bins, "a < b & c"))
    dots = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == len(found.overall.bins)


async def test_strange_names_do_not_break_the_tables(tmp_path: Path) -> None:
    queries = [query(n, variant="a|b") for n in range(12)]
    made = read(folder(tmp_path / "x|y", queries=queries))
    assert "| a\\|b " in report([await measured(made)], {})


async def test_an_encoder_that_fails_is_an_error_and_not_a_lower_figure(dataset: Dataset) -> None:
    def broken() -> FailingEncoder:
        encoder = FailingEncoder()
        encoder.failing = True
        return encoder

    with pytest.raises(NoMeaning):
        async with engine(dataset.documents, broken()):
            pass


def test_a_text_is_encoded_once() -> None:
    inner = WordEncoder()
    encoder = OnceEncoder(inner)
    assert encoder.encode(["a", "b", "a"]).shape == encoder.encode(["b", "a", "b"]).shape
    assert inner.encoded == ["a", "b"]


def answer(number: int, confidence: float, *, right: bool, novel: bool = False) -> Answer:
    asked = Question(
        id=str(number),
        text="x",
        variant="v",
        group=str(number),
        relevant=frozenset() if novel else frozenset({"a"}),
        row={},
    )
    return Answer(
        question=asked,
        found=("a",) if right else ("b",),
        confidence=confidence,
        threshold=0.5,
        novel=novel,
    )


def test_precision_coverage_and_false_alarms_are_counted_at_the_threshold() -> None:
    found = trust(
        [
            answer(1, 0.9, right=True),
            answer(2, 0.8, right=True),
            answer(3, 0.7, right=False),
            answer(4, 0.1, right=True),
            answer(5, 0.6, right=True, novel=True),
            answer(6, 0.2, right=False, novel=True),
        ]
    )
    assert found.shown == pytest.approx(3 / 4)
    assert found.alarms == pytest.approx(1 / 2)
    assert found.precision == pytest.approx(2 / 4)
    weights = 3 * 0.75 / 4 + 0.25 / 2
    assert found.precision_novel == pytest.approx(2 * 0.75 / 4 / weights)
    assert found.auroc_dead == pytest.approx((2 + 2 + 2 + 0) / 8)
