from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlmodel import SQLModel

from bot.storage.migrate import HEAD, KNOWN, MIGRATIONS, UnknownSchema, migrate
from bot.storage.postgres import PostgresDatabase
from bot.storage.sqlite import SqliteDatabase
from bot.storage.tables import belongs
from bot.storage.writer import Writer
from tests.fakes import FakeClock
from tests.storage.opened import entry, opened
from tests.storage.stores import Postgres


def test_the_revision_in_the_program_is_the_newest_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [HEAD]
    assert {revision.revision for revision in script.walk_revisions()} == set(KNOWN)


def test_migrated_tables_are_the_tables_of_the_program(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db")
    migrate(writer.connection, writer.alone())
    context = MigrationContext.configure(
        writer.connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_object": belongs("sqlite"),
        },
    )
    assert compare_metadata(context, SQLModel.metadata) == []
    made = create_engine("sqlite://")
    SQLModel.metadata.create_all(made)
    migrated, fresh = inspect(writer.connection), inspect(made)
    assert set(migrated.get_table_names()) == {*fresh.get_table_names(), "alembic_version"}
    for table in fresh.get_table_names():
        assert _columns(migrated, table) == _columns(fresh, table), table
        assert migrated.get_pk_constraint(table) == fresh.get_pk_constraint(table), table
        assert _named(migrated.get_indexes(table)) == _named(fresh.get_indexes(table)), table
        assert _named(migrated.get_unique_constraints(table)) == _named(
            fresh.get_unique_constraints(table)
        ), table
    writer.close()


def _columns(inspector: object, table: str) -> dict[str, tuple[str, bool]]:
    columns = inspector.get_columns(table)  # type: ignore[attr-defined]  # an Inspector
    return {c["name"]: (str(c["type"]), c["nullable"]) for c in columns}


def _named(found: object) -> list[str]:
    return sorted(
        str((f["name"], f["column_names"], f.get("unique")))
        for f in found  # type: ignore[attr-defined]  # a list of mappings
    )


async def test_an_outbox_id_is_never_used_twice(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.db")
    migrate(writer.connection, writer.alone())
    sql = "SELECT sql FROM sqlite_master WHERE name = 'outbox'"
    assert "AUTOINCREMENT" in writer.connection.exec_driver_sql(sql).scalar_one()
    writer.close()


async def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as database, database.transaction() as tx:
        await tx.ledger.append(entry())
    async with opened(tmp_path) as database:
        assert (await database.archive.verify()).entries == 1


async def test_two_that_start_at_once_on_an_empty_folder_both_come_up(tmp_path: Path) -> None:
    databases = [SqliteDatabase(tmp_path / "tocsin.db", FakeClock()) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(d.open) for d in databases))
    for number, database in enumerate(databases):
        async with database.transaction() as tx:
            await tx.ledger.append(entry(number))
    assert (await databases[0].archive.verify()).entries == 4
    for database in databases:
        await database.close()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "tocsin.db")
    migrate(writer.connection, writer.alone())
    writer.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    writer.close()
    database = SqliteDatabase(tmp_path / "tocsin.db", FakeClock())
    with pytest.raises(UnknownSchema, match="revision 9999, this program knows"):
        database.open()
    await database.close()


# PostgreSQL.


def test_migrated_tables_are_those_of_the_program_on_postgresql(server: Postgres) -> None:
    url = server.migrated().replace("postgresql://", "postgresql+psycopg://")
    fresh = server.fresh().replace("postgresql://", "postgresql+psycopg://")
    migrated, made = create_engine(url), create_engine(fresh)
    SQLModel.metadata.create_all(made)
    with migrated.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_object": belongs("postgresql"),
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    ours, theirs = inspect(migrated), inspect(made)
    assert set(ours.get_table_names()) == {*theirs.get_table_names(), "alembic_version"}
    for table in theirs.get_table_names():
        assert _columns(ours, table) == _columns(theirs, table), table
        assert _named(ours.get_indexes(table)) == _named(theirs.get_indexes(table)), table
    migrated.dispose()
    made.dispose()


def test_numbers_of_the_log_have_64_bits_on_postgresql(server: Postgres) -> None:
    engine = create_engine(server.migrated().replace("postgresql://", "postgresql+psycopg://"))
    long = {("ledger_entries", "seq"), ("ledger_nodes", "position"), ("outbox", "id"),
            ("timeline", "id"), ("checkpoints", "size"), ("anchor_receipts", "size")}  # fmt: skip
    for table, column in long:
        assert _columns(inspect(engine), table)[column][0] == "BIGINT", (table, column)
    engine.dispose()


async def test_several_that_start_at_once_on_an_empty_server_all_come_up(server: Postgres) -> None:
    url = server.fresh()
    databases = [PostgresDatabase(url, FakeClock()) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(d.open) for d in databases))
    for number, database in enumerate(databases):
        async with database.transaction() as tx:
            await tx.ledger.append(entry(number))
    assert (await databases[0].archive.verify()).entries == 4
    for database in databases:
        await database.close()


async def test_a_newer_schema_on_postgresql_is_refused(server: Postgres) -> None:
    url = server.migrated()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnknownSchema, match="revision 9999, this program knows"):
        PostgresDatabase(url, FakeClock()).open()


def test_every_migration_goes_up_and_down_on_postgresql(server: Postgres) -> None:
    engine = create_engine(server.fresh().replace("postgresql://", "postgresql+psycopg://"))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        for revision in KNOWN:
            command.upgrade(config, revision)
        command.downgrade(config, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]
        command.upgrade(config, HEAD)
    engine.dispose()
