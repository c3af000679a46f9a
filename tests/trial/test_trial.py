"""A trial finds what would go wrong at 3 a.m., and touches nothing while it looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.domain.actions import Action, Risk, Transient
from bot.domain.limits import Limits
from bot.domain.parameters import Parameter, ParameterKind
from bot.domain.runbooks import (
    Case,
    Check,
    DoneWhen,
    Expectation,
    OnFailure,
    Outcome,
    Retry,
    Rule,
    Runbook,
    StepUndo,
)
from bot.storage.ledger import UNKEYED
from bot.storage.sqlite import SqliteDatabase
from bot.trial import House, Tale, try_runbook
from bot.trial.cast import StageClock
from tests.trial.trial_samples import ACTIONS, DRY, OPEN, page, step


class Theatre:
    """A house on a fresh database."""

    def __init__(self, path: Path) -> None:
        self.clock = StageClock(datetime(2026, 11, 21, 12, tzinfo=UTC))
        self.database = SqliteDatabase(path / "trial.db", self.clock)

    async def tales(self, book: Runbook, actions: dict[str, Action] | None = None) -> list[Tale]:
        known = actions or dict(ACTIONS)
        house = House(self.database, self.clock, privacy=UNKEYED, actions=known)
        return list(await try_runbook(house, book, known))

    async def faults(self, book: Runbook) -> dict[str, str]:
        return {t.story: t.fault for t in await self.tales(book) if t.fault}


@pytest.fixture
async def theatre(tmp_path: Path) -> AsyncIterator[Theatre]:
    theatre = Theatre(tmp_path)
    theatre.database.open()
    yield theatre
    await theatre.database.close()


async def test_a_good_page_passes_every_story(theatre: Theatre) -> None:
    book = page(
        step(verify=DRY, on_failure=OnFailure.ROLLBACK),
        step("again", on_failure=OnFailure.ROLLBACK, retry=_RETRY),
    )
    tales = await theatre.tales(book)
    assert [t for t in tales if t.fault] == []
    assert [t.story for t in tales] == [
        "every step, then all taken back",
        "open fails",
        "open proves nothing",
        "again fails",
        "again is tried again",
    ]


_RETRY = Retry(times=2, on=(Transient.UNREACHABLE,), wait=3)


@pytest.mark.parametrize("on_failure", tuple(OnFailure))
async def test_what_a_failing_step_does_is_held_against_the_page(
    theatre: Theatre, on_failure: OnFailure
) -> None:
    book = page(step(), step("second", on_failure=on_failure, verify=DRY))
    assert await theatre.faults(book) == {}


@pytest.mark.parametrize(
    ("says", "does", "told"),
    (
        (OnFailure.ROLLBACK, OnFailure.ESCALATE, "it should have been rolled back, and was not"),
        (OnFailure.ESCALATE, OnFailure.ROLLBACK, "it was rolled back, but a person should decide"),
        (OnFailure.CONTINUE, OnFailure.ESCALATE, "it should go on, but ended failed"),
        (OnFailure.ESCALATE, OnFailure.CONTINUE, "it should have failed, but ended succeeded"),
    ),
)
async def test_an_engine_that_does_otherwise_than_the_page_says_is_found(
    theatre: Theatre,
    monkeypatch: pytest.MonkeyPatch,
    says: OnFailure,
    does: OnFailure,
    told: str,
) -> None:
    planned = House.ask

    async def ask(house: House, book: Runbook, *rest: Any) -> Any:
        steps = tuple(replace(step, on_failure=does) for step in book.steps)
        return await planned(house, replace(book, steps=steps), *rest)

    monkeypatch.setattr(House, "ask", ask)
    faults = await theatre.faults(page(step(), step("second", on_failure=says)))
    assert told in faults["second fails"]


async def test_a_change_without_a_way_back_is_found(theatre: Theatre) -> None:
    book = page(step(uses="valve.blast@1"))
    faults = await theatre.faults(book)
    assert "nobody knows how to take open back" in faults["every step, then all taken back"]


async def test_a_commit_point_needs_no_way_back(theatre: Theatre) -> None:
    assert await theatre.faults(page(step(uses="valve.blast@1", commit_point=True))) == {}


async def test_an_undo_of_the_page_is_performed(theatre: Theatre) -> None:
    undo = StepUndo(uses="valve.close@1", arguments={"valve": "a"})
    assert await theatre.faults(page(step(uses="valve.blast@1", undo=undo))) == {}


async def test_an_undo_whose_arguments_do_not_fit_is_found(theatre: Theatre) -> None:
    undo = StepUndo(uses="valve.close@1", arguments={"vavle": "a"})
    faults = await theatre.faults(page(step(uses="valve.blast@1", undo=undo)))
    assert "vavle" in faults["every step, then all taken back"]


async def test_arguments_that_the_real_action_would_not_take_are_found(theatre: Theatre) -> None:
    faults = await theatre.faults(page(step(arguments={"turns": "three"})))
    assert "three" in faults["every step, then all taken back"]


async def test_an_action_that_is_not_there_is_found(theatre: Theatre) -> None:
    faults = await theatre.faults(page(step(uses="valve.melt@1")))
    assert "valve.melt@1" in faults["every step, then all taken back"]


async def test_steps_for_several_targets_go_in_waves_and_come_back(theatre: Theatre) -> None:
    book = page(
        step(
            targets=("a", "b", "c"),
            arguments={"valve": "${target}"},
            verify=DRY,
            on_failure=OnFailure.ROLLBACK,
        )
    )
    assert await theatre.faults(book) == {}


async def test_a_limit_that_the_page_itself_breaks_is_found(theatre: Theatre) -> None:
    many = step(targets=("a", "b", "c"), arguments={"valve": "${target}"})
    assert await theatre.faults(page(many, limits=Limits(targets=3))) == {}
    faults = await theatre.faults(page(many, limits=Limits(targets=2)))
    assert "3 targets" in faults["every step, then all taken back"]


async def test_a_risky_page_needs_two_people_and_gets_them(theatre: Theatre) -> None:
    assert await theatre.faults(page(step(risk=Risk.R4))) == {}


DECIDING: dict[str, Any] = {
    "decide": (
        Rule(when="facts.wet > 0.9", outcome=Outcome.STOP, because="it is wet already"),
        Rule(when="facts.wet > 0.5", outcome=Outcome.STEPS, steps=("second",)),
        Rule(when="facts.wet <= 0.5", outcome=Outcome.STEPS, steps=("open", "second")),
    ),
}


def case(name: str, wet: float, outcome: Outcome, *steps: str) -> Case:
    return Case(
        name=name, labels={}, parameters={}, facts={"wet": wet}, outcome=outcome, steps=steps
    )


async def test_cases_are_planned_by_the_real_planner(theatre: Theatre) -> None:
    book = page(
        step(),
        step("second"),
        **DECIDING,
        cases=(
            case("dry", 0.1, Outcome.STEPS, "open", "second"),
            case("damp", 0.6, Outcome.STEPS, "second"),
            case("wet", 0.95, Outcome.STOP),
        ),
    )
    tales = await theatre.tales(book)
    assert [t for t in tales if t.fault] == []
    assert [t.story for t in tales][:3] == ["plan of “dry”", "plan of “damp”", "plan of “wet”"]


@pytest.mark.parametrize("outcome", (Outcome.STOP, Outcome.ESCALATE))
async def test_a_case_that_should_not_be_planned_and_is_is_found(
    theatre: Theatre, outcome: Outcome
) -> None:
    book = page(step(), step("second"), **DECIDING, cases=(case("odd", 0.6, outcome),))
    assert f"the case expects “{outcome}”" in (await theatre.faults(book))["plan of “odd”"]


async def test_a_case_for_a_person_is_not_the_same_as_one_for_nobody(theatre: Theatre) -> None:
    book = page(step(), step("second"), **DECIDING, cases=(case("odd", 0.95, Outcome.ESCALATE),))
    assert "the run is cancelled" in (await theatre.faults(book))["plan of “odd”"]


async def test_a_case_that_is_planned_otherwise_is_found(theatre: Theatre) -> None:
    book = page(
        step(), step("second"), **DECIDING, cases=(case("odd", 0.1, Outcome.STEPS, "second"),)
    )
    fault = (await theatre.faults(book))["plan of “odd”"]
    assert fault == "planned were open, second, but it expects second"


async def test_what_has_to_hold_before_holds_on_the_stage(theatre: Theatre) -> None:
    check = Check(
        id="calm",
        title="Calm",
        uses="valve.look@1",
        arguments={"valve": "b"},
        expect=Expectation(below=-3, above=-5),
    )
    assert await theatre.faults(page(step(), preconditions=(check,))) == {}


async def test_a_goal_that_can_be_reached_is_reached(theatre: Theatre) -> None:
    goal = DoneWhen(when="facts.wet > 41 && facts.wet < 43", within=60, every=5)
    assert await theatre.faults(page(step(), done_when=goal)) == {}


async def test_a_goal_that_contradicts_the_proof_of_a_step_is_found(theatre: Theatre) -> None:
    goal = DoneWhen(when="facts.wet > 41", within=60, every=5)  # the step proves it below 0.5
    faults = await theatre.faults(page(step(verify=DRY), done_when=goal))
    assert "done_when" in faults["every step, then all taken back"]


async def test_people_do_their_steps_and_what_is_waited_for_comes(theatre: Theatre) -> None:
    book = page(
        step(),
        step("ask", uses="human.do@1", arguments={"instruction": "Look."}, commit_point=True),
        step("wait", uses="wait.until@1", arguments={"reason": "calm"}, verify=DRY),
    )
    tales = await theatre.tales(book)
    assert [t for t in tales if t.fault] == []
    assert "wait fails" not in [t.story for t in tales]
    assert {"ask fails", "wait proves nothing"} <= {t.story for t in tales}


def parameter(pattern: str | None, kind: ParameterKind = ParameterKind.STRING) -> Parameter:
    return Parameter(name="which", kind=kind, pattern=pattern)


@pytest.mark.parametrize(
    "pattern", (None, "[0-9a-f]{64}", "valve-[a-z]{3}(-[0-9]+)?", r"\d+\.\d+", "x|y{2,3}")
)
async def test_a_value_is_made_up_for_every_pattern(theatre: Theatre, pattern: str | None) -> None:
    book = page(step(arguments={"valve": "${which}"}), parameters=(parameter(pattern),))
    assert await theatre.faults(book) == {}


async def test_a_parameter_that_nothing_fits_asks_for_a_case(theatre: Theatre) -> None:
    faults = await theatre.faults(page(step(), parameters=(parameter("(?=a)b"),)))
    assert faults == {"parameters": "no value fits which; give one in a case"}


async def test_a_real_action_is_never_called(theatre: Theatre) -> None:
    """The samples' own handlers raise; nothing of a trial may reach them."""
    actions = {**ACTIONS, OPEN.reference: replace(OPEN, reconcile=_never)}
    tales = await theatre.tales(page(step(verify=DRY, on_failure=OnFailure.ROLLBACK)), actions)
    assert [t for t in tales if t.fault] == []


async def _never(call: object) -> Any:
    raise AssertionError("the real reconcile was called")


async def test_a_page_without_steps_has_no_stories(theatre: Theatre) -> None:
    assert await theatre.tales(replace(page(), steps=())) == []


async def test_a_step_may_only_look(theatre: Theatre) -> None:
    book = page(step(), step("look", uses="valve.look@1", on_failure=OnFailure.ROLLBACK))
    assert await theatre.faults(book) == {}


async def test_a_fact_fills_an_argument_of_a_step_and_of_its_undo(theatre: Theatre) -> None:
    undo = StepUndo(uses="valve.close@1", arguments={"turns": "${facts.wet}"})
    book = page(
        step(uses="valve.blast@1", arguments={"turns": "${facts.wet}"}, undo=undo),
        cases=(case("all", 7, Outcome.STEPS, "open"),),
    )
    assert await theatre.faults(book) == {}


async def test_a_fact_of_the_wrong_kind_for_an_argument_is_found(theatre: Theatre) -> None:
    book = page(
        step(arguments={"turns": "${facts.wet}"}), cases=(case("half", 0.5, Outcome.STEPS, "open"),)
    )
    assert "0.5" in (await theatre.faults(book))["plan of “half”"]
