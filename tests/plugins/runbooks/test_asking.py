"""Requests for approval: one message for each person who may give it, kept current."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.domain.alerts import Severity
from bot.domain.approvals import ANYONE, Place
from bot.domain.people import ChannelId, Role
from bot.domain.runs import RunState
from bot.plugin import PluginContext
from bot.ports import MessageRef
from bot.services.posts import PostService
from bot.storage.sqlite import SqliteDatabase
from plugins.runbooks.asking import MOST_ASKED, Asking
from tests.fakes import FakeChat, FakeClock
from tests.plugins.runbooks.runbook_samples import DANA, EVE, run
from tests.stage import stage_in, text_of

PLAN = MessageRef(channel=ChannelId("C9"), id="plan")


@pytest.fixture
def chat() -> FakeChat:
    chat = FakeChat()
    for person in (DANA, EVE):
        chat.add_person(person.id, person.name)
    chat.user_groups["payments-oncall"] = [DANA.id, EVE.id]
    return chat


@pytest.fixture
async def asking(chat: FakeChat, tmp_path: Path) -> AsyncIterator[Asking]:
    database = SqliteDatabase(tmp_path / "t.db", FakeClock())
    database.open()
    context = SimpleNamespace(chat=chat, posts=PostService(database, chat))
    yield Asking(cast("PluginContext", context))
    await database.close()


def waiting(state: RunState = RunState.AWAITING, **changes: Any) -> Any:
    made = run(state, **changes)
    assert made.approval is not None
    quorum = (Place(group="payments-oncall"),)
    return replace(made, approval=replace(made.approval, quorum=quorum))


async def test_everyone_who_may_approve_is_asked_once_and_not_the_requester(
    asking: Asking, chat: FakeChat
) -> None:
    for _ in range(3):
        await asking.update(waiting(), PLAN)
    post = chat.post_of(f"ask:r1:{EVE.id}")
    assert len(chat.posts) == 1
    assert chat.channels[post.ref.channel].members == [EVE.id]
    assert "Dana asks for an approval" in text_of(post.shown[-1])


async def test_the_request_says_when_it_is_over(asking: Asking, chat: FakeChat) -> None:
    await asking.update(waiting(), PLAN)
    await asking.update(waiting(RunState.DENIED), PLAN)
    assert "needs no approval any more: it is denied" in text_of(
        chat.post_of(f"ask:r1:{EVE.id}").shown[-1]
    )


async def test_nobody_is_told_of_the_end_who_was_not_asked(asking: Asking, chat: FakeChat) -> None:
    await asking.update(waiting(RunState.SUCCEEDED), PLAN)
    assert chat.posts == []


async def test_a_whole_department_is_not_asked(asking: Asking, chat: FakeChat) -> None:
    people = [chat.add_person(f"U{n}", f"Person {n}").id for n in range(10, 11 + MOST_ASKED)]
    chat.user_groups["payments-oncall"] = people
    await asking.update(waiting(), PLAN)
    assert chat.posts == []


async def test_one_who_cannot_be_written_to_does_not_keep_the_others_from_it(
    asking: Asking, chat: FakeChat
) -> None:
    chat.user_groups["payments-oncall"] = [chat.add_person("U0", "Ann").id, EVE.id]
    chat.fail("direct", "cannot_dm_bot")
    await asking.update(waiting(), PLAN)
    assert [post.key for post in chat.posts] == [f"ask:r1:{EVE.id}"]


async def test_a_run_that_moves_on_costs_no_calls_for_those_who_know_it(
    asking: Asking, chat: FakeChat
) -> None:
    for _ in range(5):
        await asking.update(waiting(), PLAN)
    assert chat.calls.count("direct") == 1


@pytest.mark.parametrize(
    ("group", "asked"),
    (
        ("team:payments", {EVE.id, "U9"}),
        ("role:commander", {"U8"}),
        ("role:scribe", set()),
        ("nobody", set()),
        (ANYONE, set()),
    ),
)
async def test_teams_and_roles_are_asked_by_their_people(
    tmp_path: Path, group: str, asked: set[str]
) -> None:
    async with stage_in(tmp_path) as stage:
        zoe = stage.chat.add_person("U8", "Zoe")
        for person in (DANA, EVE):
            stage.chat.people[person.id] = person
        stage.chat.user_groups = {
            "payments": [stage.chat.add_person("U9", "Ann").id],
            "payments-oncall": [EVE.id, DANA.id],
        }
        made = await stage.context.incidents.declare(
            "Orders fail", Severity.SEV2, service="checkout", by=stage.by(zoe)
        )
        await stage.context.incidents.claim_role(made.id, Role.COMMANDER, by=stage.by(zoe))
        requested = waiting(incident=made.id)
        quorum = (Place(group=group),)
        requested = replace(requested, approval=replace(requested.approval, quorum=quorum))
        await Asking(stage.context).update(requested, PLAN)
        assert {post.key.removeprefix("ask:r1:") for post in stage.chat.posts} == asked
