"""`tocsin knowledge`: the curated pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.installation import fail

commands = typer.Typer(help="Runbooks, services and past incidents.")


@commands.command("check")
def knowledge_check(
    directory: Annotated[Path, typer.Argument(help="the knowledge folder")] = Path("knowledge"),
) -> None:
    """Check runbooks, services and past incidents; every mistake with its file and line."""
    from bot.knowledge import KnowledgeError, load  # noqa: PLC0415

    try:
        known = load(directory)
    except KnowledgeError as error:
        fail(str(error), 1)
    services = len(known.catalog.services)
    print(f"{len(known.runbooks)} runbooks, {services} services, {len(known.incidents)} incidents")
    print("OK")
