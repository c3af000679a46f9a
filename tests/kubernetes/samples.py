"""A small cluster: a shop with a Deployment, a StatefulSet, a DaemonSet and two nodes."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.kubernetes.answering import Log
from tests.kubernetes.controllers import Controllers
from tests.kubernetes.server import ApiServer
from tests.kubernetes.shapes import BY_KIND, Object
from tests.kubernetes.store import Store


def template(app: str, image: str, **more: Any) -> Object:
    """Return a pod template with one container."""
    container = {
        "name": app,
        "image": image,
        "env": [{"name": "MODE", "value": "live"}],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"cpu": "500m", "memory": "512Mi"}},
        **more,
    }
    metadata = {"labels": {"app": app}, "annotations": {"team": "payments"}}
    return {"metadata": metadata, "spec": {"containers": [container]}}


def workload(app: str, image: str, **spec: Any) -> Object:
    """Return a workload without its kind."""
    return {
        "metadata": {"name": app, "labels": {"app": app}, "annotations": {"owner": "payments"}},
        "spec": {
            "selector": {"matchLabels": {"app": app}},
            "template": template(app, image),
            **spec,
        },
    }


def furnish(server: ApiServer) -> Controllers:
    """Fill a server with the shop, at the second revision of its Deployment, all ready."""
    server.store.take_over(_furnished())
    return Controllers(server.store)


@cache
def _furnished() -> Store:
    """Return the shop; it takes a while to build, and is only ever copied."""
    store = Store()
    for name in ("worker-1", "worker-2", "gateway-1"):
        node = {"metadata": {"name": name, "annotations": {"rack": "7"}}, "spec": {}}
        store.create(BY_KIND["Node"], "", node)
    store.create(BY_KIND["Deployment"], "shop", workload("checkout", "shop/checkout:1", replicas=3))
    store.create(
        BY_KIND["StatefulSet"],
        "shop",
        workload("queue", "shop/queue:1", replicas=2, serviceName="queue"),
    )
    store.create(BY_KIND["DaemonSet"], "shop", workload("agent", "shop/agent:1"))
    limits = {"metadata": {"name": "limits"}, "data": {"rate": "10", "burst": "20"}}
    store.create(BY_KIND["ConfigMap"], "shop", limits)
    store.create(BY_KIND["ConfigMap"], "shop", {"metadata": {"name": "other"}, "data": {"a": "b"}})
    store.create(
        BY_KIND["Secret"], "shop", {"metadata": {"name": "database"}, "data": {"password": "aGk="}}
    )
    controllers = Controllers(store)
    controllers.settle()
    store.update(BY_KIND["Deployment"], "shop", "checkout", _second)
    controllers.settle()
    lonely = template("debug", "shop/debug:1")
    lonely["metadata"]["name"] = "lonely"
    store.create(BY_KIND["Pod"], "shop", lonely)
    return store


def _second(live: Object) -> Object:
    live["spec"]["template"] = template(
        "checkout", "shop/checkout:2", args=["--fast"], env=[{"name": "MODE", "value": "fast"}]
    )
    return live


def pods(server: ApiServer, app: str) -> list[Object]:
    """Return the pods of an app."""
    found = server.store.all(BY_KIND["Pod"], "shop")
    return [pod for pod in found if pod["metadata"]["labels"].get("app") == app]


def event(name: str, *, about: str, at: str, type: str = "Warning", **more: Any) -> Object:
    """Return an event about a pod."""
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Pod", "name": about, "namespace": "shop"},
        "type": type,
        "reason": "BackOff",
        "message": "Back-off restarting failed container",
        "lastTimestamp": at,
        **more,
    }


def observe(server: ApiServer) -> str:
    """Give the first pod of the checkout a log and metrics; return its name."""
    name: str = pods(server, "checkout")[0]["metadata"]["name"]
    lines = [f"line {number}" for number in range(300)] + ["ERROR pool exhausted"] * 3
    server.logs["shop", name, "checkout"] = Log(lines=lines, previous=["panic: out of memory"])
    server.metrics["shop", name] = [
        {"name": "checkout", "usage": {"cpu": "1250000n", "memory": "131072Ki"}},
        {"name": "proxy", "usage": {"cpu": "250m", "memory": "1Mi"}},
    ]
    return name
