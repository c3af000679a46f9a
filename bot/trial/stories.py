"""The stories of a trial: all goes well, it is taken back, and each step fails in its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.actions import Action, Effect
from bot.domain.errors import TocsinError
from bot.domain.parameters import resolve, substitute
from bot.domain.runbooks import Case, OnFailure, Outcome, Runbook, Step
from bot.domain.runs import PlannedStep, Run, RunState, StepState
from bot.trial.house import House, Stuck
from bot.trial.stage import Stage, key_of
from bot.trial.values import facts_that_reach, fitting, parameters_for


@dataclass(frozen=True, kw_only=True)
class Tale:
    """One story of one page, and what was wrong with it; nothing, if it went as it should."""

    runbook: str
    story: str
    fault: str = ""
    remark: str = ""


class _Unmet(Exception):
    """A story that did not go as the page says."""


async def try_runbook(
    house: House, runbook: Runbook, actions: Mapping[str, Action]
) -> Sequence[Tale]:
    """Tell every story of a page on the stage.

    For the stories of steps all steps are planned, whatever the page decides:
    what it decides is what its cases are for, and each of them is planned too.
    """
    if not runbook.executable:
        return ()
    given, unknown = parameters_for(runbook)
    if unknown:
        reason = f"no value fits {', '.join(unknown)}; give one in a case"
        return (Tale(runbook=runbook.id, story="parameters", fault=reason),)
    play = _Play(house, runbook, given, actions)
    return [tale async for tale in play.tales()]


class _Play:
    """The stories of one page."""

    def __init__(
        self,
        house: House,
        runbook: Runbook,
        given: Mapping[str, str],
        actions: Mapping[str, Action],
    ) -> None:
        self._house = house
        self._page = runbook
        self._given = given
        self._actions = actions
        self._remark = ""
        self._whole = self._forced()

    def _forced(self) -> Runbook:
        """Return the page with all of its steps in every plan."""
        steps = tuple(replace(step, when="") for step in self._page.steps)
        return replace(self._page, decide=(), steps=steps, done_when=self._page.done_when)

    async def tales(self) -> AsyncIterator[Tale]:
        """Tell all stories, one after the other."""
        for case in self._page.cases:
            yield await self._told(f"plan of “{case.name}”", self._case(case))
        yield await self._told("every step, then all taken back", self._well())
        for step in self._page.steps:
            if not self._waits(step):
                yield await self._told(f"{step.id} fails", self._fails(step))
            if step.verify is not None:
                yield await self._told(f"{step.id} proves nothing", self._unproven(step))
            if step.retry is not None:
                yield await self._told(f"{step.id} is tried again", self._stumbles(step))

    def _waits(self, step: Step) -> bool:
        action = self._actions.get(step.uses)
        return action is not None and action.waiting

    async def _told(self, story: str, telling: Awaitable[None]) -> Tale:
        self._remark = ""
        fault = ""
        try:
            await telling
        except (_Unmet, Stuck, TocsinError) as no:
            fault = str(no)
        return Tale(runbook=self._page.id, story=story, fault=fault, remark=self._remark)

    # The stage.

    def _stage(self, facts: Mapping[str, object], given: Mapping[str, str] | None = None) -> Stage:
        """Set a stage on which the checks find some facts and everything is as it should be."""
        typed = resolve(self._page, {}, self._given if given is None else given)
        stage = Stage()
        for check in (*self._page.diagnose, *self._page.preconditions):
            look = key_of(check.uses, substitute(check.arguments, typed))
            if check.id in facts:
                stage.seen[look] = _number(facts[check.id])
            elif check in self._page.preconditions:
                stage.seen[look] = fitting(check.expect) if check.expect else 1.0
        stage.goals = self._goals(typed)
        return stage

    def _goals(self, typed: Mapping[str, object]) -> Mapping[str, float | None]:
        """Return what is seen when the page has helped; what a step proves, the step shows."""
        looks = {c.id: key_of(c.uses, substitute(c.arguments, typed)) for c in self._page.diagnose}
        proofs = {
            key_of(v.uses, substitute(v.arguments, typed)): fitting(v.expect)
            for v in (step.verify for step in self._page.steps)
            if v is not None and not _needs_facts(v.arguments)
        }
        known = {id: proofs[look] for id, look in looks.items() if look in proofs}
        reached = facts_that_reach(self._page, typed, known)
        if reached is None:
            raise _Unmet("no values were found with which done_when holds; check it by hand")
        return {looks[id]: _number(value) for id, value in reached.items()}

    def _facts(self) -> Mapping[str, object]:
        """Return what the checks find: as in the first case that runs steps."""
        fitting_case = next((c for c in self._page.cases if c.outcome is Outcome.STEPS), None)
        return fitting_case.facts if fitting_case else {}

    # The stories.

    async def _case(self, case: Case) -> None:
        """Let the real planner decide a case's facts, and compare what comes of it."""
        given, _ = parameters_for(replace(self._page, cases=(case,)))
        run = await self._house.ask(self._page, given, self._stage(case.facts, given))
        if case.outcome is not Outcome.STEPS:
            _check_unplanned(run, case)
            return
        if run.plan is None:
            raise _Unmet(f"no plan was made: {run.reason}")
        planned = list(dict.fromkeys(_of_page(step.id) for step in run.plan.steps))
        if planned != list(case.steps):
            raise _Unmet(f"planned were {_named(planned)}, but it expects {_named(case.steps)}")

    async def _planned(self, stage: Stage) -> Run:
        run = await self._house.ask(self._whole, self._given, stage)
        if run.plan is None:
            raise _Unmet(f"no plan was made: {run.reason}")
        run = await self._house.approve(run)
        if run.state is RunState.AWAITING:
            raise _Unmet("nobody on the stage could approve the plan")
        return run

    async def _well(self) -> None:
        """Do every step, and take back what can be taken back."""
        run = await self._house.play(await self._planned(self._stage(self._facts())), "yes")
        if run.state is not RunState.SUCCEEDED:
            raise _Unmet(f"the run ended {run.state}: {run.reason or _last(run)}")
        undone = [record.id for record in run.records if record.state is not StepState.DONE]
        if undone:
            raise _Unmet(f"{_named(undone)} were left out")
        self._check_ways_back(run)
        if not run.undoes:
            self._remark = "nothing to take back"
            return
        back = await self._house.undo(run)
        if back.state is not RunState.SUCCEEDED:
            raise _Unmet(f"taking it back ended {back.state}: {back.reason or _last(back)}")

    def _check_ways_back(self, run: Run) -> None:
        """Every change since the last commit point has a way back."""
        assert run.plan is not None  # noqa: S101  # it succeeded
        open_ones: list[str] = []
        for step in run.plan.steps:
            if step.commit_point:
                open_ones.clear()
            elif _changes(step):
                open_ones.append(step.id)
        known = {undo.step for undo in run.undoes}
        lost = [id for id in open_ones if id not in known]
        if lost:
            raise _Unmet(f"nobody knows how to take {_named(lost)} back; name it, or commit_point")

    async def _fails(self, step: Step) -> None:
        """Let a step fail, and see that what the page says is what becomes of it."""
        stage = self._stage(self._facts())
        run = await self._planned(stage)
        stage.fails = _first(run, step)
        await self._followed(await self._house.play(run, "yes"), step)

    async def _unproven(self, step: Step) -> None:
        """Let a step's effect take place and its proof never come."""
        stage = self._stage(self._facts())
        stage.unproven = step.id
        await self._followed(await self._house.play(await self._planned(stage), "yes"), step)

    async def _stumbles(self, step: Step) -> None:
        """Let a step fail once in a way that may pass."""
        assert step.retry is not None  # noqa: S101  # asked by the caller
        stage = self._stage(self._facts())
        run = await self._planned(stage)
        stage.stumbles = (_first(run, step), step.retry.on[0])
        run = await self._house.play(run, "yes")
        if run.state is not RunState.SUCCEEDED:
            raise _Unmet(f"it was not tried again: the run ended {run.state}: {run.reason}")

    async def _followed(self, run: Run, step: Step) -> None:
        """Hold what became of a run against the step's `on_failure`."""
        if step.on_failure is OnFailure.CONTINUE:
            if run.state is not RunState.SUCCEEDED:
                raise _Unmet(f"it should go on, but ended {run.state}: {run.reason}")
            return
        if run.state not in (RunState.FAILED, RunState.ROLLED_BACK):
            raise _Unmet(f"it should have failed, but ended {run.state}")
        rolled = [child for child in await self._house.children(run) if child.rollback]
        if step.on_failure is OnFailure.ESCALATE and rolled:
            raise _Unmet("it was rolled back, but a person should decide")
        if step.on_failure is OnFailure.ROLLBACK:
            self._check_rollback(run, rolled)

    def _check_rollback(self, run: Run, rolled: Sequence[Run]) -> None:
        if not run.undoes:
            self._remark = "nothing had to be rolled back"
            return
        if not rolled:
            raise _Unmet("it should have been rolled back, and was not")
        back = rolled[-1]
        if back.state is not RunState.SUCCEEDED:
            raise _Unmet(f"the rollback ended {back.state}: {back.reason or _last(back)}")


def _check_unplanned(run: Run, case: Case) -> None:
    """A run that has nothing to do is cancelled, one that a person has to decide has failed."""
    ends = RunState.CANCELLED if case.outcome is Outcome.STOP else RunState.FAILED
    if run.plan is not None or run.state is not ends:
        raise _Unmet(f"the run is {run.state}, but the case expects “{case.outcome}”")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _needs_facts(arguments: Mapping[str, object]) -> bool:
    return "${facts." in str(arguments)


def _of_page(step: str) -> str:
    """Return a step's id in the page: a target's step has its number behind a point."""
    return step.split(".", maxsplit=1)[0]


def _first(run: Run, step: Step) -> str:
    """Return the first planned step that does a step of the page."""
    assert run.plan is not None  # noqa: S101  # it was planned
    return next(planned.id for planned in run.plan.steps if _of_page(planned.id) == step.id)


def _changes(step: PlannedStep) -> bool:
    return step.effect is not Effect.READ and not step.manual and not step.waiting


def _last(run: Run) -> str:
    return next((r.summary for r in reversed(run.records) if r.summary), "")


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids) if ids else "no steps"
