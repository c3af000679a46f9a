"""Incidents as use cases: declare, claim a role, move on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.alerts import AlertGroup, Change, GroupId, Severity
from bot.domain.errors import Refused
from bot.domain.events import Happening
from bot.domain.incidents import (
    Incident,
    IncidentId,
    IncidentStatus,
    Milestone,
    MilestoneKind,
    check_title,
    claim,
    move,
    reach,
    respond,
)
from bot.domain.ledger import Entry
from bot.domain.people import Caller, ChannelId, Person, Role
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, Transaction


class IncidentService:
    """Keeps incidents; every change is on the timeline and in the ledger."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, id: IncidentId) -> Incident:
        """Return an incident, or raise NotFound."""
        async with self._database.reading() as view:
            return await view.incidents.get(id)

    async def of_channel(self, channel: ChannelId) -> Incident | None:
        """Return the incident whose war room a channel is."""
        async with self._database.reading() as view:
            return await view.incidents.of_channel(channel)

    async def open(self) -> Sequence[Incident]:
        """Return incidents people still work on, newest first."""
        async with self._database.reading() as view:
            return await view.incidents.open()

    async def ended(self, *, below: int | None = None, limit: int = 200) -> Sequence[Incident]:
        """Return a page of the incidents that are over, newest first.

        The next page is that below the last number of this one; a page that is
        shorter than its limit is the last. Each is read by itself, so that
        whoever reads them all holds up nobody.
        """
        async with self._database.reading() as view:
            return await view.incidents.ended(below=below, limit=limit)

    async def declare(
        self,
        title: str,
        severity: Severity,
        *,
        service: str,
        by: Caller,
        group: GroupId | None = None,
        responders: Sequence[Person] = (),
    ) -> Incident:
        """Declare an incident, from an alert group or by hand.

        Raises:
            Refused: the title is unusable, or the group has an incident already.
        """
        clean, now = check_title(title), self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            alerts = await tx.groups.get(group) if group else None
            if alerts is not None and alerts.incident is not None:
                raise Refused(f"This alert belongs to {alerts.incident} already.")
            incident = _declared(
                await tx.incidents.next_number(),
                clean,
                severity=severity,
                service=service,
                by=by.person,
                at=now,
            )
            incident = _attach(incident, alerts)
            for person in (by.person, *responders):
                incident = respond(incident, person)
            if alerts is not None:
                await _link(tx, alerts, incident, now)
            text = f"declared {incident.id}: {clean} ({severity})"
            await self._store(tx, incident, "declared", by=by.person, text=text)
        return incident

    async def open_room(self, id: IncidentId, channel: ChannelId) -> Incident:
        """Remember the channel people work in."""
        async with self._database.transaction() as tx:
            incident = replace(await tx.incidents.get(id), channel=channel)
            await tx.incidents.save(incident)
        return incident

    async def claim_role(self, id: IncidentId, role: Role, *, by: Caller) -> Incident:
        """Give a role to the person who asks.

        Raises:
            Refused: the incident is over, or they hold it already.
        """
        async with self._database.transaction(once=by.request) as tx:
            incident = claim(await tx.incidents.get(id), role, by.person)
            text = f"took the role {role.title.lower()}"
            await self._store(
                tx, incident, "role claimed", by=by.person, text=text, kind=TimelineKind.ROLE
            )
        return incident

    async def move(self, id: IncidentId, status: IncidentStatus, *, by: Caller) -> Incident:
        """Move an incident to a status.

        Raises:
            Refused: there is no way from here to there.
        """
        async with self._database.transaction(once=by.request) as tx:
            incident = move(
                await tx.incidents.get(id), status, by=by.person.actor, at=self._clock.now()
            )
            await self._store(
                tx, incident, status.value, by=by.person, text=f"set the status to {status}"
            )
        return incident

    async def rate(self, id: IncidentId, severity: Severity, *, by: Caller) -> Incident:
        """Change how serious an incident is.

        Raises:
            Refused: it has that severity already.
        """
        async with self._database.transaction(once=by.request) as tx:
            before = await tx.incidents.get(id)
            if before.severity is severity:
                raise Refused(f"{id} is {severity} already.")
            incident = replace(before, severity=severity)
            text = f"changed the severity: {before.severity} → {severity}"
            await self._store(tx, incident, "severity changed", by=by.person, text=text)
        return incident

    async def join(self, id: IncidentId, person: Person) -> Incident:
        """Count a person who joined the war room among the responders."""
        async with self._database.transaction() as tx:
            before = await tx.incidents.get(id)
            incident = respond(before, person)
            if incident is not before:
                await tx.incidents.save(incident)
                await tx.outbox.add(_happening(incident, "joined", self._clock.now()))
        return incident

    async def _store(
        self,
        tx: Transaction,
        incident: Incident,
        change: str,
        *,
        by: Person,
        text: str,
        kind: TimelineKind = TimelineKind.INCIDENT,
    ) -> None:
        now = self._clock.now()
        await tx.incidents.save(incident)
        await tx.timeline.add(
            TimelineEntry(
                subject=incident.id,
                at=now,
                kind=kind,
                text=text,
                actor=by.actor,
                actor_name=by.name,
            )
        )
        await tx.ledger.append(
            Entry(
                type=f"incident.{change.replace(' ', '_')}",
                actor=by.actor,
                at=now,
                incident=incident.id,
                body={"text": text},
            )
        )
        await tx.outbox.add(_happening(incident, change, now))


def _happening(incident: Incident, change: str, at: datetime) -> Happening:
    return Happening(kind="incident", subject=incident.id, change=change, at=at)


def _declared(
    number: int, title: str, *, severity: Severity, service: str, by: Person, at: datetime
) -> Incident:
    declared = Milestone(kind=MilestoneKind.DECLARED, at=at, by=by.actor)
    return Incident(
        id=IncidentId(f"INC-{number}"),
        number=number,
        title=title,
        severity=severity,
        status=IncidentStatus.INVESTIGATING,
        service=service,
        declared_by=by,
        declared_at=at,
        milestones=(declared,),
    )


def _attach(incident: Incident, group: AlertGroup | None) -> Incident:
    """Take over what the alerts already tell: start, detection, acknowledgement."""
    if group is None:
        at = incident.declared_at
        return reach(incident, Milestone(kind=MilestoneKind.DETECTED, at=at, by="system"))
    source = f"plugin:{group.source}"
    started = Milestone(
        kind=MilestoneKind.STARTED, at=min(group.starts_at, group.first_seen), by=source
    )
    detected = Milestone(kind=MilestoneKind.DETECTED, at=group.first_seen, by=source)
    incident = reach(reach(incident, started), detected)
    if group.acknowledged_by is not None and group.acknowledged_at is not None:
        taken = Milestone(
            kind=MilestoneKind.ACKNOWLEDGED,
            at=group.acknowledged_at,
            by=group.acknowledged_by.actor,
        )
        incident = reach(incident, taken)
    return replace(incident, groups=(*incident.groups, group.id))


async def _link(tx: Transaction, group: AlertGroup, incident: Incident, at: datetime) -> None:
    await tx.groups.save(replace(group, incident=incident.id, version=group.version + 1))
    await tx.outbox.add(Happening(kind="alert", subject=group.id, change=Change.DECLARED, at=at))
