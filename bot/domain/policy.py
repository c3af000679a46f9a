"""Policy: what a plan needs before it may run.

The invariants live in the gate and cannot be lifted from here. A `Policy` only
says whether a plan may be asked for at all, and whose consent it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.canonical import digest
from bot.domain.people import Person


@dataclass(frozen=True, kw_only=True)
class PolicyRequest:
    """What is to be decided: the plan's worst risk, and who asks for what."""

    requester: Person
    runbook: str
    risk: Risk
    effects: frozenset[Effect]
    service: str | None
    groups: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PolicyDecision:
    """What policy says. A refusal has a reason; consent has a quorum, perhaps empty."""

    allow: bool
    reason: str
    quorum: tuple[Place, ...] = ()
    policy_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class RiskPolicy:
    """The policy of the first version: approvals by class of risk.

    Reading needs nobody. R1 and R2 need the runbook's own groups or else one
    other person, R3 two distinct people, and R4 is refused: destroying data is
    not what a button is for. `counts` are the least approvals for each class.
    """

    counts: Mapping[Risk, int] = field(
        default_factory=lambda: {Risk.R0: 0, Risk.R1: 1, Risk.R2: 1, Risk.R3: 2}
    )

    @property
    def digest(self) -> str:
        """Return what identifies these rules in plans and ledger entries."""
        return digest({f"R{int(risk)}": count for risk, count in self.counts.items()})

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        if request.risk not in self.counts:
            return self._refusal(f"R{int(request.risk)} actions ({request.risk.meaning})")
        if Effect.DESTRUCTIVE in request.effects and request.risk < Risk.R3:
            return self._refusal("Destructive actions below R3")
        least = self.counts[request.risk]
        named = sum(place.count for place in request.groups)
        quorum = request.groups
        if named < least:
            quorum = (*quorum, Place(group=ANYONE, count=least - named))
        return PolicyDecision(
            allow=True,
            reason=f"R{int(request.risk)}: {request.risk.meaning}",
            quorum=quorum if request.risk > Risk.R0 else (),
            policy_digest=self.digest,
        )

    def _refusal(self, what: str) -> PolicyDecision:
        return PolicyDecision(
            allow=False, reason=f"{what} are not run from here.", policy_digest=self.digest
        )
