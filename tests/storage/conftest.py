from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.fakes import FakeClock
from tests.storage.opened import opened
from tests.storage.pgvector import postgres_with_vectors
from tests.storage.stores import STORES, Postgres, Store, connected, postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(scope="session")
def vector_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres_with_vectors(tmp_path_factory.mktemp("pgvector")) as running:
        yield running


class Opening(Protocol):
    """Opens the test's one store, as another bot does each time it is called."""

    def __call__(self, clock: FakeClock | None = None) -> AbstractAsyncContextManager[Store]: ...


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "sqlite":
        return lambda clock=None: opened(tmp_path, clock)
    url = request.getfixturevalue("server").migrated()
    return lambda clock=None: connected(url, tmp_path / "keys", clock)


@pytest.fixture
async def store(open_store: Opening) -> AsyncIterator[Store]:
    async with open_store() as running:
        yield running


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Any]:
    async with opened(tmp_path) as running:
        yield running
