"""`tocsin knowledge`: what people who keep pages see, and what they are told when it goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result
from typing_extensions import override

from bot.cli import cli
from bot.domain.alerts import Severity
from bot.domain.incidents import IncidentStatus
from bot.ports import RunbookUse, Use
from tests.stage import alert, stage_in

ROOT = Path(__file__).resolve().parents[1]

PAGE = """\
---
format: runbook/v1
id: cache-full
version: 1
title: The cache is full
owner: storage
reviewed: {by: storage, at: 2026-11-20, max_age: 3650d}
match:
  alerts: [CacheFull]
params:
  host:
    type: string
    from: host
    pattern: "[a-z]+-[0-9]+"
diagnose:
  - id: used
    title: Share of the memory in use
    uses: prometheus.query@1
    with: {query: "${host}"}
decide:
  - when: facts.used > 0.9
    then: evict
    because: it is nearly full
  - when: facts.used <= 0.9
    then: stop
    because: there is room
steps:
  - id: evict
    title: Evict old keys
    uses: human.do@1
    with: {instruction: Evict the old keys.}
    commit_point: true
cases:
  - name: full
    alert: {alertname: CacheFull, host: cache-1}
    facts: {used: 0.95}
    expect: [evict]
---

## Meaning

It is full.

## Impact

Slow.

## Diagnosis

Look.

## Mitigation

Take the old keys out. {#evict}
"""


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("TOCSIN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Return a knowledge folder with one good page, which is the installation's."""
    folder = tmp_path / "knowledge"
    write(folder, PAGE)
    shutil.copytree(ROOT / "knowledge" / "policies", folder / "policies")
    plugins = '["alertmanager", "prometheus", "manual"]'
    (tmp_path / "data").mkdir()
    (tmp_path / "config.toml").write_text(
        f'[bot]\ndata = "data"\nknowledge = "knowledge"\nplugins = {plugins}\n'
    )
    return folder


def write(folder: Path, text: str, name: str = "cache/full") -> Path:
    path = folder / "runbooks" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def run(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["knowledge", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.exit_code == status, result.output
    return result


# lint


def test_lint_of_a_good_page_says_ok(pages: Path) -> None:
    assert run("lint").stdout == "1 runbooks, 0 services, 0 incidents\nOK\n"
    assert run("check", "knowledge").stdout.endswith("OK\n")


def test_lint_names_file_line_and_reason_and_ends_with_1(pages: Path) -> None:
    write(pages, PAGE.replace("owner: storage", "ownr: storage"))
    told = run("lint", status=1).stderr
    assert 'knowledge/runbooks/cache/full.md:6: unknown key "ownr"; did you mean "owner"?' in told


def test_lint_checks_actions_of_plugins_that_are_not_enabled(pages: Path) -> None:
    write(pages, PAGE.replace("{query:", "{qery:"))
    assert "full.md:" in run("lint", status=1).stderr
    write(pages, PAGE.replace("prometheus.query@1", "prometheus.qery@1"))
    assert "there is no action prometheus.qery@1" in run("lint", status=1).stderr
    check = "uses: http.get@1\n    with: {url: 'https://x.example/', pointer: /a}"
    write(pages, PAGE.replace('uses: prometheus.query@1\n    with: {query: "${host}"}', check))
    told = CliRunner().invoke(cli, ["knowledge", "lint"])
    assert "there is no action" not in told.output


def test_lint_sets_warnings_apart_and_ends_with_0(pages: Path) -> None:
    write(pages, PAGE.replace("Look.", "TODO: look."))
    assert "knowledge/runbooks/cache/full.md:50: warning: TODO is left" in run("lint").stdout


def test_lint_writes_json_and_annotations(pages: Path) -> None:
    write(pages, PAGE.replace("Look.", "TODO: look."))
    told = json.loads(run("lint", "--format", "json").stdout)
    assert (told["ok"], told["errors"]) == (True, [])
    assert told["warnings"][0]["line"] == 50
    annotated = run("lint", "--format", "github").stdout
    assert annotated.startswith("::warning file=knowledge/runbooks/cache/full.md,line=50::TODO")
    write(pages, PAGE.replace("version: 1", "version: one"))
    annotated = run("lint", "--format", "github", status=1).stdout
    assert annotated.startswith("::error file=knowledge/runbooks/cache/full.md,line=4::version")
    assert json.loads(run("lint", "--format", "json", status=1).stdout)["ok"] is False


def test_names_of_files_break_neither_lines_nor_annotations(pages: Path) -> None:
    for name in (b"\xff.md", b"b\nc,d:e%.md"):
        Path(os.fsdecode(os.fsencode(pages / "runbooks") + b"/" + name)).write_text("x")
    told = run("lint", status=1).stderr.splitlines()
    assert [line.split(":1: ")[0] for line in told[:2]] == [
        "knowledge/runbooks/b?c,d:e%.md",
        "knowledge/runbooks/?.md",
    ]
    annotated = run("lint", "--format", "github", status=1).stdout.splitlines()
    assert annotated[0].startswith("::error file=knowledge/runbooks/b%0Ac%2Cd%3Ae%25.md,line=1::")
    assert len(annotated) == 2
    assert len(json.loads(run("lint", "--format", "json", status=1).stdout)["errors"]) == 2


# new


def test_a_new_page_lints_clean_with_warnings(pages: Path) -> None:
    told = run("new", "disk-full", "--area", "hosts").stdout
    assert "knowledge/runbooks/hosts/disk-full.md: " in told
    assert told.count("TODO") == 1
    linted = run("lint").stdout
    assert linted.endswith("OK\n")
    assert "hosts/disk-full.md:" in linted


@pytest.mark.parametrize(
    ("words", "status", "told"),
    (
        (("new", "Disk"), 2, '"Disk" cannot be a runbook\'s id'),
        (("new", "disk", "--area", "../x"), 2, '"../x" cannot be an area'),
        (("new", "full", "--area", "cache"), 2, "is there already"),
        (("new", "cache-full"), 1, 'the id "cache-full" is taken by runbooks/cache/full.md'),
        (("new", "x", "--directory", "nowhere"), 2, "nowhere: is not a folder"),
        (("new", "x", "--from-incident", "INC-9"), 2, "there is no database"),
        (("test", "knowledge", "nonsense"), 2, "nonsense: there is no such runbook"),
        (("test", "no/where"), 1, "no/where: is not a folder"),
        (("test", "nothing"), 2, "nothing: there is no such runbook in knowledge"),
        (("show", "nonsense"), 2, "nonsense: there is no such runbook"),
        (("lint", "nowhere"), 1, "nowhere: is not a folder"),
        (("lint", "--format", "xml"), 2, "xml"),
        (("import", "nowhere"), 2, "nowhere: is not a folder"),
        (("import", "data", "--owner", "A B"), 2, "--owner"),
        (("import", ".", "--into", "knowledge/x"), 2, "--into"),
        (("coverage", "--days", "0"), 2, "--days"),
        (("coverage",), 2, "there is no database"),
        (("stats",), 2, "there is no database"),
        (("lint", "--config", "none.toml"), 2, "none.toml: cannot be read"),
        (("actions", "--config", "none.toml"), 2, "none.toml: cannot be read"),
    ),
)  # fmt: skip
def test_bad_input_is_one_clear_sentence(
    pages: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    assert told in run(*words, status=status).stderr


# test


def test_a_good_page_passes_its_cases_and_its_stories(pages: Path) -> None:
    told = run("test", "-v").stdout
    assert "case “full”: ok" in told
    assert "plan of “full”: ok" in told
    assert "every step, then all taken back: ok" in told
    assert "evict fails: ok" in told
    assert told.endswith("1 runbooks, 4 tried, 0 failed\n")


def test_a_case_that_is_decided_otherwise_fails(pages: Path) -> None:
    write(pages, PAGE.replace("facts: {used: 0.95}", "facts: {used: 0.5}"))
    told = run("test", "cache-full", status=1).stdout
    assert run("test", "knowledge", "cache-full", status=1).stdout == told
    assert "case “full”: it decides to stop (there is room), but the case expects" in told
    results = json.loads(run("test", "--format", "json", status=1).stdout)
    assert results["ok"] is False
    assert {r["what"] for r in results["results"] if not r["ok"]} == {
        "case “full”",
        "plan of “full”",
    }


def test_a_page_with_an_unknown_action_fails_and_is_not_played(pages: Path) -> None:
    write(pages, PAGE.replace("prometheus.query@1", "prometheus.qery@1"))
    told = run("test", status=1).stdout
    assert "there is no action prometheus.qery@1" in told
    assert "every step" not in told


# show


def test_a_page_is_shown_with_what_it_decides_and_does(pages: Path) -> None:
    told = run("show", "cache-full").stdout
    for expected in (
        "The cache is full  (cache-full, version 1, owned by storage)",
        "alerts CacheFull",
        "host (string, from the label host)",
        "when facts.used > 0.9 → evict (it is nearly full)",
        "1. Evict old keys (evict)",
        "no way back from here",
        "## Mitigation",
    ):
        assert expected in told


# coverage and stats


@pytest.fixture
def lived(pages: Path, tmp_path: Path) -> Path:
    """Let the installation have seen two alerts, one of them in an incident."""
    asyncio.run(_live(tmp_path / "data"))
    return pages


async def _live(folder: Path) -> None:
    from datetime import UTC, datetime

    async with stage_in(folder, datetime.now(UTC)) as stage:
        group = await stage.fire(alert("CacheFull"))
        await stage.fire(alert("DiskFull"), source="elsewhere")
        made = await stage.context.incidents.declare(
            "Disks fill", Severity.SEV2, service="checkout", by=stage.by(stage.dana), group=group.id
        )
        by = stage.by(stage.dana)
        await stage.context.timelines.note(made.id, "ran `journalctl --vacuum-size=1G`", by=by)
        by = stage.by(stage.dana)
        await stage.context.incidents.move(made.id, IncidentStatus.RESOLVED, by=by)
        use = RunbookUse(id="u", runbook="cache-full", what=Use.OPENED, subject=group.id,
                         person="p", at=stage.clock.now())  # fmt: skip
        async with stage.database.transaction() as tx:
            await tx.usage.add(use)


def test_coverage_lists_what_is_missing(lived: Path) -> None:
    write(lived, PAGE.replace("cache-full", "other").replace("CacheFull", "Never")
          .replace("Look.", "See [x](gone.md)."), "cache/other")  # fmt: skip
    told = run("coverage").stdout
    assert "alerts without a page (of 2 alerts seen): 1\n      1  DiskFull\n" in told
    assert "pages that no alert seen fits: 1\n  other\n" in told
    assert "runbooks/cache/other.md:50: gone.md: there is no such file" in told
    found = json.loads(run("coverage", "--format", "json").stdout)
    assert found["uncovered"] == [{"alert": "DiskFull", "count": 1}]
    assert found["unmatched"] == ["other"]
    assert found["stale"] == []
    assert found["dead_links"][0]["line"] == 50


def test_stats_count_what_was_used(lived: Path) -> None:
    told = run("stats").stdout
    assert told.splitlines()[1].split() == ["cache-full", "0", "1", *"0000000", "-"]
    assert told.endswith("0 of 1 pages were not used in 90 days\n")
    (row,) = json.loads(run("stats", "--format", "json").stdout)["runbooks"]
    assert (row["runbook"], row["opened"], row["median_seconds"]) == ("cache-full", 1, None)


def test_a_new_page_may_begin_with_an_incident(lived: Path) -> None:
    told = run("new", "disks", "--from-incident", "inc-1").stdout
    assert "knowledge/runbooks/general/disks.md" in told
    page = (lived / "runbooks" / "general" / "disks.md").read_text()
    assert "Run: journalctl --vacuum-size=1G" in page
    assert "OK" in run("lint").stdout
    assert "is taken" in run("new", "disks", "--area", "x", status=1).stderr
    assert "There is no incident" in run("new", "z", "--from-incident", "INC-99", status=1).stderr


# import


def test_an_import_tells_what_became_of_every_page(pages: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "KubePodBroken.md").write_text("---\ntitle: KubePodBroken\n---\n## Meaning\nx\n")
    assert run("import", "theirs").stdout == "1 added\n"
    (theirs / "Binary.md").write_bytes(b"\xff\xff")
    (theirs / "README.md").write_text("x")
    result = run("import", "theirs", status=1)
    assert result.stderr == "Binary.md: refused: is not UTF-8 (line 1 of its text)\n"
    assert result.stdout.endswith("1 unchanged, 1 refused, 1 skipped\n")
    assert (pages / "runbooks" / "imported" / "KubePodBroken.md").exists()


def test_an_empty_library_is_told(pages: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    assert run("import", "theirs", status=1).stdout == "no pages\n"


# actions


def test_actions_are_listed_and_get_a_page_each(pages: Path, tmp_path: Path) -> None:
    assert "prometheus.query@1" in run("actions").stdout
    run("actions", "--into", "out")
    page = (tmp_path / "out" / "prometheus.query-1.md").read_text()
    assert "# `prometheus.query@1`" in page
    assert "| `query` | string | required |" in page
    run("actions", "--into", "out", "--check")
    (tmp_path / "out" / "prometheus.query-1.md").write_text("old")
    told = run("actions", "--into", "out", "--check", status=1).stderr
    assert "not current: prometheus.query-1.md" in told


# other sites


class _Site(BaseHTTPRequestHandler):
    """Answers 200 below /good, 404 elsewhere, and HEAD not at all below /good/get."""

    def do_HEAD(self) -> None:
        status = 405 if self.path == "/good/get" else 200 if self.path == "/good" else 404
        self.send_response(status)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200 if self.path.startswith("/good") else 404)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_other_sites_are_asked_only_when_that_is_wanted(lived: Path, site: str) -> None:
    links = f"[a]({site}/good) [b]({site}/good/get) [c]({site}/bad) [d](http://127.0.0.1:1/)"
    write(lived, PAGE.replace("Look.", links))
    assert "addresses" not in run("coverage").stdout
    told = run("coverage", "--online").stdout
    assert "addresses that do not answer: 2\n" in told
    assert f"runbooks/cache/full.md:50: {site}/bad: answers 404" in told
    assert "http://127.0.0.1:1/: cannot be reached (ConnectError)" in told
