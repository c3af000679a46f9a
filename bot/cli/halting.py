"""`tocsin halt` and `tocsin release`: the kill switch that works with Slack down."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.installation import Config, fail, read_settings


def halt(
    reason: Annotated[str, typer.Argument(help="why; everybody will read it")],
    config: Config = None,
) -> None:
    """Stop all actions now, by a file in the data folder; a running effect is ended too."""
    path = read_settings(config).halt_file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason.strip() + "\n", encoding="utf-8")
    except OSError as error:
        fail(f"{path}: {error.strerror}; what stands there already counts as pulled", 1)
    print(f"{path}: no action is run until this file is gone (tocsin release)")


def release(config: Config = None) -> None:
    """Take the file away again; switches pulled in Slack stay pulled."""
    path = read_settings(config).halt_file
    if not path.exists():
        print(f"{path}: is not there; switches pulled in Slack are released there")
        raise typer.Exit(1)
    try:
        path.unlink()
    except OSError as error:
        fail(f"{path}: cannot be removed: {error.strerror}", 1)
    print(f"{path}: removed; actions are run again unless a switch was pulled in Slack")
