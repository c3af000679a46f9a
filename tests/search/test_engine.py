"""The search as a caller meets it: put, replace, remove, find, and what may go wrong."""

import asyncio
import math
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import override

from bot.domain.documents import Acceptance, Because, Document, Found, Outcome, Query
from bot.search import engine
from bot.search.encoder import Encoder, EncoderUnavailable
from bot.search.engine import HybridSearch
from bot.search.filters import Filters
from bot.search.index import Index
from bot.search.ranker import FALLBACK, Calibration, Ranker
from tests.search.encoders import BlockedEncoder, FailingEncoder, GatedEncoder, WordEncoder

Build = Callable[..., HybridSearch]
ALL = ("runbook", "incident", "postmortem")
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def document(id_: str, text: str, *, kind: str = "runbook", title: str = "") -> Document:
    return Document(id=id_, kind=kind, title=title, text=text)


async def ask(search: HybridSearch, text: str, limit: int = 5, **filters: Any) -> Found:
    return await search.find(Query(text=text), kinds=ALL, limit=limit, **filters)


def ids(found: Found) -> list[str]:
    return [hit.document.id for hit in found.hits]


async def found_ids(search: HybridSearch, text: str, limit: int = 5, **filters: Any) -> list[str]:
    return ids(await ask(search, text, limit, **filters))


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    searches: list[HybridSearch] = []

    def make(encoder: Encoder, ranker: Ranker = FALLBACK) -> HybridSearch:
        searches.append(HybridSearch(lambda _: encoder, tmp_path, ranker=ranker))
        return searches[-1]

    yield make
    for search in searches:
        await search.stop()


@pytest.fixture
async def search(build: Build) -> HybridSearch:
    """A search that is ready, over an encoder of words."""
    return await ready(build(WordEncoder(meanings={"sluggish": "slow"})))


@pytest.fixture
def words(build: Build) -> HybridSearch:
    """A search by words alone."""
    return build(WordEncoder())


async def ready(search: HybridSearch) -> HybridSearch:
    await search.start()
    assert await search.wait_until_dense()
    return search


# What is found, and in which order.


async def test_an_empty_index_finds_nothing(search: HybridSearch, words: HybridSearch) -> None:
    for empty in (search, words):
        assert await ask(empty, "checkout is down") == Found(model="fixed")


async def test_the_best_document_comes_first_and_says_why(search: HybridSearch) -> None:
    disk = document("disk", "## Meaning\n\nThe disk fills. Delete old logs, then resize it.")
    await search.put([disk, document("dns", "Names cannot be resolved. Restart the resolver.")])
    found = await ask(search, "NodeDisk logs are too old")
    best = found.hits[0]
    assert best.document is disk
    assert best.score == max(hit.score for hit in found.hits)
    assert best.lexical == best.signals["words"] > 0
    assert best.dense == best.signals["cosine"]
    assert set(best.matched) == {"Disk", "logs", "old"}
    assert best.passage == "Delete old logs, then resize it."
    assert best.section == "Meaning"
    assert best.reasons[0].because is Because.WORDS


async def test_meaning_finds_what_no_word_does(search: HybridSearch) -> None:
    await search.put([document("a", "slow"), document("b", "expired certificate")])
    (hit,) = (await ask(search, "sluggish")).hits
    assert hit.document.id == "a"
    assert hit.lexical == 0
    assert hit.dense == pytest.approx(1.0, abs=1e-3)
    assert hit.matched == ()
    assert [reason.text for reason in hit.reasons] == ["close in meaning"]


async def test_the_passage_and_its_heading_come_from_the_nearest_section(
    search: HybridSearch,
) -> None:
    """The text is cut again to show it; the number kept with the vector must still fit."""
    names = ("alpha", "beta", "gamma", "delta")
    text = "Before.\n\n```\n# code\n```\n" + "\n".join(
        f"## About {name}\n{' '.join([f'{name}{n}' for n in range(100)])}" for name in names
    )
    await search.put([document("a", text, title="Page")])
    for name in names:
        (hit,) = (await ask(search, f"{name}90 {name}91 {name}92")).hits
        assert hit.section == f"About {name}"
        assert name in hit.passage


async def test_equal_documents_are_ordered_by_id(search: HybridSearch) -> None:
    names = [f"d{number:02}" for number in range(30)]
    random.Random(1).shuffle(names)
    for name in names:
        await search.put([document(name, "disk is full")])
    assert await found_ids(search, "full disk", 30) == sorted(names)
    await search.remove(["d03"])
    await search.put([document("d03", "disk is full")])
    assert await found_ids(search, "full disk", 30) == sorted(names)


async def test_names_and_services_are_searched_too(search: HybridSearch) -> None:
    page = replace(document("a", ""), names=("KubePodCrashLooping",), services=("api",))
    await search.put([page, document("b", "crash")])
    best = (await ask(search, "KubePodCrashLooping")).hits[0]
    assert best.document is page
    assert best.matched == ("KubePodCrashLooping",)
    assert best.passage == ""
    assert (await found_ids(search, "api"))[0] == "a"


async def test_an_exact_name_beats_shared_words(words: HybridSearch, search: HybridSearch) -> None:
    text = "The disk of the node fills fast, and the node has no disk space left."
    named = replace(document("named", "Look at the volume."), names=("NodeDiskFull",))
    query = Query(text="disk of the node fills fast no space left", names=("NodeDiskFull",))
    for one in (words, search):
        await one.put([document(f"like{n}", text) for n in range(20)] + [named])
        found = await one.find(query, kinds=ALL, limit=3)
        assert ids(found)[0] == "named"
        assert found.hits[0].reasons[0].text == "same alert name"


async def test_a_shared_service_breaks_a_tie(search: HybridSearch) -> None:
    text = "requests time out"
    await search.put(
        [
            replace(document("a", text), services=("search",)),
            replace(document("b", text), services=("checkout", "payment")),
        ]
    )
    await search.place({"checkout": ["payment"]})
    query = Query(text="time out of requests to checkout", services=("checkout",))
    found = await search.find(query, kinds=ALL, limit=2)
    assert ids(found) == ["b", "a"]
    assert "same service checkout" in [reason.text for reason in found.hits[0].reasons]
    assert Because.DEPENDENCY not in [reason.because for reason in found.hits[0].reasons]
    assert Because.SERVICE not in [reason.because for reason in found.hits[1].reasons]


async def test_a_dependency_breaks_a_tie_as_soon_as_it_is_known(search: HybridSearch) -> None:
    text = "requests time out"
    await search.put(
        [
            replace(document("a", text), services=("metrics",)),
            replace(document("b", text), services=("payment",)),
        ]
    )
    query = Query(text="requests time out", services=("checkout",))
    assert ids(await search.find(query, kinds=ALL, limit=2)) == ["a", "b"]
    await search.place({"checkout": ["payment"]})
    found = await search.find(query, kinds=ALL, limit=2)
    assert ids(found) == ["b", "a"]
    assert "checkout needs payment" in [reason.text for reason in found.hits[0].reasons]
    await search.place({"metrics": ["checkout"]})  # what was known before is replaced
    found = await search.find(query, kinds=ALL, limit=2)
    assert ids(found) == ["a", "b"]
    assert "metrics needs checkout" in [reason.text for reason in found.hits[0].reasons]


async def test_what_people_said_counts_at_once_and_is_replaced(search: HybridSearch) -> None:
    await search.put([document("a", "disk full"), document("b", "disk full")])
    await search.accept({"b": Acceptance(useful=3), "unknown": Acceptance(useful=9)})
    found = await ask(search, "disk full")
    assert ids(found) == ["b", "a"]
    assert "called useful 3 times" in [reason.text for reason in found.hits[0].reasons]
    await search.accept({"b": Acceptance(useless=3)})
    found = await ask(search, "disk full")
    assert ids(found) == ["a", "b"]
    assert all(reason.because is not Because.ACCEPTED for reason in found.hits[1].reasons)
    await search.accept({"b": Acceptance(useful=1)})
    await search.accept({})
    assert await found_ids(search, "disk full") == ["a", "b"]


async def test_what_is_recent_and_worked_comes_before_its_equals(search: HybridSearch) -> None:
    old = replace(document("a", "disk full", kind="incident"), created_at=NOW - timedelta(900))
    new = replace(old, id="b", created_at=NOW - timedelta(1))
    query = Query(text="disk full", at=NOW)
    await search.put([old, new])
    assert ids(await search.find(query, kinds=ALL, limit=2)) == ["b", "a"]
    await search.put([old, replace(old, id="c", outcome=Outcome.WORKED)])
    assert ids(await search.find(query, kinds=ALL, limit=3))[-1] == "a"
    await search.put([replace(old, id="0", outcome=Outcome.FAILED)])
    assert ids(await search.find(query, kinds=ALL, limit=4))[-2:] == ["a", "0"]


async def test_times_without_a_zone_are_utc_everywhere(search: HybridSearch) -> None:
    naive = (NOW - timedelta(days=2)).replace(tzinfo=None)
    await search.put([replace(document("a", "disk full"), created_at=naive)])
    for at in (NOW, NOW.replace(tzinfo=None)):
        (hit,) = (await search.find(Query(text="disk", at=at), kinds=ALL, limit=1)).hits
        assert hit.reasons[-1].text == "2 days ago"


async def test_everyday_words_are_held_down_and_no_reason(build: Build) -> None:
    ranker = replace(FALLBACK, common={"error": 0.9, "investig": 0.5})
    search = build(WordEncoder(), ranker)
    await search.put(
        [document("a", "errors errors investigating"), document("b", "one error of the resolver")]
    )
    found = await ask(search, "investigating errors of the resolver")
    assert ids(found)[0] == "b"
    assert found.hits[0].reasons[0].text == "shares the word resolver"
    assert all(hit.reasons == () for hit in found.hits[1:])


async def test_candidates_in_their_order_are_what_is_found(search: HybridSearch) -> None:
    chance = random.Random(2)
    vocabulary = "disk node queue slow pod crash api dns full old".split()  # noqa: SIM905
    await search.put(
        [document(str(n), " ".join(chance.choices(vocabulary, k=6))) for n in range(60)]
    )
    query = Query(text="slow pod on a full node disk", at=NOW)
    examined = await search.examine(query, kinds=ALL, without=("3", "4"))
    found = await search.find(query, kinds=ALL, limit=99, without=("3", "4"))
    scores = dict(zip(examined.ids, examined.scores.tolist(), strict=True))
    assert len(scores) == len(examined.ids) == len(examined.raw) == len(examined.scaled)
    hits = set(ids(found))
    assert ids(found) == [
        id for id in sorted(scores, key=lambda id: (-scores[id], id)) if id in hits
    ]
    assert [hit.score for hit in found.hits] == [scores[hit.document.id] for hit in found.hits]
    assert not {"3", "4"} & set(examined.ids)


# Confidence.

SURE = Calibration(intercept=0.5, coefficients={"margin": 1.0})


@pytest.mark.parametrize(
    ("calibrations", "expected"),
    (
        ({}, None),
        ({"": SURE}, None),  # nobody measured this kind of document
        ({"runbook": SURE}, 1 / (1 + math.exp(-0.5))),
        ({"incident": SURE}, None),
        ({"": SURE, "runbook": replace(SURE, intercept=-2)}, 1 / (1 + math.exp(2))),
    ),
)
async def test_confidence_is_that_of_the_kind_of_the_first_hit(
    build: Build, calibrations: dict[str, Calibration], expected: float | None
) -> None:
    ranker = replace(FALLBACK, name="mine", calibrations=calibrations, threshold=0.6)
    search = await ready(build(WordEncoder(), ranker))
    await search.put([document("a", "disk full")])
    found = await ask(search, "disk full")
    assert found.confidence == (None if expected is None else pytest.approx(expected))
    assert (found.threshold, found.model) == (0.6, "mine")
    assert found.sure == (expected is not None and expected >= 0.6)
    assert (await ask(search, "certificate")).confidence is None


async def test_words_alone_claim_no_confidence(build: Build) -> None:
    encoder = FailingEncoder()
    search = build(encoder, replace(FALLBACK, calibrations={"runbook": SURE}))
    await search.put([document("a", "disk full")])
    assert (await ask(search, "disk full")).confidence is None
    await ready(search)
    assert (await ask(search, "disk full")).confidence is not None
    encoder.failing = True
    found = await ask(search, "full disk")
    assert ids(found) == ["a"]
    assert found.confidence is None


@pytest.mark.parametrize(("encoder", "claimed"), (("words", True), ("another", False)))
async def test_confidence_is_claimed_only_with_the_encoder_it_was_calibrated_with(
    build: Build, encoder: str, claimed: bool
) -> None:
    ranker = replace(FALLBACK, calibrations={"runbook": SURE}, encoder=encoder)
    search = await ready(build(WordEncoder(), ranker))
    await search.put([document("a", "disk full")])
    assert ((await ask(search, "disk full")).confidence is not None) is claimed


async def test_a_postmortem_is_as_sure_as_its_incident(build: Build) -> None:
    ranker = replace(FALLBACK, calibrations={"incident": SURE})
    search = await ready(build(WordEncoder(), ranker))
    await search.put([document("a", "disk full", kind="postmortem")])
    found = await search.find(Query(text="disk full"), kinds=("postmortem",), limit=1)
    assert found.confidence is not None


async def test_what_could_not_be_encoded_is_encoded_with_the_next_change(build: Build) -> None:
    encoder = FailingEncoder()
    search = await ready(build(encoder))
    encoder.failing = True
    await search.put([document("a", "disk full")])
    encoder.failing = False
    await search.put([document("b", "kernel panic")])
    (hit,) = (await ask(search, "disk")).hits
    assert hit.dense is not None


async def test_a_document_put_while_the_first_start_tidies_up_gets_its_vectors(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, late = build(WordEncoder()), threading.Event()
    tidy = HybridSearch._tidy

    async def tidied(self: HybridSearch) -> None:
        if not late.is_set():
            late.set()
            await self.put([document("late", "kernel panic")])
        await tidy(self)

    await search.put([document("a", "slow requests")])
    monkeypatch.setattr(HybridSearch, "_tidy", tidied)
    await ready(search)
    (hit,) = (await ask(search, "kernel panic")).hits
    assert late.is_set()
    assert hit.dense == pytest.approx(1, abs=1e-3)


async def test_an_encoder_that_fails_at_the_start_is_given_another_chance(build: Build) -> None:
    encoder = FailingEncoder()
    encoder.failing = True
    search = build(encoder)
    await search.put([document("a", "disk full")])
    await search.start()
    assert not await search.wait_until_dense()
    encoder.failing = False
    await search.put([document("b", "kernel panic")])
    assert search.dense_ready
    (hit,) = (await ask(search, "disk")).hits
    assert hit.dense is not None


async def test_changes_hold_in_the_order_they_were_asked_for(search: HybridSearch) -> None:
    """A long put does not undo what was changed after it was called."""
    many = [document(str(number), f"old {number}") for number in range(500)]
    putting = asyncio.create_task(search.put(many))
    await asyncio.sleep(0)
    await asyncio.gather(search.remove(["490"]), search.put([document("491", "new")]), putting)
    found = {hit.document.id for hit in (await ask(search, "old", limit=600)).hits}
    assert "490" not in found
    assert (await ask(search, "new")).hits[0].document.text == "new"


async def test_of_equals_at_the_border_the_youngest_are_candidates(search: HybridSearch) -> None:
    day = datetime(2025, 1, 1, tzinfo=UTC)
    await search.put(
        [
            replace(document(f"{n:03}", "disk full"), created_at=day + timedelta(days=n * 7 % 300))
            for n in range(300)
        ]
    )
    youngest = max(range(300), key=lambda n: n * 7 % 300)
    found = await search.examine(Query(text="disk full"), kinds=ALL)
    assert f"{youngest:03}" in found.ids


# Filters.


async def test_kinds_limit_and_time_are_respected(search: HybridSearch) -> None:
    may, june = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    old = replace(document("old", "redis down", kind="incident"), created_at=may)
    page = document("page", "redis down")
    await search.put([old, replace(old, id="new", created_at=june), page])

    async def of(*kinds: str, limit: int = 5, before: datetime | None = None) -> list[str]:
        query = Query(text="redis")
        return ids(await search.find(query, kinds=kinds, limit=limit, before=before))

    assert await of("incident") == ["new", "old"]
    assert await of("incident", limit=1) == ["new"]
    assert await of("incident", "incident", "unknown") == ["new", "old"]
    assert await of(*ALL, before=june) == ["old", "page"]
    assert await of(*ALL, before=june.replace(tzinfo=None)) == ["old", "page"]
    assert await of(*ALL, before=may) == ["page"]
    assert await of() == []
    assert await of(*ALL, limit=0) == []
    assert await of(*ALL, limit=-1) == []


async def test_services_and_exclusions_are_respected(search: HybridSearch) -> None:
    await search.put(
        [
            replace(document("a", "redis down"), services=("api", "web")),
            replace(document("b", "redis down"), services=("web",)),
            document("c", "redis down"),
        ]
    )
    assert await found_ids(search, "redis", services=("api",)) == ["a"]
    assert sorted(await found_ids(search, "redis", services=("api", "web", "x"))) == ["a", "b"]
    assert await found_ids(search, "redis", services=("unknown",)) == []
    assert await found_ids(search, "redis", services=()) == []
    assert sorted(await found_ids(search, "redis", without=("a", "unknown"))) == ["b", "c"]
    assert await found_ids(search, "redis", services=("web",), without=("a", "b")) == []
    await search.put([document("a", "redis down")])
    assert await found_ids(search, "redis", services=("api", "web")) == ["b"]


async def test_what_is_filtered_out_leaves_its_place_to_others(search: HybridSearch) -> None:
    """Filters come before the pool of candidates, not after it."""
    await search.put([document(f"good{n}", "disk disk full") for n in range(400)])
    await search.put([replace(document("other", "some words and a disk"), services=("api",))])
    without = [f"good{n}" for n in range(400)]
    assert await found_ids(search, "disk full", services=("api",)) == ["other"]
    assert await found_ids(search, "disk full", without=without) == ["other"]


# Changes.


async def test_a_replaced_document_is_found_by_its_new_text_alone(search: HybridSearch) -> None:
    await search.put([document("a", "kernel panic"), document("b", "queue backlog")])
    await search.put([document("a", "certificate expiry")])
    assert "a" not in await found_ids(search, "kernel panic")
    (hit,) = (await ask(search, "certificate expiry")).hits
    assert hit.document.text == "certificate expiry"


async def test_the_last_of_two_documents_with_one_id_in_one_put_stays(
    search: HybridSearch,
) -> None:
    await search.put([document("a", "kernel"), document("a", "queue")])
    assert await found_ids(search, "kernel") == []
    assert await found_ids(search, "queue") == ["a"]


async def test_a_removed_document_is_gone_and_its_place_reused(search: HybridSearch) -> None:
    await search.put([document(str(n), f"common word{n}") for n in range(40)])
    await search.remove([str(n) for n in range(30)] + ["unknown", "0", "0"])
    left = {str(n) for n in range(30, 40)}
    assert set(await found_ids(search, "common", 99)) == left
    await search.put([document(f"new{n}", f"fresh word{n}") for n in range(35)])
    assert await found_ids(search, "word3", 1) == ["new3"]
    assert await found_ids(search, "word39", 1) == ["39"]
    await search.put([])
    await search.remove([])


async def test_a_document_replaced_while_it_is_encoded_keeps_its_own_vectors(
    build: Build,
) -> None:
    encoder = GatedEncoder()
    search = await ready(build(encoder))
    await search.put([document("other", "certificate")])
    encoder.gate.clear()
    putting = asyncio.create_task(search.put([document("a", "slow requests")]))
    await asyncio.to_thread(encoder.reached.wait, 10)
    replacing = asyncio.create_task(search.put([document("a", "kernel panic")]))
    removing = asyncio.create_task(search.remove(["other"]))
    await removing
    encoder.gate.set()
    await asyncio.gather(putting, replacing)
    (hit,) = (await ask(search, "kernel panic")).hits
    assert hit.document.text == "kernel panic"
    assert hit.dense == pytest.approx(1, abs=1e-3)
    assert await found_ids(search, "slow requests") == []


async def test_a_document_removed_while_it_is_encoded_leaves_its_row_to_the_next(
    build: Build,
) -> None:
    encoder = GatedEncoder()
    search = await ready(build(encoder))
    encoder.gate.clear()
    putting = asyncio.create_task(search.put([document("a", "slow requests")]))
    await asyncio.to_thread(encoder.reached.wait, 10)
    await search.remove(["a"])
    taking = asyncio.create_task(search.put([document("b", "kernel panic")]))
    encoder.gate.set()
    await asyncio.gather(putting, taking)
    assert await found_ids(search, "slow requests") == []
    (hit,) = (await ask(search, "kernel panic")).hits
    assert hit.document.id == "b"
    assert hit.dense == pytest.approx(1, abs=1e-3)


def test_vectors_of_a_document_that_is_gone_are_nobody_else_s() -> None:
    """Neither those it had nor those that come late go to the next document in its row."""
    index, vector = Index(FALLBACK), np.array([1.0, 0.0], dtype=np.float32)
    (late,) = index.cut(index.put([document("a", "slow")]))
    index.attach(late, vector.reshape(1, -1))
    index.remove(["a"])
    (new,) = index.put([document("b", "slow")])
    assert new.row == late.row
    for _ in range(2):
        found = index.find(Query(text="slow"), vector, filters=Filters(kinds=ALL), limit=1)
        assert [hit.dense for hit in found.hits] == [None]
        assert [pending.document.id for pending in index.pending()] == ["b"]
        index.attach(late, vector.reshape(1, -1))


async def test_finding_while_documents_come_and_go_never_sees_half_of_one(
    search: HybridSearch,
) -> None:
    """Each version of a document has one word of its own in the title and in the text."""
    chance = random.Random(7)
    expected: dict[str, int] = {}
    done = asyncio.Event()

    async def write() -> None:
        for version in range(60):
            batch = [f"d{chance.randrange(50)}" for _ in range(20)]
            await search.put(
                [document(id_, f"disk body{version}", title=f"head{version}") for id_ in batch]
            )
            expected.update(dict.fromkeys(batch, version))
            gone = [f"d{chance.randrange(50)}" for _ in range(5)]
            await search.remove(gone)
            for id_ in gone:
                expected.pop(id_, None)
        done.set()

    async def read() -> int:
        answers = 0
        while not done.is_set():
            found = await ask(search, "disk", 60)
            assert len(ids(found)) == len(set(ids(found)))
            for hit in found.hits:
                version = hit.document.title.removeprefix("head")
                assert hit.document.text == hit.passage == f"disk body{version}"
            answers += 1
        return answers

    _, *answers = await asyncio.gather(write(), read(), read())
    assert sum(answers) > 20
    found = await ask(search, "disk", 60)
    titles = {hit.document.id: hit.document.title for hit in found.hits}
    assert titles == {id: f"head{version}" for id, version in expected.items()}


# Hostile text.

QUERIES = (
    "", " \n\t ", "\x00\x01", "\ud800 lone surrogate", "\u202edisk\u202c full\u200f\ufeff",
    "'; DROP TABLE documents; -- \" OR 1=1", "(((((.*)+)+)+)+$ [^]", "{code:" * 100_000,
    "<!channel> <@U1> <https://evil|https://grafana>", "{{ 7*7 }} %s %n ${x}", "the and of to",
    "🔥🔥🔥 مرحبا 磁盘已满 ﬁle", "a" * 1_000_000, "KubePod" * 100_000, "disk full " * 200_000,
    "\n".join(str(n) for n in range(50_000)), "# a" + " " * 100_000 + "x", "a-" * 500_000,
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: ascii(query[:12]))
async def test_no_query_does_harm(search: HybridSearch, query: str) -> None:
    await search.put([document("a", "disk full"), document("b", "\ud800 磁盘已满\x00 file")])
    async with asyncio.timeout(5):
        found = await search.find(
            Query(text=query, names=(query,), services=(query[:50],)), kinds=ALL, limit=5
        )
    for hit in found.hits:
        assert math.isfinite(hit.score)
        assert all(map(math.isfinite, hit.signals.values()))
        assert len(hit.matched) <= 6
        assert len(hit.passage) <= 200


@pytest.mark.parametrize("text", QUERIES, ids=lambda text: ascii(text[:12]))
async def test_no_document_does_harm(search: HybridSearch, text: str) -> None:
    hostile = Document(
        id=text[:20], kind="runbook", title=text[:1_000], text=text, names=(text[:100],),
        services=(text[:100],), labels={text[:9]: text[:100]},
    )  # fmt: skip
    async with asyncio.timeout(10):
        await search.put([hostile, document("plain", "kernel panic")])
        await ask(search, text[:100])
        assert (await found_ids(search, "kernel panic"))[0] == "plain"
        await search.remove([text[:20]])
        assert await found_ids(search, "kernel panic") == ["plain"]


async def test_the_beginning_of_a_long_document_is_found(search: HybridSearch) -> None:
    await search.put(
        [
            document("empty", ""),
            document("blank", "\n```\n## \n- \n"),
            document("long", "word " * 300_000),
            document("unbroken", "x" * 300_000),
            document("many", ". ".join(f"sentence {n}" for n in range(20_000))),
        ]
    )
    found = await ask(search, "word x sentence 7", 9)
    assert {"long", "many"} <= set(ids(found))
    assert all(len(hit.passage) <= 200 for hit in found.hits)


# The encoder: late, missing, failing.


async def test_words_answer_before_the_encoder_is_ready_and_say_so(build: Build) -> None:
    encoder = BlockedEncoder()
    search = build(encoder)
    await search.put([document("a", "slow requests")])
    await search.start()
    (hit,) = (await ask(search, "slow")).hits
    assert hit.dense is None
    assert not {"cosine", "meaning", "gist"} & set(hit.signals)
    assert not search.dense_ready
    encoder.released.set()
    assert await search.wait_until_dense()
    (hit,) = (await ask(search, "slow")).hits
    assert hit.dense is not None


async def test_what_is_put_while_the_encoder_loads_gets_its_vectors(build: Build) -> None:
    encoder = BlockedEncoder()
    search = build(encoder)
    await search.put([document("early", "slow requests")])
    await search.start()
    encoder.released.set()
    await search.put([document("meanwhile", "slow requests")])
    assert await search.wait_until_dense()
    await search.put([document("late", "slow requests")])
    found = await ask(search, "slow requests")
    assert ids(found) == ["early", "late", "meanwhile"]
    assert all(hit.dense is not None for hit in found.hits)


async def test_search_goes_on_by_words_where_no_encoder_can_be_had(tmp_path: Path) -> None:
    def unavailable(_: Path) -> Encoder:
        raise EncoderUnavailable("not installed")

    search = HybridSearch(unavailable, tmp_path, ranker=FALLBACK)
    await search.start()
    assert not await search.wait_until_dense()
    await search.put([document("a", "slow")])
    (hit,) = (await ask(search, "slow")).hits
    assert hit.dense is None
    await search.stop()


async def test_an_encoder_that_fails_later_leaves_the_words(build: Build) -> None:
    encoder = FailingEncoder()
    search = await ready(build(encoder))
    await search.put([document("a", "slow requests")])
    encoder.failing = True
    await search.put([document("b", "slow requests again")])
    found = await ask(search, "slow again")
    assert ids(found) == ["b", "a"]
    assert [hit.dense for hit in found.hits] == [None, None]


async def test_a_document_without_vectors_is_ranked_among_those_with(build: Build) -> None:
    encoder = FailingEncoder()
    search = await ready(build(encoder))
    await search.put([document("a", "slow requests")])
    encoder.failing = True
    await search.put([document("b", "slow requests again and again")])
    encoder.failing = False
    found = await ask(search, "slow requests")
    assert {hit.document.id: hit.dense is None for hit in found.hits} == {"a": False, "b": True}


async def test_the_same_text_is_encoded_once_and_never_on_the_event_loop(build: Build) -> None:
    encoder = WordEncoder()
    search = await ready(build(encoder))
    for _ in range(3):
        await search.put([document("a", "slow requests")])
        await ask(search, "why slow")
    assert encoder.encoded == ["slow requests", "why slow"]
    assert encoder.threads == {"search-encoder_0", "search-query_0"}


async def test_a_name_is_encoded_as_words_in_documents_and_queries(build: Build) -> None:
    encoder = WordEncoder()
    search = await ready(build(encoder))
    await search.put([document("a", "It loops.", title="KubePodCrashLooping")])
    await ask(search, "KubePodCrashLooping")
    assert encoder.encoded == ["Kube Pod Crash Looping. It loops", "Kube Pod Crash Looping"]


# Threads and waiting.


async def test_one_thread_owns_the_index(
    search: HybridSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()

    def watched(name: str) -> None:
        work = getattr(Index, name)

        def watch(self: Index, *args: object, **named: object) -> object:
            threads.add(threading.current_thread().name)
            return work(self, *args, **named)

        monkeypatch.setattr(Index, name, watch)

    for name in (
        "put",
        "remove",
        "propose",
        "find",
        "examine",
        "place",
        "accept",
        "attach",
        "maintain",
    ):
        watched(name)
    await search.put([document("a", "disk")])
    await asyncio.gather(
        ask(search, "disk"), search.place({}), search.accept({}), search.remove(["b"])
    )
    await search.examine(Query(text="disk"), kinds=ALL)
    assert threads == {"search-index_0"}


async def test_a_query_waits_for_one_slice_of_a_long_put(
    words: HybridSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_DOCUMENTS", 4)
    putting = asyncio.create_task(words.put([document(str(n), "disk") for n in range(400)]))
    seen = []
    for _ in range(5):
        await asyncio.sleep(0)
        seen.append(len((await ask(words, "disk", 400)).hits))
    assert not putting.done()
    assert seen == sorted(seen)
    assert seen[-1] < 400
    await putting
    assert await found_ids(words, "disk", 1, without=[str(n) for n in range(399)]) == ["399"]


class GatedDocuments(GatedEncoder):
    """Let questions through while the gate is closed."""

    @override
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if threading.current_thread().name.startswith("search-query"):
            return WordEncoder.encode(self, texts)
        return super().encode(texts)


async def test_a_query_does_not_wait_for_a_document_that_is_encoded(build: Build) -> None:
    encoder = GatedDocuments()
    search = await ready(build(encoder))
    await search.put([document("a", "slow requests")])
    encoder.gate.clear()
    putting = asyncio.create_task(search.put([document("b", "kernel panic")]))
    await asyncio.to_thread(encoder.reached.wait, 10)
    first, second = (await ask(search, "slow panic")).hits
    assert {first.document.id, second.document.id} == {"a", "b"}
    assert (first.dense is None) != (second.dense is None)
    encoder.gate.set()
    await putting


async def test_the_event_loop_never_waits_for_a_long_put(search: HybridSearch) -> None:
    """Done on the loop, it would be one long wait; no wait is half of it, on a busy machine too."""
    longest = 0.0
    loop = asyncio.get_running_loop()
    documents = [document(str(n), f"disk {n} " + "text and more " * 100) for n in range(500)]
    started = loop.time()
    putting = asyncio.create_task(search.put(documents))
    while not putting.done():
        before = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    assert longest < (loop.time() - started) / 2


async def test_stopping_in_the_middle_of_everything_ends(tmp_path: Path) -> None:
    encoder = BlockedEncoder()
    search = HybridSearch(lambda _: encoder, tmp_path, ranker=FALLBACK)
    await search.put([document(str(n), f"text {n}") for n in range(100)])
    await search.start()
    await ask(search, "text")
    encoder.released.set()
    async with asyncio.timeout(5):
        await search.stop()
    assert not search.dense_ready


async def test_stopping_while_documents_are_put_ends_both(build: Build) -> None:
    search = await ready(build(WordEncoder()))
    documents: Sequence[Document] = [document(str(n), f"text {n}") for n in range(2_000)]
    putting = asyncio.create_task(search.put(documents))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await search.stop()
        (outcome,) = await asyncio.gather(putting, return_exceptions=True)
    assert isinstance(outcome, RuntimeError | asyncio.CancelledError)


async def test_a_name_that_stands_in_the_text_is_an_exact_name(search: HybridSearch) -> None:
    """A post-mortem tells which alert fired; a plain word is no name to look for in texts."""
    await search.put([document("a", "At noon DiskFull fired. The disk was full.")])
    found = await search.find(Query(text="the disk", names=("DiskFull",)), kinds=ALL, limit=1)
    assert found.hits[0].signals["name"] == 1
    assert found.hits[0].reasons[0].text == "tells of DiskFull"
    assert all("DiskFull" not in reason.text for reason in found.hits[0].reasons[1:])
    found = await search.find(Query(text="the disk", names=("Disk",)), kinds=ALL, limit=1)
    assert found.hits[0].signals["name"] == 0
