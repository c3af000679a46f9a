"""Controllers and kubelets that move one step at a time, when a test says so."""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from typing import Any

from tests.kubernetes.shapes import BY_KIND, Object
from tests.kubernetes.store import Store

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"

_DEPLOYMENT, _SET, _POD = BY_KIND["Deployment"], BY_KIND["ReplicaSet"], BY_KIND["Pod"]
_FLAT = (BY_KIND["StatefulSet"], BY_KIND["DaemonSet"])


class Controllers:
    """What makes pods of what is wished for. `broken` images never become ready."""

    def __init__(self, store: Store, *, broken: frozenset[str] = frozenset()) -> None:
        self._store = store
        self._broken = broken

    def step(self) -> None:
        """Let everything take one step: pods end and get ready, sets follow, rollouts go on."""
        self._kubelets()
        for deployment in self._store.all(_DEPLOYMENT, ""):
            self._deployment(deployment)
        for replica_set in self._store.all(_SET, ""):
            self._replicas(replica_set)
        for shape in _FLAT:
            for workload in self._store.all(shape, ""):
                self._flat(workload)

    def settle(self, *, steps: int = 60) -> None:
        """Step until nothing changes any more."""
        for _ in range(steps):
            before = self._store.version
            self.step()
            if self._store.version == before:
                return
        raise AssertionError(f"still moving after {steps} steps")

    def _kubelets(self) -> None:
        for pod in self._store.all(_POD, ""):
            if pod["metadata"].get("deletionTimestamp"):
                self._delete(pod)
            elif self._starts(pod):
                self._status(pod, phase="Running", conditions=[_ready()])

    def _starts(self, pod: Object) -> bool:
        image = pod["spec"]["containers"][0]["image"]
        return pod.get("status", {}).get("phase") != "Running" and image not in self._broken

    def _deployment(self, live: Object) -> None:
        if live["spec"].get("paused"):
            return
        sets = self._owned(_SET, live)
        newest = self._newest(live, sets)
        wanted = live["spec"].get("replicas", 0)
        older = [one for one in sets if one["metadata"]["name"] != newest["metadata"]["name"]]
        total = sum(one["spec"].get("replicas", 0) for one in (newest, *older))
        ready = sum(self._available(one) for one in (newest, *older))
        new = newest["spec"].get("replicas", 0)
        if new < wanted and total < wanted + 1:
            self._resize(newest, min(wanted, new + wanted + 1 - total))
        elif new > wanted:
            self._resize(newest, wanted)
        for spare in [one for one in older if one["spec"].get("replicas", 0)][:1]:
            # Never fewer ready pods than wished for, unless they are not ready anyway.
            if ready > wanted or self._available(spare) < spare["spec"]["replicas"]:
                self._resize(spare, spare["spec"]["replicas"] - 1)
        self._report_deployment(live, self._owned(_SET, live), newest["metadata"]["name"])

    def _newest(self, live: Object, sets: list[Object]) -> Object:
        """Return the set of the present template: found again, or made; the revision goes on."""
        number = max((_revision(one) for one in sets), default=0)
        wished = template_hash(live["spec"]["template"])
        found = next((one for one in sets if one["metadata"]["labels"][HASH] == wished), None)
        if found is None:
            found = self._make_set(live, wished, number + 1)
        elif _revision(found) < number:
            found = self._annotate(found, number + 1)
        if _revision(live) != _revision(found):
            self._annotate(live, _revision(found))
        return found

    def _make_set(self, live: Object, wished: str, revision: int) -> Object:
        template = copy.deepcopy(live["spec"]["template"])
        template["metadata"]["labels"] = {**template["metadata"]["labels"], HASH: wished}
        labels = template["metadata"]["labels"]
        made = {
            "metadata": {
                "name": f"{live['metadata']['name']}-{wished}",
                "labels": labels,
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [reference(live)],
            },
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
        }
        return self._store.create(_SET, live["metadata"]["namespace"], made)

    def _replicas(self, live: Object) -> None:
        """Make and end pods until there are as many as wished for."""
        pods = [p for p in self._owned(_POD, live) if not p["metadata"].get("deletionTimestamp")]
        wanted = live["spec"].get("replicas", 0)
        for _ in range(wanted - len(pods)):
            self._make_pod(live, live["spec"]["template"])
        for pod in pods[wanted:]:
            self._delete(pod, grace=30)
        ready = self._available(live)
        counts = {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
        self._status(live, observedGeneration=live["metadata"]["generation"], **counts)

    def _flat(self, live: Object) -> None:
        """Move a StatefulSet or DaemonSet: one pod of an old template goes at a time."""
        wished = template_hash(live["spec"]["template"])
        pods = self._owned(_POD, live)
        wanted = live["spec"].get("replicas", 0)
        if live["kind"] == "DaemonSet":
            wanted = len(self._store.all(BY_KIND["Node"], ""))
        old = [pod for pod in pods if pod["metadata"]["labels"].get(HASH) != wished]
        ready = [pod for pod in pods if _is_ready(pod)]
        if len(pods) < wanted:
            self._make_pod(live, live["spec"]["template"], {HASH: wished})
        elif len(pods) > wanted:
            self._delete(pods[-1], grace=30)
        elif old and len(ready) == wanted:
            self._delete(old[-1], grace=30)
        self._report_flat(live, wished, wanted)

    def _report_flat(self, live: Object, wished: str, wanted: int) -> None:
        pods = self._owned(_POD, live)
        ready = sum(map(_is_ready, pods))
        new = sum(pod["metadata"]["labels"].get(HASH) == wished for pod in pods)
        seen = {"observedGeneration": live["metadata"]["generation"]}
        if live["kind"] == "DaemonSet":
            self._status(
                live,
                **seen,
                currentNumberScheduled=len(pods),
                desiredNumberScheduled=wanted,
                numberMisscheduled=0,
                numberReady=ready,
                numberAvailable=ready,
                updatedNumberScheduled=new,
            )
            return
        before = live.get("status", {}).get("currentRevision", wished)
        current = wished if new == wanted and ready == wanted else before
        self._status(
            live,
            **seen,
            replicas=len(pods),
            readyReplicas=ready,
            availableReplicas=ready,
            updatedReplicas=new,
            currentRevision=current,
            updateRevision=wished,
        )

    def _report_deployment(self, live: Object, sets: list[Object], newest: str) -> None:
        live = self._store.get(_DEPLOYMENT, live["metadata"]["namespace"], live["metadata"]["name"])
        pods = {one["metadata"]["name"]: _pods(one) for one in sets}
        total, new = sum(pods.values()), pods.get(newest, 0)
        ready = sum(map(self._available, sets))
        self._status(
            live,
            observedGeneration=live["metadata"]["generation"],
            replicas=total,
            updatedReplicas=new,
            readyReplicas=ready,
            availableReplicas=ready,
            unavailableReplicas=max(0, live["spec"].get("replicas", 0) - ready),
        )

    def _make_pod(
        self, live: Object, template: Object, labels: dict[str, str] | None = None
    ) -> None:
        template = copy.deepcopy(template)
        metadata = template.get("metadata", {})
        pod = {
            "metadata": {
                **metadata,
                "labels": {**metadata.get("labels", {}), **(labels or {})},
                "name": f"{live['metadata']['name']}-{uuid.uuid4().hex[:5]}",
                "ownerReferences": [reference(live)],
            },
            "spec": {**template["spec"], "nodeName": "worker-1"},
        }
        made = self._store.create(_POD, live["metadata"]["namespace"], pod)
        self._status(made, phase="Pending")

    def _available(self, replica_set: Object) -> int:
        return sum(map(_is_ready, self._owned(_POD, replica_set)))

    def _owned(self, shape: Any, live: Object) -> list[Object]:
        return [
            one
            for one in self._store.all(shape, live["metadata"]["namespace"])
            if any(
                ref["uid"] == live["metadata"]["uid"]
                for ref in one["metadata"].get("ownerReferences", [])
            )
        ]

    def _resize(self, live: Object, replicas: int) -> None:
        self._update(live, lambda old: {**old, "spec": {**old["spec"], "replicas": replicas}})

    def _annotate(self, live: Object, revision: int) -> Object:
        def build(old: Object) -> Object:
            annotations = {**old["metadata"].get("annotations", {}), REVISION: str(revision)}
            return {**old, "metadata": {**old["metadata"], "annotations": annotations}}

        return self._update(live, build)

    def _status(self, live: Object, **status: Any) -> None:
        self._update(live, lambda old: {**old, "status": status}, status=True)

    def _update(self, live: Object, build: Any, *, status: bool = False) -> Object:
        metadata, shape = live["metadata"], BY_KIND[live["kind"]]
        return self._store.update(
            shape, metadata.get("namespace", ""), metadata["name"], build, status=status
        )

    def _delete(self, pod: Object, *, grace: int = 0) -> None:
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": grace}
        self._store.delete(_POD, metadata["namespace"], metadata["name"], options)


def reference(live: Object) -> Object:
    """Return the reference by which a controller owns what it makes."""
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "name": live["metadata"]["name"],
        "uid": live["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def template_hash(template: Object) -> str:
    """Return what tells one template from another."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _revision(live: Object) -> int:
    return int(live["metadata"].get("annotations", {}).get(REVISION, 0))


def _pods(replica_set: Object) -> int:
    """Return how many pods a set last reported; those that end do not count."""
    return int(replica_set.get("status", {}).get("replicas", 0))


def _ready() -> Object:
    return {"type": "Ready", "status": "True"}


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return _ready() in conditions and not pod["metadata"].get("deletionTimestamp")
