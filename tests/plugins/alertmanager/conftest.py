from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.plugins.alertmanager.bells import Bells
from tests.servers import Relay, alertmanager, relay


@pytest.fixture(scope="module")
def bells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bells]:
    """A real Alertmanager with firing alerts."""
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as server:
        made = Bells(server)
        made.ring()
        yield made
        made.close()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Callable[[], Bells]]:
    """Start further ones, which remember nothing."""
    with ExitStack() as stack:

        def start() -> Bells:
            made = Bells(stack.enter_context(alertmanager(tmp_path)))
            stack.callback(made.close)
            made.ring()
            return made

        yield start


@pytest.fixture
async def wire(bells: Bells) -> AsyncIterator[Relay]:
    bells.quiet()
    async with relay(bells.server) as made:
        yield made
