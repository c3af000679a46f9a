"""The brakes: breakers, rates, and what only one run at a time may hold.

Everything is read and written in the caller's transaction, so that nothing
changes between the look and the intent that relies on it. What takes effects
back is never braked: a rollback that has to wait would be the greater harm. The
kill switch stops that too, and is not read here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from bot.domain.actions import Risk
from bot.domain.breakers import (
    Breaker,
    BreakerRules,
    BreakerState,
    Trouble,
    breaker_key,
    note_success,
    note_trouble,
)
from bot.domain.effects import EffectRecord
from bot.domain.errors import NotFound, Refused
from bot.domain.events import Happening
from bot.domain.ledger import Entry
from bot.domain.limits import Limits, check_cool_down, check_rate, clock_time
from bot.domain.runs import PlannedStep, Run, RunId, RunState
from bot.ports import Transaction
from bot.services.loops import LONGEST_EFFECT, loops

_TICK = timedelta(microseconds=1)


class Looping(Refused):
    """An action would answer once more the alert that it raises itself.

    The refusal undoes the caller's transaction. So the caller counts
    `Trouble.LOOP` in a transaction of its own, which opens the breaker.
    """


class Brakes:
    """Stops what goes wrong again and again, and what goes too fast."""

    def __init__(self, rules: BreakerRules) -> None:
        self.rules = rules

    # Before an effect.

    async def check(
        self, tx: Transaction, run: Run, step: PlannedStep, *, at: datetime, limits: Limits
    ) -> bool:
        """Hold a step's effect against every brake; say whether it is a breaker's trial.

        A step that only reads passes, and so does whatever takes effects back.
        The runbook's own rates are held against a run that begins: one that has
        begun is not left half done by them.

        Raises:
            Looping: it goes round in a circle, which the caller has to count.
            Refused: naming the brake, and until when it holds where that is known.
        """
        if step.risk is Risk.R0 or run.parent is not None:
            return False
        trial = await self._check_breaker(tx, run, step.uses, at=at)
        await self._check_fleet(tx, run.effect_key(step), at=at)
        if not _begun(run):
            await self._check_pace(tx, run, limits, at=at)
        if not trial and await loops(tx, run, step.uses, at=at, rules=self.rules):
            raise Looping(
                f"{_name(step.uses, run.service)} has answered this alert {self.rules.loop} times "
                "and it fires again, so a person has to look for the cause; nothing was run."
            )
        return trial

    async def half_open(
        self, tx: Transaction, actions: Collection[str], service: str | None, *, at: datetime
    ) -> bool:
        """Say whether any of some actions would be a breaker's trial on a service now."""
        found = [await tx.breakers.get(breaker_key(uses, service)) for uses in actions]
        half_open = BreakerState.HALF_OPEN
        return any(b is not None and b.state(at, self.rules) is half_open for b in found)

    async def _check_breaker(self, tx: Transaction, run: Run, uses: str, *, at: datetime) -> bool:
        breaker = await tx.breakers.get(breaker_key(uses, run.service))
        if breaker is None or breaker.opened_at is None:
            return False
        rested = breaker.opened_at + timedelta(seconds=self.rules.rest)
        if breaker.state(at, self.rules) is BreakerState.OPEN:
            raise Refused(
                f"{_name(uses, run.service)} is not tried again before {clock_time(rested, at)}: "
                f"{breaker.reason}; nothing was run."
            )
        for effect in await tx.effects.since(rested - _TICK):
            if await _on_trial(tx, effect, breaker, but=run):
                raise Refused(
                    f"{_name(uses, run.service)} is on trial in another run ({breaker.reason}); "
                    "nothing was run."
                )
        return True

    async def _check_fleet(self, tx: Transaction, key: str, *, at: datetime) -> None:
        """Count every change of the last minutes but the one at hand, which may be a retry."""
        window = timedelta(seconds=self.rules.fleet_window)
        changes = [e for e in await tx.effects.since(at - window) if e.risk and e.key != key]
        if len(changes) < self.rules.fleet:
            return
        free = changes[-self.rules.fleet].intended_at + window
        raise Refused(
            f"{len(changes)} changes were made within {self.rules.fleet_window / 60:g} minutes, "
            f"more than anybody can follow; nothing was run, and nothing is before "
            f"{clock_time(free, at)}."
        )

    async def _check_pace(self, tx: Transaction, run: Run, limits: Limits, *, at: datetime) -> None:
        others = await _others(tx, run, limits, at=at)
        cooling = max((e.ended_at or e.intended_at for e in others), default=None)
        check_cool_down(limits, cooling, at=at)
        began: dict[str, datetime] = {}
        for effect in others:
            began.setdefault(effect.run, effect.intended_at)
        forward = [id for id in began if (await tx.runs.get(RunId(id))).parent is None]
        check_rate(limits, [began[id] for id in forward], at=at)

    # After an effect.

    async def settle(
        self, tx: Transaction, run: Run, uses: str, trouble: Trouble | None, *, at: datetime
    ) -> None:
        """Count how an effect ended; None is well. What changes a breaker's state is told."""
        action, service = uses.split("@", maxsplit=1)[0], run.service or ""
        key = breaker_key(uses, run.service)
        before = await tx.breakers.get(key) or Breaker(action=action, service=service)
        after = self._counted(before, run, trouble, at=at)
        if after == before:
            return
        await tx.breakers.save(key, after)
        state = after.state(at, self.rules)
        if state is not before.state(at, self.rules):
            reason = after.reason or "its trial went well"
            await _tell(tx, after, state, run=run, reason=reason, at=at)

    def _counted(
        self, breaker: Breaker, run: Run, trouble: Trouble | None, *, at: datetime
    ) -> Breaker:
        if trouble is not None:
            return note_trouble(breaker, trouble, at=at, rules=self.rules)
        if not self._tried(breaker, run):
            return breaker
        return note_success(breaker, at=at, rules=self.rules)

    def _tried(self, breaker: Breaker, run: Run) -> bool:
        """Say whether a run's effect was the trial: it began when the breaker had rested.

        A run that was under way when the breaker opened was let through by
        nobody's consent to a trial, and its success forgives nothing.
        """
        if breaker.opened_at is None or run.plan is None:
            return False
        rested = breaker.opened_at + timedelta(seconds=self.rules.rest)
        steps = {s.id for s in run.plan.steps if breaker_key(s.uses, run.service) == breaker.key}
        starts = [r.started_at for r in run.records if r.id in steps]
        return any(start is not None and start >= rested for start in starts)

    # What only one run at a time may hold.

    async def reserve(self, tx: Transaction, key: str, run_id: RunId) -> RunId | None:
        """Take a key for a run; return the run that holds it, or None when it is now ours.

        Asking again is harmless. What a run holds that is over, and not in
        doubt, is taken over: it cannot let go of it any more.
        """
        if not key or await tx.reservations.add(key, run_id):
            return None
        holder = RunId(await tx.reservations.get(key) or run_id)
        if holder == run_id:
            return None
        if await _holds_on(tx, holder):
            return holder
        await tx.reservations.save(key, run_id)
        return None

    async def hand_over(self, tx: Transaction, key: str, from_run: RunId, to_run: RunId) -> None:
        """Pass a key on from the run that holds it, with nobody in between."""
        if await tx.reservations.get(key) == from_run:
            await tx.reservations.save(key, to_run)

    async def free(self, tx: Transaction, key: str, run_id: RunId) -> None:
        """Let go of a key; one that another run holds stays with it."""
        if await tx.reservations.get(key) == run_id:
            await tx.reservations.remove(key)


def _name(uses: str, service: str | None) -> str:
    return f"{uses} on {service}" if service else uses


def _begun(run: Run) -> bool:
    """Say whether a run has changed anything yet, or may have."""
    changing = {s.id for s in run.plan.steps if s.risk} if run.plan else set()
    return any(r.started_at is not None for r in run.records if r.id in changing)


async def _on_trial(tx: Transaction, effect: EffectRecord, breaker: Breaker, *, but: Run) -> bool:
    if effect.run == but.id or breaker_key(effect.uses, effect.service) != breaker.key:
        return False
    run = await tx.runs.get(RunId(effect.run))
    return run.parent is None and not run.state.over


async def _others(
    tx: Transaction, run: Run, limits: Limits, *, at: datetime
) -> Sequence[EffectRecord]:
    """Return what other runs of the runbook changed about the service, oldest first.

    As far back as its limits reach: a change counts from when it ended, which
    may be an hour after its intent.
    """
    reach = max(limits.rate[1] if limits.rate else 0.0, limits.cool_down or 0.0)
    if not reach:
        return []
    effects = await tx.effects.since(at - timedelta(seconds=reach) - LONGEST_EFFECT)
    same = (run.runbook, run.service)
    return [e for e in effects if (e.runbook, e.service) == same and e.run != run.id and e.risk]


async def _holds_on(tx: Transaction, holder: RunId) -> bool:
    try:
        state = (await tx.runs.get(holder)).state
    except NotFound:
        return False
    return not state.over or state is RunState.IN_DOUBT


async def _tell(
    tx: Transaction,
    breaker: Breaker,
    state: BreakerState,
    *,
    run: Run,
    reason: str,
    at: datetime,
) -> None:
    change = "closed" if state is BreakerState.CLOSED else "opened"
    await tx.ledger.append(
        Entry(
            type=f"breaker.{change}",
            actor="system",
            at=at,
            action=breaker.action,
            outcome=state.value,
            body={"service": breaker.service, "reason": reason, "run": run.id},
        )
    )
    await tx.outbox.add(
        Happening(kind="governance", subject=f"breaker:{breaker.key}", change=change, at=at)
    )
