"""The kinds of objects that are known here, and where the API server keeps them.

A Secret is not among them, so that no page can ever read one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind with its API (`api/v1`, `apis/apps/v1`) and its name in paths."""

    name: str
    api: str
    plural: str
    namespaced: bool = True


def _kinds(api: str, **plurals: str) -> Mapping[str, Kind]:
    return {name: Kind(name=name, api=api, plural=plural) for name, plural in plurals.items()}


KINDS: Mapping[str, Kind] = {
    **_kinds(
        "api/v1",
        Pod="pods",
        Service="services",
        ConfigMap="configmaps",
        PersistentVolumeClaim="persistentvolumeclaims",
        ResourceQuota="resourcequotas",
    ),
    **_kinds(
        "apis/apps/v1",
        Deployment="deployments",
        StatefulSet="statefulsets",
        DaemonSet="daemonsets",
        ReplicaSet="replicasets",
    ),
    **_kinds("apis/batch/v1", Job="jobs", CronJob="cronjobs"),
    **_kinds("apis/autoscaling/v2", HorizontalPodAutoscaler="horizontalpodautoscalers"),
    **_kinds("apis/policy/v1", PodDisruptionBudget="poddisruptionbudgets"),
    **_kinds("apis/networking.k8s.io/v1", Ingress="ingresses"),
    "Node": Kind(name="Node", api="api/v1", plural="nodes", namespaced=False),
}

ROLLING = ("Deployment", "StatefulSet", "DaemonSet")
SCALABLE = ("Deployment", "StatefulSet")
