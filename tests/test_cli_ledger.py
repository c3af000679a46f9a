"""`tocsin ledger verify` used wrongly: 3, so that 2 always means that something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli import cli


@pytest.mark.parametrize(
    "arguments",
    (
        ("--nonsense",),
        ("--key",),
        ("one.tar", "two.tar"),
        ("missing.tar", "--key", "k"),
        ("--database", "missing.db"),
    ),
)
def test_verify_used_wrongly_ends_with_3(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["ledger", "verify", *arguments])
    assert result.exit_code == 3, result.output
    assert "Traceback" not in result.output


def test_other_commands_used_wrongly_end_with_2() -> None:
    assert CliRunner().invoke(cli, ["ledger", "show", "--nonsense"]).exit_code == 2
