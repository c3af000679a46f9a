"""What people do with a run. Handlers only call services; the event that follows redraws."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.errors import Refused
from bot.domain.incidents import IncidentId
from bot.domain.messages import FieldErrors, Reply, note
from bot.domain.people import Caller
from bot.domain.runs import RunId
from bot.plugin import InteractionRequest, PluginContext
from plugins.runbooks.buttons import halted_by
from plugins.runbooks.byhand import NOTE, asked_for, reason_form
from plugins.runbooks.consent import REASON, denial_form
from plugins.runbooks.messages import whole_plan


class Answering:
    """The handlers of a run's buttons."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def approve(self, request: InteractionRequest) -> Reply:
        """Approve the plan that the card showed, with what the person belongs to right now."""
        id, digest = _shown_plan(request.value)
        run = await self._context.runs.get(id)
        incident = (
            await self._context.incidents.get(IncidentId(run.incident)) if run.incident else None
        )
        standing = await self._context.people.standing(request.caller.person.id, incident)
        await self._context.runs.approve(
            id, digest=digest, standing=standing, channel=request.channel, by=request.caller
        )
        return None

    async def plan(self, request: InteractionRequest) -> Reply:
        """Show a plan that is too long for its message."""
        return whole_plan(await self._context.runs.get(RunId(request.value)))

    async def deny(self, request: InteractionRequest) -> Reply:
        """Ask for the reason of a denial."""
        id, _ = _shown_plan(request.value)
        run = await self._context.runs.get(id)
        return denial_form(request.value, run)

    async def denied(self, request: InteractionRequest) -> Reply:
        """Deny the plan that the card showed."""
        id, digest = _shown_plan(request.value)
        reason = request.answers.get(REASON, "").strip()
        if not reason:
            return FieldErrors({REASON: "A denial needs a reason, for the record."})
        await self._context.runs.deny(id, digest=digest, reason=reason, by=request.caller)
        return None

    async def stop(self, request: InteractionRequest) -> Reply:
        """Cancel a run that waits, or stop one that is under way."""
        await self._context.runs.stop(RunId(request.value), by=request.caller)
        return None

    async def halt(self, request: InteractionRequest) -> Reply:
        """Pull the kill switch of what a run acts on; everybody hears of it."""
        run = await self._context.runs.get(RunId(request.value))
        halt = await self._context.switches.halt(
            f"pulled from the message of “{run.title}”", scope=halted_by(run), by=request.caller
        )
        return note(f"The kill switch of {halt.scope} is pulled by {halt.by}.")

    async def undo(self, request: InteractionRequest) -> Reply:
        """Ask for the run that takes this one's effects back."""
        await self._context.runs.undo(RunId(request.value), by=request.caller)
        return None

    async def happened(self, request: InteractionRequest) -> Reply:
        """Settle a doubt: the effect took place."""
        by = await self._teller(request)
        await self._context.runs.settle(RunId(request.value), happened="yes", by=by)
        return None

    async def not_happened(self, request: InteractionRequest) -> Reply:
        """Settle a doubt: the effect did not take place."""
        by = await self._teller(request)
        await self._context.runs.settle(RunId(request.value), happened="no", by=by)
        return None

    async def done(self, request: InteractionRequest) -> Reply:
        """Take a person's word that they did a step by hand."""
        id, step = asked_for(request.value)
        by = await self._teller(request)
        await self._context.runs.done(id, step, happened="yes", by=by)
        return None

    async def not_done(self, request: InteractionRequest) -> Reply:
        """Ask why a step could not be done."""
        id, step = asked_for(request.value)
        return reason_form(request.value, await self._context.runs.get(id), step)

    async def not_done_because(self, request: InteractionRequest) -> Reply:
        """Take a person's word that a step could not be done."""
        id, step = asked_for(request.value)
        why = request.answers.get(NOTE, "").strip()
        if not why:
            return FieldErrors({NOTE: "Say what kept it from being done, for the record."})
        by = await self._teller(request)
        await self._context.runs.done(id, step, happened="no", note=why, by=by)
        return None

    async def _teller(self, request: InteractionRequest) -> Caller:
        """Return who says what took place, as the chat platform knows them at this moment.

        Whom it cannot name is not known to be no guest, so that nothing is taken
        from them.

        Raises:
            ChatError: the chat platform could not be asked.
        """
        standing = await self._context.people.standing(request.caller.person.id)
        return replace(request.caller, person=standing.person)


def _shown_plan(value: str) -> tuple[RunId, str]:
    """Return the run and the digest of the plan that its card showed."""
    id, separator, digest = value.rpartition(":")
    if not separator or not id or not digest:
        raise Refused("This button is from an older version; look at the run's current message.")
    return RunId(id), digest
