"""Every action has a page that says what the code does, and the pages here are current."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from bot.cli import cli
from bot.cli.knowledge.offered import offered
from bot.domain.actions import Action, Transient
from bot.knowledge.action_pages import pages
from tests.trial.trial_samples import OPEN

ROOT = Path(__file__).resolve().parents[2]


def page(action: Action) -> str:
    made = pages({action.reference: action}, {action.reference: "valves"})
    assert set(made) == {"README.md", f"{action.name}-1.md"}
    return made[f"{action.name}-1.md"]


def test_a_page_says_what_the_action_is() -> None:
    told = page(replace(OPEN, transient=frozenset({Transient.TIMEOUT, Transient.CONFLICT})))
    for expected in (
        "# `valve.open@1`",
        "Do what must never happen in a trial.",  # the docstring of its handler
        "| plugin | `valves` |",
        "| risk | R1: reversible, one instance |",
        "| can be taken back | yes |",
        "| may be retried after | conflict, timeout |",
        "| `turns` | integer | optional |",
        '"additionalProperties": false',
    ):
        assert expected in told


def test_what_cannot_be_told_beforehand_or_taken_back_is_said() -> None:
    told = page(replace(OPEN, dry_run=None, undo=None, idempotent=False))
    assert "no, so its risk counts one class higher" in told
    assert "a step names its own `undo` or is a `commit_point`" in told
    assert "a person has to look" in told


def test_every_action_is_described_by_its_handler() -> None:
    found = offered(ROOT / "config.toml")
    made = pages(found.actions, found.plugins)
    silent = {a.reference for a in found.actions.values() if not (a.handler.__doc__ or "").strip()}
    assert not silent
    assert len(made) == len(found.actions) + 1
    assert found.silent == []


def test_the_pages_of_this_repository_are_current() -> None:
    """Run `tocsin knowledge actions --into docs/actions` where this fails."""
    words = ["knowledge", "actions", "--into", str(ROOT / "docs" / "actions"), "--check"]
    result = CliRunner().invoke(cli, [*words, "--config", str(ROOT / "config.toml")])
    assert result.exit_code == 0, result.output
