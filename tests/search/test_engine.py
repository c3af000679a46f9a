"""The search as a caller meets it: put, replace, remove, find, and what may go wrong."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.domain.documents import Document, Hit
from bot.search.encoder import Encoder, EncoderUnavailable
from bot.search.engine import HybridSearch
from tests.search.encoders import BlockedEncoder, FailingEncoder, WordEncoder

Build = Callable[[Encoder], HybridSearch]
ALL = ("runbook", "incident", "postmortem")


def document(id_: str, text: str, *, kind: str = "runbook", title: str = "") -> Document:
    return Document(id=id_, kind=kind, title=title, text=text)


def ids(hits: object) -> list[str]:
    assert isinstance(hits, list | tuple)
    return [hit.document.id for hit in hits if isinstance(hit, Hit)]


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    searches: list[HybridSearch] = []

    def make(encoder: Encoder) -> HybridSearch:
        searches.append(HybridSearch(lambda _: encoder, tmp_path))
        return searches[-1]

    yield make
    for search in searches:
        await search.stop()


@pytest.fixture
async def search(build: Build) -> HybridSearch:
    """A search that is ready, over an encoder of words."""
    search = build(WordEncoder(meanings={"sluggish": "slow"}))
    await search.start()
    assert await search.wait_until_dense()
    return search


async def test_an_empty_index_finds_nothing(search: HybridSearch, build: Build) -> None:
    assert ids(await search.find("checkout is down", kinds=ALL, limit=5)) == []
    assert ids(await build(WordEncoder()).find("anything", kinds=ALL, limit=5)) == []


async def test_the_best_document_comes_first_and_says_why(search: HybridSearch) -> None:
    await search.put(
        [
            document("disk", "## Meaning\n\nThe disk fills. Delete old logs, then resize it."),
            document("dns", "Names cannot be resolved. Restart the resolver."),
        ]
    )
    hits = await search.find("NodeDisk logs are too old", kinds=ALL, limit=5)
    best = hits[0]
    assert best.document.id == "disk"
    assert best.score == 1.0
    assert best.lexical > 0
    assert best.dense is not None
    assert set(best.matched) == {"Disk", "logs", "old"}
    assert best.passage == "Delete old logs, then resize it."


async def test_meaning_finds_what_no_word_does(search: HybridSearch) -> None:
    await search.put([document("a", "slow"), document("b", "expired certificate")])
    hits = await search.find("sluggish", kinds=ALL, limit=5)
    assert ids(hits) == ["a"]
    assert hits[0].lexical == 0
    assert hits[0].dense == pytest.approx(1.0)
    assert hits[0].matched == ()


async def test_a_replaced_document_is_found_by_its_new_text_alone(search: HybridSearch) -> None:
    await search.put([document("a", "kernel panic"), document("b", "queue backlog")])
    await search.put([document("a", "certificate expiry")])
    assert "a" not in ids(await search.find("kernel panic", kinds=ALL, limit=5))
    hits = await search.find("certificate expiry", kinds=ALL, limit=5)
    assert ids(hits) == ["a"]
    assert hits[0].document.text == "certificate expiry"


async def test_the_last_of_two_documents_with_one_id_in_one_put_stays(
    search: HybridSearch,
) -> None:
    await search.put([document("a", "kernel"), document("a", "queue")])
    assert ids(await search.find("kernel", kinds=ALL, limit=5)) == []
    assert ids(await search.find("queue", kinds=ALL, limit=5)) == ["a"]


async def test_a_removed_document_is_gone_and_its_place_reused(search: HybridSearch) -> None:
    await search.put([document(str(n), f"common word{n}") for n in range(40)])
    await search.remove([str(n) for n in range(30)] + ["unknown"])
    assert set(ids(await search.find("common", kinds=ALL, limit=99))) == {
        str(n) for n in range(30, 40)
    }
    await search.put([document(f"new{n}", f"fresh word{n}") for n in range(35)])
    assert ids(await search.find("word3", kinds=ALL, limit=1)) == ["new3"]
    assert ids(await search.find("word39", kinds=ALL, limit=1)) == ["39"]


async def test_kinds_limit_and_time_are_respected(search: HybridSearch) -> None:
    may, june = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    await search.put(
        [
            Document(id="old", kind="incident", title="", text="redis down", created_at=may),
            Document(id="new", kind="incident", title="", text="redis down", created_at=june),
            Document(id="page", kind="runbook", title="", text="redis down"),
        ]
    )
    assert ids(await search.find("redis", kinds=["incident"], limit=5)) == ["new", "old"]
    assert ids(await search.find("redis", kinds=["incident"], limit=1)) == ["new"]
    assert ids(await search.find("redis", kinds=ALL, limit=5, before=june)) == ["old", "page"]
    naive = june.replace(tzinfo=None)
    assert ids(await search.find("redis", kinds=ALL, limit=5, before=naive)) == ["old", "page"]
    assert ids(await search.find("redis", kinds=[], limit=5)) == []
    assert ids(await search.find("redis", kinds=ALL, limit=0)) == []


async def test_names_and_services_are_searched_too(search: HybridSearch) -> None:
    page = Document(
        id="a", kind="runbook", title="", text="", names=("KubePodCrashLooping",), services=("api",)
    )
    await search.put([page, document("b", "crash")])
    best = (await search.find("KubePodCrashLooping", kinds=ALL, limit=1))[0]
    assert best.document is page
    assert best.matched == ("KubePodCrashLooping",)
    assert best.passage == ""
    assert ids(await search.find("api", kinds=ALL, limit=1)) == ["a"]


@pytest.mark.parametrize(
    "query",
    (
        "",
        " \n\t ",
        "\x00\x01",
        "\ud800 lone surrogate",
        "'; DROP TABLE documents; -- \" OR 1=1",
        "(((((.*)+)+)+)+$ [^]",
        "<!channel> <@U1> <https://evil|https://grafana>",
        "{{ 7*7 }} %s %n ${x}",
        "the and of to",
        "🔥🔥🔥 مرحبا 磁盘已满 ﬁle",
        "a" * 1_000_000,
        "KubePod" * 100_000,
        "disk full " * 200_000,
        "\n".join(str(n) for n in range(50_000)),
    ),
    ids=lambda query: ascii(query[:12]),
)
async def test_no_query_does_harm(search: HybridSearch, query: str) -> None:
    await search.put([document("a", "disk full"), document("b", "\ud800 磁盘已满\x00 file")])
    async with asyncio.timeout(5):
        hits = await search.find(query, kinds=ALL, limit=5)
    for hit in hits:
        assert 0 <= hit.score <= 1
        assert len(hit.matched) <= 6
        assert len(hit.passage) <= 200


async def test_no_document_does_harm(search: HybridSearch) -> None:
    await search.put(
        [
            document("empty", ""),
            document("blank", "\n```\n## \n- \n"),
            document("long", "word " * 300_000),
            document("unbroken", "x" * 300_000),
            document("many", ". ".join(f"sentence {n}" for n in range(20_000))),
        ]
    )
    hits = await search.find("word x sentence 7", kinds=ALL, limit=9)
    assert {"long", "many"} <= set(ids(hits))
    assert all(len(hit.passage) <= 200 for hit in hits)


async def test_words_answer_before_the_encoder_is_ready_and_say_so(build: Build) -> None:
    encoder = BlockedEncoder()
    search = build(encoder)
    await search.put([document("a", "slow requests")])
    await search.start()
    hits = await search.find("slow", kinds=ALL, limit=5)
    assert ids(hits) == ["a"]
    assert hits[0].dense is None
    assert hits[0].score == 1.0
    assert not search.dense_ready
    encoder.released.set()
    assert await search.wait_until_dense()
    hits = await search.find("slow", kinds=ALL, limit=5)
    assert hits[0].dense is not None


async def test_what_is_put_while_the_encoder_loads_gets_its_vectors(build: Build) -> None:
    encoder = BlockedEncoder()
    search = build(encoder)
    await search.put([document("early", "slow requests")])
    await search.start()
    encoder.released.set()
    await search.put([document("meanwhile", "slow requests")])
    assert await search.wait_until_dense()
    await search.put([document("late", "slow requests")])
    hits = await search.find("slow requests", kinds=ALL, limit=5)
    assert ids(hits) == ["early", "late", "meanwhile"]
    assert all(hit.dense is not None for hit in hits)


async def test_search_goes_on_by_words_where_no_encoder_can_be_had(tmp_path: Path) -> None:
    def unavailable(_: Path) -> Encoder:
        raise EncoderUnavailable("not installed")

    search = HybridSearch(unavailable, tmp_path)
    await search.start()
    assert not await search.wait_until_dense()
    await search.put([document("a", "slow")])
    hits = await search.find("slow", kinds=ALL, limit=5)
    assert ids(hits) == ["a"]
    assert hits[0].dense is None
    await search.stop()


async def test_an_encoder_that_fails_later_leaves_the_words(build: Build) -> None:
    encoder = FailingEncoder()
    search = build(encoder)
    await search.start()
    await search.wait_until_dense()
    await search.put([document("a", "slow requests")])
    encoder.failing = True
    await search.put([document("b", "slow requests again")])
    hits = await search.find("slow again", kinds=ALL, limit=5)
    assert ids(hits) == ["b", "a"]
    assert [hit.dense for hit in hits] == [None, None]


async def test_a_document_without_vectors_is_ranked_among_those_with(build: Build) -> None:
    encoder = FailingEncoder()
    search = build(encoder)
    await search.start()
    await search.wait_until_dense()
    await search.put([document("a", "slow requests")])
    encoder.failing = True
    await search.put([document("b", "slow requests again and again")])
    encoder.failing = False
    hits = await search.find("slow requests", kinds=ALL, limit=5)
    assert sorted(ids(hits)) == ["a", "b"]
    assert {hit.document.id: hit.dense is None for hit in hits} == {"a": False, "b": True}


async def test_the_same_text_is_encoded_once_and_never_on_the_event_loop(build: Build) -> None:
    encoder = WordEncoder()
    search = build(encoder)
    await search.start()
    await search.wait_until_dense()
    for _ in range(3):
        await search.put([document("a", "slow requests")])
        await search.find("why slow", kinds=ALL, limit=1)
    assert encoder.encoded == ["slow requests", "why slow"]
    assert encoder.threads == {"search-encoder_0"}


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
            hits = await search.find("disk", kinds=ALL, limit=60)
            found = ids(hits)
            assert len(found) == len(set(found))
            for hit in hits:
                version = hit.document.title.removeprefix("head")
                assert hit.document.text == f"disk body{version}"
                assert hit.passage == f"disk body{version}"
            answers += 1
        return answers

    _, *answers = await asyncio.gather(write(), read(), read())
    assert sum(answers) > 20
    hits = await search.find("disk", kinds=ALL, limit=60)
    assert {hit.document.id: f"head{expected[hit.document.id]}" for hit in hits} == {
        hit.document.id: hit.document.title for hit in hits
    }
    assert set(ids(hits)) == set(expected)


async def test_the_event_loop_never_waits_for_a_long_put(search: HybridSearch) -> None:
    """Done on the loop, indexing would be one long wait; so any wait must be a small part of it."""
    longest = 0.0
    loop = asyncio.get_running_loop()
    documents = [document(str(n), f"disk {n} " + "text and more " * 100) for n in range(500)]
    started = loop.time()
    putting = asyncio.create_task(search.put(documents))
    while not putting.done():
        before = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    assert longest < (loop.time() - started) / 4


async def test_stopping_in_the_middle_of_everything_ends(tmp_path: Path) -> None:
    encoder = BlockedEncoder()
    search = HybridSearch(lambda _: encoder, tmp_path)
    await search.put([document(str(n), f"text {n}") for n in range(100)])
    await search.start()
    await search.find("text", kinds=ALL, limit=3)
    encoder.released.set()
    async with asyncio.timeout(5):
        await search.stop()
    assert not search.dense_ready
