"""What everybody has to know: switches, breakers, lost autonomy, standing authorisations.

Each is one message in the alerts channel, kept current by its key and drawn from
what is stored, so that hearing an event late or twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from bot.domain.autonomy import Level
from bot.domain.breakers import BreakerState
from bot.domain.entries import EntryFilter
from bot.domain.events import GovernanceChanged
from bot.domain.ledger import timestamp
from bot.domain.messages import Message
from bot.plugin import PluginContext
from plugins.governance import notices, switches
from plugins.governance.paging import Paging

LOOKED_BACK = 50  # pulls and releases; of one scope there are only ever a few at a time


class Announcing:
    """Tells of what changed above plans."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._paging = Paging(context)

    async def hear(self, event: GovernanceChanged) -> None:
        """Bring the messages about one subject up to date."""
        kind, _, subject = event.subject.partition(":")
        if kind == "switch":
            await self._switch(subject)
        elif kind == "breaker":
            await self._breaker(subject, event)
        elif kind == "autonomy":
            await self._autonomy(subject)
        elif kind == "glass":
            await self._paging.update(subject)
        elif kind == "authorisation":
            await self._authorisation(subject)

    async def _switch(self, scope: str) -> None:
        """Show the pull that stands, and the end of the one before, if it was shown.

        Only the ledger still knows when a released switch was pulled, which is
        what its message goes by.
        """
        ended = await self._last_ended(scope)
        if ended is not None and await self._context.posts.get(_pull_key(scope, ended)):
            await self._show(_pull_key(scope, ended), switches.released(scope, ended))
        for halt in await self._context.switches.state():
            if halt.scope == scope and not switches.by_file(halt):
                await self._show(_pull_key(scope, halt.at), switches.halted(halt))

    async def _last_ended(self, scope: str) -> datetime | None:
        wanted = EntryFilter(type="switch.released")
        for entry in await self._context.records.entries(wanted, limit=LOOKED_BACK):
            if entry.header.get("outcome") == scope and entry.body is not None:
                return datetime.fromisoformat(str(entry.body["pulled_at"]))
        return None

    async def _breaker(self, key: str, event: GovernanceChanged) -> None:
        breakers = {breaker.key: breaker for breaker in await self._context.records.breakers()}
        breaker = breakers.get(key)
        if breaker is None:
            return
        rules = self._context.breaker_rules
        opened = breaker.state(event.at, rules) is not BreakerState.CLOSED
        if opened is not (event.change == "opened"):
            return  # it has changed again since, which its own event tells
        message = notices.breaker(breaker, rules)
        await self._show(f"breaker:{key}:{timestamp(event.at)}", message)

    async def _autonomy(self, key: str) -> None:
        """Tell only of what was lost: who is given more of it, asked for it."""
        for row in await self._context.autonomy.matrix():
            autonomy = row.autonomy
            lost = autonomy.lost_at is not None and autonomy.lost_at == autonomy.at
            if autonomy.key == key and lost and autonomy.level <= Level.L2:
                name = f"autonomy:{key}:{timestamp(autonomy.at)}" if autonomy.at else key
                await self._show(name, notices.demoted(autonomy))

    async def _authorisation(self, id: str) -> None:
        for authorisation in await self._context.emergencies.authorisations():
            if authorisation.id == id:
                message = notices.authorisation(authorisation, at=self._context.clock.now())
                await self._show(f"authorisation:{id}", message)

    async def _show(self, key: str, message: Message) -> None:
        channel = self._context.channels().alerts
        if channel is not None:
            await self._context.posts.show(key, message, channel=channel)


def _pull_key(scope: str, at: datetime) -> str:
    return f"halt:{scope}:{timestamp(at)}"
