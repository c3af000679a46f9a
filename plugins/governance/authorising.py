"""Standing authorisations as people propose, give and revoke them."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.emergencies import PreAuthorisation
from bot.domain.errors import NotFound, Refused
from bot.domain.messages import Reply, note
from bot.domain.runbooks import Runbook
from bot.plugin import Command, CommandRequest, InteractionRequest, PluginContext
from plugins.governance import words

_USAGE = "Write it as: /incident authorise <runbook> <service> <days> <reason>."


class Authorising:
    """The handlers of standing authorisations."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def commands(self, root: str) -> Sequence[Command]:
        """Return the verb; its second person answers with a button."""
        return (
            Command(
                root=root,
                verb="authorise",
                usage="<runbook> <service> <days> <reason>",
                summary="propose a standing authorisation; a second person has to give it",
                handler=self._propose,
                aliases=("authorize",),
            ),
        )

    async def _propose(self, request: CommandRequest) -> Reply:
        given, knowledge = request.words, self._context.knowledge
        if len(given) < 4:
            raise Refused(_USAGE)
        runbook = words.runbook(given[0], knowledge.runbooks)
        service = words.service(given[1], knowledge.catalog.services)
        known = knowledge.catalog.services.get(service or "")
        proposal = await self._context.emergencies.authorise(
            runbook,
            service,
            days=words.days(given[2]),
            reason=" ".join(given[3:]),
            by=request.caller,
            standing=await self._context.people.standing(request.caller.person.id),
            team=known.team if known else None,
        )
        return note(
            f"Proposed. It is in force once a second person of {proposal.owner} gives it, in the "
            "alerts channel or on their home page."
        )

    async def give(self, request: InteractionRequest) -> Reply:
        """Put what somebody else proposed into force, if the page still reads the same."""
        proposal = await self._found(request.value)
        runbook = self._unchanged(proposal)
        await self._context.emergencies.confirm(
            proposal.id,
            by=request.caller,
            standing=await self._context.people.standing(request.caller.person.id),
            editors=await self._context.people.editors(runbook),
        )
        return note("It is in force.")

    async def revoke(self, request: InteractionRequest) -> Reply:
        """End an authorisation or its proposal."""
        await self._context.emergencies.revoke(request.value, by=request.caller)
        return note("It has ended; later runs need an approval again.")

    def _unchanged(self, proposal: PreAuthorisation) -> Runbook:
        runbook = self._context.knowledge.runbooks.get(proposal.runbook)
        if runbook is None or runbook.digest != proposal.runbook_digest:
            raise Refused("The page was edited since it was proposed; propose it again.")
        return runbook

    async def _found(self, id: str) -> PreAuthorisation:
        for authorisation in await self._context.emergencies.authorisations():
            if authorisation.id == id:
                return authorisation
        raise NotFound("This authorisation is not known.")
