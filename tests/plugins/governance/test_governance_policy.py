"""A change of policy: shown, requested, adopted through the action, and found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import knowledge
from bot.domain.actions import Action, ActionCall, Effect, Happened, Risk
from bot.domain.errors import Refused, TocsinError
from bot.domain.runs import RunState
from plugins.governance import screens
from plugins.governance.adopting import RUNBOOK
from plugins.governance.plugin import Governance
from tests.plugins.governance.governance_samples import NEW, Proposed, governed
from tests.stage import Stage, buttons_of, text_of

BOOKS = knowledge.load(Path("knowledge")).runbooks


@pytest.fixture
async def plugin(stage: Stage) -> Governance:
    await stage.context.policies.start()
    return governed(stage, BOOKS[RUNBOOK])


def action(plugin: Governance, name: str) -> Action:
    return next(a for a in plugin.actions() if a.name == name)


def call(digest: str = NEW) -> ActionCall:
    return ActionCall(key="r1:adopt", arguments={"digest": digest}, timeout=5)


async def shown(stage: Stage, plugin: Governance) -> str:
    return text_of(await stage.type(plugin, "policy", by=stage.ravi, channel=stage.alerts))


async def test_where_nothing_is_proposed_the_policy_in_force_is_shown(
    stage: Stage, plugin: Governance
) -> None:
    said = await shown(stage, plugin)
    assert stage.policy.digest[:12] in said
    assert "say the same" in said


async def test_a_proposal_is_shown_with_its_difference_and_requested_by_a_button(
    stage: Stage, plugin: Governance
) -> None:
    stage.proposed = Proposed()
    reply = await stage.type(plugin, "policy", by=stage.ravi, channel=stage.alerts)
    assert "+permit (principal, action, resource);" in text_of(reply)
    (button,) = buttons_of(reply)
    answer = await stage.press(plugin, button.interaction, by=stage.ravi, value=button.value)
    assert "is requested" in text_of(answer)
    (run,) = await stage.context.runs.recent()
    assert (run.runbook, run.parameters, run.state) == (RUNBOOK, {"digest": NEW}, RunState.DRAFT)
    assert run.subject == f"channel:{stage.alerts}"


@pytest.mark.parametrize("value", ("", "a", "A" * 64, f"{NEW}0", "../../etc/passwd"))
async def test_a_forged_digest_is_refused(stage: Stage, plugin: Governance, value: str) -> None:
    with pytest.raises(Refused):
        await stage.press(plugin, screens.CHANGE_POLICY, by=stage.ravi, value=value)


async def test_a_faulty_proposal_is_told_and_what_was_adopted_stays(
    stage: Stage, plugin: Governance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise TocsinError("people.cedar: line 3: unexpected token")

    monkeypatch.setattr(stage.context.policies, "proposal", broken)
    said = await shown(stage, plugin)
    assert "has a fault; what was adopted stays in force" in said
    assert "line 3: unexpected token" in said


async def test_a_long_difference_is_cut_visibly(stage: Stage, plugin: Governance) -> None:
    stage.proposed = Proposed(documents={"p.cedar": b"// a line of the policy\n" * 500})
    assert "more lines are not shown here" in await shown(stage, plugin)


async def test_without_the_runbook_it_says_what_is_missing(stage: Stage) -> None:
    await stage.context.policies.start()
    stage.proposed = Proposed()
    assert "change-policy, which puts it into force, is not there" in await shown(
        stage, governed(stage)
    )


async def test_the_action_is_r3_and_adopts_exactly_what_was_shown(
    stage: Stage, plugin: Governance
) -> None:
    adopt = action(plugin, "policy.adopt")
    assert (adopt.reference, adopt.effect, adopt.risk) == (
        "policy.adopt@1",
        Effect.MUTATE,
        Risk.R3,
    )
    stage.proposed = Proposed()
    assert adopt.dry_run is not None
    assert "+permit" in (await adopt.dry_run(call())).diff
    await adopt.handler(call())
    assert stage.policy.digest == NEW
    adopted = await stage.context.policies.in_force()
    assert adopted is not None
    assert (adopted.digest, adopted.run) == (NEW, "r1")


async def test_a_second_time_changes_nothing_and_succeeds(stage: Stage, plugin: Governance) -> None:
    adopt = action(plugin, "policy.adopt")
    stage.proposed = Proposed()
    await adopt.handler(call())
    stage.proposed = Proposed(digest="b" * 64)
    await adopt.handler(call())
    assert stage.policy.digest == NEW


async def test_files_that_changed_since_the_plan_are_not_adopted(
    stage: Stage, plugin: Governance
) -> None:
    adopt = action(plugin, "policy.adopt")
    stage.proposed = Proposed(digest="b" * 64)
    assert adopt.dry_run is not None
    with pytest.raises(Refused, match="do not propose this policy"):
        await adopt.dry_run(call())
    with pytest.raises(Refused, match="changed since"):
        await adopt.handler(call())
    assert stage.policy.digest != NEW


async def test_after_a_crash_the_world_says_whether_it_happened(
    stage: Stage, plugin: Governance
) -> None:
    adopt, look = action(plugin, "policy.adopt"), action(plugin, "policy.in_force")
    assert adopt.reconcile is not None
    stage.proposed = Proposed()
    assert (await adopt.reconcile(call())).happened is Happened.NO
    assert (await look.handler(call())).value == 0
    await adopt.handler(call())
    assert (await adopt.reconcile(call())).happened is Happened.YES
    assert (await look.handler(call())).value == 1


def test_the_page_names_only_actions_there_are(plugin: Governance) -> None:
    loaded = knowledge.load(Path("knowledge"))
    known = {a.reference: a for a in plugin.actions()}
    problems = [str(p) for p in knowledge.check_actions(loaded, known)]
    assert not [p for p in problems if "change-policy" in p]
