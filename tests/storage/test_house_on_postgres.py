"""The whole house with its database on a server: alert, plan, approval, effect, proof."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bot.storage.postgres import entries_at, verify_url
from tests.scenarios.stage import restarts, until
from tests.scenarios.test_kill import Rounds, rehearsing
from tests.storage.stores import Postgres


async def test_a_runbook_is_run_from_alert_to_proof_on_postgresql(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.fresh()
    monkeypatch.setenv("TOCSIN_BOT__DATABASE", url)
    async with rehearsing(tmp_path) as rehearsal:
        stage = Rounds(rehearsal)
        plan = await stage.breaks_and_asks()
        await stage.approves(plan)
        await until("the end", lambda: _ended(url), patience=60)
        assert len(await restarts(rehearsal)) == 1
        assert not stage.database.exists()
    verdict = await asyncio.to_thread(verify_url, url)
    assert verdict.ok, verdict


def _ended(url: str) -> bool:
    return any(e["type"] == "run.succeeded" for e in entries_at(url, incident="", last=1000))
