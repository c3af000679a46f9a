"""What the rules find in a log of the real gate, and the places in it that a test changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.domain.canonical import canonical
from bot.domain.freezes import Window, WindowKind, Windows
from bot.ledger.findings import Finding
from bot.ledger.histories import Told
from bot.ledger.rules import Judge, Source
from tests.fakes import NOON
from tests.ledger.honest import HonestWorld

Log = list[Any]


def plain(entry: Any) -> Any:
    return {"header": json.loads(entry.leaf), "body": json.loads(entry.body or b"null")}


async def log_of(world: HonestWorld) -> Log:
    return [plain(entry) for entry in await world.database.archive.entries()]


def told(log: Log) -> list[Told]:
    return [Told(index=i, header=each["header"], body=each["body"]) for i, each in enumerate(log)]


def judged(log: Log, *, whole: bool = True, **options: Any) -> Sequence[Finding]:
    """Return what the rules find; the records' files are those of the log."""
    decisions = {
        each["header"]["decision_id"]: canonical(each["body"]["decision"])
        for each in log
        if each["header"]["type"] == "policy.decided" and each["body"]
    }
    judge = Judge(Source(whole=whole, decisions=decisions, **options))
    found = [finding for entry in told(log) for finding in judge.take(entry)]
    return [*found, *judge.end()]


def index(log: Log, type: str, which: int = 0) -> int:
    return [i for i, e in enumerate(log) if e["header"]["type"] == type][which]


def of(log: Log, type: str, which: int = 0) -> Any:
    return log[index(log, type, which)]


def record(log: Log) -> Any:
    """Return the record of the decision that allowed the effect."""
    wanted = of(log, "action.intent")["header"]["decision_id"]
    [found] = [
        e["body"]["decision"]
        for e in log
        if e["header"]["type"] == "policy.decided" and e["header"]["decision_id"] == wanted
    ]
    return found


def intent(log: Log) -> Any:
    return of(log, "action.intent")


def drop(type: str, which: int = 0) -> Callable[[Log], None]:
    def change(log: Log) -> None:
        del log[index(log, type, which)]

    return change


def calendars(title: str, *services: str) -> dict[str, Any]:
    def at(_files: Any, moment: datetime) -> Windows:
        window = Window(
            kind=WindowKind.FREEZE,
            title=title,
            starts_at=NOON - timedelta(hours=1),
            ends_at=NOON + timedelta(hours=1),
            services=frozenset(services),
            source="team.ics",
        )
        return Windows(active=(window,) if window.during(moment) else ())

    return {"calendars": {"calendars": {}}, "calendars_at": at}
