"""Plans and runs: what was frozen for approval, and how far its execution is.

A plan is everything an approver sees. Its digest is SHA-256 over RFC 8785 JSON,
so that any change of it, however small, is a different plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NewType

from bot.domain.actions import JSON, Arguments, Effect, Risk
from bot.domain.approvals import Approval, Place
from bot.domain.canonical import digest
from bot.domain.errors import Refused
from bot.domain.limits import Limits
from bot.domain.people import Person
from bot.domain.runbooks import Expectation, Retry, StepUndo

RunId = NewType("RunId", str)


class RunState(StrEnum):
    """Where a run stands.

    A plan is frozen and its approval asked for in one transaction, so there is
    no state between a draft and one that awaits its answer.
    """

    DRAFT = "draft"
    AWAITING = "awaiting approval"
    APPROVED = "approved"
    RUNNING = "running"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    IN_DOUBT = "in doubt"
    MANUAL = "waiting for a person"
    ROLLING_BACK = "rolling back"
    ROLLED_BACK = "rolled back"
    SUPERSEDED = "superseded"

    @property
    def failed(self) -> bool:
        """Say whether a run ended badly, whatever became of its effects."""
        return self in (RunState.FAILED, RunState.ROLLING_BACK, RunState.ROLLED_BACK)

    @property
    def over(self) -> bool:
        """Say whether nothing more will happen by itself."""
        return self in _OVER


_OVER = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.DENIED,
        RunState.EXPIRED,
        RunState.CANCELLED,
        RunState.IN_DOUBT,
        RunState.ROLLED_BACK,
        RunState.SUPERSEDED,
    }
)

# The only moves there are; a table reads better than a dozen conditions.
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    RunState.DRAFT: frozenset(
        {
            RunState.AWAITING,
            RunState.APPROVED,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.SUPERSEDED,
        }
    ),
    RunState.AWAITING: frozenset(
        {
            RunState.APPROVED,
            RunState.DENIED,
            RunState.EXPIRED,
            RunState.CANCELLED,
            RunState.SUPERSEDED,
        }
    ),
    RunState.APPROVED: frozenset(
        {
            RunState.RUNNING,
            RunState.EXPIRED,
            RunState.CANCELLED,
            RunState.FAILED,
            RunState.SUPERSEDED,
        }
    ),
    RunState.RUNNING: frozenset(
        {
            RunState.VERIFYING,
            RunState.MANUAL,
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.ROLLING_BACK,
            RunState.CANCELLED,
            RunState.IN_DOUBT,
        }
    ),
    RunState.VERIFYING: frozenset(
        {
            RunState.RUNNING,
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.ROLLING_BACK,
            RunState.CANCELLED,
        }
    ),
    # Whatever a person says, or fails to say in time, the run goes on with it.
    RunState.MANUAL: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.IN_DOUBT}),
    RunState.ROLLING_BACK: frozenset({RunState.ROLLED_BACK, RunState.FAILED}),
    RunState.IN_DOUBT: frozenset({RunState.RUNNING, RunState.VERIFYING, RunState.FAILED}),
}


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"
    IN_DOUBT = "in doubt"
    SKIPPED = "skipped"
    MANUAL = "waiting for a person"


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """How the effect of a step is confirmed. Times are in seconds."""

    uses: str
    arguments: Arguments
    expect: Expectation
    within: float
    every: float
    consecutive: int


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """One step as it will be executed: resolved, pinned, nothing left open.

    `targets` are what its dry run said it would touch, `out_of` how many there
    are of them; `wave` counts the groups of targets that a step is rolled out
    to one after the other, from 1, and 0 stands for a step that is not rolled
    out. `undo` is the page's own way back. A `manual` step is done by a person,
    who has `timeout` seconds, or any time where that is 0. A `waiting` one does
    nothing; its verification is what is waited for.
    """

    id: str
    title: str
    uses: str
    arguments: Arguments
    effect: Effect
    risk: Risk
    idempotent: bool
    timeout: float
    diff: str
    explanation: str = ""
    on_failure: str = "escalate"
    verify: PlannedCheck | None = None
    commit_point: bool = False
    targets: tuple[str, ...] = ()
    out_of: int | None = None
    wave: int = 0
    retry: Retry | None = None
    undo: StepUndo | None = None
    on_unknown: str = "reconcile"
    manual: bool = False
    waiting: bool = False

    @property
    def longest(self) -> float:
        """Return how long it may take, with every retry and its verification, in seconds."""
        tries = self.retry.times if self.retry else 0
        waits = sum(self.retry.pause(n) for n in range(1, tries + 1)) if self.retry else 0
        return self.timeout * (tries + 1) + waits + (self.verify.within if self.verify else 0)


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What a read-only diagnosis found.

    `ok` is None where nothing was expected. `id` is the name by which the page's
    expressions know it, `value` what they see: None where it is not known.
    """

    title: str
    summary: str
    ok: bool | None = None
    id: str = ""
    value: JSON = None


@dataclass(frozen=True, kw_only=True)
class Precondition:
    """What has to hold right before every effect of a plan."""

    title: str
    uses: str
    arguments: Arguments
    expect: Expectation


@dataclass(frozen=True, kw_only=True)
class Goal:
    """When a run has helped, and the looks that tell; times in seconds.

    `parameters` are the typed values that the expression knows beside the facts.
    """

    when: str
    looks: tuple[Look, ...]
    within: float
    every: float
    parameters: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One read-only call whose value an expression knows by `id`."""

    id: str
    uses: str
    arguments: Arguments


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What approvers consent to, whole.

    `authorised_by` is the digest of the plan whose approval already covers this
    one: a rollback that the approved plan itself announced. `touches` are the
    services that may feel it, the service itself first. `decision` is the id of
    the policy's decision, made by its `policies`. Where nobody has to consent,
    the plan says why: it may be vetoed for `veto_seconds`, it is a standard
    change under an authorisation (`pre_authorised`), or the glass was broken.
    `decided` says which rule of the page chose these steps, and why.
    """

    run: str
    runbook: str
    version: int
    runbook_digest: str
    title: str
    parameters: Mapping[str, JSON]
    subject: str
    service: str | None
    facts: tuple[Fact, ...]
    steps: tuple[PlannedStep, ...]
    risk: Risk
    policy_digest: str
    quorum: tuple[Place, ...]
    authorised_by: str | None = None
    team: str | None = None
    tier: int | None = None
    touches: tuple[str, ...] = ()
    change_type: str = "normal"
    concurrency_key: str = ""
    limits: Limits = field(default_factory=Limits)
    decision: str = ""
    policies: tuple[str, ...] = ()
    veto_seconds: float = 0
    pre_authorised: str | None = None
    break_glass: str | None = None
    decided: str = ""
    preconditions: tuple[Precondition, ...] = ()
    done_when: Goal | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Return everything its steps touch, each once."""
        return tuple(dict.fromkeys(target for step in self.steps for target in step.targets))

    @property
    def out_of(self) -> int | None:
        """Return how many there are of what it touches, where any step can tell."""
        return max((s.out_of for s in self.steps if s.out_of is not None), default=None)

    @property
    def longest(self) -> float:
        """Return how long it may take from its first effect to its last proof, in seconds."""
        return sum(step.longest for step in self.steps)

    @property
    def content(self) -> JSON:
        """Return the plan as plain JSON, which is what its digest is of."""
        return _plain(asdict(self))

    @cached_property
    def digest(self) -> str:
        """Return SHA-256 of the plan's RFC 8785 JSON, in hex.

        Worked out once: a plan is frozen, and its digest is asked for at every
        turn. Neither equality nor the stored JSON sees the kept value.
        """
        return digest(self.content)


def _plain(value: JSON) -> JSON:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Effect):
        return value.value
    return int(value) if isinstance(value, Risk) else value


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What became of a step so far."""

    id: str
    state: StepState = StepState.WAITING
    summary: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    value: float | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedUndo:
    """The call that takes one step's effect back."""

    step: str
    title: str
    uses: str
    arguments: Arguments


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a runbook, from the wish to its end.

    `break_glass` is the broken glass it was asked for under. `position` is the
    step to do next; `good_checks` counts confirmations in a
    row; `verify_by` ends the patience of the verification under way. `parent` is
    the run whose effects this one takes back: as the `rollback` that its plan
    announced, or because a person asked.
    """

    id: RunId
    runbook: str
    title: str
    parameters: Mapping[str, str]
    requester: Person
    subject: str
    incident: str | None
    service: str | None
    created_at: datetime
    state: RunState = RunState.DRAFT
    plan: Plan | None = None
    approval: Approval | None = None
    records: tuple[StepRecord, ...] = ()
    position: int = 0
    good_checks: int = 0
    verify_by: datetime | None = None
    stop_requested_by: Person | None = None
    reason: str = ""
    ended_at: datetime | None = None
    parent: RunId | None = None
    rollback: bool = False
    break_glass: str | None = None
    undoes: tuple[PlannedUndo, ...] = field(default=())

    @property
    def step(self) -> PlannedStep | None:
        """Return the step at the current position."""
        if self.plan is None or self.position >= len(self.plan.steps):
            return None
        return self.plan.steps[self.position]

    @property
    def begun(self) -> bool:
        """Say whether a step before the current one has changed anything, or may have."""
        changing = {s.id for s in self.plan.steps if s.risk} if self.plan else set()
        before = self.records[: self.position]
        return any(r.started_at is not None for r in before if r.id in changing)

    def effect_key(self, step: PlannedStep) -> str:
        """Return the idempotency key of a step's effect: one per run and step."""
        return f"{self.id}:{step.id}"


def advance(run: Run, state: RunState, *, reason: str = "", at: datetime | None = None) -> Run:
    """Move a run along the table of transitions.

    Raises:
        Refused: there is no such move.
    """
    if state not in TRANSITIONS.get(run.state, frozenset()):
        raise Refused(f"A run that is {run.state} cannot become {state}.")
    ended = at if state.over else None
    return replace(run, state=state, reason=reason or run.reason, ended_at=ended or run.ended_at)


def record(run: Run, step: str, **changes: object) -> Run:
    """Return the run with one step's record changed."""
    records = tuple(
        replace(r, **changes) if r.id == step else r  # type: ignore[arg-type]  # field names are checked by replace
        for r in run.records
    )
    return replace(run, records=records)


def freeze(run: Run, plan: Plan) -> Run:
    """Bind a run to its plan; every step waits."""
    return replace(run, plan=plan, records=tuple(StepRecord(id=s.id) for s in plan.steps))
