"""Runs, runbooks and people for the tests of the governance plugin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.domain.alerts import Severity
from bot.domain.incidents import Incident
from bot.domain.people import Person
from bot.domain.policy import PolicyDecision, PolicyRequest, RiskPolicy
from bot.domain.runbooks import Runbook
from bot.domain.runs import Run, RunState
from plugins.governance.plugin import Governance, GovernanceSettings
from tests.plugins.runbooks.runbook_samples import NOW, run, runbook
from tests.stage import Stage

STUCK = runbook()
READ_ONLY = runbook("disk-full", "Disk is full", steps=())
NEW = "a" * 64  # the digest of a proposal
WHY = "the approver is asleep and orders are being lost"


def governed(
    stage: Stage, *books: Runbook, security_contact: str = "", url: str = ""
) -> Governance:
    """Make the plugin for some runbooks."""
    known = {book.id: book for book in books or (STUCK, READ_ONLY)}
    knowledge = replace(stage.context.knowledge, runbooks=known)
    stage.context = replace(stage.context, knowledge=knowledge, security_contact=security_contact)
    return Governance(GovernanceSettings(url=url), stage.context)


async def incident(stage: Stage, severity: Severity = Severity.SEV1) -> Incident:
    """Declare an incident of checkout."""
    return await stage.context.incidents.declare(
        "Orders fail", severity, service="checkout", by=stage.by(stage.dana)
    )


async def waiting_run(stage: Stage, requester: Person, **changes: Any) -> Run:
    """Store a run whose plan waits for one other person."""
    stage.clock.set(NOW)
    made = run(RunState.AWAITING, requester=requester, **changes)
    if made.approval is not None:
        made = replace(made, approval=replace(made.approval, requester=requester))
    async with stage.database.transaction() as tx:
        await tx.runs.add(made, due_at=None)
    return made


def on_call(stage: Stage, *people: Person, team: str = "payments") -> None:
    """Put people on call for a team."""
    stage.chat.user_groups[f"{team}-oncall"] = [person.id for person in people]


@dataclass(frozen=True)
class Proposed:
    """A policy of some files."""

    digest: str = NEW
    documents: Mapping[str, bytes] = field(
        default_factory=lambda: {"people.cedar": b"permit (principal, action, resource);\n"}
    )

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Decide like the built-in rules."""
        return RiskPolicy().decide(request)
