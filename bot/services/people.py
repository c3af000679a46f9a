"""Who somebody is right now: account, groups, teams, and their part in an incident."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bot.domain.approvals import ANYONE, Approval, Place, barred, missing
from bot.domain.catalog import Catalog
from bot.domain.incidents import Incident
from bot.domain.people import ON_CALL, Person, PersonId, Standing
from bot.domain.runbooks import Runbook
from bot.ports import Chat

MOST_ASKED = 200


class PeopleService:
    """Looks people up on the chat platform and sees them as governance does."""

    def __init__(self, chat: Chat, catalog: Catalog) -> None:
        self._chat = chat
        self._teams = frozenset(service.team for service in catalog.services.values())

    async def standing(self, id: PersonId, incident: Incident | None = None) -> Standing:
        """Return how a person stands at this moment.

        Raises:
            ChatError: the chat platform could not be asked.
        """
        person = await self._chat.member(id)
        groups = await self._chat.groups_of(id)
        return self._seen(person, groups, incident)

    def _seen(self, person: Person, groups: frozenset[str], incident: Incident | None) -> Standing:
        return Standing(
            person=person,
            groups=groups,
            teams=self.teams_of(groups),
            roles=roles_of(person, incident),
        )

    def teams_of(self, groups: frozenset[str]) -> frozenset[str]:
        """Return the teams whose members belong to one of some user groups."""
        return frozenset(t for t in self._teams if t in groups or f"{t}{ON_CALL}" in groups)

    async def requester(self, person: Person, incident: Incident | None = None) -> Standing:
        """Return how the one who asks stands; the assistant belongs nowhere."""
        if person.bot:
            return Standing(person=person)
        return await self.standing(person.id, incident)

    async def editors(self, runbook: Runbook) -> frozenset[PersonId]:
        """Return who wrote a runbook's page last or vouched for it, where they are known here.

        Raises:
            ChatError: the chat platform could not be asked.
        """
        addresses = {name for name in (runbook.editor, runbook.review.by) if "@" in name}
        found = [await self._chat.with_address(address) for address in sorted(addresses)]
        people = [await self._chat.member(id) for id in found if id is not None]
        return frozenset(PersonId(name) for p in people for name in (p.id, p.human))

    async def lacking(self, approval: Approval, incident: Incident | None) -> Sequence[str]:
        """Return the places of a quorum that nobody could fill at this moment.

        Places open to anyone are taken to be fillable, unless their people have
        to be of different teams, which the user groups tell.

        Raises:
            ChatError: the chat platform could not be asked.
        """
        named = [p for p in approval.quorum if p.group != ANYONE or p.teams_differ]
        if not named:
            return ()
        candidates = await self._candidates(named, incident)
        fitting = [c for c in candidates if barred(approval, c.person) is None]
        lacking = missing(named, fitting)
        return [str(place) for place in named if lacking.get(place.group, 0)]

    async def _candidates(
        self, places: Collection[Place], incident: Incident | None
    ) -> Sequence[Standing]:
        handles = {name for place in places for name in self._handles(place)}
        ids = {id for name in sorted(handles) for id in await self._chat.members_of(name)}
        if incident is not None:
            ids |= {holder.id for holder in incident.roles.values()}
        return [await self.standing(id, incident) for id in sorted(ids)[:MOST_ASKED]]

    def _handles(self, place: Place) -> Collection[str]:
        kind, _, name = place.group.rpartition(":")
        if kind == "team":
            return (name, f"{name}{ON_CALL}")
        if place.group != ANYONE:
            return () if kind else (name,)
        return [handle for team in self._teams for handle in (team, f"{team}{ON_CALL}")]


def roles_of(person: Person, incident: Incident | None) -> frozenset[str]:
    """Return the parts a person plays in an incident."""
    if incident is None:
        return frozenset()
    return frozenset(r.value for r, held in incident.roles.items() if held.human == person.human)
