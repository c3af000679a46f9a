"""Brakes and consent as pages show them: plans that wait, levels, breakers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.approvals import Answer, Approval, Place, missing, standings
from bot.domain.autonomy import NEEDED, Autonomy, Level, Tally, wilson_lower
from bot.domain.breakers import Breaker, BreakerRules, BreakerState
from bot.domain.runs import Plan, Run

_MOST_RUNS = 100_000  # nobody waits for more verified runs than that


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A plan that waits for answers: how many of its places are filled, and who still has to."""

    run: Run
    plan: Plan
    approval: Approval
    filled: int
    places: int
    needed: Sequence[str]
    consenting: Sequence[str]
    late: bool

    @property
    def about(self) -> str:
        """Return what it answers: its incident, or else an alert."""
        return self.run.incident or "an alert"

    @property
    def felt_by(self) -> Sequence[str]:
        """Return the other services that may feel it."""
        return [name for name in self.plan.touches if name != self.plan.service]


def waiting(runs: Iterable[Run], *, at: datetime) -> Sequence[Waiting]:
    """Return the plans that wait, those that end first before the others."""
    found = [
        _waiting(run, run.plan, run.approval, at=at)
        for run in runs
        if run.plan is not None and run.approval is not None
    ]
    return sorted(found, key=lambda w: (w.late, w.approval.answer_by, w.run.id))


def _waiting(run: Run, plan: Plan, approval: Approval, *, at: datetime) -> Waiting:
    people = standings(approval)
    lacking = missing(approval.quorum, people)
    places = sum(place.count for place in approval.quorum)
    return Waiting(
        run=run,
        plan=plan,
        approval=approval,
        filled=places - sum(lacking.values()),
        places=places,
        needed=[str(Place(group=group, count=n)) for group, n in lacking.items() if n],
        consenting=[standing.person.name for standing in people],
        late=at >= approval.answer_by,
    )


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer to one plan."""

    run: Run
    answer: Answer


def answered(runs: Iterable[Run], *, limit: int) -> Sequence[Answered]:
    """Return the newest answers to plans, newest first."""
    found = [
        Answered(run=run, answer=answer)
        for run in runs
        for answer in (run.approval.answers if run.approval else ())
    ]
    return sorted(found, key=lambda a: a.answer.at, reverse=True)[:limit]


@dataclass(frozen=True, kw_only=True)
class LevelRow:
    """One action on one service: its level, its record, and what the next level takes."""

    autonomy: Autonomy
    tally: Tally
    missing: str

    @property
    def tone(self) -> str:
        """Return the tone of its badge."""
        if self.autonomy.level > Level.L2:
            return "good"
        return "quiet" if self.autonomy.level is Level.L2 else "warn"


def level_row(autonomy: Autonomy, tally: Tally) -> LevelRow:
    """Return a line of the matrix."""
    return LevelRow(autonomy=autonomy, tally=tally, missing=lacking(autonomy.level, tally))


def lacking(level: Level, tally: Tally) -> str:
    """Say what the next level takes."""
    if level is Level.L4:
        return "Nothing; this is the highest level."
    following = Level(level + 1)
    if following <= Level.L2:
        return f"{following.name}: a person's word and a reason."
    if tally.earned >= following:
        return f"{following.name} is earned: a person may give it, with a reason."
    wanted = []
    more = runs_to(NEEDED[following], tally)
    if more:
        wanted.append(f"{more} more verified run{'' if more == 1 else 's'} in a row")
    if tally.unlabelled:
        wanted.append("a record without runs that nothing verified")
    return f"{following.name}: {' and '.join(wanted)}."


def runs_to(bound: float, tally: Tally) -> int:
    """Return how many further runs, all of them verified, bring the lower bound there."""

    def reached(more: int) -> float:
        return wilson_lower(tally.good + more, tally.total + more)

    return bisect_left(range(_MOST_RUNS), bound, key=reached)


@dataclass(frozen=True, kw_only=True)
class BreakerRow:
    """A breaker as it stands now."""

    breaker: Breaker
    state: BreakerState

    @property
    def tone(self) -> str:
        """Return the tone of its badge."""
        tones = {BreakerState.OPEN: "bad", BreakerState.HALF_OPEN: "warn"}
        return tones.get(self.state, "good")


_ORDER = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)


def breaker_rows(
    breakers: Iterable[Breaker], *, at: datetime, rules: BreakerRules
) -> Sequence[BreakerRow]:
    """Return every breaker, those that hold something up first."""
    rows = [BreakerRow(breaker=b, state=b.state(at, rules)) for b in breakers]
    return sorted(rows, key=lambda row: (_ORDER.index(row.state), row.breaker.key))
