"""The pages of what holds the assistant back: consent, freezes, levels, switches, reviews."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bot.domain.switches import RELEASES
from bot.plugin import Audience, Page, PageRequest, PageView, PluginContext
from plugins.governance.views_brakes import answered, breaker_rows, level_row, waiting

AHEAD = timedelta(days=60)
SHOWN = 200  # rows of a table that has no pages
ANSWERS = 20


class BrakePages:
    """Shows what waits for people, and what stops effects."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._clock = context.clock

    def all(self) -> Sequence[Page]:
        """Return the pages."""
        member, responder = Audience.MEMBER, Audience.RESPONDER
        return (
            Page(path="approvals", title="Approvals", audience=member, handler=self.approvals),
            Page(path="switches", title="Switches", audience=member, handler=self.switches),
            Page(path="freezes", title="Freezes", audience=member, handler=self.freezes),
            Page(path="autonomy", title="Autonomy", audience=responder, handler=self.autonomy),
            Page(path="reviews", title="Reviews", audience=responder, handler=self.reviews),
        )

    async def approvals(self, request: PageRequest) -> PageView:
        """Show the plans that wait for answers, and the newest answers."""
        now = self._clock.now()
        data = {
            "waiting": waiting(await self._context.records.awaiting(), at=now),
            "answered": answered(await self._context.runs.recent(), limit=ANSWERS),
        }
        return PageView(template="approvals.html", data=data)

    async def switches(self, request: PageRequest) -> PageView:
        """Show the switches that are pulled, and the breakers."""
        rules = self._context.breaker_rules
        breakers = await self._context.records.breakers()
        data = {
            "halts": await self._context.switches.state(),
            "releases": RELEASES,
            "epoch": await self._context.switches.epoch(),
            "breakers": breaker_rows(breakers, at=self._clock.now(), rules=rules),
            "rules": rules,
        }
        return PageView(template="switches.html", data=data)

    async def freezes(self, request: PageRequest) -> PageView:
        """Show the windows in force, those to come, and calendars that cannot be read."""
        now, calendars = self._clock.now(), self._context.calendars
        windows = calendars.at(now)
        coming = [w for w in calendars.between(now, now + AHEAD) if w.starts_at > now]
        data = {
            "active": sorted(windows.active, key=lambda w: (w.kind.value, w.ends_at)),
            "coming": coming[:SHOWN],
            "left_out": len(coming[SHOWN:]),
            "faults": windows.faults,
            "days": AHEAD.days,
        }
        return PageView(template="freezes.html", data=data)

    async def autonomy(self, request: PageRequest) -> PageView:
        """Show what the assistant may do by itself, and what it would take to do more."""
        rows = await self._context.autonomy.matrix()
        data = {"rows": [level_row(row.autonomy, row.tally) for row in rows]}
        return PageView(template="autonomy.html", data=data)

    async def reviews(self, request: PageRequest) -> PageView:
        """Show broken glasses that wait for their review, and those that had it."""
        now, emergencies = self._clock.now(), self._context.emergencies
        reviewed = [glass for glass in await emergencies.all() if glass.reviewed]
        authorisations = await emergencies.authorisations()
        data = {
            "open": [(g, g.overdue(now)) for g in await emergencies.open_reviews(now)],
            "reviewed": reviewed[:SHOWN],
            "in_force": [a for a in authorisations if a.in_force(now)],
            "proposed": [a for a in authorisations if a.waiting(now)],
            "now": now,
        }
        return PageView(template="reviews.html", data=data)
