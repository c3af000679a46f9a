from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.plugins.feature_flag.flags import Flags, flag_service


@pytest.fixture
async def flags() -> AsyncIterator[Flags]:
    async with flag_service() as made:
        yield made
