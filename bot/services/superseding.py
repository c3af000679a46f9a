"""Ends plans that were made from a page which has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.approvals import Approval, Verdict
from bot.domain.runs import Run, RunState, advance
from bot.ports import Transaction
from bot.services.telling import tell

REASON = "the runbook was changed; ask for a new plan"
WAITING = (RunState.DRAFT, RunState.AWAITING, RunState.APPROVED)


def outdated(run: Run, digests: Mapping[str, str]) -> bool:
    """Say whether a run that has not begun was planned from another page than there is now.

    `digests` are of every page's file by the runbook's id: one that is missing
    was removed. What takes effects back stands on what was done, not on a page.
    """
    if run.state not in WAITING or run.parent is not None or run.plan is None:
        return False
    return digests.get(run.runbook) != run.plan.runbook_digest


def withdrawn(approval: Approval | None) -> Approval | None:
    """Return a request for consent that nobody can answer any more, nor stand on."""
    return replace(approval, verdict=Verdict.SUPERSEDED) if approval else None


async def supersede(tx: Transaction, digests: Mapping[str, str], *, at: datetime) -> Sequence[Run]:
    """End every run that waits with a plan from another page; return them."""
    ended: list[Run] = []
    for run in await tx.runs.scheduled():
        if not outdated(run, digests):
            continue
        over = advance(run, RunState.SUPERSEDED, reason=REASON, at=at)
        over = replace(over, approval=withdrawn(run.approval))
        await tx.runs.save(over, due_at=None)
        text = f"withdrew the plan of “{run.title}”: {REASON}"
        await tell(tx, over, RunState.SUPERSEDED.value, at=at, text=text)
        ended.append(over)
    return ended
