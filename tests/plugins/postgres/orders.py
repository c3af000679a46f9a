"""A small database of orders on a real server: its roles, its sessions, and what it holds."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from bot.domain.actions import Action, ActionCall
from plugins.postgres.plugin import PostgresSettings, actions
from tests.servers import Server

PASSWORD = "r3ader's pa%ss wörd"  # every character that is quoted somewhere
WITHIN = 10.0  # seconds in which PostgreSQL has to show what happened

_PREPARED = """
    create role reader login password {password};
    create role signaller login;
    create role app login;
    create role guest login;
    grant pg_monitor to reader, signaller;
    grant pg_signal_backend to signaller;
    create table items (id int primary key, name text, price numeric);
    insert into items select n, 'item ' || n, n * 1.5 from generate_series(1, 250) n;
    grant select on items to reader;
    grant all on items to app;
"""


class Orders:
    """The database, with a superuser's session to prepare it and to look."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.admin = self.connect(server.user)

    def connect(self, user: str, **other: Any) -> psycopg.Connection[Any]:
        """Open a session of a user, who is trusted unless it is the reader."""
        where: dict[str, Any] = {"host": self.server.host, "port": self.server.port}
        where |= {"dbname": self.server.database, "user": user, "sslmode": "disable", **other}
        return psycopg.connect(**where, autocommit=True)

    def prepare(self) -> None:
        """Create roles and tables, and ask the reader for a password from now on."""
        quoted = psycopg.sql.quote(PASSWORD)
        self.admin.execute(_PREPARED.format(password=quoted).encode())
        file = self.one("show hba_file")
        lines = ("host all reader all scram-sha-256", "host all all all trust")
        values = ", ".join(f"('{line}')" for line in lines)
        self.admin.execute(f"copy (values {values}) to '{file}'".encode())
        self.admin.execute("select pg_reload_conf()")
        self.until("select count(*) = 2 from pg_hba_file_rules", True)

    def until(self, query: str, wanted: object) -> None:
        """Wait until a query gives something."""
        until = time.monotonic() + WITHIN
        while (found := self.one(query)) != wanted:
            assert time.monotonic() < until, f"{query} gives {found}"
            time.sleep(0.02)

    def one(self, query: str) -> Any:
        """Return the only value of a query."""
        row = self.admin.execute(query.encode()).fetchone()
        return row[0] if row else None

    def ours(self) -> list[str]:
        """Return what sessions of the bot there are."""
        rows = self.admin.execute(
            "select pid || ': ' || query from pg_stat_activity where application_name = 'tocsin'"
        ).fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        """End the superuser's session."""
        self.admin.close()


def settings(orders: Orders, port: int | None = None, **other: Any) -> PostgresSettings:
    """Return settings that list the database for reading and for ending sessions."""
    here: dict[str, Any] = {"host": orders.server.host, "port": port or orders.server.port}
    here |= {"dbname": orders.server.database, "sslmode": "disable"}
    return PostgresSettings.model_validate(
        {
            "databases": {
                "orders": {**here, "user": "reader"},
                "orders-sessions": {**here, "user": "signaller", "terminate": ["app"]},
                "root": {**here, "user": "postgres", "terminate": ["app", "postgres"]},
                "blind": {**here, "user": "guest", "terminate": ["app"]},
            },
            "passwords": {"orders": PASSWORD},
            **other,
        }
    )


def offered(made: PostgresSettings) -> dict[str, Action]:
    """Return the actions by reference."""
    return {action.reference: action for action in actions(made)}


def asking(query: str, *, database: str = "orders", **parameters: Any) -> ActionCall:
    """Return a call of postgres.query."""
    arguments: dict[str, Any] = {"database": database, "query": query}
    if parameters:
        arguments["parameters"] = parameters
    return ActionCall(key="k", arguments=arguments, timeout=5)
