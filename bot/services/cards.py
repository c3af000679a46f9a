"""The frame's own screen: asks plugins what they know and keeps the alert card current."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.alerts import AlertGroup, Change
from bot.domain.cards import alert_card
from bot.domain.catalog import Catalog
from bot.domain.findings import Finding
from bot.domain.freezes import Calendars, Window
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
Muted = Callable[[AlertGroup, datetime], Window | None]

_NEWS = frozenset({Change.OPENED, Change.ADDED, Change.REOPENED})


def announced(calendars: Calendars, catalog: Catalog) -> Muted:
    """Mute what maintenance of a group's service, or of that service's team, announces.

    A group whose alerts name different services, or none, is muted only by
    maintenance of everything.
    """

    def muted(group: AlertGroup, at: datetime) -> Window | None:
        service = catalog.services.get(group.service or "")
        return calendars.at(at).maintenance(group.service, service.team if service else None)

    return muted


def _never(group: AlertGroup, at: datetime) -> Window | None:
    return None


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
        muted: Muted = _never,
    ) -> None:
        self._alerts = alerts
        self._posts = posts
        self._clock = clock
        self._plugins = plugins
        self._offers = offers
        self._channel = channel
        self._muted = muted

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
        One that fires within announced maintenance gets its card when that is
        over, if it still fires then; a card that stands already is kept current.
        """
        channel, now = self._channel(), self._clock.now()
        key = card_key(group)
        known = await self._posts.get(key)
        window = self._muted(group, now) if group.firing else None
        if window is not None:
            await self._alerts.mute(group.id, window)
        if channel is None or (known is None and not group.firing):
            return
        if window is not None and (known is None or known.ref is None):
            return
        message = alert_card(group, self._offers(group), at=now, muted=window)
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
