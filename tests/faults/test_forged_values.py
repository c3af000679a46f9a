"""Button values that nobody was offered: one sentence each, no traceback, and nothing happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.domain.errors import Refused
from bot.domain.runs import RunState
from bot.plugin import Plugin, PluginSettings
from plugins.runbooks.plugin import Runbooks
from tests.plugins.governance.governance_samples import governed, incident, waiting_run
from tests.stage import Stage, stage_in

FORGED = {
    "empty": "",
    "unknown": "ghost",
    "sql": "x'; DROP TABLE runs; --",
    "like": "%",
    "long": "x" * 10_000,
    "null": "\x00",
    "surrogate": "\ud800",
    "newlines": "a\nb\r\nc",
    "separators": "|:|:,;/",
    "json": '{"run": {"$ne": null}}',
    "number": "-1",
    "huge": "9" * 400,
    "path": "../../etc/passwd",
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as stage:
        yield stage


async def states(stage: Stage) -> Mapping[str, RunState]:
    """Return where every run stands."""
    async with stage.database.reading() as view:
        return {run.id: run.state for run in await view.runs.recent()}


async def presses(stage: Stage, plugin: Plugin[Any], value: str) -> list[str]:
    """Press every button there is with a value; return what was wrong with the answers."""
    wrong = []
    for name in [interaction.name for interaction in plugin.interactions()]:
        for answers in ({}, {"reason": value, "name": value, "note": value, "typed": value}):
            try:
                await stage.press(plugin, name, by=stage.ravi, value=value, answers=answers)
            except Refused as no:
                sentence = no.reason.strip()
                if not sentence or "Traceback" in sentence or len(sentence) > 1000:
                    wrong.append(f"{name}: {sentence[:200]!r}")
            except Exception as error:  # noqa: BLE001  # what the tests look for
                wrong.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    return wrong


@pytest.mark.parametrize(
    "kind",
    (*FORGED,),
)
@pytest.mark.parametrize("make", ("governance", "runbooks"))
async def test_a_forged_value_gets_a_sentence_and_changes_nothing(
    stage: Stage, make: str, kind: str
) -> None:
    governance = governed(stage)
    plugin: Plugin[Any] = governance
    if make == "runbooks":
        plugin = Runbooks(PluginSettings(), stage.context)
    await incident(stage)
    run = await waiting_run(stage, stage.dana)
    before, value = await states(stage), FORGED[kind]
    wrong = await presses(stage, plugin, value)
    wrong += await presses(stage, plugin, f"{run.id}:{value}")
    wrong += await presses(stage, plugin, f"{run.id} {value}")
    assert wrong == []
    assert await states(stage) == before


@pytest.mark.parametrize("digest", ("0" * 64, "", "x" * 10_000, "ä" * 64))
async def test_consent_to_another_digest_is_refused(stage: Stage, digest: str) -> None:
    governed(stage)
    run = await waiting_run(stage, stage.dana)
    standing = await stage.context.people.standing(stage.ravi.id)
    with pytest.raises(Refused):
        await stage.context.runs.approve(
            run.id, digest=digest, standing=standing, channel=None, by=stage.by(stage.ravi)
        )
    assert (await stage.context.runs.get(run.id)).state is RunState.AWAITING
