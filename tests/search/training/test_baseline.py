"""The bar: BM25 as the shared data's README has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bot.domain.documents import Document
from bot.search.training.baseline import Baseline
from bot.search.training.datasets import Question, read
from bot.search.training.measures import figures_of
from tests.search.training.folders import document, folder, query

DATA = Path("/work/shared/data")


def ask(text: str, **more: object) -> Question:
    return Question(id="Q", text=text, variant="v", group="g", row={}, **more)  # type: ignore[arg-type]


def doc(id_: str, text: str) -> Document:
    return Document(id=id_, kind="runbook", title="", text=text)


def test_names_match_by_their_parts_and_as_a_whole() -> None:
    bm25 = Baseline([doc("parts", "kube pod crash looping"), doc("whole", "KubePodCrashLooping")])
    assert bm25.find(ask("KubePodCrashLooping"), limit=2) == ["whole", "parts"]


def test_the_document_that_asks_and_later_ones_are_not_found(tmp_path: Path) -> None:
    made = read(
        folder(
            tmp_path,
            documents=[
                document(1, created="2026-01-01T00:00:00Z"),
                document(9, created="2026-03-01T00:00:00Z"),
                document(2),
            ],
            queries=[query(1, doc_id="D2", created="2026-02-01T00:00:00Z")],
        )
    )
    assert Baseline(made.documents).find(made.questions[0], limit=10) == ["D1"]


def test_equal_scores_keep_the_order_of_the_folder() -> None:
    bm25 = Baseline([doc("b", "disk"), doc("a", "disk"), doc("c", "net")])
    assert bm25.find(ask("disk"), limit=3) == ["b", "a", "c"]


def test_nothing_to_read_is_no_fault() -> None:
    assert Baseline([doc("a", "")]).find(ask("of the"), limit=3) == ["a"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}")
@pytest.mark.parametrize(
    ("name", "told"),
    (
        ("runbooks-dev", {"name+desc": 0.957, "desc": 0.914, "strict": 0.638}),
        ("similar-dev-ghstatus", {"live": 0.445, "early": 0.400}),
        ("similar-dev-hadoop", {"full": 0.660, "title": 0.647}),
    ),
)
def test_it_is_the_baseline_the_shared_data_tells_of(name: str, told: dict[str, float]) -> None:
    dataset = read(DATA / name)
    bm25 = Baseline(dataset.documents)
    for variant, mrr in told.items():
        asked = [q for q in dataset.questions if q.variant == variant and q.answerable]
        found = [figures_of(bm25.find(one, limit=10), one.relevant)[3] for one in asked]
        assert np.mean(found) == pytest.approx(mrr, abs=0.01), variant
