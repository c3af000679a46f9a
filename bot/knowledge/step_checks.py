"""May a step use its action the way it does? Answered where the actions are known."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.actions import Action, Effect
from bot.domain.runbooks import Retry, Step

_HOUR = 3600


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
    if not action.manual and step.timeout > _HOUR:
        yield f"timeout is {step.timeout:g} s, but {_HOUR} s are the most for a machine"
    if step.retry:
        yield from _retry_faults(step.retry, action)


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
