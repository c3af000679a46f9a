from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.plugins.feature_flag.flags import Flags


@pytest.fixture
async def flags() -> AsyncIterator[Flags]:
    async with Flags() as made:
        yield made
