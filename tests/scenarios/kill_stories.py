"""Stories of runs that together make every transition a worker makes.

A story is a page, what people do while it runs, and how it may end. Being held
up may end most of them as failed too: an effect whose time is over is not begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import override

from bot.domain.actions import Transient
from bot.domain.freezes import Window, WindowKind
from bot.domain.policy import PolicyDecision, PolicyRequest, RiskPolicy
from bot.domain.runbooks import (
    Check,
    DoneWhen,
    Expectation,
    OnFailure,
    Outcome,
    Retry,
    Rule,
    Runbook,
    Step,
    Verification,
)
from bot.domain.runs import RunState
from tests.services.gate_world import runbook, step

TIMEOUT = 1.0  # seconds of most steps, which is less than a lease
PATIENT = 3.5  # seconds of a step whose call may be under way when the lease is over
VETO = 0.3  # seconds
BACK = OnFailure.ROLLBACK
UP = Check(
    id="up", title="Up", uses="disk.look@1", arguments={"value": 1}, expect=Expectation(equals=1)
)
GOAL = DoneWhen(when="facts.up == 1", within=5, every=0.1)


def acts(id: str, uses: str = "disk.append@1", **changes: Any) -> Step:
    """Return a step with little time."""
    return step(id, uses, **{"timeout": TIMEOUT, **changes})


def shows(value: float, *, within: float = 5.0) -> Verification:
    """Return a verification that sees a value, and holds where that is one."""
    return Verification(
        uses="disk.look@1", arguments={"value": value}, expect=Expectation(equals=1.0),
        within=within, every=0.1, consecutive=2,
    )  # fmt: skip


def tries(times: int, *, wait: float) -> Retry:
    """Return a retry after a conflict; `wait` is in seconds."""
    return Retry(times=times, on=(Transient.CONFLICT,), wait=wait)


class Vetoed(RiskPolicy):
    """Asks nobody, but gives people a moment to object."""

    @override
    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Consent after the moment."""
        return replace(super().decide(request), quorum=(), veto_seconds=VETO)


@dataclass(frozen=True, kw_only=True)
class Story:
    """One page and its people.

    `stopped_in` is the state in which a person stops the run. `meanwhile` is what
    changes once a worker has the run that was approved.
    """

    name: str
    steps: tuple[Step, ...]
    ends: frozenset[RunState]
    changes: Mapping[str, Any] = field(default_factory=dict)
    policy: RiskPolicy = field(default_factory=RiskPolicy)
    answer_within: float = 600.0
    execute_within: float = 300.0
    approved: bool = True
    by_hand: bool = True
    stopped_in: RunState | None = None
    meanwhile: str = ""

    @property
    def book(self) -> Runbook:
        """Return the page."""
        return runbook(*self.steps, **self.changes)


def told(name: str, *steps: Step, ends: RunState, **more: Any) -> Story:
    """Return a story with one end."""
    return Story(name=name, steps=steps, ends=frozenset({ends}), **more)


def freeze(now: datetime) -> Window:
    """Return a freeze that begins before any plan would be done."""
    return Window(
        kind=WindowKind.FREEZE, title="Peak", source="test",
        starts_at=now + timedelta(seconds=0.1), ends_at=now + timedelta(hours=1),
    )  # fmt: skip


STORIES = (
    told(
        "well",
        acts("one", verify=shows(1)),
        acts("two", "disk.set@1", retry=tries(4, wait=0.2)),
        acts("three", "disk.hand@1", timeout=60.0),
        acts("four", "disk.wait@1", verify=shows(1)),
        acts("five"),
        ends=RunState.SUCCEEDED,
        changes={"diagnose": (UP,), "preconditions": (UP,), "done_when": GOAL},
    ),
    told(
        "rolled back",
        acts("one"), acts("two"), acts("three", "disk.jam@1", on_failure=BACK),
        ends=RunState.ROLLED_BACK,
    ),
    told(
        "patient",
        acts("one", timeout=PATIENT, arguments={"slowly": True}),
        acts("two"),
        ends=RunState.SUCCEEDED,
    ),
    told("pinned", acts("one", "disk.swap@1"), ends=RunState.SUCCEEDED),
    told(
        "taken back in vain",
        acts("one", "disk.stuck@1"),
        acts("two", verify=shows(0, within=0.3), on_failure=BACK),
        ends=RunState.FAILED,
    ),
    told("not verified", acts("one", verify=shows(0, within=0.3)), ends=RunState.FAILED),
    told(
        "in doubt", acts("one", "disk.blind@1"), ends=RunState.SUCCEEDED,
    ),
    told(
        "stopped between attempts",
        acts("one", "disk.busy@1", retry=tries(9, wait=60)),
        ends=RunState.CANCELLED, stopped_in=RunState.RUNNING,
    ),
    Story(
        # The bot that cuts its own call off calls the step failed. One that takes over
        # finds that nothing happened, and does not begin what a person has stopped.
        name="stopped under way",
        steps=(acts("one"), acts("two", "disk.slow@1", timeout=2.0)),
        ends=frozenset({RunState.FAILED, RunState.CANCELLED}), stopped_in=RunState.RUNNING,
    ),
    told(
        "stopped by hand", acts("one", "disk.hand@1", timeout=60.0),
        ends=RunState.CANCELLED, stopped_in=RunState.MANUAL, by_hand=False,
    ),
    told(
        "stopped while verified", acts("one", verify=shows(0, within=60)),
        ends=RunState.CANCELLED, stopped_in=RunState.VERIFYING,
    ),
    told("overdue", acts("one", "disk.hand@1"), ends=RunState.FAILED, by_hand=False),
    told(
        "unanswered", acts("one"), ends=RunState.EXPIRED, approved=False, answer_within=0.5
    ),
    told("begun too late", acts("one"), ends=RunState.EXPIRED, execute_within=0.001),
    told("changed page", acts("one"), ends=RunState.SUPERSEDED, meanwhile="page"),
    told("frozen", acts("one"), ends=RunState.FAILED, meanwhile="freeze"),
    told("no objection", acts("one"), ends=RunState.SUCCEEDED, policy=Vetoed()),
    told(
        "all is well",
        acts("one"),
        ends=RunState.CANCELLED,
        changes={
            "diagnose": (UP,),
            "decide": (Rule(when="facts.up == 1", outcome=Outcome.STOP, because="it is up"),),
        },
    ),
    told("impossible", acts("one", "disk.missing@1"), ends=RunState.FAILED),
    told(
        "precondition", acts("one"), ends=RunState.FAILED,
        changes={"preconditions": (replace(UP, arguments={"value": 0}),)},
    ),
)  # fmt: skip
BY_NAME = {story.name: story for story in STORIES}
