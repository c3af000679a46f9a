"""Incidents with their milestones, timeline entries and post-mortems."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlmodel import col

from bot.domain.errors import NotFound
from bot.domain.incidents import Incident, IncidentId, Milestone, MilestoneKind
from bot.domain.people import ChannelId
from bot.domain.postmortems import Postmortem
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import IncidentRow, MilestoneRow, PostmortemRow, TimelineRow
from bot.storage.upserts import Upsert

_incidents = Codec(Incident)
_postmortems = Codec(Postmortem)

_SAVE = Prepared(Upsert(IncidentRow, key=("id",), update=("channel", "is_open", "data")))
_ADD_MILESTONE = Prepared(Upsert(MilestoneRow))
_MILESTONES = Prepared(
    select(col(MilestoneRow.kind), col(MilestoneRow.at), col(MilestoneRow.by))
    .where(col(MilestoneRow.incident) == bindparam("of"))
    .order_by(col(MilestoneRow.at))
)
_REACHED = select(
    col(MilestoneRow.incident), col(MilestoneRow.kind), col(MilestoneRow.at), col(MilestoneRow.by)
).order_by(col(MilestoneRow.at))


class StoredIncidents:
    """Incidents; their milestones are rows of their own that are only ever added."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, id: IncidentId) -> Incident:
        """Return an incident, or raise NotFound."""
        row = await self._rows.one(select(col(IncidentRow.data)).where(col(IncidentRow.id) == id))
        if row is None:
            raise NotFound(f"There is no incident {id[:40]}.")
        return await self._whole(row.data)

    async def of_channel(self, channel: ChannelId) -> Incident | None:
        """Return the incident whose war room a channel is."""
        row = await self._rows.one(
            select(col(IncidentRow.data)).where(col(IncidentRow.channel) == channel)
        )
        return await self._whole(row.data) if row else None

    async def next_number(self) -> int:
        """Return the next free number; used and stored within one transaction."""
        row = await self._rows.one(select(func.max(col(IncidentRow.number)).label("highest")))
        return (row.highest or 0) + 1 if row else 1

    async def save(self, incident: Incident) -> None:
        """Add an incident or replace it; milestones are only ever added."""
        bare = replace(incident, milestones=())
        await self._rows.execute(
            _SAVE,
            {
                "id": incident.id,
                "number": incident.number,
                "channel": incident.channel,
                "is_open": incident.status.open,
                "data": _incidents.dump(bare),
            },
        )
        for milestone in incident.milestones:
            await self._rows.execute(
                _ADD_MILESTONE,
                {
                    "incident": incident.id,
                    "kind": milestone.kind.value,
                    "at": milestone.at,
                    "by": milestone.by,
                },
            )

    async def open(self) -> Sequence[Incident]:
        """Return incidents people still work on, newest first."""
        return await self._many(select(col(IncidentRow.data)).where(col(IncidentRow.is_open)))

    async def recent(self, limit: int = 100) -> Sequence[Incident]:
        """Return the newest incidents."""
        return await self._many(select(col(IncidentRow.data)).limit(limit))

    async def ended(self, *, below: int | None = None, limit: int = 200) -> Sequence[Incident]:
        """Return a page of the incidents that are over, newest first."""
        statement = select(col(IncidentRow.data)).where(col(IncidentRow.is_open).is_(False))
        if below is not None:
            statement = statement.where(col(IncidentRow.number) < below)
        return await self._many(statement.limit(limit))

    async def _many(self, statement: Any) -> Sequence[Incident]:
        rows = await self._rows.all(statement.order_by(col(IncidentRow.number).desc()))
        bare = [_incidents.load(row.data) for row in rows]
        reached = await self._reached([incident.id for incident in bare])
        return [replace(one, milestones=tuple(reached.get(one.id, ()))) for one in bare]

    async def _reached(self, ids: Collection[IncidentId]) -> Mapping[str, Sequence[Milestone]]:
        """Return the milestones of some incidents by one statement, in their order."""
        reached: dict[str, list[Milestone]] = {}
        if ids:
            for row in await self._rows.all(_REACHED.where(col(MilestoneRow.incident).in_(ids))):
                reached.setdefault(row.incident, []).append(_milestone(row))
        return reached

    async def _whole(self, data: str) -> Incident:
        incident = _incidents.load(data)
        rows = await self._rows.all(_MILESTONES, {"of": incident.id})
        return replace(
            incident,
            milestones=tuple(map(_milestone, rows)),
        )


def _milestone(row: Any) -> Milestone:
    return Milestone(kind=MilestoneKind(row.kind), at=row.at, by=row.by)


class StoredTimelines:
    """Timeline entries."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, entry: TimelineEntry) -> bool:
        """Record an entry; say False where its origin is recorded already."""
        result = await self._rows.execute(
            _ADD_ENTRY,
            {
                "subject": entry.subject,
                "at": entry.at,
                "kind": entry.kind.value,
                "text": entry.text,
                "actor": entry.actor,
                "actor_name": entry.actor_name,
                "origin": entry.origin or None,
            },
        )
        return result.rowcount == 1

    async def of(self, subjects: Collection[str]) -> Sequence[TimelineEntry]:
        """Return the entries of some subjects in the order in which things happened."""
        rows = await self._rows.all(
            select(*_TIMELINE)
            .where(col(TimelineRow.subject).in_(subjects))
            .order_by(col(TimelineRow.at), col(TimelineRow.id))
        )
        return [
            TimelineEntry(
                subject=row.subject,
                at=row.at,
                kind=TimelineKind(row.kind),
                text=row.text,
                actor=row.actor,
                actor_name=row.actor_name,
                origin=row.origin or "",
            )
            for row in rows
        ]


_ADD_ENTRY = Prepared(Upsert(TimelineRow))
_TIMELINE = tuple(TimelineRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel


class StoredPostmortems:
    """Post-mortem drafts, the newest of each incident."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, incident: IncidentId) -> Postmortem | None:
        """Return an incident's newest draft."""
        row = await self._rows.one(
            select(col(PostmortemRow.data)).where(col(PostmortemRow.incident) == incident)
        )
        return _postmortems.load(row.data) if row else None

    async def save(self, postmortem: Postmortem) -> None:
        """Keep a draft."""
        await self._rows.execute(
            Prepared(Upsert(PostmortemRow, key=("incident",), update=("drafted_at", "data"))),
            {
                "incident": postmortem.incident,
                "drafted_at": postmortem.drafted_at,
                "data": _postmortems.dump(postmortem),
            },
        )
