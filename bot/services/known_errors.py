"""Known errors as use cases: name a cause, link incidents to it, extend it, call it fixed.

Every change is one transaction: the record, the incident's timeline, the ledger
and what cards have to show. Whether something like it is known already is asked
before, of the search and outside of any transaction; here only the title has to
be free, so that two people who propose the same at once make one known error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain import known_errors as rules
from bot.domain.actions import JSON
from bot.domain.alerts import Change, GroupId
from bot.domain.errors import NotFound, Refused
from bot.domain.events import Happening
from bot.domain.findings import Finding
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.known_errors import Account, KnownError, Struck, TitleTaken, described, same_title
from bot.domain.ledger import Entry
from bot.domain.people import Caller, Person, check_member
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, Transaction

NAMING = "say what the cause was"  # what only full members do


class KnownErrorService:
    """Keeps known errors and their links to incidents.

    Only full members of the workspace name causes, whatever the request: every
    change of this service refuses anybody else.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, id: str) -> KnownError:
        """Return a known error, or raise NotFound."""
        async with self._database.reading() as view:
            return await _known(view, id)

    async def all(self) -> Sequence[KnownError]:
        """Return every known error, the first one first."""
        async with self._database.reading() as view:
            return await _all(view)

    async def of(self, incident: IncidentId) -> Sequence[KnownError]:
        """Return the known errors an incident is linked to."""
        return [known for known in await self.all() if incident in known.incidents]

    async def struck(self) -> Sequence[Struck]:
        """Return how often each known error struck, the one that struck last first."""
        async with self._database.reading() as view:
            found = [await _struck(view, known) for known in await _all(view)]
        return sorted(found, key=lambda s: (s.last or s.known.at, s.known.number), reverse=True)

    async def incidents(self, id: str) -> Sequence[Incident]:
        """Return the incidents of a known error that are on record, newest first."""
        async with self._database.reading() as view:
            known = await _known(view, id)
            found = [await _incident(view, incident) for incident in known.incidents]
        return sorted(filter(None, found), key=lambda i: i.number, reverse=True)

    async def propose(
        self,
        title: str,
        cause: str,
        workaround: str,
        *,
        services: Sequence[str] = (),
        incident: IncidentId,
        by: Caller,
    ) -> KnownError:
        """Name a new cause, and link the incident it struck in.

        Raises:
            Unusable: a field is empty or too long, or the title is taken.
            NotFound: there is no such incident.
            AlreadyDone: the same request was handled before.
        """
        account, now = described(title, cause, workaround), self._clock.now()
        check_member(by.person, does=NAMING)
        async with self._database.transaction(once=by.request) as tx:
            struck = await tx.incidents.get(incident)
            known = await _add(tx, account, services=services, by=by.person, at=now)
            known = rules.link(known, struck)
            known = replace(known, version=1)
            await self._keep(tx, known, struck, change="proposed", by=by.person)
        return known

    async def link(self, id: str, incident: IncidentId, *, by: Caller) -> KnownError:
        """Link an incident: the same cause again. Linking twice is one link.

        Raises:
            NotFound: there is no such known error or incident.
            AlreadyDone: the same request was handled before.
        """
        return await self.extend(id, incident=incident, by=by)

    async def extend(
        self,
        id: str,
        *,
        cause: str = "",
        workaround: str = "",
        incident: IncidentId,
        by: Caller,
    ) -> KnownError:
        """Link an incident, and add what it taught about the cause or the workaround.

        Raises:
            Unusable: a field would be too long.
            NotFound: there is no such known error or incident.
            AlreadyDone: the same request was handled before.
        """
        check_member(by.person, does=NAMING)
        async with self._database.transaction(once=by.request) as tx:
            before, struck = await _known(tx, id), await tx.incidents.get(incident)
            more = rules.extend(before, cause=cause, workaround=workaround)
            known = rules.link(more, struck)
            if known == before:
                return before
            known = replace(known, version=before.version + 1)
            change = "linked" if more is before else "extended"
            await self._keep(tx, known, struck, change=change, by=by.person, before=before)
        return known

    async def unlink(self, id: str, incident: IncidentId, *, by: Caller) -> KnownError:
        """Take back that an incident had this cause.

        Raises:
            Refused: it is not linked.
            AlreadyDone: the same request was handled before.
        """
        check_member(by.person, does=NAMING)
        async with self._database.transaction(once=by.request) as tx:
            before = await _known(tx, id)
            known, struck = rules.unlink(before, incident), await tx.incidents.get(incident)
            await self._keep(tx, known, struck, change="unlinked", by=by.person, before=before)
        return known

    async def fix(self, id: str, *, by: Caller) -> KnownError:
        """Record that a cause is gone for good.

        It is told on the timelines of incidents that are not closed yet; for
        the others it is no part of what happened.

        Raises:
            Refused: it is fixed already.
            AlreadyDone: the same request was handled before.
        """
        check_member(by.person, does=NAMING)
        async with self._database.transaction(once=by.request) as tx:
            known = rules.fix(await _known(tx, id))
            await tx.known_errors.save(known.id, known)
            await self._record(tx, known, incident=None, change="fixed", by=by.person)
            for linked in known.incidents:
                incident = await _incident(tx, linked)
                if incident is not None and incident.status is not IncidentStatus.CLOSED:
                    text = f"recorded that {_named(known)} is fixed for good"
                    await self._tell(tx, incident, "fixed", text=text, by=by.person)
        return known

    async def _keep(
        self,
        tx: Transaction,
        known: KnownError,
        incident: Incident,
        *,
        change: str,
        by: Person,
        before: KnownError | None = None,
    ) -> None:
        await tx.known_errors.save(known.id, known)
        await self._record(tx, known, incident=incident.id, change=change, by=by, before=before)
        text = _told(known, change, before)
        await self._tell(tx, incident, change, text=text, by=by)

    async def _record(
        self,
        tx: Transaction,
        known: KnownError,
        *,
        incident: IncidentId | None,
        change: str,
        by: Person,
        before: KnownError | None = None,
    ) -> None:
        body: dict[str, JSON] = {"known_error": known.id, "version": known.version}
        body["title"] = known.title
        if change in ("proposed", "extended"):
            body |= {"cause": known.cause, "workaround": known.workaround}
        if _reopened(known, before):
            body["reopened"] = True
        now = self._clock.now()
        await tx.ledger.append(
            Entry(
                type=f"known_error.{change}", actor=by.actor, at=now, incident=incident, body=body
            )
        )

    async def _tell(
        self, tx: Transaction, incident: Incident, change: str, *, text: str, by: Person
    ) -> None:
        now = self._clock.now()
        await tx.timeline.add(
            TimelineEntry(
                subject=incident.id,
                at=now,
                kind=TimelineKind.INCIDENT,
                text=text,
                actor=by.actor,
                actor_name=by.name,
            )
        )
        await tx.outbox.add(
            Happening(kind="incident", subject=incident.id, change=f"known error {change}", at=now)
        )
        await _show_on_cards(tx, incident, at=now)


async def named_cause(tx: Transaction, incident: str | None) -> Finding | None:
    """Return what people named as the cause of an incident; of several the newest."""
    linked = [known for known in await _all(tx) if incident in known.incidents] if incident else []
    return linked[-1].note if linked else None


async def _show_on_cards(tx: Transaction, incident: Incident, *, at: datetime) -> None:
    """Let the cards of an incident's alerts name its cause.

    What the search found stays until plugins are asked again: it is theirs. A
    card shows the first of a kind, so people's word stands before it.
    """
    note = await named_cause(tx, incident.id)
    notes = () if note is None else (note,)
    for id in incident.groups:
        try:
            group = await tx.groups.get(GroupId(id))
        except NotFound:
            continue
        kept = (*notes, *(f for f in group.findings if not rules.is_named(f)))
        if kept != group.findings:
            await tx.groups.save(replace(group, findings=kept))
            await tx.outbox.add(
                Happening(kind="alert", subject=group.id, change=Change.ASSESSED, at=at)
            )


async def _add(
    tx: Transaction, account: Account, *, services: Sequence[str], by: Person, at: datetime
) -> KnownError:
    """Add a known error under the next number; its title must be free."""
    others = await _all(tx)
    for other in others:
        if same_title(other.title) == same_title(account.title):
            raise TitleTaken(other)
    known = KnownError(
        id=f"KE-{max((other.number for other in others), default=0) + 1}",
        title=account.title,
        cause=account.cause,
        workaround=account.workaround,
        services=tuple(dict.fromkeys(name for name in services if name)),
        incidents=(),
        by=by.actor,
        at=at,
    )
    if not await tx.known_errors.add(known.id, known):
        raise Refused(f"{known.id} was proposed at this moment; please try again.")
    return known


async def _all(view: Transaction) -> Sequence[KnownError]:
    return sorted((await view.known_errors.all()).values(), key=lambda known: known.number)


async def _known(view: Transaction, id: str) -> KnownError:
    known = await view.known_errors.get(id)
    if known is None:
        raise NotFound(f"There is no known error {id[:40]}.")
    return known


async def _incident(view: Transaction, id: IncidentId) -> Incident | None:
    try:
        return await view.incidents.get(id)
    except NotFound:
        return None


async def _struck(view: Transaction, known: KnownError) -> Struck:
    """Count links; the newest incident has the highest number, so only that one is read."""
    newest = max(known.incidents, key=lambda id: int(id.removeprefix("INC-")), default=None)
    incident = await _incident(view, newest) if newest else None
    last = incident.declared_at if incident else None
    return Struck(known=known, times=len(known.incidents), last=last)


def _named(known: KnownError) -> str:
    return f"known error {known.id} “{known.title}”"


def _told(known: KnownError, change: str, before: KnownError | None) -> str:
    if change == "proposed":
        return f"named the cause: new {_named(known)}"
    if change == "unlinked":
        return f"took back that the cause was {_named(known)}"
    added = ", and added to it" if change == "extended" else ""
    again = "; it was thought to be fixed and is open again" if _reopened(known, before) else ""
    return f"named the cause: {_named(known)}{added}{again}"


def _reopened(known: KnownError, before: KnownError | None) -> bool:
    return before is not None and known.open and not before.open
