"""After an incident without a runbook: a draft for review, offered once it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.errors import Refused
from bot.domain.incidents import IncidentStatus
from bot.domain.messages import Message
from bot.knowledge import load
from bot.plugin import PluginSettings
from plugins.runbooks.plugin import Runbooks
from plugins.runbooks.proposing import PROPOSE, propose_button
from tests.plugins.runbooks.runbook_world import incident
from tests.stage import stage_in


def test_a_draft_is_offered_only_when_the_incident_is_over() -> None:
    assert propose_button(incident()) is None
    for status in (IncidentStatus.RESOLVED, IncidentStatus.CLOSED):
        button = propose_button(replace(incident(), status=status))
        assert button is not None
        assert button.interaction == PROPOSE


async def test_a_press_writes_a_page_that_loads_and_never_a_second(tmp_path: Path) -> None:
    async with stage_in(tmp_path) as stage:
        plugin = Runbooks(PluginSettings(), stage.context)
        over = replace(incident(), status=IncidentStatus.RESOLVED)
        async with stage.database.transaction() as tx:
            await tx.incidents.save(over)
        told = await stage.press(plugin, PROPOSE, by=stage.dana, value=over.id)
        [page] = (tmp_path / "proposals").glob("**/*.md")
        assert isinstance(told, Message)
        assert str(page) in told.summary
        assert load(page.parents[2]).runbooks
        with pytest.raises(Refused, match="there already"):
            await stage.press(plugin, PROPOSE, by=stage.dana, value=over.id)
