"""`tocsin knowledge import`: libraries of runbooks as they are published."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import fail

if TYPE_CHECKING:
    from bot.knowledge.importing import PageImport


def import_library(
    directory: Annotated[Path, typer.Argument(help="a folder of Markdown pages")],
    into: Annotated[Path, typer.Option(help="where they go, in the knowledge folder")] = Path(
        "knowledge/runbooks/imported"
    ),
    owner: Annotated[str, typer.Option(help="the team that answers for them")] = "unassigned",
) -> None:
    """Take over pages in the form of prometheus-operator/runbooks, unchanged, to be suggested.

    They are never run. What people edited here is kept. Status 1 where a page was refused.
    """
    from bot.knowledge.importing import Became, ids_elsewhere, import_pages  # noqa: PLC0415

    if not directory.is_dir():
        fail(f"{directory}: is not a folder", 2)
    if directory.resolve() in (into.resolve(), *into.resolve().parents):
        fail(f"--into: {into} lies in {directory}, so that pages would be imported again", 2)
    today = datetime.now(UTC).date()
    try:
        pages = import_pages(directory, into, owner=owner, today=today, taken=ids_elsewhere(into))
    except (ValueError, OSError) as error:
        fail(str(error), 2)
    for page in pages:
        _tell(page)
    counts = Counter(page.became for page in pages)
    print(", ".join(f"{counts[kind]} {kind}" for kind in Became if counts[kind]) or "no pages")
    if counts[Became.REFUSED] or not pages:
        raise typer.Exit(1)


def _tell(page: PageImport) -> None:
    from bot.knowledge.importing import Became  # noqa: PLC0415

    if page.became is Became.REFUSED:
        print(f"{page.source}: refused: {page.reason}", file=sys.stderr)
    elif page.reason:
        print(f"{page.source}: {page.became}: {page.reason}")
