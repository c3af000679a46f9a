"""Pages and actions for trials: a valve that can be opened, closed and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionResult,
    DryRun,
    Effect,
    Risk,
    Transient,
    Undo,
)
from bot.domain.runbooks import (
    ApprovalGroup,
    Check,
    Expectation,
    Match,
    OnFailure,
    Review,
    Runbook,
    Step,
    Verification,
)

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"valve": {"type": "string"}, "turns": {"type": "integer"}},
    "additionalProperties": False,
}


async def _real(call: ActionCall) -> ActionResult:
    """Do what must never happen in a trial."""
    raise AssertionError(f"the real action was called: {call}")


async def _real_dry_run(call: ActionCall) -> DryRun:
    raise AssertionError(f"the real dry run was called: {call}")


OPEN = Action(
    name="valve.open",
    version=1,
    summary="Open a valve.",
    effect=Effect.MUTATE,
    risk=Risk.R1,
    idempotent=True,
    arguments=_SCHEMA,
    handler=_real,
    dry_run=_real_dry_run,
    undo=lambda call, result: Undo(uses="valve.close@1", arguments=dict(result.data["before"])),
    transient=frozenset({Transient.UNREACHABLE}),
)
LOOK = replace(
    OPEN, name="valve.look", effect=Effect.READ, risk=Risk.R0, dry_run=None, undo=None
)  # fmt: skip
ACTIONS: Mapping[str, Action] = {
    a.reference: a
    for a in (
        OPEN,
        LOOK,
        replace(OPEN, name="valve.close", undo=None),
        replace(OPEN, name="valve.blast", undo=None, risk=Risk.R3),
        replace(OPEN, name="human.do", manual=True, undo=None, dry_run=None, idempotent=False,
                arguments={"type": "object"}),
        replace(LOOK, name="wait.until", waiting=True, arguments={"type": "object"}),
    )
}  # fmt: skip

DRY = Verification(
    uses="valve.look@1",
    arguments={"valve": "a"},
    expect=Expectation(below=0.5),
    within=20,
    every=5,
    consecutive=2,
)


def step(id: str = "open", uses: str = "valve.open@1", **changes: Any) -> Step:
    """Return a step."""
    made = Step(
        id=id,
        title=f"Step {id}",
        uses=uses,
        arguments={"valve": "a"},
        risk=None,
        timeout=5,
        verify=None,
        on_failure=OnFailure.ESCALATE,
    )
    return replace(made, **changes)


def page(*steps: Step, **changes: Any) -> Runbook:
    """Return a page with these steps."""
    made = Runbook(
        id="valve",
        version=1,
        title="The valve is shut",
        owner="plumbing",
        review=Review(by="pat", at=date(2020, 1, 1), max_age_days=1),
        match=Match(alerts=("ValveShut",), services=("water",)),
        parameters=(),
        approval={Risk.R1: (ApprovalGroup(group="plumbing-oncall"),)},
        diagnose=(Check(id="wet", title="Wet", uses="valve.look@1", arguments={"valve": "a"}),),
        steps=steps or (step(),),
        sections={},
        path="runbooks/valve.md",
        digest="0" * 64,
    )
    return replace(made, **changes)
