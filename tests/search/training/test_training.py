"""A ranker, fitted on small folders: honest about it, and the same every time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.domain.documents import Document
from bot.ports import Judgement, SearchLabel
from bot.search.ranker import FALLBACK, from_json, to_json
from bot.search.training.accounts import account, cross_validated
from bot.search.training.asking import OnceEncoder, engine
from bot.search.training.datasets import Dataset, read
from bot.search.training.judgements import judged
from bot.search.training.rounds import FOLDS, cross_validate, fold, leave_out
from bot.search.training.training import Training, train
from tests.search.encoders import WordEncoder
from tests.search.training.folders import THINGS, dead, document, folder, query

MORNING = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    """Make runbooks that are found, and incidents that mostly are not."""
    runbooks = folder(
        tmp_path / "books",
        documents=[document(n) for n in range(24)],
        queries=[query(n % 24, id=f"Q{n}") for n in range(48)],
        without_answer=[dead(n) for n in range(6)],
    )
    incidents = folder(
        tmp_path / "incidents",
        documents=[{"id": f"D{n}", "title": "", "text": THINGS[n % 8]} for n in range(24)],
        queries=[query(n, text=f"we see {THINGS[n % 8]}") for n in range(24)],
    )
    return [read(runbooks), read(incidents)]


async def trained(datasets: list[Dataset]) -> Training:
    return await train(datasets, OnceEncoder(WordEncoder()))


async def test_the_same_input_gives_the_same_bytes(datasets: list[Dataset]) -> None:
    first, second = await trained(datasets), await trained(datasets)
    assert to_json(first.ranker) == to_json(second.ranker)


async def test_a_ranker_can_be_read_back_and_says_what_it_was_trained_on(
    datasets: list[Dataset],
) -> None:
    ranker = (await trained(datasets)).ranker
    assert from_json(to_json(ranker)) == ranker
    assert [one.name for one in ranker.trained] == ["books", "incidents"]
    assert [one.sha256 for one in ranker.trained] == [each.sha256 for each in datasets]
    assert ranker.calibrations["runbook"].knots or ranker.calibrations["runbook"].coefficients
    assert 0 < ranker.threshold <= 1
    assert ranker.encoder == "words"
    assert ranker.name.startswith("trained-")


async def test_what_no_folder_shows_keeps_its_fixed_weight(datasets: list[Dataset]) -> None:
    weights = (await trained(datasets)).ranker.weights
    for signal in ("name", "service", "dependency", "recent", "accepted", "outcome"):
        assert weights[signal] == FALLBACK.weights[signal]
    assert weights["words"] != FALLBACK.weights["words"]


async def test_every_question_is_asked_by_a_ranker_that_has_not_seen_its_group(
    datasets: list[Dataset],
) -> None:
    rounds = await cross_validate(datasets, OnceEncoder(WordEncoder()))
    assert len(rounds) == FOLDS
    for held, part in enumerate(rounds):
        for each in datasets:
            assert {fold(one.question.group) for one in part.asked[each.name]} <= {held}
    asked = [one for part in rounds for one in part.asked["books"]]
    assert sorted(one.question.id for one in asked if not one.novel) == sorted(
        one.id for one in datasets[0].questions if one.answerable
    )
    assert sum(one.novel for one in asked) == 48 + 6


async def test_a_folder_left_out_teaches_nothing(datasets: list[Dataset]) -> None:
    books, incidents = datasets
    part = await leave_out(datasets, incidents, OnceEncoder(WordEncoder()))
    assert "we" not in part.ranker.common  # only incidents say it
    assert len([one for one in part.asked["incidents"] if not one.novel]) == 24
    assert part.asked[books.name] == []


async def test_the_account_is_of_held_out_questions(datasets: list[Dataset]) -> None:
    training = await trained(datasets)
    found = cross_validated(datasets[0], training)
    assert not found.seen
    assert found.variants["desc"].questions == 48
    assert found.overall.claims == 48 + 48 + 6
    assert "all folders" in account(datasets, training)


async def test_training_goes_on_where_a_folder_has_a_single_question(tmp_path: Path) -> None:
    single = read(folder(tmp_path, queries=[query(1)]))
    training = await trained([single])
    assert training.ranker.calibrations == {}
    assert from_json(to_json(training.ranker)) == training.ranker


def label(number: int, document: str, word: Judgement, **more: str) -> SearchLabel:
    return SearchLabel(
        id=f"L{number}",
        query=more.get("query", "disk full"),
        names=(),
        services=(),
        subject=more.get("subject", "INC-1"),
        document=document,
        kind="incident",
        judgement=word,
        reason="",
        place=1,
        confidence=None,
        model="fixed",
        person=more.get("person", f"p{number}"),
        at=MORNING,
    )


def documents() -> list[Document]:
    texts = {"A": "disk full", "B": "disk full of logs", "INC-1": "disk full now", "C": "network"}
    return [Document(id=i, kind="incident", title="", text=t) for i, t in texts.items()]


async def lessons(labels: list[SearchLabel]) -> list[tuple[int, int, float]]:
    async with engine(documents(), WordEncoder()) as search:
        heard = await judged(labels, search)
    assert list(heard.labels) == labels
    return [
        (int(one.right.sum()), int(one.wrong.sum()), round(one.weight, 6)) for one in heard.lessons
    ]


async def test_labels_of_one_search_are_one_lesson() -> None:
    made = await lessons([label(1, "A", Judgement.USEFUL), label(2, "B", Judgement.USELESS)])
    assert made == [(1, 1, round(1 / 101, 6))]


async def test_people_who_disagree_cancel_each_other_out() -> None:
    assert await lessons([label(1, "A", Judgement.USEFUL), label(2, "A", Judgement.USELESS)]) == []


async def test_nobody_counts_twice_and_the_last_word_holds() -> None:
    again = [label(n, "A", Judgement.USELESS, person="p") for n in range(3)]
    other = label(4, "A", Judgement.USEFUL, person="q")
    assert await lessons([*again, other]) == []
    changed = [
        label(1, "A", Judgement.USELESS, person="p"),
        label(2, "A", Judgement.USEFUL, person="p"),
    ]
    assert await lessons(changed) == [(1, 0, round(1 / 101, 6))]


async def test_what_asks_and_what_is_gone_teaches_nothing() -> None:
    gone = [label(1, "INC-1", Judgement.USEFUL), label(2, "never there", Judgement.USEFUL)]
    assert await lessons(gone) == []
    assert await lessons([]) == []


async def test_more_labels_weigh_more_but_never_more_than_a_kind_of_question() -> None:
    many = [label(n, "A", Judgement.USEFUL, query=f"disk full on host {n}") for n in range(300)]
    made = await lessons(many)
    assert sum(weight for *_, weight in made) == pytest.approx(300 / 400)


async def test_labels_go_on_record_and_change_the_ranker(datasets: list[Dataset]) -> None:
    encoder = OnceEncoder(WordEncoder())
    async with engine(documents(), encoder) as search:
        heard = await judged([label(1, "B", Judgement.USEFUL)], search)
    plain = await train(datasets, encoder)
    taught = await train(datasets, encoder, judged=heard)
    assert taught.ranker.trained[-1].name == "people's labels"
    assert taught.ranker.trained[-1].queries == 1
    assert taught.ranker.weights != plain.ranker.weights
