"""`tocsin knowledge test`: do the pages decide, run, fail and undo as they say?"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import Config, fail
from bot.cli.knowledge.offered import offered

if TYPE_CHECKING:
    from bot.domain.actions import Action
    from bot.domain.runbooks import Runbook
    from bot.knowledge import Knowledge


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One example or one story of a page, and what was wrong with it."""

    runbook: str
    what: str
    fault: str = ""
    remark: str = ""


def try_pages(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="DIR ID", help="the knowledge folder, and runbooks of it"),
    ] = None,
    format: Annotated[Format, typer.Option(help="text or json")] = Format.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="every story")] = False,
    config: Config = None,
) -> None:
    """Run the pages' own cases, and every step, failure and undo on a stage, by the real engine.

    Nothing is touched: actions are stand-ins that take what the real ones take.
    """
    known, books = chosen(*_meant(words or []))
    actions = offered(config).actions
    results = [*_unfit(known, books, actions), *_cases(books)]
    unfit = {result.runbook for result in results if result.what == "actions"}
    stories = [book for book in books if book.executable and book.id not in unfit]
    results += asyncio.run(_tried(stories, actions))
    if format is Format.JSON:
        print(json.dumps(_as_json(results), indent=2, ensure_ascii=False))
    else:
        _print(books, results, every=verbose)
    if any(result.fault for result in results):
        raise typer.Exit(1)


def _meant(words: Sequence[str]) -> tuple[Path, Sequence[str]]:
    """Tell a folder from an id: an id has no slash, and no folder of that name is here."""
    if words and ("/" in words[0] or Path(words[0]).is_dir()):
        return Path(words[0]), words[1:]
    return Path("knowledge"), words


def chosen(directory: Path, ids: Sequence[str]) -> tuple[Knowledge, Sequence[Runbook]]:
    """Read a folder and return the pages that are meant; end with 1 or 2 where that fails."""
    from bot.knowledge import KnowledgeError, load  # noqa: PLC0415

    try:
        known = load(directory)
    except KnowledgeError as error:
        fail(str(error), 1)
    missing = [id for id in ids if id not in known.runbooks]
    if missing:
        fail(f"{', '.join(missing)}: there is no such runbook in {directory}", 2)
    return known, [known.runbooks[id] for id in ids or sorted(known.runbooks)]


def _unfit(
    known: Knowledge, books: Sequence[Runbook], actions: Mapping[str, Action]
) -> Sequence[Result]:
    """Name the pages whose actions are unknown or do not fit; they cannot be played."""
    from bot.knowledge import check_actions  # noqa: PLC0415

    ids = {book.path: book.id for book in books}
    return [
        Result(runbook=ids[problem.file], what="actions", fault=f"{problem}")
        for problem in check_actions(known, actions)
        if problem.file in ids
    ]


def _cases(books: Sequence[Runbook]) -> Sequence[Result]:
    from bot.knowledge.cases import run_cases  # noqa: PLC0415

    return [
        Result(runbook=found.runbook, what=f"case “{found.case}”", fault=found.fault)
        for book in books
        for found in run_cases(book)
    ]


async def _tried(books: Sequence[Runbook], actions: Mapping[str, Action]) -> Sequence[Result]:
    """Play every page in a house that is thrown away afterwards."""
    from bot.storage.ledger import UNKEYED  # noqa: PLC0415
    from bot.storage.sqlite import SqliteDatabase  # noqa: PLC0415
    from bot.trial import House, try_runbook  # noqa: PLC0415
    from bot.trial.cast import StageClock  # noqa: PLC0415

    if not books:
        return ()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    clock = StageClock(datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="tocsin-trial-") as folder:
        database = SqliteDatabase(Path(folder) / "trial.db", clock)
        database.open()
        try:
            house = House(database, clock, privacy=UNKEYED, actions=actions)
            return [
                Result(runbook=tale.runbook, what=tale.story, fault=tale.fault, remark=tale.remark)
                for book in books
                for tale in await try_runbook(house, book, actions)
            ]
        finally:
            await database.close()


def _as_json(results: Sequence[Result]) -> Mapping[str, object]:
    return {
        "ok": not any(result.fault for result in results),
        "results": [
            {
                "runbook": result.runbook,
                "what": result.what,
                "ok": not result.fault,
                "fault": result.fault,
                "remark": result.remark,
            }
            for result in results
        ],
    }


def _print(books: Sequence[Runbook], results: Sequence[Result], *, every: bool) -> None:
    """Print one line for each page, and below it what failed."""
    width = max((len(book.id) for book in books), default=0)
    print(f"{'runbook':<{width}}  cases  stories  result")
    for book in books:
        own = [result for result in results if result.runbook == book.id]
        cases = sum(result.what.startswith("case ") for result in own)
        verdict = _verdict(book, own)
        print(f"{book.id:<{width}}  {cases:>5}  {len(own) - cases:>7}  {verdict}")
        for result in own:
            _print_result(result, every=every)
    failed = sum(1 for result in results if result.fault)
    print(f"{len(books)} runbooks, {len(results)} tried, {failed} failed")


def _verdict(book: Runbook, results: Sequence[Result]) -> str:
    if any(result.fault for result in results):
        return "FAILED"
    if not book.executable:
        return "for reading"
    return "ok" if book.cases else "ok, but without cases"


def _print_result(result: Result, *, every: bool) -> None:
    if result.fault:
        print(f"    {result.what}: {result.fault}")
    elif every:
        remark = f" ({result.remark})" if result.remark else ""
        print(f"    {result.what}: ok{remark}")
