from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.receiving import Receiving, receiving


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path) as running:
        yield running
