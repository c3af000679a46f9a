"""The stories of the gate and of the engine, told once more on PostgreSQL."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services import (
    test_engine,
    test_gate,
    test_gate_doubts,
    test_gate_stops,
    test_gate_undoing,
)
from tests.storage.stores import Postgres
from tests.storage.worlds import StoreWorld

TOLD = (test_gate, test_gate_doubts, test_gate_stops, test_gate_undoing, test_engine)


@pytest.fixture
async def world(server: Postgres, tmp_path: Path) -> AsyncIterator[StoreWorld]:
    world = StoreWorld(tmp_path, server.migrated())
    try:
        yield world
        await world.check()
    finally:
        await world.done()


def _stories(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return the tests that need nothing but a world; the others are about files."""
    for name, test in vars(module).items():
        if name.startswith("test_") and {*inspect.signature(test).parameters} == {"world"}:
            yield name, test


globals().update(story for module in TOLD for story in _stories(module))


def test_there_are_stories() -> None:
    assert sum(1 for module in TOLD for _ in _stories(module)) > 40
