"""Both actions keep what every action has to keep, on a real PostgreSQL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.plugins.postgres.orders import PASSWORD, Orders, offered, settings
from tests.servers import Relay


class Question(Subject):
    """A count of the items, through a wire that can be held."""

    secret = PASSWORD

    def __init__(self, orders: Orders, wire: Relay) -> None:
        self.orders, self.wire = orders, wire
        self.settings = settings(orders, wire.port)
        self.action = offered(self.settings)["postgres.query@1"]

    @override
    def arguments(self) -> Arguments:
        query = "select count(*) from items where name like %(name)s"
        return {"database": "orders", "query": query, "parameters": {"name": "item 1%"}}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return (
            ({"database": "secret", "query": "select 1"}, "secret"),
            ({"database": "root", "query": "select 1"}, "superuser"),
            ({"database": "orders", "query": "delete from items"}, "syntax error"),
            ({"database": "orders", "query": "select 1; drop table items"}, "multiple commands"),
        )

    @override
    async def state(self) -> JSON:
        return str(self.orders.admin.execute("select sum(price), count(*) from items").fetchone())

    @override
    def left(self) -> Sequence[str]:
        return self.orders.ours()

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.wire.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.wire.away()


class Ending(Subject):
    """The end of an application's session that left its transaction open."""

    secret = PASSWORD

    def __init__(self, orders: Orders, wire: Relay) -> None:
        self.orders, self.wire = orders, wire
        self.settings = settings(orders, wire.port)
        self.action = offered(self.settings)["postgres.terminate@1"]
        self.bystander = orders.connect("guest")
        self.victim = self.opened()

    def opened(self) -> psycopg.Connection[Any]:
        victim = self.orders.connect("app", application_name="shop")
        victim.execute("begin")
        victim.execute("update items set price = price + 1 where id = 1")
        return victim

    @override
    def arguments(self) -> Arguments:
        return {"database": "orders-sessions", "pid": self.victim.info.backend_pid}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        def of(pid: int, database: str = "orders-sessions") -> Arguments:
            started = "2026-01-01T00:00:00.000000Z"
            return {"database": database, "pid": pid, "backend_start": started}

        checkpointer = self.orders.one(
            "select pid from pg_stat_activity where backend_type = 'checkpointer'"
        )
        return (
            (of(self.victim.info.backend_pid, "nowhere"), "nowhere"),
            (of(self.victim.info.backend_pid, "orders"), "orders.terminate"),
            (of(self.victim.info.backend_pid, "blind"), "pg_read_all_stats"),
            (of(self.bystander.info.backend_pid), "guest"),
            (of(self.orders.admin.info.backend_pid), "superuser"),
            (of(self.orders.admin.info.backend_pid, "root"), "superuser"),
            (of(checkpointer), "checkpointer"),
        )

    @override
    async def state(self) -> JSON:
        pid = self.victim.info.backend_pid if not self.victim.closed else 0
        return bool(self.orders.one(f"select count(*) from pg_stat_activity where pid = {pid}"))

    @override
    async def reset(self) -> None:
        self.victim.close()
        self.victim = self.opened()

    @override
    async def disturb(self) -> None:
        self.victim.execute("commit")
        self.victim.execute("begin")
        self.victim.execute("select 1")

    @override
    async def settle(self) -> None:
        # The signal comes before the answer, if it was sent at all.
        await self.wire.settled()
        with contextlib.suppress(psycopg.Error):
            self.victim.execute("select 1")

    @override
    def left(self) -> Sequence[str]:
        return self.orders.ours()

    @override
    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        return self.wire.holding()

    @override
    def away(self) -> AbstractAsyncContextManager[None]:
        return self.wire.away()

    def close(self) -> None:
        self.victim.close()
        self.bystander.close()


class TestPostgresQuery(ActionContract):
    @pytest.fixture
    async def subject(self, orders: Orders, wire: Relay) -> Subject:
        return Question(orders, wire)


class TestPostgresTerminate(ActionContract):
    @pytest.fixture
    async def subject(self, orders: Orders, wire: Relay) -> AsyncIterator[Subject]:
        made = Ending(orders, wire)
        yield made
        made.close()
