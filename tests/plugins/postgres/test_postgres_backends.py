"""The session that was seen is ended, and no other one."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import (
    ActionCall,
    ActionFailed,
    Arguments,
    Happened,
    OutcomeUnknown,
    Transient,
)
from plugins.postgres.backends import without_values
from tests.plugins.postgres.orders import Orders, offered, settings
from tests.servers import Relay


@pytest.fixture
def victim(orders: Orders) -> Iterator[psycopg.Connection[Any]]:
    """An application's session that holds a lock and does nothing."""
    session = orders.connect("app", application_name="shop")
    session.execute("begin")
    session.execute("update items set name = 'Ada Lovelace', price = 12345.67 where id = 7")
    yield session
    session.close()


def ending(victim: psycopg.Connection[Any], **pinned: Any) -> ActionCall:
    arguments: Arguments = {"database": "orders-sessions", "pid": victim.info.backend_pid}
    return ActionCall(key="k", arguments={**arguments, **pinned}, timeout=5)


async def test_a_plan_shows_whose_session_it_is_and_no_values(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    dry_run = offered(settings(orders))["postgres.terminate@1"].dry_run
    assert dry_run is not None
    seen = await dry_run(ending(victim))
    assert seen.targets == (f"session {victim.info.backend_pid} of app, shop",)
    assert "idle in transaction" in seen.diff
    assert "last query: update items set name = …, price = … where id = …" in seen.diff
    assert "Ada" not in seen.diff
    assert seen.pinned["transaction_start"] is not None


async def test_a_blocked_statement_goes_on_when_the_session_is_ended(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    action = offered(settings(orders))["postgres.terminate@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(ending(victim))
    result = await action.handler(ending(victim, **seen.pinned))
    assert result.summary == f"session {victim.info.backend_pid} is ended"
    waiting = orders.connect("app")
    waiting.execute("set lock_timeout = '2s'")
    waiting.execute("update items set price = price where id = 7")
    waiting.close()
    with pytest.raises(psycopg.OperationalError):
        victim.execute("select 1")
    again = await action.handler(ending(victim, **seen.pinned))
    assert again.summary == f"session {victim.info.backend_pid} had ended already"


async def test_a_pid_that_was_given_again_is_left_alone(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    victim.execute("commit")
    action = offered(settings(orders))["postgres.terminate@1"]
    other = ending(victim, backend_start="2020-01-01T00:00:00.000000Z", transaction_start=None)
    with pytest.raises(ActionFailed, match="another one than the plan saw") as left:
        await action.handler(other)
    assert left.value.transient is Transient.CONFLICT
    assert victim.execute("select 1").fetchone() == (1,)
    assert action.reconcile is not None
    assert (await action.reconcile(other)).happened is Happened.YES


async def test_without_a_dry_run_nothing_is_ended(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    with pytest.raises(ActionFailed, match="without a dry run"):
        await offered(settings(orders))["postgres.terminate@1"].handler(ending(victim))
    assert victim.execute("select 1").fetchone() == (1,)


async def test_a_role_without_the_right_to_signal_says_so(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    made = settings(orders)
    entry = made.databases["orders-sessions"].model_copy(update={"user": "watcher"})
    orders.admin.execute("create role watcher login; grant pg_monitor to watcher")
    changed = made.model_copy(update={"databases": {"orders-sessions": entry}})
    action = offered(changed)["postgres.terminate@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(ending(victim))
    with pytest.raises(ActionFailed, match="pg_signal_backend"):
        await action.handler(ending(victim, **seen.pinned))
    assert victim.execute("select 1").fetchone() == (1,)


async def test_a_session_of_another_database_is_left_alone(orders: Orders) -> None:
    orders.admin.execute("create database elsewhere")
    stranger = orders.connect("app", dbname="elsewhere")
    dry_run = offered(settings(orders))["postgres.terminate@1"].dry_run
    assert dry_run is not None
    with pytest.raises(ActionFailed, match="is not in database"):
        await dry_run(ending(stranger))
    stranger.close()


async def test_a_lost_answer_is_a_doubt_that_a_look_resolves(
    orders: Orders, victim: psycopg.Connection[Any], wire: Relay
) -> None:
    action = offered(settings(orders, wire.port))["postgres.terminate@1"]
    assert action.dry_run is not None
    assert action.reconcile is not None
    seen = await action.dry_run(ending(victim))
    made = ending(victim, **seen.pinned)
    # It may have been told to end and not have heard yet.
    assert (await action.reconcile(made)).happened is Happened.UNKNOWN
    async with wire.losing(after=1):
        with pytest.raises(OutcomeUnknown, match="broke off"):
            await action.handler(made)
    orders.until(
        f"select count(*)::int from pg_stat_activity where pid = {made.arguments['pid']}", 0
    )
    assert (await action.reconcile(made)).happened is Happened.YES


async def test_a_pooler_that_lost_its_server_is_a_doubt(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    """PgBouncer says 08P01 in the place of the answer: "server conn crashed?"."""
    fields = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0"
    crashed = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_connection(orders.server.host, orders.server.port)
        lost = False

        async def there() -> None:
            nonlocal lost
            while sent := await reader.read(65_536):
                lost = lost or b"pg_terminate_backend" in sent
                server[1].write(sent)

        async def back() -> None:
            while (said := await server[0].read(65_536)) and not lost:
                writer.write(said)
            writer.write(crashed)
            writer.close()

        await asyncio.gather(there(), back(), return_exceptions=True)
        server[1].close()

    pooler = await asyncio.start_server(serve, "127.0.0.1", 0)
    action = offered(settings(orders, pooler.sockets[0].getsockname()[1]))["postgres.terminate@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(ending(victim))
    with pytest.raises(OutcomeUnknown, match="08P01"):
        await action.handler(ending(victim, **seen.pinned))
    pooler.close()
    orders.until(
        f"select count(*)::int from pg_stat_activity where pid = {victim.info.backend_pid}", 0
    )


async def test_a_session_that_hears_late_is_not_denied(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    action = offered(settings(orders))["postgres.terminate@1"]
    assert action.dry_run is not None
    assert action.reconcile is not None
    made = ending(victim, **(await action.dry_run(ending(victim))).pinned)
    os.kill(victim.info.backend_pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown, match="no answer"):
            await action.handler(replace(made, timeout=0.3))
        assert (await action.reconcile(made)).happened is Happened.UNKNOWN
    finally:
        os.kill(victim.info.backend_pid, signal.SIGCONT)


async def test_a_session_that_does_not_end_is_a_doubt(
    orders: Orders, victim: psycopg.Connection[Any]
) -> None:
    action = offered(settings(orders))["postgres.terminate@1"]
    assert action.dry_run is not None
    seen = await action.dry_run(ending(victim))
    os.kill(victim.info.backend_pid, signal.SIGSTOP)
    try:
        with pytest.raises(OutcomeUnknown, match="no answer"):
            await action.handler(replace(ending(victim, **seen.pinned), timeout=0.3))
    finally:
        os.kill(victim.info.backend_pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("query", "shown"),
    (
        ("select * from t where a = 'x''y' and b = 5", "select * from t where a = … and b = …"),
        ("select 'cut off here, Ada", "select …"),
        ("select $$ secret $$, $a$ b $a$, $1", "select …, …, $1"),
        ("select 1 -- card 4111\n, t2.c3", "select … … , t2.c3"),
        (r"select E'Ada\'s' || 'x\' || 'Ada'", "select … || … || …"),
        ("""select "it's" from t where a = 'Ada'""", """select "it's" from t where a = …"""),
        ("select /* Ada */ 1e-5, -3.5", "select … …, …"),
    ),
)
def test_a_query_is_shown_without_its_values(query: str, shown: str) -> None:
    assert without_values(query) == shown


@given(st.text(alphabet="abc'$-/* \n1", max_size=60))
def test_no_quoted_text_is_shown_whatever_stands_before_it(text: str) -> None:
    quoted = "secret" + text.replace("'", "''")
    assert "secret" not in without_values(f"select '{quoted}' from t")
