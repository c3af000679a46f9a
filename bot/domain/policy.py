"""Policy: what a plan needs before it may run.

The invariants live in the gate and in `approvals`, and cannot be lifted from
here. A policy only says whether a plan may be asked for or carried out at all,
and whose consent it needs. It is asked twice: when the plan is made, and again
in the transaction that writes the intent of each effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bot.domain.actions import Effect, Risk
from bot.domain.approvals import ANYONE, Place
from bot.domain.canonical import digest
from bot.domain.people import Standing


class Phase(StrEnum):
    """When policy is asked: for a plan that is to be shown, or for an effect about to happen."""

    PLAN = "plan"
    EXECUTE = "execute"


class ChangeType(StrEnum):
    """The type of a change in the words of ITIL.

    Standard: known, low in risk and authorised in advance, for a time. Normal:
    authorised for this one time. Emergency: done under a broken glass, and
    reviewed afterwards.
    """

    STANDARD = "standard"
    NORMAL = "normal"
    EMERGENCY = "emergency"


@dataclass(frozen=True, kw_only=True)
class PolicyRequest:
    """What is to be decided, as facts.

    `requester` is who asks; the assistant asks for itself as a bot.
    `requester_ref` stands for them in the record. `touches` are the services
    that may feel the change, the service itself first. `groups` are the places
    the runbook itself demands. `autonomy` is the level of the least trusted
    action. `freezes` are titles of the freezes in force, `calendar_faults`
    calendars that cannot be trusted at the moment. `pre_authorised` and
    `break_glass` are ids of a standing authorisation and of a broken glass.
    `half_open` says that a breaker lets this run through as a trial, `rollback`
    that it takes back what an approved plan did, as that plan announced. `epoch`
    counts the pulls and releases of the kill switch.
    """

    phase: Phase
    at: datetime
    requester: Standing
    requester_ref: str
    runbook: str
    actions: tuple[str, ...]
    risk: Risk
    effects: frozenset[Effect]
    change_type: ChangeType = ChangeType.NORMAL
    service: str | None = None
    team: str | None = None
    tier: int | None = None
    touches: tuple[str, ...] = ()
    targets: int = 0
    severity: str | None = None
    autonomy: int = 2
    freezes: tuple[str, ...] = ()
    calendar_faults: tuple[str, ...] = ()
    maintenance: bool = False
    half_open: bool = False
    rollback: bool = False
    pre_authorised: str | None = None
    break_glass: str | None = None
    groups: tuple[Place, ...] = ()
    approvals: tuple[str, ...] = ()
    plan_digest: str = ""
    epoch: int = 0


@dataclass(frozen=True, kw_only=True)
class PolicyDecision:
    """What policy says. A refusal has a reason; consent has a quorum, perhaps empty.

    `policies` are the ids of the policies that decided, `errors` what could not
    be evaluated; there is no consent where anything could not. `veto_seconds`
    is how long people can stop what nobody has to approve. `asked` and
    `entities` are the very input of the engine, without anything about persons
    but pseudonyms, so that the decision can be made again.
    """

    allow: bool
    reason: str
    quorum: tuple[Place, ...] = ()
    policy_digest: str = ""
    schema_digest: str = ""
    engine: str = ""
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    veto_seconds: float = 0
    asked: Mapping[str, object] = field(default_factory=dict)
    entities: tuple[Mapping[str, object], ...] = ()
    microseconds: int = 0


@dataclass(frozen=True, kw_only=True)
class RiskPolicy:
    """The built-in policy: approvals by class of risk, for tests and as the floor of the others.

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

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Return the files of the rules; these are not made of files."""
        return {}

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        if request.risk not in self.counts:
            return self._refusal(f"R{int(request.risk)} actions ({request.risk.meaning})")
        if Effect.DESTRUCTIVE in request.effects and request.risk < Risk.R3:
            return self._refusal("Destructive actions below R3")
        quorum = with_least(request.groups, self.counts[request.risk])
        if request.break_glass is not None:
            quorum = ()
        return PolicyDecision(
            allow=True,
            reason=f"R{int(request.risk)}: {request.risk.meaning}",
            quorum=quorum if request.risk > Risk.R0 else (),
            policy_digest=self.digest,
            engine="built-in",
        )

    def _refusal(self, what: str) -> PolicyDecision:
        return PolicyDecision(
            allow=False,
            reason=f"{what} are not run from here.",
            policy_digest=self.digest,
            engine="built-in",
        )


def with_least(groups: tuple[Place, ...], least: int) -> tuple[Place, ...]:
    """Return the places with as many of anyone added as are missing to a least number."""
    named = sum(place.count for place in groups)
    if named >= least:
        return groups
    return (*groups, Place(group=ANYONE, count=least - named))
