"""The timeline as a use case: notes people make and what the record shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.alerts import GroupId
from bot.domain.errors import Refused
from bot.domain.incidents import Incident, IncidentId
from bot.domain.ledger import Entry
from bot.domain.people import BOT, Caller, Person
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, Transaction

NOTE_LENGTH = 2000


class TimelineService:
    """Records what people note, pin and do around an incident."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def note(self, incident: IncidentId, text: str, *, by: Caller) -> TimelineEntry:
        """Record a note as of now.

        Raises:
            Refused: the note is empty.
        """
        clean = _shortened(text.strip())
        if not clean:
            raise Refused("A note needs some text.")
        now = self._clock.now()
        entry = _entry(incident, TimelineKind.NOTE, text=clean, person=by.person, at=now)
        async with self._database.transaction(once=by.request) as tx:
            await tx.incidents.get(incident)
            await _record(tx, entry, at=now)
        return entry

    async def observe(
        self,
        incident: Incident,
        kind: TimelineKind,
        *,
        text: str,
        person: Person,
        at: datetime,
        origin: str,
    ) -> bool:
        """Record what someone did, with its original time; say False for a repetition."""
        entry = _entry(
            incident.id, kind, text=_shortened(text), person=person, at=at, origin=origin
        )
        async with self._database.transaction() as tx:
            return await _record(tx, entry, at=self._clock.now())

    async def remark(self, group: GroupId, text: str, *, origin: str) -> bool:
        """Record something of ours about an alert group; say False for a repetition."""
        now = self._clock.now()
        entry = TimelineEntry(
            subject=group,
            at=now,
            kind=TimelineKind.FINDING,
            text=_shortened(text),
            actor=BOT.actor,
            actor_name=BOT.name,
            origin=origin,
        )
        async with self._database.transaction() as tx:
            return await _record(tx, entry, at=now)

    async def of(self, incident: Incident) -> Sequence[TimelineEntry]:
        """Return the whole story: the incident's own entries and its alert groups'."""
        async with self._database.reading() as view:
            return await view.timeline.of([incident.id, *incident.groups])

    async def about(self, subject: str) -> Sequence[TimelineEntry]:
        """Return the entries of one subject alone, an alert group's for instance."""
        async with self._database.reading() as view:
            return await view.timeline.of([subject])


def _shortened(text: str) -> str:
    """Cut a text visibly, so that nobody takes a part of it for the whole."""
    return text if len(text) <= NOTE_LENGTH else f"{text[: NOTE_LENGTH - 1]}…"


def _entry(
    incident: IncidentId,
    kind: TimelineKind,
    *,
    text: str,
    person: Person,
    at: datetime,
    origin: str = "",
) -> TimelineEntry:
    return TimelineEntry(
        subject=incident,
        at=at,
        kind=kind,
        text=text,
        actor=person.actor,
        actor_name=person.name,
        origin=origin,
    )


async def _record(tx: Transaction, entry: TimelineEntry, *, at: datetime) -> bool:
    if not await tx.timeline.add(entry):
        return False
    await tx.ledger.append(
        Entry(
            type=f"timeline.{entry.kind}",
            actor=entry.actor,
            at=at,
            incident=entry.subject if entry.subject.startswith("INC-") else None,
            body={"text": entry.text, "happened_at": entry.at.isoformat()},
        )
    )
    return True
