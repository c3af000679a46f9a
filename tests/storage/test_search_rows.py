"""What search keeps: labels, vectors and known errors, the same on every store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.incidents import IncidentId
from bot.domain.known_errors import KnownError, KnownErrorState
from bot.ports import Judgement, SearchLabel
from bot.search.vectors import Vault, Vectors, key_of
from tests.fakes import FakeClock
from tests.search.encoders import DIMENSION, WordEncoder
from tests.storage.conftest import Opening
from tests.storage.opened import opened
from tests.storage.stores import Store, connected

NOW = FakeClock().now()
HOSTILE = (
    "NUL \0, bell 🔔, \u202eright to left\u202c, '; DROP TABLE search_labels; -- %s :x {}\n\t\\"
)


@pytest.fixture(params=("sqlite", "postgres", "pgvector"))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "sqlite":
        return lambda clock=None: opened(tmp_path, clock)
    server = {"postgres": "server", "pgvector": "vector_server"}[request.param]
    url = request.getfixturevalue(server).migrated()
    return lambda clock=None: connected(url, tmp_path / "keys", clock)


@pytest.fixture
async def store(open_store: Opening) -> AsyncIterator[Store]:
    async with open_store() as running:
        yield running


def label(id: str, *, minutes: int = 0, subject: str = "g1") -> SearchLabel:
    return SearchLabel(
        id=id,
        query="checkout is slow",
        names=("HighLatency",),
        services=("checkout", "payments"),
        subject=subject,
        document="incident:7",
        kind="incident",
        judgement=Judgement.USELESS,
        reason="another cause",
        place=2,
        confidence=0.1 + 0.2,
        model="ranker/1",
        person="p-1",
        at=NOW + timedelta(minutes=minutes),
    )


async def test_a_label_is_kept_once_and_found_oldest_first(store: Store) -> None:
    late, early, other = label("a", minutes=5), label("b"), label("c", subject="g2")
    async with store.transaction() as tx:
        assert await tx.labels.add(late)
        assert await tx.labels.add(early)
        assert await tx.labels.add(other)
        assert not await tx.labels.add(replace(early, judgement=Judgement.USEFUL))
    async with store.reading() as view:
        assert await view.labels.all() == [early, other, late]
        assert await view.labels.of("g1") == [early, late]
        assert await view.labels.of("nothing") == []


async def test_a_label_says_the_same_after_a_restart(open_store: Opening) -> None:
    hostile = replace(
        label("x"), query=HOSTILE, names=(HOSTILE, ""), services=(), reason=HOSTILE, confidence=None
    )
    async with open_store() as store, store.transaction() as tx:
        await tx.labels.add(hostile)
    async with open_store() as store, store.reading() as view:
        assert await view.labels.all() == [hostile]


async def test_a_subject_with_nul_is_found_again(store: Store) -> None:
    odd = label("x", subject="a\0b")
    async with store.transaction() as tx:
        await tx.labels.add(odd)
    async with store.reading() as view:
        assert await view.labels.of("a\0b") == [odd]


_texts = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.tuples(_texts, _texts, _texts), share=st.none() | st.floats(0, 1))
async def test_any_label_comes_back_as_it_was(
    store: Store, texts: tuple[str, str, str], share: float | None
) -> None:
    id = os.urandom(8).hex()
    query, name, reason = texts
    kept = replace(
        label(id, subject=id), query=query, names=(name,), reason=reason, confidence=share
    )
    async with store.transaction() as tx:
        await tx.labels.add(kept)
        assert await tx.labels.of(id) == [kept]


def known_error(id: str, **changes: object) -> KnownError:
    made = KnownError(
        id=id,
        title="The pool runs dry",
        cause="A leak in the driver",
        workaround="Restart it",
        services=("checkout",),
        incidents=(IncidentId("INC-1"), IncidentId("INC-2")),
        by="U1",
        at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # changes of any kind


async def test_a_known_error_comes_back_as_it_was(open_store: Opening) -> None:
    first = known_error("KE-1", title=HOSTILE, cause=HOSTILE, workaround="", services=())
    async with open_store() as store, store.transaction() as tx:
        assert await tx.known_errors.add(first.id, first)
        assert not await tx.known_errors.add(first.id, known_error("KE-1"))
        await tx.known_errors.save("KE-2", known_error("KE-2"))
        await tx.known_errors.save("KE-2", known_error("KE-2", state=KnownErrorState.FIXED))
    async with open_store() as store, store.reading() as view:
        assert await view.known_errors.get("KE-1") == first
        assert await view.known_errors.get("KE-3") is None
        fixed = known_error("KE-2", state=KnownErrorState.FIXED)
        assert await view.known_errors.all() == {"KE-1": first, "KE-2": fixed}


# Vectors.


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def vectors(*numbers: int) -> dict[bytes, bytes]:
    return {key(n): bytes([n % 100, 60, 1, 60]) for n in numbers}


async def test_vectors_are_found_by_model_and_key(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(3, 1, 2))
        await tx.embeddings.add("other", {key(1): b"\0<\0<"})
        await tx.embeddings.add("m", {})
    async with store.reading() as view:
        assert await view.embeddings.get("m", [key(1), key(9), key(3)]) == vectors(1, 3)
        assert await view.embeddings.get("m", []) == {}
        assert await view.embeddings.get("none", [key(1)]) == {}
        assert await view.embeddings.all("m") == sorted(vectors(1, 2, 3).items())
        assert await view.embeddings.all("none") == []


async def test_a_vector_of_a_known_key_is_replaced(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(1, 2))
        await tx.embeddings.add("m", {key(1): b"\1<\1<"})
    async with store.reading() as view:
        assert await view.embeddings.all("m") == [(key(1), b"\1<\1<"), *vectors(2).items()]


async def test_removed_vectors_of_one_model_are_gone(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(*range(1200)))
        await tx.embeddings.add("other", vectors(1))
    gone = [key(n) for n in range(1200) if n not in {5, 7}]
    async with store.transaction() as tx:
        await tx.embeddings.remove("m", [*gone, key(99_999)])
        await tx.embeddings.remove("m", gone)
        await tx.embeddings.remove("m", [])
        await tx.embeddings.remove("none", [key(5)])
    async with store.reading() as view:
        assert dict(await view.embeddings.all("m")) == vectors(5, 7)
        assert dict(await view.embeddings.all("other")) == vectors(1)


async def test_keys_are_listed_in_order_by_model(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(*range(2500, 0, -1)))
        await tx.embeddings.add("other", vectors(0))
    async with store.reading() as view:
        assert await view.embeddings.keys("m") == [key(n) for n in range(1, 2501)]
        assert await view.embeddings.keys("other") == [key(0)]
        assert await view.embeddings.keys("none") == []


async def test_a_removal_that_is_rolled_back_removes_nothing(store: Store) -> None:
    async def failing() -> None:
        async with store.transaction() as tx:
            await tx.embeddings.remove("m", [key(1)])
            raise KeyError

    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(1))
    with pytest.raises(KeyError):
        await failing()
    async with store.reading() as view:
        assert await view.embeddings.all("m") == sorted(vectors(1).items())
        near = await view.embeddings.nearest("m", vectors(1)[key(1)], limit=1)
        assert near is None or list(near) == [key(1)]


async def test_two_bots_on_one_store_forget_what_is_gone_and_nothing_that_is_new(
    open_store: Opening,
) -> None:
    texts = [f"disk {number} is full" for number in range(300)]
    encoder = WordEncoder()

    async def encode(some: Sequence[str]) -> Vectors:
        return encoder.encode(some)

    async def wanted() -> AsyncIterator[Collection[bytes]]:
        yield [key_of(text) for text in texts[:20]]

    async with open_store() as store, open_store() as elsewhere:
        one, other = (Vault(s, None, model="m", dimension=DIMENSION) for s in (store, elsewhere))
        await one.open()
        await one.vectors(texts[:250], encode)
        await other.open()
        await one.vectors(texts[250:], encode)
        assert [await other.forget(wanted()) for _ in range(3)] == [0, 230, 0]
        async with elsewhere.reading() as view:
            kept = {key_of(text) for text in (*texts[:20], *texts[250:])}
            assert set(await view.embeddings.keys("m")) == kept
        vector = encoder.encode(texts[100:101])[0]
        near = await other.nearest(vector, limit=300)
        assert near is None or (near and set(near) <= kept)
        # Who encoded them may forget all that is gone, and what is gone already does no harm.
        assert [await one.forget(wanted()) for _ in range(3)] == [0, 0, 280]
        async with store.reading() as view:
            assert len(await view.embeddings.keys("m")) == 20


async def test_more_keys_than_a_statement_takes_are_asked_for_in_pieces(store: Store) -> None:
    some = {key(n): n.to_bytes(2, "little") for n in range(1, 3001)}
    async with store.transaction() as tx:
        await tx.embeddings.add("m", some)
    async with store.reading() as view:
        asked = [key(n) for n in range(40_000)]
        assert await view.embeddings.get("m", asked) == some
        assert await view.embeddings.all("m") == sorted(some.items())


async def test_what_is_rolled_back_leaves_no_vector(store: Store) -> None:
    async def failing() -> None:
        async with store.transaction() as tx:
            await tx.embeddings.add("m", vectors(1))
            raise KeyError

    with pytest.raises(KeyError):
        await failing()
    async with store.reading() as view:
        assert await view.embeddings.all("m") == []
        assert not await view.embeddings.nearest("m", vectors(1)[key(1)], limit=1)


@pytest.mark.parametrize(
    "odd",
    (b"", b"\0", b"\0\0\0\0", b"\0\x80\0\x80", b"\0|\0<", b"\xff\x7f\0<", b"\0<" * 5000),
    ids=("empty", "odd", "zero", "minus zero", "infinite", "not a number", "too long"),
)
async def test_any_bytes_are_kept_even_where_they_are_no_vector(store: Store, odd: bytes) -> None:
    async with store.transaction() as tx:
        await tx.embeddings.add("m", vectors(1, 2))
        await tx.embeddings.add("m", {key(1): odd})
    async with store.reading() as view:
        assert await view.embeddings.get("m", [key(1)]) == {key(1): odd}
        near = await view.embeddings.nearest("m", vectors(2)[key(2)], limit=5)
        assert near is None or list(near) == [key(2)]
        assert not await view.embeddings.nearest("m", odd, limit=5)


async def test_ten_thousand_vectors_are_read_in_a_fraction_of_a_second(tmp_path: Path) -> None:
    many = {os.urandom(32): os.urandom(768) for _ in range(10_000)}
    async with opened(tmp_path) as store:
        async with store.transaction() as tx:
            await tx.embeddings.add("m", many)
        begun = time.process_time()
        async with store.reading() as view:
            found = await view.embeddings.all("m")
        assert time.process_time() - begun < 0.5  # .05 s, measured on a busy machine
    assert dict(found) == many


async def test_reading_many_vectors_lets_others_run(tmp_path: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with opened(tmp_path) as store:
        async with store.transaction() as tx:
            await tx.embeddings.add("m", {key(n): b"\0<" for n in range(10_000)})
        async with store.reading() as view:
            ticking = asyncio.create_task(tick())
            await view.embeddings.all("m")
            ticking.cancel()
    assert ticks >= 10
