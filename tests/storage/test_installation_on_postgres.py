"""An installation whose database is a server: its setting, and the commands on it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import cli
from bot.ledger.subjects import SubjectKeys
from bot.settings import SettingsError, load
from bot.storage.postgres import PostgresDatabase
from tests import incident_records as records
from tests.fakes import NOON, FakeClock
from tests.storage.opened import entry
from tests.storage.stores import Postgres

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "TOCSIN_BOT__DATABASE_PASSWORD"  # a variable's name


@pytest.fixture
def url(server: Postgres, tmp_path: Path) -> str:
    url = server.migrated()

    async def furnish() -> None:
        database = PostgresDatabase(url, FakeClock(), SubjectKeys(tmp_path / "data" / "keys"))
        database.open()
        async with database.transaction() as tx:
            await tx.groups.save(records.GROUP)
            for number in range(3):
                await tx.ledger.append(entry(number))
        await database.close()

    (tmp_path / "data").mkdir()
    asyncio.run(furnish())
    return url


def configured(folder: Path, url: str) -> str:
    """Write a config.toml with a database on a server, and return its path."""
    path = folder / "config.toml"
    knowledge = ROOT / "knowledge"
    path.write_text(f'[bot]\ndata = "data"\nknowledge = "{knowledge}"\ndatabase = "{url}"\n')
    return str(path)


def run(*words: str) -> Result:
    result = CliRunner().invoke(cli, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_the_ledger_is_verified_and_shown(url: str, tmp_path: Path) -> None:
    config = configured(tmp_path, url)
    done = run("ledger", "verify", "--config", config)
    assert (done.exit_code, done.output[:13]) == (0, "OK: 3 entries"), done.output
    shown = run("ledger", "show", "--config", config, "--last", "1")
    assert json.loads(shown.output)["seq"] == 2


def test_a_database_is_named_by_its_url_alone(url: str) -> None:
    done = run("ledger", "verify", "--database", url)
    assert done.exit_code == 0, done.output
    assert "3 bodies not read" in done.output


def test_commands_on_the_database_read_the_server(url: str, tmp_path: Path) -> None:
    done = run("alerts", "list", "--config", configured(tmp_path, url))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("words", (("ledger", "verify"), ("ledger", "show"), ("alerts", "list")))
def test_a_server_that_is_away_is_one_sentence_without_the_password(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "hunter2 & co")
    config = configured(tmp_path, "postgresql://me@127.0.0.1:1/tocsin")
    done = run(*words, "--config", config)
    assert done.exit_code == 1
    assert "postgresql://127.0.0.1:1/tocsin: cannot be" in done.output
    assert "hunter2" not in done.output
    assert len(done.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "url", ("postgresql://me:hunter2@h/db", "postgresql://me@h/db?password=hunter2")
)
def test_a_password_in_the_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=PASSWORD) as caught:
        load(Path(configured(tmp_path, url)))
    assert "hunter2" not in str(caught.value)


def test_a_password_beside_the_file_reaches_the_server_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg.conninfo import conninfo_to_dict

    for url in ("postgresql://me@h/db", "postgresql://me@h/db?sslmode=require"):
        monkeypatch.setenv(PASSWORD, "a&b=c %/?#@:ü")
        settings = load(Path(configured(tmp_path, url)))
        assert conninfo_to_dict(str(settings.database))["password"] == "a&b=c %/?#@:ü"
        assert "b=c" not in repr(settings)


@pytest.mark.parametrize("url", ("mysql://h/db", "var/tocsin.db", "sqlite:///x"))
def test_another_kind_of_database_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"bot\.database"):
        load(Path(configured(tmp_path, url)))


async def test_a_run_that_is_due_is_claimed_by_name(server: Postgres) -> None:
    """What the two kinds of database must not differ in: the order, the lease, the fence."""
    database = PostgresDatabase(server.migrated(), FakeClock())
    database.open()
    async with database.transaction() as tx:
        await tx.runs.add(records.RUN, due_at=NOON)
        held = await tx.runs.claim(now=NOON, lease=5, worker="a", but={records.RUN.id})
        assert held is None
        first = await tx.runs.claim(now=NOON, lease=5, worker="a", but=set())
        assert first is not None
        later = NOON + timedelta(seconds=6)
        second = await tx.runs.claim(now=later, lease=5, worker="b")
        assert second is not None
        assert second.fence == first.fence + 1
    await database.close()
