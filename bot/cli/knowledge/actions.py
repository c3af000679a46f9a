"""`tocsin knowledge actions`: a page for each action."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.installation import Config, fail
from bot.cli.knowledge.offered import offered


def actions(
    into: Annotated[Path | None, typer.Option(help="a folder for the pages, docs/actions")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="only say whether they are current")
    ] = False,
    config: Config = None,
) -> None:
    """List the actions that runbooks can use, or write a page for each."""
    from bot.knowledge.action_pages import pages  # noqa: PLC0415

    found = offered(config)
    for silent in found.silent:
        print(f"not asked: {silent}", file=sys.stderr)
    if into is None:
        for reference, action in sorted(found.actions.items()):
            print(f"{reference:<28} {action.risk.name}  {action.summary}")
        return
    made = pages(found.actions, found.plugins)
    if check:
        _compare(into, made)
        return
    try:
        _write(into, made)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", 1)
    print(f"{into}: {len(made) - 1} actions")


def _write(into: Path, made: Mapping[str, str]) -> None:
    """Write every page, and take away those of actions that are gone."""
    from bot.knowledge.action_pages import MARK  # noqa: PLC0415

    into.mkdir(parents=True, exist_ok=True)
    for path in into.glob("*.md"):
        if path.name not in made and path.read_text(encoding="utf-8").startswith(MARK):
            path.unlink()
    for name, text in made.items():
        (into / name).write_text(text, encoding="utf-8")


def _compare(into: Path, made: Mapping[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in into.glob("*.md")}
    old = sorted(name for name, text in made.items() if there.get(name) != text)
    gone = sorted(set(there) - set(made))
    if old or gone:
        fail(f"{into}: not current: {', '.join([*old, *gone])}", 1)
    print(f"{into}: current")
