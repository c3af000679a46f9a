"""The made-up world of a trial: actions that take what the real ones take and touch nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from bot.domain.errors import Refused
from bot.domain.runs import Plan, PlannedStep
from bot.services.registry import check_arguments
from bot.trial.values import fitting

WAY_BACK = "trial.way_back"
_PLENTY = 10_000  # of what a step touches there are so many on the stage


def key_of(uses: str, arguments: Arguments) -> str:
    """Return what identifies a look at the world."""
    return f"{uses} {json.dumps(dict(arguments), sort_keys=True, default=str)}"


@dataclass
class Stage:
    """What is seen on the stage, and what goes wrong there.

    `seen` are values by look; a look nobody thought of sees `otherwise`.
    `fails` is the step that fails, `stumbles` one that fails once in a way that
    a retry is for, `unproven` one whose proof never comes. `goals` are what is
    seen when all is done, `targets` what the page's steps are done for.
    """

    seen: dict[str, float | None] = field(default_factory=dict)
    otherwise: float = 1.0
    fails: str = ""
    stumbles: tuple[str, Transient] | None = None
    targets: frozenset[str] = frozenset()
    unproven: str = ""
    goals: Mapping[str, float | None] = field(default_factory=dict)
    plan: Plan | None = None
    performed: list[str] = field(default_factory=list)

    def open(self, plan: Plan) -> None:
        """Let the play begin: what only has to be waited for first comes at once."""
        self.plan = plan
        self._reveal(plan.steps)

    def done(self, step: str) -> None:
        """Let the world follow a step: what proves it can be seen, and what is waited for next."""
        if self.plan is None:
            return
        ids = [planned.id for planned in self.plan.steps]
        if step not in ids:
            return
        at = ids.index(step)
        self._prove(self.plan.steps[at])
        self._reveal(self.plan.steps[at + 1 :])

    def _reveal(self, coming: Sequence[PlannedStep]) -> None:
        for planned in coming:
            if not planned.waiting:
                return
            self._prove(planned)
        withheld = {look for look, value in self.seen.items() if value is None}
        self.seen.update({k: v for k, v in self.goals.items() if k not in withheld})

    def _prove(self, planned: PlannedStep) -> None:
        check = planned.verify
        if check is None:
            return
        unproven = planned.id.partition(".")[0] == self.unproven
        value = None if unproven else fitting(check.expect)
        self.seen[key_of(check.uses, check.arguments)] = value

    def touched(self, arguments: Arguments) -> tuple[str, ...]:
        """Return what a call would touch: the targets that it names, or else one thing."""
        named = [value for value in arguments.values() if isinstance(value, str | list)]
        words = [w for value in named for w in (value if isinstance(value, list) else [value])]
        touched = (w for w in words if isinstance(w, str) and w in self.targets)
        return tuple(touched) or ("on stage",)

    # What the actions do.

    async def look(self, uses: str, call: ActionCall) -> ActionResult:
        """See what there is to see."""
        value = self.seen.get(key_of(uses, call.arguments), self.otherwise)
        return ActionResult(summary=f"the trial shows {value}", value=value)

    async def act(self, call: ActionCall) -> ActionResult:
        """Do a step, or fail at it as the story wants it."""
        step = call.key.partition(":")[2]
        if step == self.fails:
            raise ActionFailed("the trial lets this step fail")
        if self.stumbles is not None and step == self.stumbles[0]:
            reason, self.stumbles = self.stumbles[1], None
            raise ActionFailed("the trial lets this step fail once", transient=reason)
        self.performed.append(call.key)
        self.done(step)
        return ActionResult(summary="done in the trial", value=1.0)


def puppets(stage: Callable[[], Stage], actions: Mapping[str, Action]) -> Sequence[Action]:
    """Return actions like the real ones, which play on whatever stage is set."""
    known = dict(actions)
    made = [_puppet(action, stage, known) for action in actions.values()]
    return [*made, *(_stand_in(risk, stage) for risk in Risk if risk is not Risk.R0)]


def _puppet(real: Action, stage: Callable[[], Stage], known: Mapping[str, Action]) -> Action:
    async def handle(call: ActionCall) -> ActionResult:
        if call.key:
            return await stage().act(call)
        return await stage().look(real.reference, call)

    async def dry_run(call: ActionCall) -> DryRun:
        return replace(await _dry_run(call), targets=stage().touched(call.arguments))

    return replace(
        real,
        handler=handle,
        dry_run=dry_run if real.dry_run else None,
        reconcile=_reconcile if real.reconcile else None,
        undo=_way_back(real, known) if real.undo else None,
    )


async def _dry_run(call: ActionCall) -> DryRun:
    return DryRun(diff="- before the trial\n+ after it", targets=("on stage",), out_of=_PLENTY)


async def _reconcile(call: ActionCall) -> Reconciliation:
    return Reconciliation(happened=Happened.NO, detail="nothing was seen on the stage")


def _way_back(
    real: Action, known: Mapping[str, Action]
) -> Callable[[ActionCall, ActionResult], Undo | None]:
    """Return the real way back, or a stand-in where it needs what only the world knows."""

    def undo(call: ActionCall, result: ActionResult) -> Undo | None:
        found = _asked(real, call, result)
        action = known.get(found.uses) if found else None
        if found is not None and action is not None and _takes(action, found.arguments):
            return found
        risk = max(real.risk, Risk.R1)
        return Undo(uses=f"{WAY_BACK}_r{int(risk)}@1", arguments={"of": call.key})

    return undo


def _asked(real: Action, call: ActionCall, result: ActionResult) -> Undo | None:
    try:
        return real.undo(call, result) if real.undo else None
    except (LookupError, TypeError, ValueError, AttributeError, Refused, ActionFailed):
        return None  # it needs what its real handler would have found


def _takes(action: Action, arguments: Arguments) -> bool:
    try:
        check_arguments(action, arguments)
    except Refused:
        return False
    return True


def _stand_in(risk: Risk, stage: Callable[[], Stage]) -> Action:
    async def handle(call: ActionCall) -> ActionResult:
        return await stage().act(call)

    schema: Mapping[str, JSON] = {"type": "object", "properties": {"of": {"type": "string"}}}
    return Action(
        name=f"{WAY_BACK}_r{int(risk)}",
        version=1,
        summary="Take a step of the trial back.",
        effect=Effect.MUTATE,
        risk=risk,
        idempotent=True,
        arguments=schema,
        handler=handle,
        dry_run=_dry_run,
    )
