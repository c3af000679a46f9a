"""`tocsin knowledge`: what the people who keep the pages work with."""

from __future__ import annotations

import typer

from bot.cli.knowledge import actions, importing, linting, looking, measuring, trying, writing

commands = typer.Typer(help="Runbooks, services and past incidents.")
for name, command in (
    ("new", writing.new),
    ("lint", linting.lint),
    ("check", linting.check),
    ("test", trying.try_pages),
    ("coverage", measuring.coverage),
    ("show", looking.show),
    ("stats", measuring.stats),
    ("import", importing.import_library),
    ("actions", actions.actions),
):
    commands.command(name)(command)
