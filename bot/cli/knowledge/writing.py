"""`tocsin knowledge new`: a page to fill in."""

from __future__ import annotations

from datetime import UTC, datetime
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

_GENERAL = "general"


def new(
    id: Annotated[str, typer.Argument(help="the page's id, such as redis-memory-high")],
    directory: Annotated[Path, typer.Option(help="the knowledge folder")] = Path("knowledge"),
    area: Annotated[str, typer.Option(help="its folder in runbooks/")] = _GENERAL,
    from_incident: Annotated[
        str, typer.Option(help="begin with the story of a resolved incident, such as INC-1")
    ] = "",
    config: Config = None,
) -> None:
    """Write a page with TODOs, which `lint` lists. Nothing is ever overwritten."""
    from bot.domain.errors import Refused  # noqa: PLC0415
    from bot.knowledge.importing import ids_elsewhere  # noqa: PLC0415
    from bot.knowledge.templates import new_page, place, write_new  # noqa: PLC0415

    if not directory.is_dir():
        fail(f"{directory}: is not a folder; --directory says which knowledge is meant", 2)
    try:
        text = new_page(id, today=datetime.now(UTC).date())
        path = place(directory, area=area, id=id)
        taken = ids_elsewhere(directory / "runbooks" / area / "…").get(id)
        if taken is not None:
            fail(f'the id "{id}" is taken by {taken}; nothing was written.', 1)
        if from_incident:
            text = _drafted(from_incident, id, config)
        write_new(path, text)
    except Refused as no:
        fail(no.reason, 2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", 1)
    todos = text.count("TODO")
    print(f"{path}: {todos} TODOs; `tocsin knowledge lint {directory}` lists them")


def _drafted(incident: str, id: str, config: Path | None) -> str:
    """Return a draft from an incident's timeline."""
    from bot.domain.incidents import IncidentId  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
    found: list[str] = []

    async def draft() -> None:
        proposals = app.core.context.proposals
        found.append(await proposals.draft(IncidentId(incident.upper()), runbook=id))

    with_database(app, draft)
    return found[0]
