"""Breaking the glass and looking back at it, as people do it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.emergencies import LEAST_REASON, check_typed
from bot.domain.errors import NotFound, Refused
from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import FieldErrors, Reply, note
from bot.plugin import Command, CommandRequest, InteractionRequest, PluginContext
from plugins.governance import glass as says
from plugins.governance import words

_USAGE = "Write it as: /incident break-glass <runbook> <service> <reason>; - stands for no service."


class Emergencies:
    """The handlers around broken glass."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def commands(self, root: str) -> Sequence[Command]:
        """Return the two verbs."""
        return (
            Command(
                root=root,
                verb="break-glass",
                usage="[INC-n] <runbook> <service> [reason]",
                summary="in a sev1 or sev2 incident: run a runbook once without approval",
                handler=self._ask,
                aliases=("breakglass",),
            ),
            Command(
                root=root,
                verb="review",
                usage="<id of a broken glass>",
                summary="look back at a broken glass",
                handler=self._review,
            ),
        )

    async def _ask(self, request: CommandRequest) -> Reply:
        """Open the form in which the target is typed again."""
        given = list(request.words)
        named = words.incident_id(given[0]) if given else None
        incident = await self._incident(request, named)
        rest = given[1:] if named else given
        if len(rest) < 2:
            raise Refused(_USAGE)
        runbook = words.runbook(rest[0], self._context.knowledge.runbooks)
        if not runbook.executable:
            raise Refused(f"“{runbook.title}” has no steps to run; it is read and done by hand.")
        service = words.service(rest[1], self._context.knowledge.catalog.services)
        return says.break_form(
            incident=incident.id,
            title=incident.title,
            runbook=runbook.id,
            service=service or "",
            reason=" ".join(rest[2:]),
        )

    async def _incident(self, request: CommandRequest, named: IncidentId | None) -> Incident:
        if named is not None:
            return await self._context.incidents.get(named)
        found = await self._context.incidents.of_channel(request.channel)
        if found is None:
            raise Refused("Say which incident first (INC-1), or ask in its channel.")
        return found

    async def broken(self, request: InteractionRequest) -> Reply:
        """Break it, where the target was typed exactly and there is a reason."""
        unpacked = says.unpack(request.value)
        if unpacked is None:
            raise Refused("This form is from an older version; please start again.")
        incident, runbook, service = unpacked
        words.runbook(runbook, self._context.knowledge.runbooks)  # refuses what is gone
        typed = request.answers.get(says.TYPED, "")
        reason = request.answers.get(says.REASON, "").strip()
        try:
            check_typed(typed, runbook=runbook, service=service)
        except Refused as no:
            return FieldErrors({says.TYPED: no.reason})
        if len(reason) < LEAST_REASON:
            return FieldErrors(
                {says.REASON: f"At least {LEAST_REASON} characters; it will be reviewed."}
            )
        glass = await self._context.emergencies.break_glass(
            runbook,
            service,
            incident=IncidentId(incident),
            typed=typed,
            reason=reason,
            by=request.caller,
        )
        return says.broken(glass)

    async def _review(self, request: CommandRequest) -> Reply:
        if len(request.words) != 1:
            raise Refused("Say which one by its id: /incident review <id>; approvals lists them.")
        return await self._form(request.words[0])

    async def review(self, request: InteractionRequest) -> Reply:
        """Open the form of a review."""
        return await self._form(request.value)

    async def _form(self, id: str) -> Reply:
        for glass in await self._context.emergencies.all():
            if glass.id == id.strip().casefold():
                if glass.reviewed:
                    raise Refused("It was reviewed already.")
                return says.review_form(glass)
        raise NotFound("This broken glass is not known; /incident approvals lists open reviews.")

    async def reviewed(self, request: InteractionRequest) -> Reply:
        """Record a review."""
        text = request.answers.get(says.NOTE, "").strip()
        if len(text) < LEAST_REASON:
            return FieldErrors({says.NOTE: f"At least {LEAST_REASON} characters."})
        await self._context.emergencies.review(request.value, note=text, by=request.caller)
        return note("The review is on record.")
