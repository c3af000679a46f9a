"""Declare an incident: from an alert, from the shortcut menu, or by a command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from bot.domain.alerts import AlertGroup, AlertStatus, GroupId, Severity
from bot.domain.errors import Refused
from bot.domain.incidents import check_title
from bot.domain.messages import Button, FieldErrors, Form, Reply
from bot.domain.people import Person, PersonId
from bot.plugin import CommandRequest, InteractionRequest, PluginContext
from bot.ports import ChatError
from plugins.warroom import messages
from plugins.warroom.forms import Draft, declare_form, draft_of

DECLARE = "incident.declare"

# A form must be opened within three seconds; who is on call is worth one of them.
PATIENCE = 1.0


class Declaring:
    """Fills the form in, and declares what was submitted."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def button(self, group: AlertGroup) -> Button | None:
        """Offer to declare while an alert fires and belongs to no incident."""
        if group.incident is not None or group.status is AlertStatus.RESOLVED:
            return None
        return Button(label="Declare incident", interaction=DECLARE, value=group.id)

    async def open(self, request: InteractionRequest) -> Reply:
        """Open the form, filled from the alert where there is one."""
        if not request.value:
            return self._form(Draft())
        group = await self._context.alerts.get(GroupId(request.value))
        if group.incident is not None:
            raise Refused(f"This alert belongs to {group.incident} already.")
        draft = draft_of(group)
        return self._form(replace(draft, responders=await self._on_call(draft.service)))

    async def command(self, request: CommandRequest) -> Reply:
        """Open the form with the title that was typed."""
        return self._form(Draft(title=request.text.strip()))

    async def submit(self, request: InteractionRequest) -> Reply:
        """Declare it, or say which answer does not do."""
        answers = request.answers
        title, severity = answers.get("title", ""), answers.get("severity", "")
        if wrong := _faults(title, severity):
            return FieldErrors(wrong)
        incident = await self._context.incidents.declare(
            title,
            Severity(severity),
            service=answers.get("service", "").strip(),
            by=request.caller,
            group=GroupId(request.value) if request.value else None,
            responders=await self._people(answers.get("responders", "").split(",")),
        )
        return messages.declared(incident)

    def _form(self, draft: Draft) -> Form:
        return declare_form(draft, self._context.knowledge.catalog.services)

    async def _on_call(self, service: str) -> tuple[PersonId, ...]:
        """Return the members of the service's on-call user group, if that is quick to learn."""
        known = self._context.knowledge.catalog.services.get(service)
        if known is None:
            return ()
        try:
            async with asyncio.timeout(PATIENCE):
                return tuple(await self._context.chat.members_of(f"{known.team}-oncall"))
        except (ChatError, TimeoutError):
            return ()

    async def _people(self, ids: Sequence[str]) -> list[Person]:
        return [await self._person(PersonId(id)) for id in dict.fromkeys(ids) if id]

    async def _person(self, id: PersonId) -> Person:
        """Look a person up; one who cannot be is invited by their id all the same."""
        try:
            return await self._context.chat.person(id)
        except ChatError:
            return Person(id=id, name=id)


def _faults(title: str, severity: str) -> dict[str, str]:
    wrong: dict[str, str] = {}
    try:
        check_title(title)
    except Refused as refusal:
        wrong["title"] = refusal.reason
    if severity not in set(Severity):
        wrong["severity"] = "Choose one of the severities."
    return wrong
