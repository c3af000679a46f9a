"""The same cause again: name an incident's cause, and look at the causes that are known."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.domain.alerts import AlertGroup
from bot.domain.errors import Refused
from bot.domain.events import IncidentChanged
from bot.domain.findings import Finding
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.known_errors import (
    Account,
    KnownError,
    TitleTaken,
    Unusable,
    described,
    known_error_id,
    tells,
)
from bot.domain.messages import Button, FieldErrors, Form, Reply
from bot.domain.people import Caller, PersonId, check_member
from bot.domain.runs import RunState
from bot.plugin import (
    Command,
    CommandRequest,
    Interaction,
    InteractionRequest,
    Offer,
    Place,
    PluginContext,
)
from bot.ports import ChatError
from plugins.similar import known_forms as forms
from plugins.similar import known_messages as messages
from plugins.similar.known_index import KnownIndex
from plugins.similar.known_messages import Strike
from plugins.similar.known_reading import check_reader

CAUSE = "similar.cause"

_NAMING = "say what the cause was"

_INCIDENT = re.compile(r"inc-?(\d{1,9})", re.IGNORECASE)
_OFFERED = frozenset(
    {IncidentStatus.IDENTIFIED, IncidentStatus.MONITORING, IncidentStatus.RESOLVED}
)


class KnownErrors:
    """What the plugin offers and knows about known errors."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._index = KnownIndex(context)

    def commands(self) -> Sequence[Command]:
        """Return the verbs of `/incident` about causes."""
        return (
            Command(
                root="/incident",
                verb="cause",
                usage="[INC-n]",
                summary="name the cause: a known error, or a new one",
                handler=self.typed_cause,
            ),
            Command(
                root="/incident",
                verb="known",
                usage="[KE-n]",
                summary="list the known errors that are open, or show one",
                handler=self.typed_known,
            ),
        )

    def interactions(self) -> Sequence[Interaction]:
        """Return the forms and buttons about causes."""
        return (
            Interaction(
                name=CAUSE,
                handler=self.pressed_cause,
                offer=Offer(place=Place.INCIDENT, order=70, button=cause_button),
            ),
            Interaction(name=forms.NAMED, handler=self.named),
            Interaction(name=forms.DECIDED, handler=self.decided),
            Interaction(name=forms.UNLINK, handler=self.unlinked),
            Interaction(name=messages.SHOW, handler=self.show),
            Interaction(name=messages.FIX, handler=self.fixed),
        )

    async def start(self) -> None:
        """Put all known errors into the search."""
        await self._index.all()

    async def on_change(self, event: IncidentChanged) -> None:
        """Bring the search up to date after somebody named a cause."""
        if event.change.startswith("known error"):
            await self._index.all()

    async def finding(self, group: AlertGroup) -> Finding | None:
        """Return the known error that an alert group is about, if that is clear."""
        return await self._index.finding(group)

    # Name a cause.

    async def typed_cause(self, request: CommandRequest) -> Reply:
        """Open the form for the incident that is named or whose channel it is."""
        check_member(request.caller.person, does=_NAMING)
        return await self._form(await self._meant(request))

    async def pressed_cause(self, request: InteractionRequest) -> Reply:
        """Open the form for the incident of a card."""
        check_member(request.caller.person, does=_NAMING)
        return await self._form(await self._context.incidents.get(IncidentId(request.value)))

    async def named(self, request: InteractionRequest) -> Reply:
        """Link the chosen known error, or propose a new one unless one is near.

        What was saved by the same envelope before is near, and is answered as saved.
        """
        check_member(request.caller.person, does=_NAMING)
        id, account = IncidentId(request.value), forms.account_in(request.answers)
        chosen = request.answers.get(forms.KNOWN, "")
        try:
            if chosen:
                return await self._chosen(chosen, account, incident=id, by=request.caller)
            account = described(account.title, account.cause, account.workaround)
            incident = await self._context.incidents.get(id)
            near = await self._index.near(account, incident)
            if near is not None and id in near.incidents and tells(near, account):
                return messages.saved(near, id)
            if near is not None:
                return forms.decide_form(incident, account, near)
            return await self._propose(account, incident, by=request.caller)
        except Unusable as why:
            return FieldErrors({why.field: why.reason})

    async def decided(self, request: InteractionRequest) -> Reply:
        """Extend the known error that is near, or propose a different one after all."""
        id, account = IncidentId(request.value), forms.account_in(request.answers)
        decision = request.answers.get(forms.DECISION, "")
        try:
            if decision != forms.DIFFERENT:
                return await self._extend(decision, account, incident=id, by=request.caller)
            incident = await self._context.incidents.get(id)
            known = await self._proposed(account, incident, by=request.caller)
        except Unusable as why:
            return FieldErrors({why.field: why.reason})
        return messages.saved(known, id)

    async def unlinked(self, request: InteractionRequest) -> Reply:
        """Take a link back, and show the form as it is then."""
        incident, _, known = request.value.partition(" ")
        id = IncidentId(incident)
        await self._context.known_errors.unlink(known, id, by=request.caller)
        return await self._form(await self._context.incidents.get(id))

    # Look at known errors.

    async def typed_known(self, request: CommandRequest) -> Reply:
        """List those that are open, or show the one that is named."""
        check_reader(request.caller.person)
        if not request.words:
            return messages.known_list(await self._context.known_errors.struck())
        return await self._page(known_error_id(request.text))

    async def show(self, request: InteractionRequest) -> Reply:
        """Show one of the list."""
        check_reader(request.caller.person)
        return await self._page(request.value)

    async def fixed(self, request: InteractionRequest) -> Reply:
        """Record that a cause is gone for good, and show it as it is then."""
        await self._context.known_errors.fix(request.value, by=request.caller)
        return await self._page(request.value)

    async def _form(self, incident: Incident) -> Form:
        known = await self._index.all()
        linked = [one for one in known.values() if incident.id in one.incidents]
        others = [one for one in await self._index.likeliest(incident, known) if one not in linked]
        return forms.cause_form(incident, others, linked)

    async def _chosen(
        self, id: str, account: Account, *, incident: IncidentId, by: Caller
    ) -> Reply:
        if account.title.strip():
            return FieldErrors({"title": f"Leave the title empty to use {id}, or choose none."})
        return await self._extend(id, account, incident=incident, by=by)

    async def _extend(
        self, id: str, account: Account, *, incident: IncidentId, by: Caller
    ) -> Reply:
        service = self._context.known_errors
        before = await service.get(id)
        known = await service.extend(
            id, cause=account.cause, workaround=account.workaround, incident=incident, by=by
        )
        await self._index.all()
        if known.open and not before.open:
            return messages.reopened(known, incident)
        return messages.saved(known, incident)

    async def _propose(self, account: Account, incident: Incident, *, by: Caller) -> Reply:
        try:
            known = await self._proposed(account, incident, by=by)
        except TitleTaken as taken:  # by somebody who was faster
            return forms.decide_form(incident, account, taken.known)
        return messages.saved(known, incident.id)

    async def _proposed(self, account: Account, incident: Incident, *, by: Caller) -> KnownError:
        known = await self._context.known_errors.propose(
            account.title, account.cause, account.workaround, incident=incident.id, by=by
        )
        await self._index.all()
        return known

    async def _page(self, id: str) -> Form:
        known = await self._context.known_errors.get(id)
        incidents = await self._context.known_errors.incidents(id)
        shown = [await self._strike(one) for one in incidents[: messages.INCIDENTS_SHOWN]]
        return messages.known_page(known, shown, by=await self._name(known.by))

    async def _strike(self, incident: Incident) -> Strike:
        runs = await self._context.runs.of([incident.id, *incident.groups])
        helped = [run.title for run in runs if run.state is RunState.SUCCEEDED]
        return Strike(incident=incident, runs=tuple(dict.fromkeys(helped)))

    async def _name(self, actor: str) -> str:
        try:
            return (await self._context.chat.person(PersonId(actor.partition(":")[2]))).name
        except ChatError:
            return ""

    async def _meant(self, request: CommandRequest) -> Incident:
        """Return the incident that is named, or the channel's.

        Raises:
            Refused: neither is there.
        """
        if request.words:
            named = _INCIDENT.fullmatch(request.words[0])
            if named is None:
                raise Refused("Say which incident, like INC-1; the form asks for the cause.")
            return await self._context.incidents.get(IncidentId(f"INC-{int(named[1])}"))
        incident = await self._context.incidents.of_channel(request.channel)
        if incident is None:
            raise Refused("Say which incident you mean (INC-1), or ask in its channel.")
        return incident


def cause_button(incident: Incident) -> Button | None:
    """Offer to name the cause once people may know it."""
    if incident.status not in _OFFERED:
        return None
    return Button(label="Name the cause…", interaction=CAUSE, value=incident.id)
