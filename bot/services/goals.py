"""Finds out, after the last step, whether a run has helped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from bot.domain.actions import JSON, ActionFailed
from bot.domain.deciding import goal_holds
from bot.domain.errors import Refused
from bot.domain.runs import Goal, Run, RunState, advance
from bot.ports import Claim, Clock
from bot.services.diagnosing import known_value
from bot.services.preconditions import LOOK_SECONDS
from bot.services.reading import Reader
from bot.services.writing import RunWriter


class GoalMoves:
    """Looks again and again at what a page calls done, for as long as it says."""

    def __init__(self, clock: Clock, *, reader: Reader, writer: RunWriter) -> None:
        self._clock = clock
        self._reader = reader
        self._writer = writer

    async def look(self, claim: Claim, goal: Goal) -> None:
        """Look once, and end the run well, give up, or look again later.

        Where the goal is not reached the steps stay as they are: each was
        verified on its own, so a person decides, who may ask to take them back.
        """
        found = await self._found(goal)
        now = self._clock.now()
        if goal_holds(goal.when, goal.parameters, found):
            await self._reached(claim, goal, now)
        elif claim.run.verify_by is None or now >= claim.run.verify_by:
            why = f"the steps are done and {goal.when} is not reached ({_shown(found)})"
            await self._writer.end(claim, RunState.FAILED, why)
        else:
            due = now + timedelta(seconds=goal.every)
            await self._writer.write(claim, lambda r: r, due_at=due)

    async def _found(self, goal: Goal) -> Mapping[str, JSON]:
        found: dict[str, JSON] = {}
        for look in goal.looks:
            try:
                seen = await self._reader.read(look.uses, look.arguments, timeout=LOOK_SECONDS)
            except (ActionFailed, Refused):
                found[look.id] = None
            else:
                found[look.id] = known_value(seen.value)
        return found

    async def _reached(self, claim: Claim, goal: Goal, now: datetime) -> None:
        def reached(run: Run) -> Run:
            return advance(run, RunState.SUCCEEDED, at=now)

        await self._writer.write(
            claim,
            reached,
            due_at=None,
            change=RunState.SUCCEEDED.value,
            text=f"“{claim.run.title}” has helped: {goal.when}",
        )


def _shown(found: Mapping[str, JSON]) -> str:
    values = (f"{id} {'not known' if value is None else value}" for id, value in found.items())
    return ", ".join(values) or "nothing was looked at"
