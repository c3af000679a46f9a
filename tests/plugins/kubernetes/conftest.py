"""The shop on the double, for each test anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kubernetes.published import faults
from tests.kubernetes.samples import furnish
from tests.kubernetes.server import ApiServer
from tests.plugins.kubernetes.shop import Shop, cluster_actions


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    server = ApiServer()
    async with server.running():
        controllers = furnish(server)
        file = server.kubeconfig(tmp_path)
        _, actions = cluster_actions(file)
        yield Shop(server=server, controllers=controllers, actions=actions, kubeconfig=file)
    # What the plugin was told is what Kubernetes would have told it.
    own = [a for a in server.answers if not a["apiVersion"].startswith("metrics.k8s.io")]
    assert [fault for answer in own[:50] for fault in faults(answer)] == []
