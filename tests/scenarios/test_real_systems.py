"""Runbooks on real servers, from a real alert to a verified end, each with its way back."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.practice.people import Actor
from bot.practice.records import Message
from bot.rehearsal import Rehearsal
from tests.scenarios.stage import ROOT, button, find, text_of, tocsin, until
from tests.scenarios.systems import Rule, among_systems, exporter
from tests.servers import Server, free_port, needed, postgres_server, redis_server, started
from tests.servers.processes import answers

pytestmark = pytest.mark.prometheus

MEBIBYTE = 1024 * 1024


class Desk:
    """Somebody on call, and a colleague who may approve."""

    def __init__(self, rehearsal: Rehearsal, *, approver: str) -> None:
        self.rehearsal = rehearsal
        self.dana = rehearsal.workspace.person("dana")
        self.approver: Actor = rehearsal.workspace.person(approver)

    async def asks(self, alert: str, **answers: str) -> Message:
        """Wait for the alert's card, ask for the runbook it suggests, and return the plan."""
        card = await until(f"a card of {alert}", lambda: find(self.dana, "alerts", alert))
        card = await until("its button", lambda: button(self.dana, "alerts", "Run runbook…", alert))
        await self.dana.press(card, "Run runbook…")
        await until("the form", lambda: self.dana.modal)
        outcome = await self.dana.submit(answers)
        assert not outcome.errors, outcome
        return await until("the plan", lambda: button(self.dana, "alerts", "Approve"))

    async def approves(self, plan: Message) -> None:
        """Let somebody else consent."""
        await self.approver.press(plan, "Approve")

    async def sees(self, *words: str, patience: float = 60) -> Message:
        """Wait for a message with all these words."""
        return await until(
            f"a message with {words}", lambda: find(self.dana, "alerts", *words), patience
        )

    async def keeps_a_sound_record(self) -> str:
        """Verify the ledger; return what it says of effects."""
        status, text = await tocsin(self.rehearsal, "ledger", "verify")
        assert (status, text[:3]) == (0, "OK:"), text
        status, text = await tocsin(self.rehearsal, "ledger", "show", "--last", "500")
        assert status == 0, text
        return text


def knowledge_with(folder: Path, page: str, old: str, new: str) -> Path:
    """Return a copy of the knowledge folder in which one page says something else."""
    copy = folder / "knowledge"
    shutil.copytree(ROOT / "knowledge", copy)
    path = copy / "runbooks" / page
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return copy


# Redis.


def cli(server: Server, *words: str) -> str:
    """Ask a Redis by its own client."""
    command = ["redis-cli", "-p", str(server.port), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def full_redis(folder: Path) -> Iterator[tuple[Server, int]]:
    """Run a Redis whose limit of 48 MiB is nearly reached, and its exporter."""
    with redis_server(folder, "--maxmemory", "48mb", "--maxmemory-policy", "noeviction") as server:
        for number in range(44):
            cli(server, "SETRANGE", f"filler:{number}", str(MEBIBYTE - 1), "x")
        port = free_port()
        with exporter(
            "prometheus-redis-exporter",
            folder,
            f"-redis.addr=redis://127.0.0.1:{server.port}",
            f"-web.listen-address=127.0.0.1:{port}",
            port=port,
        ):
            yield server, port


REDIS_RULE = Rule(
    alert="RedisMemoryHigh",
    expression="redis_memory_used_bytes / (redis_memory_max_bytes > 0) > 0.8",
    labels={"redis": "cache"},
    summary="Redis is nearly full",
)


@pytest.fixture
async def redis_house(
    tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Server, Rehearsal]]:
    knowledge = getattr(request, "param", None)
    with full_redis(tmp_path) as (server, port):
        listed = {
            "host": "127.0.0.1", "port": server.port, "tls": False, "config": ["maxmemory"],
        }  # fmt: skip
        async with among_systems(
            tmp_path,
            plugins={"plugins.redis.servers.cache": listed},
            targets={"redis": port},
            rules=[REDIS_RULE],
            knowledge=knowledge(tmp_path) if knowledge else None,
        ) as rehearsal:
            yield server, rehearsal


async def test_a_full_redis_gets_a_higher_limit_and_the_alert_goes_out(
    redis_house: tuple[Server, Rehearsal],
) -> None:
    server, rehearsal = redis_house
    desk = Desk(rehearsal, approver="hugo")
    plan = await desk.asks("RedisMemoryHigh")
    words = text_of(plan)
    assert "the limit is nearly reached" in words
    assert "@storage-oncall" in words
    assert cli(server, "CONFIG", "GET", "maxmemory").split()[1] == str(48 * MEBIBYTE)
    await desk.approves(plan)
    await desk.sees("Redis has reached its memory limit", "Succeeded and verified")
    assert cli(server, "CONFIG", "GET", "maxmemory").split()[1] == str(512 * MEBIBYTE)
    await desk.sees("RedisMemoryHigh", "Resolved")
    assert "action.outcome" in await desk.keeps_a_sound_record()


def _hasty(folder: Path) -> Path:
    return knowledge_with(folder, "redis/memory-limit.md", "within: 2m", "within: 6s")


@pytest.mark.parametrize("redis_house", (_hasty,), indirect=True)
async def test_a_limit_that_does_not_help_is_set_back(
    redis_house: tuple[Server, Rehearsal],
) -> None:
    server, rehearsal = redis_house
    desk = Desk(rehearsal, approver="hugo")
    plan = await desk.asks("RedisMemoryHigh", parameter_limit="52Mi")
    await desk.approves(plan)
    await until(
        "the higher limit",
        lambda: cli(server, "CONFIG", "GET", "maxmemory").split()[1] == str(52 * MEBIBYTE),
    )
    await desk.sees("Rollback", "Succeeded")
    assert cli(server, "CONFIG", "GET", "maxmemory").split()[1] == str(48 * MEBIBYTE)
    await desk.sees("Redis has reached its memory limit", "olled back")
    record = await desk.keeps_a_sound_record()
    assert record.count('"action.outcome"') == 2


# PostgreSQL.


POSTGRES_RULE = Rule(
    alert="PostgresqlLongTransaction",
    expression='max(pg_stat_activity_max_tx_duration{state="idle in transaction"}) > 2',
    labels={"database": "main"},
    summary="A transaction has been open for long",
)


class Forgetful:
    """A session that took a lock and forgot about it, and one that waits for it.

    The bot's role may look at everything and end sessions, and is no superuser.
    """

    def __init__(self, server: Server) -> None:
        self._url = f"host=127.0.0.1 port={server.port} dbname=postgres"

    async def __aenter__(self) -> Forgetful:
        psycopg = pytest.importorskip("psycopg")
        async with await psycopg.AsyncConnection.connect(f"{self._url} user=postgres") as owner:
            await owner.execute("CREATE ROLE app LOGIN")
            await owner.execute("CREATE ROLE tocsin LOGIN IN ROLE pg_monitor, pg_signal_backend")
            await owner.execute("CREATE TABLE orders (id int)")
            await owner.execute("GRANT ALL ON orders TO app")
        app = f"{self._url} user=app"
        self.holder = await psycopg.AsyncConnection.connect(app)
        await self.holder.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        self.waiter = await psycopg.AsyncConnection.connect(app, autocommit=True)
        self.waiting = asyncio.create_task(self._wait())
        return self

    async def _wait(self) -> Any:
        cursor = await self.waiter.execute("SELECT count(*) FROM orders")
        return await cursor.fetchone()

    async def __aexit__(self, *_: object) -> None:
        self.waiting.cancel()
        await asyncio.gather(self.waiting, return_exceptions=True)
        await self.waiter.close()
        await self.holder.close()


async def test_a_long_transaction_is_found_and_its_session_ended_after_consent(
    tmp_path: Path,
) -> None:
    port = free_port()
    with postgres_server(tmp_path) as server:
        name = f"postgresql://postgres@127.0.0.1:{server.port}/postgres?sslmode=disable"
        needed("prometheus-postgres-exporter", package="prometheus-postgres-exporter")
        os.environ["DATA_SOURCE_NAME"] = name
        with exporter(
            "prometheus-postgres-exporter",
            tmp_path,
            f"--web.listen-address=127.0.0.1:{port}",
            port=port,
        ):
            del os.environ["DATA_SOURCE_NAME"]
            listed = {
                "host": "127.0.0.1", "port": server.port, "dbname": "postgres",
                "user": "tocsin", "sslmode": "disable", "terminate": ["app"],
            }  # fmt: skip
            async with (
                among_systems(
                    tmp_path,
                    plugins={"plugins.postgres.databases.main": listed},
                    targets={"postgres": port},
                    rules=[POSTGRES_RULE],
                ) as rehearsal,
                Forgetful(server) as forgetful,
            ):
                desk = Desk(rehearsal, approver="hugo")
                plan = await desk.asks("PostgresqlLongTransaction", parameter_patience="1s")
                words = text_of(plan)
                assert "one old transaction holds up the others" in words
                assert str(forgetful.holder.info.backend_pid) in words
                assert not forgetful.waiting.done()
                await desk.approves(plan)
                assert await asyncio.wait_for(forgetful.waiting, 30) == (0,)
                await desk.sees("PostgreSQL sessions wait", "Succeeded and verified")
                await desk.keeps_a_sound_record()


# NGINX over ssh.


NGINX_RULE = Rule(
    alert="NginxDown",
    expression="nginx_up == 0",
    labels={"host": "edge-1"},
    summary="NGINX does not answer",
)
_GOOD = """
server {{
  listen 127.0.0.1:{port};
  location /healthz {{ return 200 "fine"; }}
  location /status {{ stub_status; }}
}}
"""
_BAD = """
server {{
  listen 127.0.0.1:{port};
  location / {{ proxy_pass http://127.0.0.1:{nobody}; }}
}}
"""


class Edge:
    """An NGINX with releases of its configuration, on a machine that is reached by ssh."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.ssh_port = free_port(), free_port()
        self.root = folder / "releases"
        self.configuration = folder / "nginx.conf"
        for name, text in (("good", _GOOD), ("bad", _BAD)):
            (self.root / name).mkdir(parents=True)
            (self.root / name / "site.conf").write_text(
                text.format(port=self.port, nobody=free_port()), encoding="utf-8"
            )
        (self.root / "current").symlink_to(self.root / "good")
        self.configuration.write_text(
            f"pid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
            "events {}\nhttp {\n  access_log off;\n"
            f"  include {self.root}/current/*.conf;\n}}\n",
            encoding="utf-8",
        )

    def command(self, *words: str) -> list[str]:
        """Return a command of NGINX for this configuration."""
        return [needed("nginx", package="nginx"), "-c", str(self.configuration), *words]

    def deploy_the_mistake(self) -> None:
        """Put the bad release into force, as a deployment does."""
        (self.root / "previous").symlink_to(self.root / "good")
        (self.root / "current").unlink()
        (self.root / "current").symlink_to(self.root / "bad")
        subprocess.run(self.command("-s", "reload"), check=True)

    @property
    def release(self) -> str:
        """Return which release is in force."""
        return (self.root / "current").resolve().name

    @contextmanager
    def served(self) -> Iterator[int]:
        """Run NGINX, its exporter and sshd; return the exporter's port."""
        port, log = free_port(), self.folder / "nginx.log"
        health = b"GET /healthz HTTP/1.0\r\n\r\n"
        with (
            started(
                self.command("-g", "daemon off;"),
                log,
                ready=lambda: answers(self.port, health, b"HTTP/1.1 200 OK"),
            ),
            exporter(
                "prometheus-nginx-exporter",
                self.folder,
                f"-nginx.scrape-uri=http://127.0.0.1:{self.port}/status",
                f"-web.listen-address=127.0.0.1:{port}",
                port=port,
            ),
            self._sshd(),
        ):
            yield port

    @contextmanager
    def _sshd(self) -> Iterator[None]:
        sshd = needed("sshd", package="openssh-server")
        for key in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key)],
                check=True,
            )
        public = (self.folder / "host.pub").read_text().split()[:2]
        (self.folder / "known_hosts").write_text(
            f"[127.0.0.1]:{self.ssh_port} {' '.join(public)}\n"
        )
        authorised = self.folder / "authorized_keys"
        authorised.write_text((self.folder / "user.pub").read_text())
        configuration = self.folder / "sshd_config"
        configuration.write_text(
            f"ListenAddress 127.0.0.1\nPort {self.ssh_port}\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {authorised}\nStrictModes no\nUsePAM no\n"
            f"PidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        with started(
            [sshd, "-D", "-e", "-f", str(configuration)],
            self.folder / "sshd.log",
            ready=lambda: answers(self.ssh_port, b"", b"SSH-2.0"),
        ):
            yield

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Return what config.toml says of this machine and its program."""
        program = {
            "hosts": ["edge-1"],
            "path": str(ROOT / "docs" / "programs" / "nginx-config"),
            "unchanged_statuses": [3],
        }
        environment = {
            "NGINX_CONFIG_ROOT": str(self.root),
            "NGINX_CONFIG_TEST": " ".join(self.command("-t", "-q")),
            "NGINX_CONFIG_RELOAD": " ".join(self.command("-s", "reload")),
            "NGINX_CONFIG_HEALTH": f"http://127.0.0.1:{self.port}/healthz",
        }
        return {
            "plugins.ssh.hosts.edge-1": {
                "address": "127.0.0.1",
                "port": self.ssh_port,
                "username": "root",
                "known_hosts": str(self.folder / "known_hosts"),
                "key": str(self.folder / "user"),
            },
            "plugins.ssh.programs.nginx-config": {
                **program, "arguments": ["age|has-previous|health"], "effect": "read",
            },
            "plugins.ssh.programs.nginx-config.environment": environment,
            "plugins.ssh.programs.nginx-switch": {
                **program, "arguments": ["roll-back|roll-forward"],
            },
            "plugins.ssh.programs.nginx-switch.environment": environment,
        }  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0, reason="sshd signs in only whom it runs as")
async def test_a_bad_configuration_of_nginx_is_rolled_back_over_ssh(tmp_path: Path) -> None:
    edge = Edge(tmp_path)
    with edge.served() as port:
        async with among_systems(
            tmp_path, plugins=edge.settings, targets={"nginx": port}, rules=[NGINX_RULE]
        ) as rehearsal:
            edge.deploy_the_mistake()
            desk = Desk(rehearsal, approver="owen")
            plan = await desk.asks("NginxDown")
            assert "the configuration changed within the last day" in text_of(plan)
            assert edge.release == "bad"
            await desk.approves(plan)
            await desk.sees("NGINX answers with errors", "Succeeded and verified")
            assert edge.release == "good"
            await desk.sees("NginxDown", "Resolved")
            await desk.keeps_a_sound_record()
