"""The command line: whatever is wrong is one clear sentence and a status, never a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bot.cli import cli
from bot.demo.folder import MARK, claimed
from bot.demo.processes import NotStarted
from bot.domain.alerts import Severity
from bot.domain.deliveries import Delivery
from bot.practice import PracticeServer, Workspace
from bot.rehearsal import app_manifest
from tests.scenarios.stage import ROOT
from tests.stage import stage_in

COMMANDS = (
    "demo",
    "demo break",
    "serve",
    "check",
    "manifest",
    "alerts list",
    "alerts replay",
    "ledger verify",
    "ledger show",
    "postmortem export",
    *(
        f"knowledge {verb}"
        for verb in (
            "new",
            "lint",
            "check",
            "test",
            "coverage",
            "show",
            "stats",
            "import",
            "actions",
        )
    ),
)
ON_THE_DATABASE = ("alerts list", "alerts replay", "postmortem export INC-1")
ON_THE_LEDGER = ("ledger verify", "ledger show")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("TOCSIN_"):
            monkeypatch.delenv(name)
    # Help is drawn to the terminal's width, and in colours where a CI asks for them.
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def run(*words: str) -> Result:
    """Run a command; the words may hold several words each."""
    arguments = [word for part in words for word in part.split(" ")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def fails(status: int, *words: str) -> str:
    result = run(*words)
    assert result.exit_code == status, result.output
    return result.stderr


def configured(folder: Path, text: str = "") -> str:
    """Write a config.toml and return the option that names it."""
    path = folder / "config.toml"
    whole = f'[bot]\ndata = "data"\nknowledge = "{ROOT / "knowledge"}"\n{text}'
    path.write_text(whole, encoding="utf-8")
    return f"--config {path}"


@pytest.fixture
def config(tmp_path: Path) -> str:
    return configured(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return a database with an incident, its post-mortem, and a delivery that was kept."""
    (tmp_path / "data").mkdir()
    asyncio.run(_furnish(tmp_path / "data"))
    return tmp_path / "data" / "tocsin.db"


async def _furnish(folder: Path) -> None:
    async with stage_in(folder) as stage:
        group = await stage.fire()
        incident = await stage.context.incidents.declare(
            "Orders fail",
            Severity.SEV1,
            service="checkout",
            by=stage.by(stage.dana),
            group=group.id,
        )
        await stage.context.postmortems.draft(incident.id, by=stage.by(stage.dana))
        await stage.context.incidents.declare(
            "Another one", Severity.SEV3, service="", by=stage.by(stage.dana)
        )
        kept = Delivery(
            id="kept-1",
            source="alertmanager",
            received_at=stage.clock.now(),
            body=b"[]",
            headers={},
        )
        await stage.context.alerts.quarantine(kept, "body: has to be an object")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_is_for(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert re.search(r"Usage: .*" + command, result.output)


@pytest.mark.parametrize(
    "words", ("nonsense", "ledger nonsense", "check extra", "serve --nonsense")
)
def test_a_command_that_is_not_there_is_usage(words: str) -> None:
    assert fails(2, words)


@pytest.mark.parametrize("command", ("check", "serve", "manifest", "alerts list", "ledger verify"))
def test_a_missing_config_is_named(command: str, tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    assert f"config: {path}: cannot be read" in fails(2, command, f"--config {path}")


@pytest.mark.parametrize(
    ("text", "told"),
    (
        ("[slack", "is not TOML"),
        ('[slack]\nbot_token = "xoxb-1"', "slack.bot_token: is a secret"),
        ('[plugins.alertmanager]\ntoken = "t"', "plugins.alertmanager.token: is a secret"),
        ("[web]\nprot = 1", "web.prot: there is no such key"),
        ("[wob]", "wob: there is no such key"),
        ("[web]\nport = 70000", "web.port: Input should be less than or equal to 65535"),
        ("[brakes]\ntroubles = 0", "brakes.troubles: Input should be greater"),
        ('[slack]\napi_url = "slack"', "slack.api_url: String should match"),
        ("[plugins.nonsense]", "plugins.nonsense: this plugin is not enabled"),
        ("[plugins.similar]\nmast = 1", "plugins.similar.mast: there is no such key"),
        ('[plugins.prometheus]\nurl = "x"', "plugins.prometheus.url: String should match"),
        ('[llm]\nclass_path = "nonsense"', "llm.class_path: 'nonsense' is not of the form"),
    ),
)
def test_a_wrong_setting_is_named_with_the_reason(text: str, told: str, tmp_path: Path) -> None:
    assert told in fails(2, "check", configured(tmp_path, text))


def test_an_unknown_plugin_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[bot]\nplugins = ["nonsense"]')
    error = fails(2, "check", f"--config {tmp_path / 'config.toml'}")
    assert error == "config: bot.plugins: there is no plugin nonsense\n"


def test_a_variable_with_one_underscore_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_WEB_PORT", "9000")
    error = fails(2, "check")
    assert error == "config: TOCSIN_WEB_PORT: is read as nothing; write TOCSIN_WEB__PORT\n"


def test_a_broken_knowledge_folder_is_told_with_file_and_line(tmp_path: Path) -> None:
    page = tmp_path / "pages" / "runbooks" / "broken.md"
    page.parent.mkdir(parents=True)
    page.write_text("---\nformat: runbook/v1\nnonsense: 1\n---\n")
    assert "runbooks/broken.md:3: unknown key" in fails(1, f"knowledge check {tmp_path / 'pages'}")
    (tmp_path / "config.toml").write_text('[bot]\nknowledge = "pages"')
    error = fails(2, "check", f"--config {tmp_path / 'config.toml'}")
    assert "runbooks/broken.md:3: unknown key" in error


def test_a_knowledge_folder_that_is_none_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert f"{nowhere}: is not a folder" in fails(1, f"knowledge check {nowhere}")


def test_what_is_shipped_is_fine() -> None:
    assert run("check").stdout.endswith("OK\n")
    assert run(f"knowledge check {ROOT / 'knowledge'}").stdout.endswith("OK\n")


@pytest.mark.parametrize(
    ("url", "told"),
    (("", "--url: HTTP mode needs the address"), ("--url http://x", "does not begin with https")),
)
def test_a_manifest_for_http_needs_a_public_address(url: str, told: str, tmp_path: Path) -> None:
    words = [url] if url else []
    assert told in fails(2, "manifest", configured(tmp_path, '[slack]\nmode = "http"'), *words)


@pytest.mark.parametrize("command", (*ON_THE_DATABASE, *ON_THE_LEDGER))
def test_a_command_that_reads_makes_no_database(command: str, config: str, tmp_path: Path) -> None:
    status = 3 if command == "ledger verify" else 2  # 2 would say that evidence is incomplete
    assert "there is no database" in fails(status, command, config)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", (*ON_THE_DATABASE, *ON_THE_LEDGER))
@pytest.mark.parametrize(
    ("kind", "told"),
    (
        ("text", "file is not a database"),
        ("folder", "unable to open database file"),
        ("half", "malformed"),
    ),
)
def test_a_database_that_cannot_be_used_is_named(
    command: str, kind: str, told: str, database: Path, config: str
) -> None:
    whole = database.read_bytes()
    database.unlink()
    if kind == "folder":
        database.mkdir()
    else:
        database.write_bytes(b"hello " * 99 if kind == "text" else whole[: len(whole) // 8])
    error = fails(1, command, config)
    assert str(database) in error
    assert told in error


@pytest.mark.parametrize("command", (*ON_THE_DATABASE, *ON_THE_LEDGER))
def test_an_empty_file_is_a_database_or_says_what_it_lacks(
    command: str, config: str, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "tocsin.db").touch()
    result = run(command, config)
    assert result.exit_code == (0 if command.startswith("alerts") else 1), result.output


def test_a_database_of_a_newer_tocsin_is_left_alone(database: Path, config: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "it was used by a newer Tocsin" in fails(1, "alerts list", config)


def test_kept_deliveries_are_listed_and_tried_again(database: Path, config: str) -> None:
    assert "kept-1" in run("alerts list", config).stdout
    result = run("alerts replay", config)
    assert result.exit_code == 1
    assert "kept-1: " in result.stderr
    assert "0 of 1 replayed" in result.stdout
    assert fails(1, "alerts replay nonsense", config) == "There is no delivery nonsense.\n"


def test_the_ledger_is_verified_and_shown(database: Path, config: str) -> None:
    verified = run("ledger verify", config)
    sound, _, unasked = verified.stdout.partition("; ")
    assert re.fullmatch(r"OK: \d+ entries, root [0-9a-f]{64}", sound)
    assert unasked == "not compared with any anchor: there is no signing key here\n"
    assert run(f"ledger verify --database {database}").stdout == f"{sound}\n"
    lines = run("ledger show --incident inc-1", config).stdout.splitlines()
    assert {json.loads(line)["incident"] for line in lines} == {"INC-1"}
    assert len(run("ledger show --last 2", config).stdout.splitlines()) == 2


def test_a_changed_byte_is_found_and_its_entry_named(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        (body,) = connection.execute("SELECT body FROM ledger_entries WHERE seq = 2").fetchone()
        changed = bytes([*body[:-1], body[-1] ^ 1])
        connection.execute("UPDATE ledger_entries SET body = ? WHERE seq = 2", [changed])
    connection.close()
    assert fails(1, f"ledger verify --database {database}").startswith("NOT OK: entry 2: ")


def test_an_incident_that_is_not_there_is_named(database: Path, config: str) -> None:
    assert fails(1, "postmortem export INC-9", config) == "There is no incident INC-9.\n"
    assert "no post-mortem was drafted" in fails(1, "postmortem export INC-2", config)
    told = fails(1, "ledger show --incident INC-9", config)
    assert told == "INC-9: the ledger has no entry of it\n"


def test_an_export_names_the_digest_that_the_ledger_has(database: Path, config: str) -> None:
    shown = run("ledger show --incident INC-1", config).stdout.splitlines()
    drafted = [json.loads(x) for x in shown if '"postmortem.drafted"' in x]
    for format in ("md", "html"):
        text = run(f"postmortem export inc-1 --format {format}", config).stdout
        assert drafted[-1]["body"]["document_sha256"] in text


def test_a_file_that_cannot_be_written_is_named(
    database: Path, config: str, tmp_path: Path
) -> None:
    path = tmp_path / "nowhere" / "x.md"
    error = fails(1, "postmortem export INC-1", f"--output {path}", config)
    assert error == f"{path}: No such file or directory\n"
    assert "'pdf' is not one of" in fails(2, "postmortem export INC-1 --format pdf")


@pytest.mark.parametrize("text", (None, "{", "{}", "[]"))
def test_breaking_a_demo_that_does_not_run_says_so(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "demo.json").write_text(text)
    told = "no demo runs in" if text is None else "is not what a demo writes"
    assert told in fails(1, f"demo break --directory {tmp_path}")


def test_a_demo_that_is_gone_cannot_be_reached(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    (tmp_path / "demo.json").write_text(json.dumps({"checkout": url, "admin_token": "t"}))
    assert "cannot be reached" in fails(1, f"demo break --directory {tmp_path}")


def test_the_demo_takes_no_port_that_is_none() -> None:
    assert "65535" in fails(2, "demo --port 70000")


def test_the_demo_empties_no_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    error = fails(1, f"demo --directory {tmp_path}")
    assert error == f"{tmp_path}: has files that are not a demo's; name another folder\n"
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_belongs_to_one_demo_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with claimed(folder):
        (folder / "data").mkdir()
        (folder / "bot.log").touch()
        with pytest.raises(NotStarted, match="runs there already"), claimed(folder):
            pass
        assert (folder / "data").exists()
    with claimed(folder):
        assert [path.name for path in folder.iterdir()] == [MARK]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


async def serving(config: str, **environment: str) -> tuple[int, str]:
    """Run `tocsin serve` until it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "serve", *config.split(" "),
        env={**os.environ, **environment}, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    text = output.decode()
    assert "Traceback" not in text, text
    return process.returncode or 0, text


async def test_serve_names_what_slack_does_not_accept(tmp_path: Path, taken: int) -> None:
    config = configured(tmp_path, "[search]\nmeaning = false\n")
    workspace = Workspace()
    async with PracticeServer(workspace) as server:
        app = workspace.install(app_manifest(tmp_path / "config.toml"))
        slack = {"TOCSIN_SLACK__API_URL": server.api_url}
        status, text = await serving(config, **slack)
        assert (status, text) == (
            2,
            "config: slack.bot_token: is missing; set TOCSIN_SLACK__BOT_TOKEN\n",
        )
        slack |= {"TOCSIN_SLACK__BOT_TOKEN": "xoxb-wrong", "TOCSIN_SLACK__APP_TOKEN": "xapp-wrong"}
        status, text = await serving(config, **slack)
        assert status == 2
        assert "slack.bot_token: Slack does not accept it (invalid_auth)" in text
        slack["TOCSIN_SLACK__BOT_TOKEN"] = app.bot_token
        status, text = await serving(config, **slack, TOCSIN_WEB__PORT="0")
        assert status == 2
        assert "slack.app_token: Slack does not accept it" in text
        slack["TOCSIN_SLACK__APP_TOKEN"] = app.app_token
        status, text = await serving(config, **slack, TOCSIN_WEB__PORT=str(taken))
        assert status == 1
        assert f"web: cannot listen on 127.0.0.1:{taken}" in text


async def test_serve_names_the_address_of_a_slack_it_cannot_reach(config: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api/"
    status, text = await serving(
        config,
        TOCSIN_SLACK__API_URL=url,
        TOCSIN_SLACK__BOT_TOKEN="xoxb-1",
        TOCSIN_SLACK__APP_TOKEN="xapp-1",
    )
    assert status == 1
    assert text.startswith(f"Slack at {url}: unreachable")
