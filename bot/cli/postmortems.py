"""`tocsin postmortem`: post-mortems as files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from bot.cli.installation import (
    Config,
    build_app,
    fail,
    read_settings,
    with_database,
    without_tokens,
)

commands = typer.Typer(help="Post-mortems.")


class Format(StrEnum):
    """How a post-mortem is written."""

    MARKDOWN = "md"
    HTML = "html"


@commands.command("export")
def postmortem_export(
    incident: Annotated[str, typer.Argument(help="an incident's id, such as INC-1")],
    format: Annotated[Format, typer.Option(help="md or html")] = Format.MARKDOWN,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="a file")] = None,
    config: Config = None,
) -> None:
    """Write a drafted post-mortem as Markdown or HTML."""
    from bot.domain.incidents import IncidentId  # noqa: PLC0415
    from bot.exports import render  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))

    async def export() -> None:
        context, id = app.core.context, IncidentId(incident.upper())
        await context.incidents.get(id)
        drafted = await context.postmortems.get(id)
        if drafted is None:
            fail(f"{id}: no post-mortem was drafted (type /incident postmortem)", 1)
        text = render(drafted, format.value)
        if output is None:
            print(text)
        else:
            output.write_text(text, encoding="utf-8")
            print(f"{output}: {len(text.splitlines())} lines")

    with_database(app, export)
