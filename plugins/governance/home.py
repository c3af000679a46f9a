"""The section "Waiting for you" of a person's home page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.emergencies import BreakGlass
from bot.domain.messages import Bold, Buttons, Heading, Message, Part, note, paragraph, quiet
from bot.domain.people import Person, Standing
from bot.plugin import PluginContext
from plugins.governance import glass as says
from plugins.governance import switches, waiting

TITLE = "Waiting for you"
NOTHING = "Nothing waits for you."


class Home:
    """Collects what one person can do something about."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def section(self, viewer: Person) -> Message:
        """Return what waits for a person: plans, reviews, authorisations, pulled switches."""
        standing = await self._context.people.standing(viewer.id)
        if not _full(standing.person):
            return note(NOTHING)
        parts = [
            *await self._switches(standing.person),
            *await self._plans(standing),
            *await self._reviews(standing.person),
            *await self._proposals(standing),
        ]
        if not parts:
            return note(NOTHING)
        return Message(summary=TITLE, parts=(Heading(TITLE), *parts))

    async def _switches(self, viewer: Person) -> Sequence[Part]:
        parts: list[Part] = []
        for halt in await self._context.switches.state():
            scope = "" if halt.scope == "global" else f" of {halt.scope}"
            parts.append(paragraph(Bold(f"The kill switch{scope} is pulled. "), halt.reason))
            if switches.by_file(halt):
                parts.append(quiet(f"Pulled by {halt.by}; whoever removes it there releases it."))
                continue
            parts.append(quiet(f"Pulled by {halt.by}. Two people release it."))
            asked = any(person.human == viewer.human for person in halt.releases)
            if not asked:
                parts.append(Buttons((switches.release_button(halt),)))
        return parts

    async def _plans(self, standing: Standing) -> Sequence[Part]:
        runs = await self._context.records.waiting_for(standing)
        parts: list[Part] = []
        for found in await waiting.located(self._context, runs):
            parts += waiting.plan_lines(found)
        return (*parts, *waiting.others(len(runs)))

    async def _reviews(self, viewer: Person) -> Sequence[Part]:
        now = self._context.clock.now()
        found = await self._context.emergencies.open_reviews(now)
        reviewable = [glass for glass in found if _may_review(glass, viewer, now)]
        parts: list[Part] = [
            paragraph(
                Bold("Your broken glass is overdue for review. "),
                f"Ask somebody: /incident review {glass.id}. Until then you break no other.",
            )
            for glass in found
            if glass.person.human == viewer.human and glass.overdue(now)
        ]
        for glass in reviewable[: waiting.MOST_SHOWN]:
            parts += waiting.review_lines(glass, at=now)
            parts.append(Buttons((says.review_button(glass),)))
        return (*parts, *waiting.others(len(reviewable)))

    async def _proposals(self, standing: Standing) -> Sequence[Part]:
        """Show proposals to those of the owning team, but not to who made them."""
        now, person = self._context.clock.now(), standing.person
        return [
            part
            for found in await self._context.emergencies.authorisations()
            if found.waiting(now)
            and found.owner in standing.teams
            and found.proposed_by.human != person.human
            for part in waiting.give_lines(found)
        ]


def _full(person: Person) -> bool:
    return person.active and not (person.bot or person.guest or person.stranger)


def _may_review(glass: BreakGlass, viewer: Person, at: datetime) -> bool:
    """Say whether a review of this person would be taken now."""
    over = glass.run is not None or at >= glass.expires_at
    return over and glass.person.human != viewer.human
