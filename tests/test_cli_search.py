"""`tocsin search`: what it prints, and what it says when a folder is broken."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from bot.cli import cli
from bot.domain.documents import Kind
from bot.ports import Judgement, SearchLabel
from bot.search import ranker
from bot.search.ranker import FALLBACK, from_json
from bot.search.training.datasets import digest
from tests.search.encoders import WordEncoder
from tests.search.training.folders import dead, folder, query
from tests.stage import stage_in

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Search by an encoder without a model, in a folder without an installation."""
    for name in list(os.environ):
        if name.startswith("TOCSIN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bot.search.encoder.encoder_named", lambda _: lambda _: WordEncoder())
    monkeypatch.setattr("bot.foundation.encoder_named", lambda _: lambda _: WordEncoder())


@pytest.fixture
def known(tmp_path: Path) -> Path:
    queries = [query(n % 12, id=f"Q{n}", service="api" if n < 32 else "db") for n in range(36)]
    return folder(tmp_path / "set", queries=queries, without_answer=[dead(n) for n in range(4)])


def run(*words: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["search", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.exit_code == status, result.output
    return result


# eval


def test_json_stands_alone_on_standard_output(known: Path) -> None:
    found = json.loads(run("eval", known, "--json").stdout)
    assert list(found) == ["variants"]
    assert set(found["variants"]["desc"]) == {"default", "bm25"}
    assert set(found["variants"]["desc"]["default"]) >= {"MRR@10", "R@1"}
    assert 0 <= found["variants"]["desc"]["bm25"]["MRR@10"] <= 1


def test_several_folders_are_told_apart(known: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other")
    found = json.loads(run("eval", known, other, "--json").stdout)
    assert set(found["folders"]) == {"set", "other"}
    assert set(found["folders"]["other"]["variants"]) == {"desc"}
    assert "set: is given twice" in run("eval", known, known, status=2).stderr


def test_the_tables_show_intervals_and_the_lead(known: Path) -> None:
    told = run("eval", known, "--signals").stdout
    assert "| desc" in told
    assert "lead over BM25" in told
    assert "| meaning " in told


def test_a_field_is_shown_side_by_side_and_what_is_too_small_is_said(known: Path) -> None:
    told = run("eval", known, "--by", "service")
    assert "| api " in told.stdout
    assert "Too few questions, under 30, to say anything of: db (4)." in told.stdout
    assert "no value of team" in run("eval", known, "--by", "team").stderr


def test_a_report_has_its_picture_beside_it(known: Path, tmp_path: Path) -> None:
    calibrated = from_json(ranker.to_json(FALLBACK))
    curve = ranker.Calibration(intercept=-1, coefficients={"coverage": 3.0})
    curves = dict.fromkeys(Kind, curve)
    object.__setattr__(calibrated, "calibrations", curves)
    path = tmp_path / "ranker.json"
    path.write_text(ranker.to_json(calibrated))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranker, "SHIPPED", path)
        run("eval", known, "--report", tmp_path / "out.md")
    assert "](out-set.svg)" in (tmp_path / "out.md").read_text(encoding="utf-8")
    ElementTree.parse(tmp_path / "out-set.svg")


def test_a_ranker_trained_on_the_folder_is_told_on(
    known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ranker.json"
    seen = from_json(ranker.to_json(FALLBACK))
    record = (ranker.Trained(name="elsewhere", sha256=digest(known), queries=1),)
    object.__setattr__(seen, "trained", record)
    path.write_text(ranker.to_json(seen))
    monkeypatch.setattr(ranker, "SHIPPED", path)
    told = run("eval", known, "--json")
    assert "trained on this very folder" in told.stderr
    json.loads(told.stdout)


def test_a_report_that_cannot_be_written_is_one_sentence(known: Path, tmp_path: Path) -> None:
    told = run("eval", known, "--report", tmp_path / "nowhere" / "out.md", status=1)
    assert "cannot be written: No such file or directory" in told.stderr


def test_every_broken_line_is_named_and_nothing_is_printed(known: Path, tmp_path: Path) -> None:
    with (known / "queries.jsonl").open("ab") as file:
        file.write(b"\xff\n{}\n")
    told = run("eval", known, tmp_path / "missing", "--json", status=2)
    assert told.stdout == ""
    assert told.stderr.splitlines() == [
        f"{known}/queries.jsonl:37: line: is not UTF-8 at byte 1",
        f"{known}/queries.jsonl:38: id: is missing",
        f"{known}/queries.jsonl:38: variant: is missing",
        f"{known}/queries.jsonl:38: text: is missing",
        f"{known}/queries.jsonl:38: relevant: is missing",
        f"{tmp_path}/missing/corpus.jsonl:1: file: cannot be read: No such file or directory",
        f"{tmp_path}/missing/queries.jsonl:1: file: cannot be read: No such file or directory",
    ]


# train


def test_training_writes_a_ranker_that_can_be_read_and_is_the_same_each_time(
    known: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    told = run("train", known, "-o", first).stdout
    run("train", known, "-o", second)
    made = from_json(first.read_text(encoding="utf-8"))
    assert first.read_bytes() == second.read_bytes()
    assert made.trained[0].sha256 == digest(known)
    assert made.name in told
    assert "cross-validated" in told
    assert [path.name for path in tmp_path.glob("*.json*")] == ["one.json", "two.json"]


def test_a_ranker_in_the_way_of_nothing_is_kept_until_the_new_one_is_whole(
    known: Path, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    told = run("train", known, "-o", tmp_path / "there", status=1)
    assert "there: cannot be written" in told.stderr
    assert list(tmp_path.glob(".there*")) == []


def test_people_s_labels_are_taken_from_an_installation(known: Path, tmp_path: Path) -> None:
    config = installation(tmp_path)
    asyncio.run(_label(tmp_path / "data"))
    told = run("train", known, "--labels", config, "-o", tmp_path / "ranker.json")
    assert "1 labels" in told.stderr
    made = from_json((tmp_path / "ranker.json").read_text(encoding="utf-8"))
    assert (made.trained[-1].name, made.trained[-1].queries) == ("people's labels", 1)


def test_an_installation_that_is_not_there_is_one_sentence(known: Path, tmp_path: Path) -> None:
    told = run("train", known, "--labels", installation(tmp_path), status=2)
    assert "there is no database" in told.stderr


def installation(path: Path) -> Path:
    (path / "data").mkdir()
    shutil.copytree(ROOT / "knowledge", path / "knowledge")
    plugins = '["similar", "runbooks"]'
    text = f'[bot]\ndata = "data"\nknowledge = "knowledge"\nplugins = {plugins}\n'
    (path / "config.toml").write_text(text, encoding="utf-8")
    return path / "config.toml"


async def _label(data: Path) -> None:
    async with stage_in(data, datetime.now(UTC)) as stage, stage.database.transaction() as tx:
        await tx.labels.add(
            SearchLabel(
                id="L1",
                query="the checkout service answers with errors",
                names=(),
                services=(),
                subject="INC-1",
                document=next(iter(stage.context.knowledge.runbooks), "none"),
                kind="runbook",
                judgement=Judgement.USEFUL,
                reason="",
                place=1,
                confidence=None,
                model="fixed",
                person="p",
                at=stage.clock.now(),
            )
        )


def test_the_running_bot_never_loads_what_trains_it() -> None:
    code = (
        "import sys, bot.app, bot.cli, bot.search.engine, bot.search.index\n"
        "heavy = ('bot.search.training', 'sklearn', 'scipy')\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_installation_s_own_ranker_is_measured_where_it_is_named(
    known: Path, tmp_path: Path
) -> None:
    config = installation(tmp_path)
    run("train", known, "-o", tmp_path / "data" / "ranker.json")
    name = from_json((tmp_path / "data" / "ranker.json").read_text(encoding="utf-8")).name
    assert name not in run("eval", known).stdout
    assert name in run("eval", known, "--config", config).stdout
