"""The command line. Each command imports what it needs, so that none pays for another."""

from __future__ import annotations

import typer

from bot.cli import (
    alerts,
    demo,
    halting,
    knowledge,
    ledger,
    policy,
    postmortems,
    privacy,
    search,
    serving,
)

cli = typer.Typer(
    help="Tocsin: the bell that calls people to an emergency.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cli.command("serve")(serving.serve)
cli.command("check")(serving.check)
cli.command("manifest")(serving.print_manifest)
cli.command("halt")(halting.halt)
cli.command("release")(halting.release)
cli.add_typer(demo.commands, name="demo")
for name, group in (
    ("alerts", alerts.commands),
    ("ledger", ledger.commands),
    ("policy", policy.commands),
    ("privacy", privacy.commands),
    ("postmortem", postmortems.commands),
    ("knowledge", knowledge.commands),
    ("search", search.commands),
):
    cli.add_typer(group, name=name, no_args_is_help=True)


def main() -> None:
    """Run the command line."""
    cli()
