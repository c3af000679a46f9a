"""Every action on Kubernetes, held to what all actions keep."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from bot.domain.actions import JSON, Arguments
from plugins.kubernetes.changing import EFFECT
from plugins.kubernetes.restarts import RESTARTED
from tests.contracts.actions import ActionContract, Reached, Subject
from tests.kubernetes.controllers import REVISION
from tests.kubernetes.samples import furnish, observe
from tests.kubernetes.server import TOKEN, ApiServer
from tests.kubernetes.shapes import BY_KIND, Object
from tests.plugins.kubernetes.shop import cluster_actions

SHOP = {"namespace": "shop", "name": "checkout"}
DEPLOYMENT = {"kind": "Deployment", **SHOP}
ELSEWHERE = {"namespace": "kube-system", "name": "checkout"}


class OnKubernetes(Subject):
    """An action on the shop; the server takes a moment before each effect and behind it."""

    uses = ""
    secret = TOKEN
    patience = 0.5

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self.controllers = furnish(server)
        self.settings, actions = cluster_actions(server.kubeconfig(folder))
        self.action = actions.pop(f"{self.uses}@1")
        self.others = list(actions.values())
        self.pod = observe(server)
        self.was = copy.deepcopy(server.store.objects)
        server.delay = 0.005

    @override
    async def state(self) -> JSON:
        return {key: essence(thing) for key, thing in self.server.store.objects.items()}

    @override
    async def reset(self) -> None:
        await self.server.idle()
        self.server.store.put_back(copy.deepcopy(self.was))

    @override
    async def settle(self) -> None:
        await self.server.idle()

    @override
    def left(self) -> Sequence[str]:
        return ["a request"] * self.server.open

    @override
    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[Reached]:
        self.server.silent = True
        self.server.reached.clear()

        async def reached() -> None:
            await self.server.reached.wait()

        try:
            yield reached
        finally:
            self.server.silent = False
            await self.server.idle()

    @override
    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        await self.server.stop()
        try:
            yield
        finally:
            await self.server.start()

    @override
    @asynccontextmanager
    async def leaking(self) -> AsyncIterator[None]:
        self.server.leaking = TOKEN
        try:
            yield
        finally:
            self.server.leaking = ""

    def change(self, kind: str, name: str, build: Any, namespace: str = "shop") -> None:
        """Change an object behind the assistant's back."""
        self.server.store.update(BY_KIND[kind], namespace, name, build)

    def replace(self, kind: str, name: str, namespace: str = "shop") -> None:
        """Put another object in the place of one, with the same name."""
        shape, store = BY_KIND[kind], self.server.store
        old = store.get(shape, namespace, name)
        store.delete(shape, namespace, name, {"gracePeriodSeconds": 0})
        for key in ("uid", "resourceVersion", "generation", "deletionTimestamp"):
            old["metadata"].pop(key, None)
        store.create(shape, namespace, old)


def essence(thing: Object) -> Object:
    """Return an object without what every write changes, and without the marks of effects."""
    kept = copy.deepcopy(thing)
    for key in ("resourceVersion", "generation", "managedFields"):
        kept["metadata"].pop(key, None)
    annotations = kept["metadata"].get("annotations", {})
    for key in (EFFECT, REVISION):
        annotations.pop(key, None)
    if not annotations:
        kept["metadata"].pop("annotations", None)
    return kept


class Get(OnKubernetes):
    uses = "kubernetes.get"

    @override
    def arguments(self) -> Arguments:
        return {**DEPLOYMENT, "pointer": "/status/readyReplicas"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        given = self.arguments()
        return [
            ({**given, "kind": "Secret", "name": "database"}, "Secret"),
            ({**given, **ELSEWHERE}, "kube-system"),
            ({**given, "kind": "Node", "name": "gateway-1"}, "gateway-1"),
            ({**given, "kind": "ConfigMap", "name": "other"}, "config_maps"),
            ({**given, "name": "../../secrets/database"}, "database"),
            ({**given, "name": "checkout\n"}, "checkout"),
        ]


class Events(OnKubernetes):
    uses = "kubernetes.events"

    @override
    def arguments(self) -> Arguments:
        return {"namespace": "shop"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [
            ({"namespace": "kube-system"}, "kube-system"),
            ({"namespace": "shop", "name": "x,type=Normal"}, "type=Normal"),
        ]


class Logs(OnKubernetes):
    uses = "kubernetes.logs"

    @override
    def arguments(self) -> Arguments:
        return {"namespace": "shop", "name": self.pod}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [({**self.arguments(), "namespace": "kube-system"}, "kube-system")]


class Top(Logs):
    uses = "kubernetes.top"

    @override
    def arguments(self) -> Arguments:
        return {"namespace": "shop", "name": self.pod, "resource": "cpu"}


class Rollout(OnKubernetes):
    uses = "kubernetes.rollout"

    @override
    def arguments(self) -> Arguments:
        return DEPLOYMENT

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [({**DEPLOYMENT, **ELSEWHERE}, "kube-system")]


def _new_image(live: Object) -> Object:
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/checkout:3"
    return live


class Restart(OnKubernetes):
    uses = "kubernetes.restart"

    @override
    def arguments(self) -> Arguments:
        return DEPLOYMENT

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [
            ({**DEPLOYMENT, **ELSEWHERE}, "kube-system"),
            ({**DEPLOYMENT, "kind": "Secret"}, "Secret"),
        ]

    @override
    async def disturb(self) -> None:
        self.change("Deployment", "checkout", _new_image)


class Scale(OnKubernetes):
    uses = "kubernetes.scale"

    @override
    def arguments(self) -> Arguments:
        return {**DEPLOYMENT, "replicas": 5}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        given = self.arguments()
        return [
            ({**given, **ELSEWHERE}, "kube-system"),
            ({**given, "replicas": 51}, "51"),
            ({**given, "replicas": 0}, "0 replicas"),
            ({**given, "kind": "DaemonSet"}, "DaemonSet"),
        ]

    @override
    async def disturb(self) -> None:
        self.change(
            "Deployment", "checkout", lambda old: {**old, "spec": {**old["spec"], "replicas": 4}}
        )


class Rollback(Restart):
    uses = "kubernetes.rollback"

    @override
    def arguments(self) -> Arguments:
        return SHOP

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [(ELSEWHERE, "kube-system"), ({**SHOP, "revision": 17}, "revision 17")]


class Cordon(OnKubernetes):
    uses = "kubernetes.cordon"

    @override
    def arguments(self) -> Arguments:
        return {"node": "worker-1"}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [({"node": "gateway-1"}, "gateway-1"), ({"node": "worker-1/status"}, "worker-1/")]

    @override
    async def disturb(self) -> None:
        self.replace("Node", "worker-1", namespace="")


class Uncordon(Cordon):
    uses = "kubernetes.uncordon"

    def __init__(self, server: ApiServer, folder: Path) -> None:
        super().__init__(server, folder)
        self.change(
            "Node",
            "worker-1",
            lambda old: {**old, "spec": {**old["spec"], "unschedulable": True}},
            namespace="",
        )
        self.was = copy.deepcopy(server.store.objects)


class DeletePod(OnKubernetes):
    uses = "kubernetes.delete_pod"

    @override
    def arguments(self) -> Arguments:
        return {"namespace": "shop", "name": self.pod}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        return [
            ({**self.arguments(), "namespace": "kube-system"}, "kube-system"),
            ({**self.arguments(), "name": "lonely"}, "no controller"),
        ]

    @override
    async def disturb(self) -> None:
        self.replace("Pod", self.pod)


class Patch(Restart):
    uses = "kubernetes.patch"

    @override
    def arguments(self) -> Arguments:
        container = {"name": "checkout", "image": "shop/checkout:2", "args": ["--slow"]}
        patch = {
            "spec": {"minReadySeconds": 5, "template": {"spec": {"containers": [container]}}},
            "metadata": {"labels": {"tier": "gold", "app": None}},
        }
        return {**DEPLOYMENT, "patch": patch}

    @override
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        given = self.arguments()
        secret = {"name": "checkout", "env": [{"name": "DB_PASSWORD", "value": "x"}]}
        return [
            ({**given, **ELSEWHERE}, "kube-system"),
            ({**given, "kind": "StatefulSet", "name": "queue"}, "StatefulSet"),
            ({**given, "kind": "Secret", "name": "database"}, "Secret"),
            ({**given, "kind": "ConfigMap", "name": "other"}, "config_maps"),
            ({**given, "kind": "Node", "name": "gateway-1"}, "gateway-1"),
            ({**given, "patch": {"status": {"replicas": 9}}}, "status"),
            ({**given, "patch": {"metadata": {"finalizers": []}}}, "finalizers"),
            (
                {**given, "patch": {"spec": {"template": {"spec": {"containers": [secret]}}}}},
                "DB_PASSWORD",
            ),
        ]


SUBJECTS: Sequence[type[OnKubernetes]] = (
    Get,
    Events,
    Logs,
    Top,
    Rollout,
    Restart,
    Scale,
    Rollback,
    Cordon,
    Uncordon,
    DeletePod,
    Patch,
)


@pytest.fixture(params=SUBJECTS, ids=lambda made: made.uses)
async def made(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OnKubernetes]:
    server = ApiServer()
    async with server.running():
        yield request.param(server, tmp_path)
        await asyncio.wait_for(server.idle(), 5)


class TestKubernetesActions(ActionContract):
    @pytest.fixture
    async def subject(self, made: OnKubernetes) -> Subject:
        return made


def test_the_mark_of_a_restart_stands_where_kubectl_puts_its_own() -> None:
    assert RESTARTED == "kubectl.kubernetes.io/restartedAt"
