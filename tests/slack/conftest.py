from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.slack.live import Live, living
from tests.slack.oracle import PLACE, faults_of_blocks, faults_of_call


@pytest_asyncio.fixture
async def live() -> AsyncIterator[Live]:
    """Give the adapter in a practice workspace; afterwards check all it said."""
    async with living() as running:
        yield running
        assert running.workspace.faults == []
        check_traffic(running)


def check_traffic(running: Live) -> None:
    """Check every call against Slack's published types, where they are at hand."""
    if not PLACE.exists():
        return
    for call in running.workspace.calls:
        arguments = {k: v for k, v in call.arguments.items() if k not in {"token", "team_id"}}
        assert faults_of_call(call.method, arguments) == []
        for card in [arguments, *(arguments.get("attachments") or ())]:
            if card.get("blocks"):
                assert faults_of_blocks("message", card["blocks"]) == []
        if arguments.get("view"):
            view = arguments["view"]
            assert faults_of_blocks(view["type"], view["blocks"]) == []
