"""Every page that comes with the bot does what it says: its cases, steps, failures and undos."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bot.cli import cli

ROOT = Path(__file__).resolve().parents[2]


def test_every_shipped_page_passes_its_cases_and_its_stories() -> None:
    words = ["knowledge", "test", str(ROOT / "knowledge"), "--format", "json"]
    result = CliRunner().invoke(cli, [*words, "--config", str(ROOT / "config.toml")])
    found = json.loads(result.stdout)["results"]
    assert [entry for entry in found if not entry["ok"]] == []
    assert result.exit_code == 0
    assert len(found) > 20
