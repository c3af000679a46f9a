"""What people do to an incident, by a button or by a command, and what they are told."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from bot.domain.alerts import AlertStatus, Severity
from bot.domain.errors import AlreadyDone
from bot.domain.incidents import IncidentId, IncidentStatus, move
from bot.domain.messages import FieldErrors, Message, Reply, note
from bot.domain.people import Caller, Role
from bot.plugin import InteractionRequest, PluginContext
from plugins.warroom import messages, words
from plugins.warroom.forms import update_form
from plugins.warroom.rooms import Rooms


class Conduct:
    """Takes roles, moves and rates incidents. The card shows it to everybody."""

    def __init__(self, context: PluginContext, rooms: Rooms) -> None:
        self._context = context
        self._rooms = rooms

    async def take(self, id: IncidentId, role: Role, *, by: Caller) -> Message:
        """Give a role to who asks, and tell them its duty."""
        return messages.duty(await self._context.incidents.claim_role(id, role, by=by), role)

    async def move(self, id: IncidentId, status: IncidentStatus, *, by: Caller) -> Message:
        """Move an incident; its end is allowed while alerts fire, with a warning."""
        incident = await self._context.incidents.move(id, status, by=by)
        if status.open:
            return note(f"{id} is now {status}.")
        alerts = await self._rooms.alerts(incident)
        return messages.ended(incident, [a for a in alerts if a.status is AlertStatus.FIRING])

    async def rate(self, id: IncidentId, severity: Severity, *, by: Caller) -> Message:
        """Change how serious an incident is."""
        await self._context.incidents.rate(id, severity, by=by)
        return note(f"{id} is now {severity}: {severity.meaning}.")

    # Buttons of the card; their value is the incident's id.

    async def commander(self, request: InteractionRequest) -> Reply:
        """Let a person take command."""
        return await self.take(IncidentId(request.value), Role.COMMANDER, by=request.caller)

    async def scribe(self, request: InteractionRequest) -> Reply:
        """Let a person be scribe."""
        return await self.take(IncidentId(request.value), Role.SCRIBE, by=request.caller)

    async def communications(self, request: InteractionRequest) -> Reply:
        """Let a person be communications lead."""
        return await self.take(IncidentId(request.value), Role.COMMUNICATIONS, by=request.caller)

    async def resolve(self, request: InteractionRequest) -> Reply:
        """Resolve the incident."""
        id = IncidentId(request.value)
        return await self.move(id, IncidentStatus.RESOLVED, by=request.caller)

    async def close(self, request: InteractionRequest) -> Reply:
        """Close the incident."""
        return await self.move(IncidentId(request.value), IncidentStatus.CLOSED, by=request.caller)

    async def update(self, request: InteractionRequest) -> Reply:
        """Open the form for the status."""
        return update_form(await self._context.incidents.get(IncidentId(request.value)))

    async def updated(self, request: InteractionRequest) -> Reply:
        """Record what is known, and move the incident where another status was chosen.

        The move is tried out first: a note is not written for a move that is
        refused. The two are two requests, of which a repetition does neither.
        """
        incident = await self._context.incidents.get(IncidentId(request.value))
        status = words.status(request.answers.get("status", ""))
        text, by = request.answers.get("note", "").strip(), request.caller
        if status is incident.status and not text:
            return FieldErrors({"note": "Nothing would change: write what is known now."})
        if status is not incident.status:
            move(incident, status, by=by.person.actor, at=self._context.clock.now())
        if text:
            noting = replace(by, request=f"{by.request}:note")
            with contextlib.suppress(AlreadyDone):
                await self._context.timelines.note(incident.id, text, by=noting)
        if status is incident.status:
            return None
        return await self.move(incident.id, status, by=by)
