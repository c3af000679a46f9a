"""`tocsin knowledge coverage` and `stats`: what is missing, and what the pages have done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import (
    Config,
    build_app,
    read_settings,
    with_database,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.app import App
    from bot.knowledge.coverage import Coverage
    from bot.knowledge.links import Link
    from bot.services.usage import RunbookFigures, SeenAlert

DAYS = 90
MOST_AT_ONCE = 8
SECONDS = 10.0


class Format(StrEnum):
    """How figures are written."""

    TEXT = "text"
    JSON = "json"


Days = Annotated[int, typer.Option(min=1, max=3650, help="how far to look back")]
Formats = Annotated[Format, typer.Option(help="text or json")]


def coverage(
    days: Days = DAYS,
    online: Annotated[bool, typer.Option("--online", help="ask other sites as well")] = False,
    format: Formats = Format.TEXT,
    config: Config = None,
) -> None:
    """List alerts without a page, pages without alerts, stale ones, dead links and twins."""
    from bot.knowledge.coverage import coverage as measured  # noqa: PLC0415
    from bot.knowledge.links import outside  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
    root, books = app.settings.bot.knowledge, app.core.pages.runbooks
    seen = _seen(app, days)
    found = measured(root, books, seen, today=datetime.now(UTC).date())
    addresses = outside(root, sorted(book.path for book in books.values())) if online else {}
    dead = asyncio.run(_asked(addresses)) if addresses else {}
    if format is Format.JSON:
        print(json.dumps(_as_json(found, dead), indent=2, ensure_ascii=False, default=str))
    else:
        _print_coverage(found, dead, asked=online)


def _seen(app: App, days: int) -> Sequence[SeenAlert]:
    from bot.services.usage import UsageService  # noqa: PLC0415

    found: list[SeenAlert] = []

    async def look() -> None:
        usage = UsageService(app.core.database, app.core.archive)
        found.extend(await usage.seen(_since(days)))

    with_database(app, look)
    return found


def _since(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def _asked(addresses: Mapping[str, Sequence[Link]]) -> Mapping[str, tuple[str, Link]]:
    """Ask other sites for what pages link to; return what they say no to, with the first link."""
    import httpx  # noqa: PLC0415

    slots = asyncio.Semaphore(MOST_AT_ONCE)
    async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=True) as client:

        async def ask(address: str) -> str:
            async with slots:
                try:
                    answer = await client.head(address)
                    if answer.status_code in (403, 405, 501):  # some answer only to GET
                        async with client.stream("GET", address) as answer:
                            pass
                except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                    return f"cannot be reached ({type(error).__name__})"
            return "" if answer.status_code < 400 else f"answers {answer.status_code}"

        answers = await asyncio.gather(*(ask(address) for address in addresses))
    return {
        address: (answer, addresses[address][0])
        for address, answer in zip(addresses, answers, strict=True)
        if answer
    }


def _print_coverage(found: Coverage, dead: Mapping[str, tuple[str, Link]], *, asked: bool) -> None:
    _print_list(
        f"alerts without a page (of {found.seen} alerts seen)",
        [f"{alert.count:>5}  {alert.alert}" for alert in found.uncovered],
    )
    _print_list("pages that no alert seen fits", list(found.unmatched))
    _print_list(
        "pages whose review lapsed, for reading only",
        [f"{id}  since {day}" for id, day in found.stale],
    )
    _print_list("links that lead nowhere", [str(problem) for problem in found.dead])
    if asked:
        lines = [f"{link.file}:{link.line}: {url}: {why}" for url, (why, link) in dead.items()]
        _print_list("addresses that do not answer", lines)
    _print_list(
        "sections that say nearly the same",
        [f"{twin.score:.2f}  {twin.section}: {twin.one}, {twin.other}" for twin in found.twins],
    )


def _print_list(title: str, lines: Sequence[str]) -> None:
    print(f"{title}: {len(lines) or 'none'}")
    for line in lines:
        print(f"  {line}")


def _as_json(found: Coverage, dead: Mapping[str, tuple[str, Link]]) -> Mapping[str, object]:
    return {
        "seen": found.seen,
        "uncovered": [asdict(alert) for alert in found.uncovered],
        "unmatched": found.unmatched,
        "stale": [{"runbook": id, "since": day.isoformat()} for id, day in found.stale],
        "dead_links": [asdict(problem) for problem in found.dead],
        "unreachable": [
            {"url": url, "reason": why, "file": link.file, "line": link.line}
            for url, (why, link) in dead.items()
        ],
        "near_duplicates": [asdict(twin) for twin in found.twins],
    }


def stats(days: Days = DAYS, format: Formats = Format.TEXT, config: Config = None) -> None:
    """Count for every page how often it was suggested, opened, run, verified and taken back."""
    from bot.services.usage import UsageService  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
    figures: dict[str, RunbookFigures] = {}

    async def count() -> None:
        usage = UsageService(app.core.database, app.core.archive)
        figures.update(await usage.figures(_since(days)))

    with_database(app, count)
    if format is Format.JSON:
        rows = [asdict(figure) for figure in figures.values()]
        print(json.dumps({"days": days, "runbooks": rows}, indent=2))
    else:
        _print_stats(figures, sorted(app.core.pages.runbooks), days)


_COLUMNS = (
    "suggested", "opened", "requested", "run", "succeeded", "verified", "rolled_back", "helpful",
    "unhelpful",
)  # fmt: skip


def _print_stats(figures: Mapping[str, RunbookFigures], known: Sequence[str], days: int) -> None:
    """Print a line for each page that was used, and how many never were."""
    width = max((len(id) for id in figures), default=7)
    heads = "  ".join(name.replace("_", " ") for name in _COLUMNS)
    print(f"{'runbook':<{width}}  {heads}  median time")
    for id, figure in figures.items():
        numbers = "  ".join(f"{getattr(figure, name):>{len(name)}}" for name in _COLUMNS)
        print(f"{id:<{width}}  {numbers}  {_time(figure.median_seconds)}")
    silent = [id for id in known if id not in figures]
    print(f"{len(silent)} of {len(known)} pages were not used in {days} days")


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
