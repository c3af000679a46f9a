"""The record of a decision: everything that went into it, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NewType

from bot.domain.actions import JSON
from bot.domain.approvals import Place
from bot.domain.canonical import digest
from bot.domain.policy import Phase, PolicyDecision, PolicyRequest

DecisionId = NewType("DecisionId", str)


@dataclass(frozen=True, kw_only=True)
class DecisionRecord:
    """One evaluation of policy.

    `input` is what the engine was asked and `entities` what it knew, with
    persons as pseudonyms only; both are bound by their digests. `approvals` are
    pseudonyms of those who had consented, `autonomy` the level in force,
    `epoch` how often the kill switch had been pulled or released. No model of
    language has a say, so `confidence` and `model_version` are empty unless a
    suggestion of one led here. `microseconds` is how long the engine took.
    `refused` is why an invariant stopped what policy itself may have allowed.
    `authorised_by` is the digest of the plan whose consent carries over to a
    rollback that it announced.
    """

    id: DecisionId
    at: datetime
    phase: Phase
    run: str
    plan_digest: str
    allow: bool
    reason: str
    quorum: tuple[Place, ...]
    policies: tuple[str, ...]
    errors: tuple[str, ...]
    engine: str
    policy_digest: str
    schema_digest: str
    input: Mapping[str, JSON]
    input_digest: str
    entities: tuple[Mapping[str, JSON], ...]
    entities_digest: str
    approvals: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    autonomy: int = 2
    epoch: int = 0
    change_type: str = "normal"
    break_glass: str | None = None
    pre_authorised: str | None = None
    authorised_by: str | None = None
    veto_seconds: float = 0
    confidence: float | None = None
    model_version: str | None = None
    microseconds: int = 0
    calendars_digest: str = ""
    refused: str = ""

    @property
    def content(self) -> Mapping[str, JSON]:
        """Return the record as plain JSON, as the ledger and an export hold it."""
        plain: dict[str, JSON] = {**asdict(self), "phase": self.phase.value}
        return {**plain, "at": self.at.isoformat()}


def record_of(
    request: PolicyRequest,
    decision: PolicyDecision,
    *,
    id: DecisionId,
    run: str,
    calendars_digest: str = "",
    authorised_by: str | None = None,
) -> DecisionRecord:
    """Return the record of one evaluation."""
    return DecisionRecord(
        id=id,
        at=request.at,
        phase=request.phase,
        run=run,
        plan_digest=request.plan_digest,
        allow=decision.allow,
        reason=decision.reason,
        quorum=decision.quorum,
        policies=decision.policies,
        errors=decision.errors,
        engine=decision.engine,
        policy_digest=decision.policy_digest,
        schema_digest=decision.schema_digest,
        input=dict(decision.asked),
        input_digest=digest(dict(decision.asked)),
        entities=decision.entities,
        entities_digest=digest([dict(entity) for entity in decision.entities]),
        approvals=request.approvals,
        freezes=(*request.freezes, *request.calendar_faults),
        autonomy=request.autonomy,
        epoch=request.epoch,
        change_type=request.change_type.value,
        break_glass=request.break_glass,
        pre_authorised=request.pre_authorised,
        authorised_by=authorised_by,
        veto_seconds=decision.veto_seconds,
        microseconds=decision.microseconds,
        calendars_digest=calendars_digest,
    )
