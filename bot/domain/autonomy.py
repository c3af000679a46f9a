"""Autonomy: what the assistant may do by itself, for each action and service.

It is earned from verified runs, by the lower bound of the Wilson score interval
(Wilson 1927) at 95 %, so that a few lucky runs earn nothing. It is lost at once
and by itself; more of it is only ever given by a person, with a reason, and what
was lost has to be earned anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from math import sqrt

from bot.domain.errors import Refused
from bot.domain.people import Standing
from bot.domain.runs import Plan, PlannedStep, Run, RunState, StepState

Z95 = 1.959963984540054  # the 97.5th percentile of the standard normal distribution
NEEDED = {3: 0.90, 4: 0.95}  # the lower bound that has to be shown for a level


class Level(IntEnum):
    """How far the assistant goes without being asked."""

    L0 = 0
    L1 = 1
    L2 = 2
    L3 = 3
    L4 = 4

    @property
    def meaning(self) -> str:
        """Say the level in words."""
        return _MEANINGS[self]


_MEANINGS = {
    Level.L0: "off",
    Level.L1: "shadow: recorded, not shown",
    Level.L2: "proposes; people run it",
    Level.L3: "acts when a veto window ends",
    Level.L4: "acts and reports",
}


@dataclass(frozen=True, kw_only=True)
class Autonomy:
    """The level in force for one action (without its version) on one service.

    `lost_at` is when it was last taken back; only what happened since then
    counts towards more of it, whoever has set the level in between.
    """

    action: str
    service: str
    level: Level = Level.L2
    by: str = "default"
    reason: str = ""
    at: datetime | None = None
    lost_at: datetime | None = None

    @property
    def key(self) -> str:
        """Return what identifies it."""
        return autonomy_key(self.action, self.service)


def autonomy_key(uses: str, service: str | None) -> str:
    """Return what identifies the level of an action, with or without its version, on a service."""
    return f"{name_of(uses)}|{service or ''}"


def name_of(uses: str) -> str:
    """Return an action's name without its version."""
    return uses.split("@", maxsplit=1)[0]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The runs that count: `good` were verified and left standing, of `total` that ended.

    `total` counts those since the last time autonomy was lost. `unlabelled` are
    runs among them that nothing verified.
    """

    good: int
    total: int
    unlabelled: int = 0

    @property
    def lower_bound(self) -> float:
        """Return the lower bound of the Wilson interval at 95 %."""
        return wilson_lower(self.good, self.total)

    @property
    def earned(self) -> Level:
        """Return the highest level that the record justifies."""
        for level in (Level.L4, Level.L3):
            if self.lower_bound >= NEEDED[level] and not self.unlabelled:
                return level
        return Level.L2


class Evidence(StrEnum):
    """What an ended run shows about an action it used."""

    GOOD = "verified and left standing"
    UNLABELLED = "not verified by anything"
    BAD = "failed, stopped, in doubt, or taken back"


def judge(run: Run, action: str, children: Iterable[Run] = ()) -> Evidence | None:
    """Say what a run shows about an action (without its version); None where it shows nothing.

    Nothing is shown by a run that never got to an effect of the action, is still
    under way, or itself takes effects back. `children` are the runs that take
    this one's effects back; one that was asked for and only waits counts already.
    """
    if run.plan is None or run.parent is not None or not run.state.over:
        return None
    states = {record.id: record.state for record in run.records if record.started_at is not None}
    steps = [s for s in run.plan.steps if s.id in states and name_of(s.uses) == action]
    if not steps:
        return None
    if run.state is not RunState.SUCCEEDED or any(_takes_back(child) for child in children):
        return Evidence.BAD
    if any(states[step.id] is not StepState.DONE for step in steps):
        return Evidence.BAD
    labelled = all(is_verified(run.plan, step) for step in steps)
    return Evidence.GOOD if labelled else Evidence.UNLABELLED


def is_verified(plan: Plan, step: PlannedStep) -> bool:
    """Say whether a plan verifies a step: by itself or, rolled out, at the end of its wave."""
    if step.verify is not None or not step.wave:
        return step.verify is not None
    page_step = step.id.rpartition(".")[0]
    return any(
        other.verify is not None and other.wave == step.wave
        for other in plan.steps
        if other.id.rpartition(".")[0] == page_step
    )


def count(found: Iterable[Evidence | None]) -> Tally:
    """Return the tally of what runs have shown."""
    seen = Counter(evidence for evidence in found if evidence is not None)
    return Tally(good=seen[Evidence.GOOD], total=seen.total(), unlabelled=seen[Evidence.UNLABELLED])


def _takes_back(child: Run) -> bool:
    """A child that ended before its first effect has left everything as it was."""
    acted = any(record.started_at is not None for record in child.records)
    return acted or not child.state.over or child.state is RunState.SUCCEEDED


def wilson_lower(good: int, total: int, *, z: float = Z95) -> float:
    """Return the lower bound of the Wilson score interval for a share; 0 without trials.

    35 of 35 give 0.901, the first row of successes that reaches 0.90.
    """
    if total == 0:
        return 0.0
    share, spread = good / total, z * z / total
    middle = share + spread / 2
    half = z * sqrt(share * (1 - share) / total + spread / (4 * total))
    return (middle - half) / (1 + spread)


def check_may_change(standing: Standing, team: str | None) -> None:
    """Refuse who has no say in the autonomy on a service that this team owns.

    Raises:
        Refused: it is no full member, or neither on call nor of the team.
    """
    person = standing.person
    if person.bot or person.guest or person.stranger or not person.active:
        raise Refused("Only full members of this workspace change autonomy.")
    if not standing.on_call and team not in standing.teams:
        raise Refused("Only people who are on call or of the owning team change autonomy.")


def promote(
    autonomy: Autonomy, level: Level, *, tally: Tally, by: str, reason: str, at: datetime
) -> Autonomy:
    """Set a level on a person's word; less is always possible, more has to be earned.

    Raises:
        Refused: the reason is missing, or the record does not justify the level.
    """
    if len(reason.strip()) < 10:
        raise Refused("A change of autonomy needs a reason of ten characters or more.")
    if level > Level.L2 and level > tally.earned:
        raise Refused(
            f"{level.name} has to be earned: {tally.good} of {tally.total} runs were verified, "
            f"which shows {tally.lower_bound:.2f} where {NEEDED[level]:.2f} is needed."
        )
    return replace(autonomy, level=level, by=by, reason=reason.strip()[:500], at=at)


def demote(autonomy: Autonomy, *, reason: str, at: datetime) -> Autonomy:
    """Take autonomy back to proposing; what is lower already stays."""
    if autonomy.level <= Level.L2:
        return autonomy
    return replace(autonomy, level=Level.L2, by="tocsin", reason=reason[:500], at=at, lost_at=at)


def least(levels: Sequence[Level]) -> Level:
    """Return the level of several actions together: that of the least trusted."""
    return min(levels, default=Level.L2)


@dataclass(frozen=True, kw_only=True)
class AutonomyRow:
    """One line of the matrix: what is in force, and what the record shows."""

    autonomy: Autonomy
    tally: Tally

    @property
    def earned(self) -> Level:
        """Return the highest level that the record justifies."""
        return self.tally.earned
