"""How a step that took effect is taken back: as the page says, or as its action does."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date

from bot.domain.actions import ActionCall, ActionResult, Risk
from bot.domain.runbooks import ApprovalGroup, Match, Review, Runbook
from bot.domain.runs import Plan, PlannedStep, PlannedUndo, Run
from bot.services.outcomes import Settled
from bot.services.registry import Registry, own

log = logging.getLogger(__name__)


def undo_of(registry: Registry, step: PlannedStep, settled: Settled) -> PlannedUndo | None:
    """Return the call that takes a step back, or None where there is no way back.

    The page's own was frozen with the plan, so approvers saw it; it goes first.
    """
    title = f"Undo: {step.title}"
    if step.undo is not None:
        return PlannedUndo(
            step=step.id, title=title, uses=step.undo.uses, arguments=step.undo.arguments
        )
    action = registry.actions.get(step.uses)
    if action is None or action.undo is None:
        return None
    call = ActionCall(key=settled.effect.key, arguments=own(step.arguments), timeout=step.timeout)
    result = settled.result or ActionResult(
        summary=settled.effect.summary, value=settled.effect.value
    )
    try:
        undo = action.undo(call, result)
    except Exception:  # the effect took place; that it cannot be taken back must not hide it
        log.exception("%s could not say how it is taken back", step.uses)
        return None
    if undo is None:
        return None
    return PlannedUndo(step=step.id, title=title, uses=undo.uses, arguments=undo.arguments)


def page_of(plan: Plan) -> Runbook:
    """Return what a plan tells of the page it was made from, for when that is gone.

    Whoever had to approve the plan has to approve what takes it back.
    """
    groups = tuple(ApprovalGroup(group=place.group, count=place.count) for place in plan.quorum)
    return Runbook(
        id=plan.runbook,
        version=plan.version,
        title=plan.title,
        owner=plan.team or "",
        review=Review(by="", at=date.min, max_age_days=0),
        match=Match(),
        parameters=(),
        approval={Risk.R1: groups} if groups else {},
        diagnose=(),
        steps=(),
        sections={},
        path="",
        digest=plan.runbook_digest,
        limits=plan.limits,
    )


def with_undo(run: Run, step: PlannedStep, undo: PlannedUndo | None) -> Run:
    """Remember how a step is taken back; past a commit point there is no way back."""
    if step.commit_point:
        return replace(run, undoes=())
    return replace(run, undoes=(*run.undoes, undo)) if undo else run
