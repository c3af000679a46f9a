"""What people say of runbooks that the search found: asked in the form, kept as labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.documents import Acceptance
from bot.domain.errors import Refused
from bot.domain.messages import Buttons, Form
from bot.domain.people import BOT
from bot.ports import Judgement, SearchLabel
from plugins.runbooks.judging import BECAUSE, USEFUL, USELESS
from tests.plugins.runbooks.runbook_samples import DANA, EVE, alert, group
from tests.plugins.runbooks.runbook_world import World

VALUE = "g1|disk-full"


def strange() -> AlertGroup:
    """Return a group that no runbook names; the search finds one for its words."""
    return group(replace(alert(alertname="Odd"), annotations={"summary": "disk full now"}))


@pytest.fixture(autouse=True)
async def _fires(world: World) -> None:
    await world.keep(strange())


async def labels(world: World) -> Sequence[SearchLabel]:
    async with world.database.reading() as view:
        return await view.labels.all()


def asked(form: Form) -> list[str]:
    return [
        button.interaction
        for part in form.parts
        if isinstance(part, Buttons)
        for button in part.buttons
    ]


async def test_only_what_the_search_found_is_asked_about(world: World) -> None:
    assert asked(await world.press("runbooks.open", "g1")) == [USEFUL, USELESS]
    assert asked(await world.press("runbooks.pick", "g1|worker-stuck")) == []
    await world.keep(replace(group(), id=GroupId("g2"), group_key="other"))
    direct = await world.press("runbooks.open", "g2")
    assert direct.value == "g2|worker-stuck"
    assert asked(direct) == []


async def test_useful_is_a_label_stands_in_the_form_and_counts_once(world: World) -> None:
    for _ in range(2):
        form = await world.press(USEFUL, VALUE)
    assert "You called it useful" in str(form.parts)
    assert form.value == VALUE
    (label,) = await labels(world)
    assert (label.subject, label.document, label.kind) == ("g1", "disk-full", "runbook")
    assert (label.judgement, label.place, label.model) == (Judgement.USEFUL, 1, "list")
    assert label.names == ("Odd",)
    search = world.context.search
    assert search.acceptances == {"disk-full": Acceptance(useful=1)}  # type: ignore[attr-defined]  # the world's own


async def test_not_this_one_asks_why_and_the_newest_word_counts(world: World) -> None:
    await world.press(USEFUL, VALUE)
    asking = await world.press(USELESS, VALUE)
    assert (asking.interaction, asking.value) == (BECAUSE, VALUE)
    assert len(await labels(world)) == 1
    form = await world.press(BECAUSE, VALUE, reason="outdated", note="")
    assert "not this one (outdated)" in str(form.parts)
    assert [label.reason for label in await labels(world)] == ["", "outdated"]
    assert "not this one" not in str((await world.press("runbooks.open", "g1", EVE)).parts)


async def test_software_labels_nothing_and_neither_does_looking(world: World) -> None:
    await world.press("runbooks.open", "g1", DANA)
    await world.plugin.findings(strange())
    with pytest.raises(Refused, match="Only people"):
        await world.press(USEFUL, VALUE, BOT)
    assert await labels(world) == []


@pytest.mark.parametrize("value", ("", "g1", "ghost|disk-full", "g1|ghost", "g1|worker-stuck"))
async def test_what_was_not_found_is_not_judged(world: World, value: str) -> None:
    with pytest.raises(Refused):
        await world.press(USEFUL, value)
    with pytest.raises(Refused):
        await world.press(USEFUL, "channel:C9|disk-full")
    assert await labels(world) == []
