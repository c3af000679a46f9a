"""What a process does once it has read what there is."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.app import App
from bot.domain.documents import Document
from bot.search.engine import HybridSearch
from bot.search.ranker import FALLBACK
from tests.search.encoders import GatedEncoder


async def test_what_was_read_is_spared_by_the_collector_once_all_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, frozen = GatedEncoder(), list[bool]()
    encoder.gate.clear()
    search = HybridSearch(lambda _: encoder, tmp_path, ranker=FALLBACK)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(search.dense_ready))
    app: Any = SimpleNamespace(core=SimpleNamespace(search=search))
    await search.put([Document(id="a", kind="runbook", title="", text="slow disk")])
    await search.start()
    settling = asyncio.create_task(App._settle(app))
    assert await asyncio.to_thread(encoder.reached.wait, 10)
    assert frozen == []
    encoder.gate.set()
    await settling
    await search.stop()
    assert frozen == [True]
