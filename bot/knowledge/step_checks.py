"""May a step use its action the way it does? Answered where the actions are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.domain.actions import Action, Effect, Risk
from bot.domain.runbooks import OnFailure, Retry, Step

_HOUR = 3600
# How long consent lasts for the first effect, in seconds, unless the settings say otherwise.
_CONSENT = 600


def step_faults(step: Step, action: Action | None) -> Iterator[str]:
    """Say what is wrong with a step's use of an action that exists."""
    if action is None:
        return
    if step.risk is not None and step.risk < action.risk:
        yield (
            f"risk {step.risk.name} is lower than the {action.risk.name} of {action.reference}; "
            "a page may raise it and never lower it"
        )
    if not _has_way_back(step, action):
        yield (
            f"{action.reference} changes things and has no undo of its own; give the step an "
            "undo, or say commit_point: true where there is no way back"
        )
    if action.effect is Effect.READ and (step.undo or step.commit_point):
        yield f"{action.reference} changes nothing; take undo and commit_point out"
    if action.waiting and step.verify is None:
        yield f"{action.reference} waits for its verify, and the step has none"
    if action.waiting and len(step.targets) > 1:
        yield f"{action.reference} waits once, whatever the targets are; take targets out"
    if not action.manual and step.timeout > _HOUR:
        yield f"timeout is {step.timeout:g} s, but {_HOUR} s are the most for a machine"
    if step.retry:
        yield from _retry_faults(step.retry, action)


def way_back_faults(
    steps: Sequence[Step], references: Mapping[str, Action]
) -> Iterator[tuple[Step, str]]:
    """Name each step whose way back is riskier than any plan that could announce it.

    A rollback stands on the consent to the plan, and would be refused.
    """
    if not any(step.on_failure is OnFailure.ROLLBACK for step in steps):
        return
    worst = max(_highest(step, references.get(step.uses)) for step in steps)
    for step in steps:
        undo = references.get(step.undo.uses) if step.undo else None
        if undo is not None and undo.risk > worst:
            yield (
                step,
                f"{undo.reference} is {undo.risk.name}, riskier than every step, so that a "
                "rollback would be refused; raise the risk of this step",
            )


def late_starts(
    steps: Sequence[Step], references: Mapping[str, Action]
) -> Iterator[tuple[Step, str]]:
    """Name the step that may be begun, or tried again, when consent has expired.

    That binds every call up to the first one that changes something.
    """
    waited = 0.0
    for step in steps:
        action = references.get(step.uses)
        if action is None:
            return
        retried = _retrying(step)
        if waited + retried >= _CONSENT:
            yield (
                step,
                f"may only be begun or tried again {waited + retried:g} s after the run, when the "
                f"approval has expired (approvals.execute_within, {_CONSENT} s unless set); "
                "wait for less, or change something first",
            )
            return
        if max(action.risk, step.risk or Risk.R0):
            return
        own = 0.0 if action.waiting else step.timeout
        waited += retried + own + (step.verify.within if step.verify else 0)


def _retrying(step: Step) -> float:
    """Return how long all attempts but the last may take, with the waits, in seconds."""
    if step.retry is None:
        return 0.0
    waits: float = step.retry.wait * (2**step.retry.times - 1)
    return waits + step.retry.times * step.timeout


def _highest(step: Step, action: Action | None) -> Risk:
    """Return the highest risk that a step may have in a plan."""
    if action is None:
        return Risk.R4
    risk = max(action.risk, step.risk or Risk.R0)
    blind = action.dry_run is None and action.effect is not Effect.READ
    return Risk(min(risk + 1, Risk.R4)) if blind else risk


def _has_way_back(step: Step, action: Action) -> bool:
    if action.effect is Effect.READ or step.commit_point:
        return True
    return step.undo is not None or action.undo is not None


def _retry_faults(retry: Retry, action: Action) -> Iterator[str]:
    if action.effect is not Effect.READ and not action.idempotent:
        yield f"{action.reference} must not be tried again: twice is not the same as once"
        return
    for transient in retry.on:
        if transient not in action.transient:
            known = ", ".join(sorted(action.transient)) or "none"
            yield f"{action.reference} never fails as {transient}; it knows {known}"
