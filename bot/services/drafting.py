"""Turns the steps of a page, and what takes them back, into steps of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.domain.actions import JSON, Action, ActionFailed, Arguments, DryRun, Effect, Risk
from bot.domain.errors import Refused
from bot.domain.limits import waves
from bot.domain.parameters import substitute
from bot.domain.runbooks import OnFailure, Step, StepUndo, Verification
from bot.domain.runs import PlannedCheck, PlannedStep, PlannedUndo
from bot.services.preconditions import LOOK_SECONDS
from bot.services.reading import Reader
from bot.services.registry import Registry, check_arguments

DIFF_LENGTH = 2000
UNDO_SECONDS = 30.0
# Less is the patience one has with machines, and the page's default; a person
# who is given no more is given any time they need.
LEAST_BY_HAND = 60.0
READS = "This action changes nothing."
BLIND = "This action cannot say beforehand what it changes."
BLINDLY = f"{BLIND} Its risk counts one class higher for that."


class Drafting:
    """Dry-runs steps and pins what they would do."""

    def __init__(self, registry: Registry, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    async def steps(
        self, steps: Sequence[Step], values: Mapping[str, JSON]
    ) -> tuple[PlannedStep, ...]:
        """Plan steps in their order; `values` are what `${…}` stands for.

        Raises:
            Refused: an action is not there or says no, a value is missing, or the
                way back that is announced is riskier than the plan.
        """
        planned = [made for step in steps for made in await self._rolled_out(step, values)]
        self._check_ways_back(planned)
        return tuple(planned)

    def _check_ways_back(self, planned: Sequence[PlannedStep]) -> None:
        """Hold that a rollback would not be refused when it is needed.

        It stands on the consent to the plan, so that it may not be riskier.
        """
        if not any(step.on_failure == OnFailure.ROLLBACK for step in planned):
            return
        worst = max(step.risk for step in planned)
        for step in planned:
            risk = self._registry.get(step.undo.uses).risk if step.undo else Risk.R0
            if risk > worst:
                raise Refused(
                    f"Taking “{step.title}” back is {risk.name}, and the plan that announces it "
                    f"only {worst.name}; its rollback would be refused."
                )

    async def _rolled_out(self, step: Step, values: Mapping[str, JSON]) -> Sequence[PlannedStep]:
        """Plan a step, for each of its targets where it has some, in growing waves.

        Each wave ends with the step's verification: what goes wrong, goes wrong
        on few first.
        """
        if not step.targets:
            return [await self._step(step, values)]
        planned: list[PlannedStep] = []
        for wave, targets in enumerate(waves(step.targets), start=1):
            for target in targets:
                one = replace(
                    step,
                    id=f"{step.id}.{len(planned) + 1}",
                    title=f"{step.title}: {target}",
                    verify=step.verify if target == targets[-1] else None,
                )
                made = await self._step(one, {**values, "target": target})
                touched = made.targets or (target,)
                planned.append(replace(made, wave=wave, targets=touched))
        return planned

    async def _step(self, step: Step, values: Mapping[str, JSON]) -> PlannedStep:
        action = self._registry.get(step.uses)
        if action.waiting and step.verify is None:
            raise Refused(f"“{step.title}” waits, and nothing says for what.")
        arguments = substitute(step.arguments, values)
        seen = await self._dry_run(step.uses, arguments)
        risk = max(action.risk, step.risk or Risk.R0)
        blind = seen is None and action.effect is not Effect.READ
        seen = seen or DryRun(diff=BLINDLY if blind else READS)
        return PlannedStep(
            id=step.id,
            title=step.title,
            uses=step.uses,
            arguments={**arguments, **seen.pinned},
            effect=action.effect,
            risk=_raised(risk) if blind else risk,
            idempotent=action.idempotent,
            timeout=_by_hand(step.timeout) if action.manual else step.timeout,
            diff=seen.diff[:DIFF_LENGTH],
            explanation=step.explanation,
            on_failure=step.on_failure,
            verify=_check(step.verify, values) if step.verify else None,
            commit_point=step.commit_point,
            targets=seen.targets,
            out_of=seen.out_of,
            retry=step.retry,
            undo=self._undo(step.undo, values) if step.undo else None,
            on_unknown=step.on_unknown,
            manual=action.manual,
            waiting=action.waiting,
        )

    def _undo(self, undo: StepUndo, values: Mapping[str, JSON]) -> StepUndo:
        """Fill in the page's own way back; one that could not be called is none."""
        arguments = substitute(undo.arguments, values)
        check_arguments(self._registry.get(undo.uses), arguments)
        return StepUndo(uses=undo.uses, arguments=arguments)

    async def undo(self, undo: PlannedUndo) -> PlannedStep:
        """Plan the call that takes a step back.

        Its risk is the action's own, dry run or not: the plan that is taken back
        announced it, and must not become harder to leave than to carry out.

        Raises:
            Refused: the action is not there, or says no.
        """
        action = self._registry.get(undo.uses)
        seen = await self._dry_run(undo.uses, undo.arguments)
        seen = seen or DryRun(diff=BLIND)
        return PlannedStep(
            id=f"undo-{undo.step}",
            title=undo.title,
            uses=undo.uses,
            arguments={**undo.arguments, **seen.pinned},
            effect=action.effect,
            risk=action.risk,
            idempotent=action.idempotent,
            timeout=_undo_seconds(action),
            diff=seen.diff[:DIFF_LENGTH],
            targets=seen.targets,
            out_of=seen.out_of,
            manual=action.manual,
            waiting=action.waiting,
        )

    async def _dry_run(self, uses: str, arguments: Arguments) -> DryRun | None:
        try:
            return await self._reader.dry_run(uses, arguments, timeout=LOOK_SECONDS)
        except ActionFailed as no:
            raise Refused(f"The dry run failed: {no.reason}.") from no


def _raised(risk: Risk) -> Risk:
    return Risk(min(risk + 1, Risk.R4))


def _by_hand(timeout: float) -> float:
    return timeout if timeout > LEAST_BY_HAND else 0.0


def _undo_seconds(action: Action) -> float:
    return 0.0 if action.manual else UNDO_SECONDS


def _check(verify: Verification, values: Mapping[str, JSON]) -> PlannedCheck:
    return PlannedCheck(
        uses=verify.uses,
        arguments=substitute(verify.arguments, values),
        expect=verify.expect,
        within=verify.within,
        every=verify.every,
        consecutive=verify.consecutive,
    )
