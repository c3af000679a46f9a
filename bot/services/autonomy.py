"""Autonomy as a use case: read it, give it, take it back, and recount what it rests on.

The record is recounted from the runs and their effects, not from the ledger's
entries: whether a step was verified is the free text of an entry's body, which
is encrypted, may be erased, and cannot be read within a transaction. An auditor
recounts the same from the ledger alone: each `action.intent` names its action
and, in `idem_key`, its run and step; the frozen plan in `run.planned` says which
steps are verified; and the run's last entry tells how it ended.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from bot.domain.autonomy import (
    Autonomy,
    AutonomyRow,
    Level,
    Tally,
    autonomy_key,
    check_may_change,
    count,
    demote,
    is_verified,
    judge,
    least,
    promote,
)
from bot.domain.effects import EffectRecord
from bot.domain.errors import Refused
from bot.domain.events import Happening
from bot.domain.ledger import Entry
from bot.domain.people import Caller, Standing
from bot.domain.runs import Run
from bot.ports import Clock, Database, Transaction

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 500  # subjects asked for at once, well below what SQLite takes


@dataclass(frozen=True, kw_only=True)
class _History:
    """Effects with the runs they belong to, and the runs that take others back."""

    effects: Mapping[str, Sequence[EffectRecord]]
    runs: Mapping[str, Run]
    children: Mapping[str, Sequence[Run]] = field(default_factory=dict)

    def tally(self, autonomy: Autonomy) -> Tally:
        """Count what runs have shown since autonomy was last lost, each run once."""
        since = autonomy.lost_at or ALWAYS
        effects = self.effects.get(autonomy.key, ())
        ids = dict.fromkeys(e.run for e in effects if e.intended_at > since)
        runs = [self.runs[id] for id in ids if id in self.runs]
        return count(judge(r, autonomy.action, self.children.get(r.id, ())) for r in runs)


class AutonomyService:
    """Keeps the level of each action on each service."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def level(self, tx: Transaction, uses: str, service: str | None) -> Level:
        """Return the level in force, read in the caller's transaction."""
        return (await _of(tx, uses, service)).level

    async def of_plan(self, tx: Transaction, actions: Sequence[str], service: str | None) -> Level:
        """Return the level of several actions together: that of the least trusted."""
        return least([await self.level(tx, uses, service) for uses in actions])

    async def matrix(self) -> Sequence[AutonomyRow]:
        """Return every action and service with a level of its own or with effects so far."""
        async with self._database.reading() as view:
            history = await _history(view, since=ALWAYS)
            stored = await view.autonomy.all()
        keys = sorted({*stored, *history.effects})
        known = [stored.get(key) or _default(key) for key in keys]
        return [AutonomyRow(autonomy=a, tally=history.tally(a)) for a in known]

    async def levels(self) -> Mapping[str, Level]:
        """Return the levels that were set, by action and service; all others are at L2."""
        async with self._database.reading() as view:
            return {key: found.level for key, found in (await view.autonomy.all()).items()}

    async def tally(self, view: Transaction, action: str, service: str | None) -> Tally:
        """Count the runs with an effect of this action on this service since autonomy was lost."""
        return await _tally(view, await _of(view, action, service))

    async def promote(
        self,
        action: str,
        service: str | None,
        level: Level,
        *,
        reason: str,
        by: Caller,
        standing: Standing,
        team: str | None,
    ) -> Autonomy:
        """Set a level on a person's word; less is always possible, more has to be earned.

        `standing` is what the person belongs to now, `team` who owns the service.
        The record is counted in the transaction that sets the level, so that no
        trouble slips in between.

        Raises:
            Refused: they may not, the reason is missing, it is that level
                already, or it is not earned.
        """
        check_may_change(standing, team)
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            before = await _of(tx, action, service)
            if before.level is level:
                raise Refused(f"{before.action} is at {level.name} there already.")
            tally = await _tally(tx, before)
            name = standing.person.name
            after = promote(before, level, tally=tally, by=name, reason=reason, at=now)
            await _store(tx, after, actor=standing.person.actor, at=now, tally=tally)
        return after

    async def demote(
        self, tx: Transaction, action: str, service: str | None, *, reason: str, at: datetime
    ) -> Autonomy:
        """Take autonomy back to proposing, in the transaction that saw why.

        Where it is no more than that, nothing changes and nothing is told. The
        record is not recounted: what is lost does not depend on it, and the
        transaction may be one that an effect waits for.
        """
        before = await _of(tx, action, service)
        after = demote(before, reason=reason, at=at)
        if after is not before:
            await _store(tx, after, actor="system", at=at)
        return after

    async def require_labels(
        self, tx: Transaction, run: Run, uses: str, *, at: datetime
    ) -> Autonomy | None:
        """Take autonomy back where an action went well and its plan verifies nothing of it.

        Without verification nobody would know that it goes wrong.
        """
        plan = run.plan
        if plan is None or run.parent is not None:
            return None
        if all(is_verified(plan, step) for step in plan.steps if step.uses == uses):
            return None
        reason = "its effect was not verified by anything"
        return await self.demote(tx, uses, run.service, reason=reason, at=at)

    async def alarm(self, reason: str) -> Sequence[Autonomy]:
        """Take all autonomy back at once, for a monitor that no longer trusts what decides.

        Return what was taken back.
        """
        now = self._clock.now()
        async with self._database.transaction() as tx:
            stored = await tx.autonomy.all()
            high = [a for a in stored.values() if a.level > Level.L2]
            return [
                await self.demote(tx, a.action, a.service, reason=f"alarm: {reason}", at=now)
                for a in high
            ]


async def _of(tx: Transaction, uses: str, service: str | None) -> Autonomy:
    key = autonomy_key(uses, service)
    return await tx.autonomy.get(key) or _default(key)


def _default(key: str) -> Autonomy:
    action, _, service = key.partition("|")
    return Autonomy(action=action, service=service)


async def _tally(view: Transaction, autonomy: Autonomy) -> Tally:
    history = await _history(view, since=autonomy.lost_at or ALWAYS, only=autonomy.key)
    return history.tally(autonomy)


async def _history(view: Transaction, *, since: datetime, only: str | None = None) -> _History:
    effects: dict[str, list[EffectRecord]] = defaultdict(list)
    for effect in await view.effects.since(since):
        key = autonomy_key(effect.uses, effect.service)
        if only is None or key == only:
            effects[key].append(effect)
    runs = await _runs_of(view, sorted({e.subject for found in effects.values() for e in found}))
    children: dict[str, list[Run]] = defaultdict(list)
    for run in runs.values():
        if run.parent is not None:
            children[run.parent].append(run)
    return _History(effects=effects, runs=runs, children=children)


async def _runs_of(view: Transaction, subjects: Sequence[str]) -> Mapping[str, Run]:
    """Return the runs for some subjects; those that take one back have the same subject."""
    found: dict[str, Run] = {}
    for start in range(0, len(subjects), BATCH):
        found |= {run.id: run for run in await view.runs.of(subjects[start : start + BATCH])}
    return found


async def _store(
    tx: Transaction, autonomy: Autonomy, *, actor: str, at: datetime, tally: Tally | None = None
) -> None:
    """Store a level and tell of it, with the record that was shown for it."""
    shown = {} if tally is None else {"tally": asdict(tally)}
    await tx.autonomy.save(autonomy.key, autonomy)
    await tx.ledger.append(
        Entry(
            type="autonomy.changed",
            actor=actor,
            at=at,
            action=autonomy.action,
            outcome=autonomy.level.name,
            body={"service": autonomy.service, "reason": autonomy.reason, **shown},
        )
    )
    subject = f"autonomy:{autonomy.key}"
    await tx.outbox.add(Happening(kind="governance", subject=subject, change="changed", at=at))
