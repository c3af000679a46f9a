"""The steps of people and of time: what they take, and that no machine does them."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from bot.domain.actions import Action, ActionCall, ActionFailed, Effect, Risk
from bot.plugin import PluginSettings
from plugins.manual import PLUGIN


def actions() -> dict[str, Action]:
    plugin = PLUGIN.__new__(PLUGIN)  # it uses neither settings nor context
    return {a.reference: a for a in plugin.actions()}


def test_a_step_by_hand_changes_things_and_a_wait_does_not() -> None:
    hand, wait = actions()["human.do@1"], actions()["wait.until@1"]
    assert (hand.effect, hand.risk, hand.manual, hand.waiting) == (
        Effect.MUTATE, Risk.R1, True, False,
    )  # fmt: skip
    assert (wait.effect, wait.risk, wait.manual, wait.waiting) == (
        Effect.READ, Risk.R0, False, True,
    )  # fmt: skip
    assert hand.undo is None
    assert not hand.idempotent


@pytest.mark.parametrize(
    ("uses", "name"), (("human.do@1", "instruction"), ("wait.until@1", "reason"))
)
def test_both_take_one_bounded_text_and_nothing_else(uses: str, name: str) -> None:
    validator = Draft202012Validator(dict(actions()[uses].arguments))
    assert validator.is_valid({name: "x" * 500})
    for wrong in ({}, {name: ""}, {name: "x" * 501}, {name: 1}, {name: ["x"]}, {name: "x", "y": 1}):
        assert not validator.is_valid(wrong), wrong


async def test_the_dry_run_shows_what_a_person_is_going_to_be_asked_for() -> None:
    dry_run = actions()["human.do@1"].dry_run
    assert dry_run is not None
    seen = await dry_run(ActionCall(key="", arguments={"instruction": "Pull the plug"}, timeout=1))
    assert seen.diff == "A person does this by hand: Pull the plug"
    assert seen.pinned == {}


@pytest.mark.parametrize("uses", ("human.do@1", "wait.until@1"))
async def test_a_call_of_the_handler_does_nothing_and_says_so(uses: str) -> None:
    with pytest.raises(ActionFailed):
        await actions()[uses].handler(ActionCall(key="k", arguments={}, timeout=1))


def test_there_is_nothing_to_set() -> None:
    assert PLUGIN.Settings is PluginSettings
