"""The kill switch as people use it. Everybody hears of it from `announcing`."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.messages import Reply
from bot.domain.people import Caller
from bot.domain.switches import scope_of
from bot.plugin import Command, CommandRequest, InteractionRequest, PluginContext
from plugins.governance import switches


class Halting:
    """Lets members stop all actions or those of one scope, and two of them release it."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def commands(self, root: str) -> Sequence[Command]:
        """Return the two verbs."""
        return (
            Command(
                root=root,
                verb="halt",
                usage="[service:name] <reason>",
                summary="pull the kill switch: no action is run until two people release it",
                handler=self._halt,
            ),
            Command(
                root=root,
                verb="release",
                usage="[service:name]",
                summary="ask for the release of the kill switch; it takes two people",
                handler=self._release,
            ),
        )

    async def _halt(self, request: CommandRequest) -> Reply:
        """Stop everything, or one scope; a missing reason must not stand in the way of that."""
        scope, reason = switches.scope_and_reason(request.text)
        halt = await self._context.switches.halt(reason, scope=scope, by=request.caller)
        return switches.pulled(halt, self._doubt(scope))

    async def _release(self, request: CommandRequest) -> Reply:
        return await self._ask_release(scope_of(request.text), by=request.caller)

    async def release(self, request: InteractionRequest) -> Reply:
        """Ask for the release of the switch whose button was pressed."""
        return await self._ask_release(scope_of(request.value), by=request.caller)

    async def _ask_release(self, scope: str, *, by: Caller) -> Reply:
        left = await self._context.switches.release(scope=scope, by=by)
        return switches.asked_for_release(left) if left else switches.let_go(scope)

    def _doubt(self, scope: str) -> str:
        knowledge = self._context.knowledge
        services = knowledge.catalog.services
        return switches.doubt(
            scope,
            {
                "service": frozenset(services),
                "team": frozenset(service.team for service in services.values()),
                "runbook": frozenset(knowledge.runbooks),
            },
        )
