from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.plugins.postgres.orders import Orders
from tests.servers import Relay, postgres_server, relay


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    """A real PostgreSQL with a small table, one role that reads, and one that is an application."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    with postgres_server(folder) as server:
        made = Orders(server)
        made.prepare()
        yield made
        made.close()


@pytest.fixture
async def wire(orders: Orders) -> AsyncIterator[Relay]:
    async with relay(orders.server) as made:
        yield made
