"""Breaking the glass and standing authorisations as use cases.

Nobody is paged from here: what happened is told through the outbox, at least
once, and the plugin that hears of a broken glass pages the security contact.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from bot.domain import emergencies as rules
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.errors import NotFound, Refused
from bot.domain.events import Happening
from bot.domain.incidents import Incident, IncidentId
from bot.domain.ledger import Entry
from bot.domain.people import Caller, Person, PersonId, Standing
from bot.domain.runbooks import Runbook
from bot.domain.runs import RunId
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, Transaction

NO_SERVICE = "-"


class EmergencyService:
    """Keeps broken glasses with their reviews, and standing authorisations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # Breaking the glass.

    async def break_glass(
        self,
        runbook: str,
        service: str | None,
        *,
        incident: IncidentId,
        typed: str,
        reason: str,
        by: Caller,
    ) -> BreakGlass:
        """Break the glass for one run of a runbook on a service, for fifteen minutes.

        How grave the incident is, and whether an earlier review is overdue, is
        read in the same transaction. No service is None, or `-` as people type it.

        Raises:
            Refused: something else was typed, the incident is over or not grave,
                the reason is too short, a review is overdue, or they may not.
        """
        service = "" if service in (None, NO_SERVICE) else service
        rules.check_typed(typed, runbook=runbook, service=service)
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            found = await tx.incidents.get(incident)
            if not found.status.open:
                raise Refused(f"{incident} is {found.status}; there is no emergency any more.")
            glass = rules.break_glass(
                uuid.uuid4().hex[:12],
                person=by.person,
                incident=incident,
                severity=found.severity,
                runbook=runbook,
                service=service or "",
                reason=reason,
                at=now,
                earlier=await _glasses_of(tx, by.person),
            )
            await _on_timeline(tx, found, glass)
            await _keep_glass(tx, glass, "broken", by=by.person, at=now, why=glass.reason)
        return glass

    async def usable(
        self, tx: Transaction, *, runbook: str, service: str | None, by: Person, at: datetime
    ) -> BreakGlass | None:
        """Return the broken glass that stands in for approvals now: what expires first."""
        fitting = [
            glass
            for glass in (await tx.glasses.all()).values()
            if glass.usable(runbook=runbook, service=service, by=by, at=at)
        ]
        return min(fitting, key=lambda glass: (glass.expires_at, glass.id), default=None)

    async def use(self, tx: Transaction, id: str, *, run: str, at: datetime) -> BreakGlass:
        """Use a broken glass up for one run, in the transaction that begins the run.

        It is held against the run as it is stored: its runbook, its service, and
        who asked for it.

        Raises:
            Refused: it was used or has expired meanwhile, or is for something else.
        """
        glass, asked = await _glass(tx, id), await tx.runs.get(RunId(run))
        used = rules.use(
            glass,
            run=run,
            runbook=asked.runbook,
            service=asked.service,
            by=asked.requester,
            at=at,
        )
        await _keep_glass(tx, used, "used", by=asked.requester, at=at, why=used.reason)
        return used

    async def review(self, id: str, *, note: str, by: Caller) -> BreakGlass:
        """Look back at a broken glass, when its run is over; somebody else has to.

        Raises:
            Refused: there is nothing to look back at yet, it was reviewed, or
                they may not.
        """
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            glass = await _glass(tx, id)
            if glass.run and not (await tx.runs.get(RunId(glass.run))).state.over:
                raise Refused("Its run is still under way; review it when it is over.")
            reviewed = rules.review(glass, by=by.person, note=note, at=now)
            await _keep_glass(tx, reviewed, "reviewed", by=by.person, at=now, why=reviewed.review)
        return reviewed

    async def open_reviews(self, at: datetime) -> Sequence[BreakGlass]:
        """Return what nobody has reviewed yet: the overdue ones first, then what is due first."""
        waiting = [glass for glass in await self.all() if not glass.reviewed]
        return sorted(waiting, key=lambda g: (not g.overdue(at), g.review_by, g.at, g.id))

    async def all(self) -> Sequence[BreakGlass]:
        """Return every broken glass, newest first."""
        async with self._database.reading() as view:
            glasses = await view.glasses.all()
        return sorted(glasses.values(), key=lambda g: (g.at, g.id), reverse=True)

    # Standing authorisations.

    async def authorise(
        self,
        runbook: Runbook,
        service: str | None,
        *,
        days: int,
        reason: str,
        by: Caller,
        standing: Standing,
        team: str | None,
    ) -> PreAuthorisation:
        """Propose a standing authorisation; it is in force once a second person gives it.

        `team` owns the service. How risky the runbook's steps may be is policy's
        to say, each time it is run.

        Raises:
            Refused: they may not, the time is too long, or the reason too short.
        """
        now = self._clock.now()
        proposal = rules.propose(
            uuid.uuid4().hex[:12],
            runbook=runbook,
            service=service,
            team=team,
            days=days,
            reason=reason,
            by=standing,
            at=now,
        )
        async with self._database.transaction(once=by.request) as tx:
            await _keep_authorisation(tx, proposal, "proposed", by=standing.person, at=now)
        return proposal

    async def confirm(
        self, id: str, *, by: Caller, standing: Standing, editors: Collection[PersonId]
    ) -> PreAuthorisation:
        """Give what somebody else proposed, which puts it into force.

        `editors` wrote the page last or vouched for it (`PeopleService.editors`).

        Raises:
            Refused: they may not, or it does not wait any more.
        """
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            proposal = await _authorisation(tx, id)
            given = rules.confirm(proposal, editors=editors, by=standing, at=now)
            await _keep_authorisation(tx, given, "given", by=standing.person, at=now)
        return given

    async def revoke(self, id: str, *, by: Caller) -> PreAuthorisation:
        """End a standing authorisation, or a proposal, before its time; any full member may.

        Raises:
            Refused: they may not, or it has ended already.
        """
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            revoked = rules.revoke(await _authorisation(tx, id), by=by.person, at=now)
            await _keep_authorisation(tx, revoked, "revoked", by=by.person, at=now)
        return revoked

    async def covering(
        self, tx: Transaction, *, runbook_digest: str, service: str | None, at: datetime
    ) -> PreAuthorisation | None:
        """Return the authorisation that makes a run of this page a standard change now."""
        fitting = [
            standing
            for standing in (await tx.authorisations.all()).values()
            if standing.covers(runbook_digest=runbook_digest, service=service, at=at)
        ]
        return max(fitting, key=lambda a: (a.expires_at, a.id), default=None)

    async def authorisations(self) -> Sequence[PreAuthorisation]:
        """Return every authorisation and proposal, newest first."""
        async with self._database.reading() as view:
            found = await view.authorisations.all()
        return sorted(found.values(), key=lambda a: (a.at, a.id), reverse=True)


async def _glass(tx: Transaction, id: str) -> BreakGlass:
    glass = await tx.glasses.get(id)
    if glass is None:
        raise NotFound("This broken glass is not known.")
    return glass


async def _authorisation(tx: Transaction, id: str) -> PreAuthorisation:
    found = await tx.authorisations.get(id)
    if found is None:
        raise NotFound("This authorisation is not known.")
    return found


async def _glasses_of(tx: Transaction, person: Person) -> Sequence[BreakGlass]:
    """Return what one human being has broken, by whichever of their accounts."""
    glasses = (await tx.glasses.all()).values()
    return [glass for glass in glasses if glass.person.human == person.human]


async def _keep_glass(
    tx: Transaction, glass: BreakGlass, change: str, *, by: Person, at: datetime, why: str
) -> None:
    await tx.glasses.save(glass.id, glass)
    await tx.ledger.append(
        Entry(
            type=f"glass.{change}",
            actor=by.actor,
            at=at,
            incident=glass.incident,
            idem_key=glass.id,
            body={
                "runbook": glass.runbook,
                "service": glass.service,
                "reason": why,
                **({"run": glass.run} if glass.run else {}),
            },
        )
    )
    subject = f"glass:{glass.id}"
    await tx.outbox.add(Happening(kind="governance", subject=subject, change=change, at=at))


async def _on_timeline(tx: Transaction, incident: Incident, glass: BreakGlass) -> None:
    target = rules.target_of(glass.runbook, glass.service)
    await tx.timeline.add(
        TimelineEntry(
            subject=incident.id,
            at=glass.at,
            kind=TimelineKind.APPROVAL,
            text=f"broke the glass for {target}: {glass.reason}",
            actor=glass.person.actor,
            actor_name=glass.person.name,
        )
    )


async def _keep_authorisation(
    tx: Transaction, authorisation: PreAuthorisation, change: str, *, by: Person, at: datetime
) -> None:
    """Store it and tell of it; what was given names the one who proposed it, too."""
    proposer = authorisation.proposed_by.actor if change == "given" else None
    await tx.authorisations.save(authorisation.id, authorisation)
    await tx.ledger.append(
        Entry(
            type=f"authorisation.{change}",
            actor=by.actor,
            at=at,
            on_behalf_of=proposer,
            idem_key=authorisation.id,
            body={
                "runbook": authorisation.runbook,
                "runbook_digest": authorisation.runbook_digest,
                "service": authorisation.service,
                "reason": authorisation.reason,
                "expires_at": authorisation.expires_at.isoformat(),
            },
        )
    )
    subject = f"authorisation:{authorisation.id}"
    await tx.outbox.add(Happening(kind="governance", subject=subject, change=change, at=at))
