"""Alerts as use cases: take deliveries in, let people acknowledge and silence."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.domain.alerts import (
    AlertGroup,
    Change,
    GroupId,
    Notification,
    acknowledge,
    merge,
    open_group,
    opens,
    silence,
)
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.errors import Refused
from bot.domain.events import Happening
from bot.domain.findings import Finding
from bot.domain.freezes import Window
from bot.domain.incidents import IncidentId, Milestone, MilestoneKind, reach
from bot.domain.known_errors import with_named
from bot.domain.ledger import Entry
from bot.domain.messages import duration
from bot.domain.people import BOT, Caller, Person
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, Transaction
from bot.services.known_errors import named_cause

LONGEST_SILENCE = timedelta(days=7)
MOST_FIRING = 1_000
# Maintenance may end early by an edit of its calendar, which nobody would tell us.
LOOK_AGAIN = timedelta(minutes=15)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# A ledger entry holds 64 kB, and what plugins and senders write has no end.
CLAIMS_RECORDED = 30
LONGEST_TEXT = 300
LONGEST_REASON = 1_000
_LONGEST_MODELS = 256


class AlertService:
    """Keeps the story of every alert group."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def ingest(
        self, delivery: Delivery, notifications: Sequence[Notification]
    ) -> Sequence[GroupId]:
        """Take a delivery in: raw body, merged groups, timeline and events in one commit.

        Raises:
            AlreadyDone: the same delivery was taken before.
        """
        async with self._database.transaction(once=f"delivery:{delivery.id}") as tx:
            await tx.deliveries.add(delivery)
            return [
                await self._take(tx, notification, delivery.received_at)
                for notification in notifications
            ]

    async def replay(self, delivery: Delivery, notifications: Sequence[Notification]) -> None:
        """Take a quarantined delivery in after all, and mark it as replayed."""
        async with self._database.transaction(once=f"replay:{delivery.id}") as tx:
            await tx.deliveries.mark(delivery.id, DeliveryState.REPLAYED)
            for notification in notifications:
                await self._take(tx, notification, self._clock.now())

    async def quarantine(self, delivery: Delivery, reason: str) -> None:
        """Keep a delivery that cannot be understood, with the reason, for replay."""
        reason = reason[:LONGEST_REASON]
        kept = replace(delivery, state=DeliveryState.QUARANTINED, reason=reason)
        async with self._database.transaction(once=f"delivery:{delivery.id}") as tx:
            await tx.deliveries.add(kept)
            await tx.ledger.append(
                Entry(
                    type="delivery.quarantined",
                    actor=f"plugin:{delivery.source}",
                    at=delivery.received_at,
                    body={"delivery": delivery.id, "reason": reason},
                )
            )

    async def _take(self, tx: Transaction, news: Notification, at: datetime) -> GroupId:
        latest = await tx.groups.latest(news.source, news.group_key)
        if latest is None or opens(news, latest, at):
            group, change = open_group(GroupId(uuid.uuid4().hex), news, at), Change.OPENED
        else:
            group, change = merge(latest, news, at)
        await tx.groups.save(group)
        await tx.outbox.add(_happening(group, change, at))
        if change is not Change.REPEATED:
            await tx.timeline.add(_told(group, change, at))
            await tx.ledger.append(
                Entry(
                    type=f"alert.{change.replace(' ', '_')}",
                    actor=f"plugin:{news.source}",
                    at=at,
                    incident=group.incident,
                    body={
                        "group": group.id,
                        "name": group.name[:LONGEST_TEXT],
                        "firing": len(group.firing),
                    },
                )
            )
        if change is Change.RESOLVED:
            ended, by = group.ended_at or at, f"plugin:{news.source}"
            await _reach(tx, group, MilestoneKind.MITIGATED, at=ended, by=by)
        return group.id

    async def get(self, id: GroupId) -> AlertGroup:
        """Return a group, or raise NotFound."""
        async with self._database.reading() as view:
            return await view.groups.get(id)

    async def firing(self) -> Sequence[AlertGroup]:
        """Return groups that still fire, newest first; of very many only the newest."""
        async with self._database.reading() as view:
            return await view.groups.firing(limit=MOST_FIRING)

    async def acknowledge(self, id: GroupId, *, by: Caller) -> AlertGroup:
        """Let a person take a group.

        Raises:
            Refused: they have it already, or a bot asks.
        """
        if by.person.bot:
            raise Refused("Alerts are acknowledged by people.")
        async with self._database.transaction(once=by.request) as tx:
            group = await tx.groups.get(id)
            taken = acknowledge(group, by, self._clock.now())
            if taken is None:
                raise Refused("You have acknowledged this alert already.")
            await self._touch(
                tx, taken, Change.ACKNOWLEDGED, by=by.person, text="acknowledged the alert"
            )
            await _reach(
                tx, taken, MilestoneKind.ACKNOWLEDGED, at=self._clock.now(), by=by.person.actor
            )
        return taken

    async def silence(
        self, id: GroupId, span: timedelta, *, by: Caller, reason: str = ""
    ) -> AlertGroup:
        """Mute a group for a time: it keeps its card and makes no noise.

        The reason goes on the timeline.

        Raises:
            Refused: the time is not positive or too long.
        """
        if not timedelta() < span <= LONGEST_SILENCE:
            raise Refused("A silence lasts more than nothing and at most 7 days.")
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            group = silence(await tx.groups.get(id), by=by, at=now, until=now + span)
            text = f"silenced the alert for {duration(span.total_seconds())}"
            text = f"{text}: {reason}" if reason else text
            await self._touch(tx, group, Change.SILENCED, by=by.person, text=text)
        return group

    async def end_silences(self) -> int:
        """Let groups whose silence has run out be heard again; return how many there were.

        Nothing else would tell: the sender repeats itself hours later.
        """
        return sum([await self._end_silence(group.id) for group in await self.firing()])

    async def _end_silence(self, id: GroupId) -> bool:
        now = self._clock.now()
        if not _run_out(await self.get(id), now):
            return False
        async with self._database.transaction() as tx:
            group = await tx.groups.get(id)
            if not _run_out(group, now):
                return False
            heard = replace(group, silenced_until=None, silenced_by=None, version=group.version + 1)
            text = "ended the silence, since its time was over"
            await self._touch(tx, heard, Change.UNSILENCED, by=BOT, text=text)
        return True

    async def mute(self, id: GroupId, window: Window) -> None:
        """Record that maintenance mutes a group, once per window, and have it looked at again.

        The look is an event that is due when the window ends, or every quarter of
        an hour until then, since calendars are edited. It says no news, so that
        only the card cares. A window whose times were changed is another one.
        """
        now = self._clock.now()
        due = min(window.ends_at, now + LOOK_AGAIN - (now - _EPOCH) % LOOK_AGAIN)
        async with self._database.transaction() as tx:
            group = await tx.groups.get(id)
            if await tx.timeline.add(_muted(group, window, now)):
                await tx.ledger.append(_muting(group, window, now))
            if await tx.slots.take(f"unmute:{id}", due.isoformat()):
                await tx.outbox.add(_happening(group, Change.REPEATED, due))

    async def assess(self, id: GroupId, findings: Sequence[Finding]) -> AlertGroup:
        """Keep what the assistant claims about a group, on the record.

        The cause that people named is taken from the records: they may have
        named another one, or taken it back, since the assistant was asked.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            group = await tx.groups.get(id)
            findings = with_named(findings, await named_cause(tx, group.incident))
            if group.findings == findings:
                return group
            claims = [f.claim[:LONGEST_TEXT] for f in findings[:CLAIMS_RECORDED]]
            models = ", ".join(sorted({f.model for f in findings if f.model}))
            group = replace(group, findings=findings)
            await tx.groups.save(group)
            await tx.ledger.append(
                Entry(
                    type="finding.made",
                    actor="bot",
                    at=now,
                    incident=group.incident,
                    model_version=models[:_LONGEST_MODELS] or None,
                    body={"group": id, "claims": claims, "made": len(findings)},
                )
            )
        return group

    async def _touch(
        self, tx: Transaction, group: AlertGroup, change: Change, *, by: Person, text: str
    ) -> None:
        now = self._clock.now()
        await tx.groups.save(group)
        await tx.timeline.add(
            TimelineEntry(
                subject=group.id,
                at=now,
                kind=TimelineKind.ALERT,
                text=text,
                actor=by.actor,
                actor_name=by.name,
            )
        )
        await tx.ledger.append(
            Entry(
                type=f"alert.{change}",
                actor=by.actor,
                at=now,
                incident=group.incident,
                body={"group": group.id, "name": group.name[:LONGEST_TEXT]},
            )
        )
        await tx.outbox.add(_happening(group, change, now))


async def _reach(
    tx: Transaction, group: AlertGroup, kind: MilestoneKind, *, at: datetime, by: str
) -> None:
    """Record a milestone of the group's incident that its alerts show.

    An incident is mitigated when none of its alerts fires any more.
    """
    if group.incident is None:
        return
    before = await tx.incidents.get(IncidentId(group.incident))
    others = [await tx.groups.get(GroupId(id)) for id in before.groups if id != group.id]
    if kind is MilestoneKind.MITIGATED and any(other.firing for other in others):
        return
    incident = reach(before, Milestone(kind=kind, at=at, by=by))
    if incident is before:
        return
    await tx.incidents.save(incident)
    await tx.outbox.add(Happening(kind="incident", subject=incident.id, change=kind.value, at=at))


def _run_out(group: AlertGroup, at: datetime) -> bool:
    return group.silenced_until is not None and group.silenced_until <= at


def _happening(group: AlertGroup, change: Change, at: datetime) -> Happening:
    return Happening(kind="alert", subject=group.id, change=change, at=at)


def _muted(group: AlertGroup, window: Window, at: datetime) -> TimelineEntry:
    ends = window.ends_at.astimezone(UTC)
    return TimelineEntry(
        subject=group.id,
        at=at,
        kind=TimelineKind.ALERT,
        text=f'{group.name} is muted by the maintenance "{window.title}" until '
        f"{ends:%Y-%m-%d %H:%M} UTC",
        origin=f"mute:{window.starts_at.isoformat()}:{ends.isoformat()}:{window.source}",
    )


def _muting(group: AlertGroup, window: Window, at: datetime) -> Entry:
    return Entry(
        type="alert.muted",
        actor="bot",
        at=at,
        incident=group.incident,
        body={
            "group": group.id,
            "name": group.name[:LONGEST_TEXT],
            "window": window.title[:LONGEST_TEXT],
            "source": window.source,
            "starts_at": window.starts_at.isoformat(),
            "ends_at": window.ends_at.isoformat(),
        },
    )


def _told(group: AlertGroup, change: Change, at: datetime) -> TimelineEntry:
    """Word a change for people, at the time the source gives for it."""
    when, text = at, f"{group.name}: {len(group.firing)} firing"
    if change is Change.OPENED and group.firing:
        text = f"{group.name} started firing"
        when = min(group.starts_at, at)
    if change is Change.RESOLVED or not group.firing:
        text = f"{group.name} resolved"
        ends = [a.ends_at for a in group.alerts if a.ends_at is not None]
        when = min(max(ends), at) if ends else at
    return TimelineEntry(subject=group.id, at=when, kind=TimelineKind.ALERT, text=text)
