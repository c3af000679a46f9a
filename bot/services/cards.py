"""The frame's own screen: asks plugins what they know and keeps the alert card current."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from bot.domain.alerts import AlertGroup, Change
from bot.domain.cards import alert_card
from bot.domain.findings import Finding
from bot.domain.messages import Button
from bot.domain.people import ChannelId
from bot.ports import Clock
from bot.services.alerts import AlertService
from bot.services.posts import PostService

log = logging.getLogger(__name__)

# What one plugin may take to say what it knows, in seconds.
PATIENCE = 5.0

Asked = Callable[[AlertGroup], Awaitable[Sequence[Finding]]]
Offered = Callable[[AlertGroup], Sequence[Button]]

_NEWS = frozenset({Change.OPENED, Change.ADDED, Change.REOPENED})


class CardService:
    """Draws one card per alert group, and redraws it when the group changes."""

    def __init__(
        self,
        alerts: AlertService,
        posts: PostService,
        clock: Clock,
        *,
        plugins: Sequence[tuple[str, Asked]],
        offers: Offered,
        channel: Callable[[], ChannelId | None],
    ) -> None:
        self._alerts = alerts
        self._posts = posts
        self._clock = clock
        self._plugins = plugins
        self._offers = offers
        self._channel = channel

    async def assess(self, group: AlertGroup, change: Change) -> AlertGroup:
        """Ask every plugin about a group that is news, and keep what they claim."""
        if change not in _NEWS:
            return group
        answers = await asyncio.gather(
            *(self._ask(name, ask, group) for name, ask in self._plugins)
        )
        return await self._alerts.assess(group.id, [f for answer in answers for f in answer])

    async def show(self, group: AlertGroup) -> None:
        """Make the group's card show its current state.

        A group that opened resolved, or silent, makes no noise: it gets no card.
        """
        channel = self._channel()
        key = card_key(group)
        known = await self._posts.get(key)
        if channel is None or (known is None and not group.firing):
            return
        message = alert_card(group, self._offers(group), at=self._clock.now())
        await self._posts.show(key, message, channel=channel)

    async def _ask(self, name: str, ask: Asked, group: AlertGroup) -> Sequence[Finding]:
        try:
            async with asyncio.timeout(PATIENCE):
                return [replace(finding, plugin=name) for finding in await ask(group)]
        except Exception:  # one plugin's failure must not cost the card
            log.exception("plugin %s could not be asked about %s", name, group.id)
            return ()


def card_key(group: AlertGroup) -> str:
    """Return the key of a group's card."""
    return f"alert:{group.id}"
