"""Finds out whether an action keeps answering the alert that it raises itself.

A restart that only hides the fault for ten minutes looks like a success each
time. It is told by the alert: one group of alerts was answered by the same
action again and again, each time with success, and fires once more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.breakers import BreakerRules, breaker_key
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import NotFound
from bot.domain.incidents import IncidentId
from bot.domain.runs import Run, RunId, RunState
from bot.ports import Transaction

LONGEST_EFFECT = timedelta(days=7)  # a step by hand may take so long (knowledge/README.md)


@dataclass(frozen=True)
class Story:
    """What stays the same when a group of alerts fires again under a new id."""

    source: str
    group_key: str


async def loops(tx: Transaction, run: Run, uses: str, *, at: datetime, rules: BreakerRules) -> bool:
    """Say whether one more answer by this action would go round in a circle.

    Only runs that succeeded count, each once, and none that took effects back.
    The alert must have fired since the last of them began: one that never went
    out may be answered again. A run that answers an incident answers all of its
    alerts.
    """
    mine = await _stories(tx, run.subject)
    if not mine:
        return False
    answers: dict[str, datetime] = {}
    since = at - timedelta(seconds=rules.loop_window)
    for effect in await tx.effects.since(since - LONGEST_EFFECT):
        recent = (effect.ended_at or effect.intended_at) >= since
        if recent and effect.run != run.id and await _answered(tx, effect, run, uses, mine):
            answers[effect.run] = effect.intended_at
    if len(answers) < rules.loop:
        return False
    return await _fired_since(tx, mine, max(answers.values()))


async def _answered(
    tx: Transaction, effect: EffectRecord, run: Run, uses: str, mine: Collection[Story]
) -> bool:
    same = breaker_key(effect.uses, effect.service) == breaker_key(uses, run.service)
    if not same or effect.state is not EffectState.SUCCEEDED:
        return False
    if effect.subject != run.subject and not (await _stories(tx, effect.subject) & set(mine)):
        return False
    earlier = await tx.runs.get(RunId(effect.run))
    return earlier.parent is None and earlier.state is RunState.SUCCEEDED


async def _fired_since(tx: Transaction, stories: Collection[Story], moment: datetime) -> bool:
    newest = [await tx.groups.latest(s.source, s.group_key) for s in stories]
    return any(
        group.first_seen > moment or any(alert.starts_at > moment for alert in group.alerts)
        for group in newest
        if group is not None
    )


async def _stories(tx: Transaction, subject: str) -> frozenset[Story]:
    groups = await _groups(tx, subject)
    return frozenset(Story(group.source, group.group_key) for group in groups)


async def _groups(tx: Transaction, subject: str) -> Collection[AlertGroup]:
    """Return the alert group a subject is, or those of the incident it is."""
    try:
        return [await tx.groups.get(GroupId(subject))]
    except NotFound:
        pass
    try:
        incident = await tx.incidents.get(IncidentId(subject))
    except NotFound:
        return []
    return [await tx.groups.get(GroupId(id)) for id in incident.groups]
