"""What the assistant does about an alert by itself, where its autonomy allows it.

It only asks for a run, like a person would: the plan, the policy and the gate
decide what becomes of it. Only a page that says itself that it is for this alert
counts; what merely may fit is for people to judge.
"""

from __future__ import annotations

import logging

from bot.domain.alerts import AlertGroup, Change
from bot.domain.autonomy import Level
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.events import AlertChanged
from bot.domain.parameters import resolve
from bot.domain.people import BOT, Caller
from bot.domain.runbooks import Runbook
from bot.plugin import PluginContext
from plugins.runbooks.levels import level_of
from plugins.runbooks.suggestions import direct, shared_labels

log = logging.getLogger(__name__)

_NEWS = frozenset({Change.OPENED, Change.ADDED, Change.REOPENED})


class Acting:
    """Asks for runs from L3 on; at L1 notes what it would have proposed."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def consider(self, event: AlertChanged) -> None:
        """Look whether the best page for an alert may be run, or noted, by itself."""
        group = event.group
        runbook = self._best(group)
        if runbook is None or not group.firing:
            return
        level = await level_of(self._context, runbook, group.service)
        if level is Level.L1:
            await self._note(group, runbook)
        if level >= Level.L3 and event.change in _NEWS and not self._hushed(group):
            await self._request(group, runbook)

    def _best(self, group: AlertGroup) -> Runbook | None:
        """Return the best page where it can be run with what the labels say, and nothing else."""
        fitting = direct(self._context.knowledge.runbooks.values(), group)
        if not fitting or not fitting[0].runbook.executable:
            return None
        try:
            resolve(fitting[0].runbook, shared_labels(group), {})
        except Refused:
            return None
        return fitting[0].runbook

    def _hushed(self, group: AlertGroup) -> bool:
        """Say whether somebody deals with it, or announced it."""
        now = self._context.clock.now()
        if group.acknowledged_by is not None or group.silenced(now):
            return True
        service = self._context.knowledge.catalog.services.get(group.service or "")
        team = service.team if service else None
        return self._context.calendars.at(now).maintenance(group.service, team) is not None

    async def _request(self, group: AlertGroup, runbook: Runbook) -> None:
        """Ask once for each story of an alert; what stands in the way is no news to anybody."""
        try:
            await self._context.runs.request(
                runbook,
                {},
                subject=group.id,
                labels=shared_labels(group),
                incident=group.incident,
                service=group.service,
                by=Caller(person=BOT, request=f"auto:{group.id}:{runbook.id}"),
            )
        except AlreadyDone:
            return
        except Refused as no:
            log.info("%s is not run for %s: %s", runbook.id, group.id, no.reason)

    async def _note(self, group: AlertGroup, runbook: Runbook) -> None:
        """Put what it would have proposed on the alert's timeline, once."""
        log.info("would propose %s for %s (L1)", runbook.id, group.id)
        await self._context.timelines.remark(
            group.id,
            f"would have proposed “{runbook.title}” for {group.name} (autonomy L1)",
            origin=f"shadow:{group.id}:{runbook.id}",
        )
