from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.plugins.redis.caches import Cache
from tests.servers import Relay, redis_server, relay


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    """A real Redis with a user who may look and set parameters, and nothing else."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        made = Cache(server)
        made.prepare()
        yield made
        made.close()


@pytest.fixture
async def wire(cache: Cache) -> AsyncIterator[Relay]:
    cache.restore()
    async with relay(cache.server) as made:
        yield made
