"""How pages serve: which alerts came, and what became of every runbook. Nothing is changed here.

Figures are counted from what is never changed: ledger entries for moments, runs'
plans and parents for what belongs together, and rows of use. An entry is matched
to its run by the plan's digest, which stands in its header for ever, so that
figures outlive the erasure of a person.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median

from bot.domain.actions import JSON
from bot.domain.alerts import AlertGroup, Change, GroupId
from bot.domain.entries import ShownEntry, shown
from bot.domain.errors import NotFound
from bot.domain.runs import Run, StepState
from bot.ports import Database, LedgerArchive, RunbookUse, Use

PAGE = 2000  # entries that are read at a time
MOST_RUNS = 100_000
_OPENED = f"alert.{Change.OPENED}"
_STARTED, _SUCCEEDED = "run.started", "run.succeeded"


@dataclass(frozen=True, kw_only=True)
class SeenAlert:
    """An alert of one name in one group, with the labels of each of its instances."""

    name: str
    labels: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunbookFigures:
    """What became of one runbook in a time.

    `suggested`, `opened` and the judgements are rows of use. `run` counts runs
    whose effects began, `verified` those that ended well and proved it by a
    verification. `median_seconds` is from the first effect to the good end.
    """

    runbook: str
    suggested: int = 0
    opened: int = 0
    requested: int = 0
    run: int = 0
    succeeded: int = 0
    verified: int = 0
    rolled_back: int = 0
    helpful: int = 0
    unhelpful: int = 0
    median_seconds: float | None = None


@dataclass
class _Moments:
    """When a run began to change things, and when it ended well."""

    started: datetime | None = None
    succeeded: datetime | None = None


@dataclass
class _Counted:
    """The raw material of one runbook's figures."""

    runs: list[Run] = field(default_factory=list)
    uses: list[RunbookUse] = field(default_factory=list)


class UsageService:
    """Reads how alerts and runbooks met."""

    def __init__(self, database: Database, archive: LedgerArchive) -> None:
        self._database = database
        self._archive = archive

    async def seen(self, since: datetime) -> Sequence[SeenAlert]:
        """Return the alerts of all groups that were opened from a moment on, oldest first.

        Each name counts once for each group. Of a group that is forgotten the
        ledger still has the name.
        """
        opened = [entry async for entry in self._entries(since) if _type(entry) == _OPENED]
        found: list[SeenAlert] = []
        async with self._database.reading() as view:
            for entry in reversed(opened):
                body = entry.body or {}
                try:
                    group = await view.groups.get(GroupId(str(body.get("group", ""))))
                except NotFound:
                    found.append(SeenAlert(name=str(body.get("name", ""))))
                    continue
                found += _by_name(group)
        return found

    async def figures(self, since: datetime) -> Mapping[str, RunbookFigures]:
        """Return the figures of every runbook that was used from a moment on, by id."""
        moments: dict[str, _Moments] = {}
        async for entry in self._entries(since):
            _note(moments, entry)
        async with self._database.reading() as view:
            runs = await view.runs.recent(limit=MOST_RUNS)
            uses = await view.usage.since(since)
        counted: dict[str, _Counted] = {}
        for run in runs:
            if run.created_at >= since:
                counted.setdefault(run.runbook, _Counted()).runs.append(run)
        for use in uses:
            counted.setdefault(use.runbook, _Counted()).uses.append(use)
        return {id: _figures(id, counted[id], moments) for id in sorted(counted)}

    async def _entries(self, since: datetime) -> AsyncIterator[ShownEntry]:
        """Yield the entries from a moment on, newest first, in pages."""
        before: int | None = None
        while True:
            page = await self._archive.entries(before=before, limit=PAGE, newest_first=True)
            for row in page:
                entry = shown(row)
                at = _at(entry.header)
                if at is not None and at < since:
                    return
                yield entry
            if len(page) < PAGE:
                return
            before = page[-1].seq


def _by_name(group: AlertGroup) -> Sequence[SeenAlert]:
    names: dict[str, list[Mapping[str, str]]] = {}
    for alert in group.alerts:
        names.setdefault(alert.name, []).append(alert.labels)
    return [SeenAlert(name=name, labels=tuple(labels)) for name, labels in names.items()]


def _type(entry: ShownEntry) -> str:
    return str(entry.header.get("type", ""))


def _at(header: Mapping[str, JSON]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(header.get("ts", "")))
    except ValueError:
        return None  # a damaged entry; the others still count


def _note(moments: dict[str, _Moments], entry: ShownEntry) -> None:
    """Keep when a plan was begun and when it succeeded, by the plan's digest."""
    digest, at = entry.header.get("plan_digest"), _at(entry.header)
    if not isinstance(digest, str) or at is None:
        return
    if _type(entry) == _STARTED:
        moments.setdefault(digest, _Moments()).started = at
    elif _type(entry) == _SUCCEEDED:
        moments.setdefault(digest, _Moments()).succeeded = at


def _figures(id: str, counted: _Counted, moments: Mapping[str, _Moments]) -> RunbookFigures:
    forward = [run for run in counted.runs if run.parent is None]
    back = [run for run in counted.runs if run.parent is not None]
    of = {run.id: _moments_of(run, moments) for run in counted.runs}
    began = [run for run in forward if of[run.id].started is not None]
    well = [run for run in forward if of[run.id].succeeded is not None]
    judged = _judgements(counted.uses)
    return RunbookFigures(
        runbook=id,
        suggested=_count(counted.uses, Use.SUGGESTED),
        opened=_count(counted.uses, Use.OPENED),
        requested=len(forward),
        run=len(began),
        succeeded=len(well),
        verified=sum(1 for run in well if _verified(run)),
        rolled_back=len({run.parent for run in back if of[run.id].succeeded is not None}),
        helpful=sum(1 for what in judged if what is Use.HELPFUL),
        unhelpful=sum(1 for what in judged if what is Use.UNHELPFUL),
        median_seconds=_median(of[run.id] for run in well),
    )


def _moments_of(run: Run, moments: Mapping[str, _Moments]) -> _Moments:
    nothing = _Moments()
    return moments.get(run.plan.digest, nothing) if run.plan is not None else nothing


def _verified(run: Run) -> bool:
    """Say whether some step proved that it worked, and none of those that should went without."""
    assert run.plan is not None  # noqa: S101  # it succeeded
    proving = {step.id for step in run.plan.steps if step.verify is not None}
    done = {record.id for record in run.records if record.state is StepState.DONE}
    return bool(proving) and proving <= done


def _count(uses: Iterable[RunbookUse], what: Use) -> int:
    return sum(1 for use in uses if use.what is what)


def _judgements(uses: Iterable[RunbookUse]) -> Sequence[Use]:
    """Return the judgements that count: of one person about one subject, the newest."""
    newest: dict[tuple[str | None, str], Use] = {}
    for use in sorted(uses, key=lambda use: use.at):
        if use.what in (Use.HELPFUL, Use.UNHELPFUL):
            newest[use.person, use.subject] = use.what
    return list(newest.values())


def _median(moments: Iterable[_Moments]) -> float | None:
    seconds = [
        (m.succeeded - m.started).total_seconds()
        for m in moments
        if m.started is not None and m.succeeded is not None
    ]
    return median(seconds) if seconds else None
