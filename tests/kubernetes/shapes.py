"""The kinds that the double keeps, and what the API server makes of an object it is given.

Objects go through lightkube's typed models, which are generated from the
published OpenAPI: unknown fields are dropped as by the real server, a wrong type
is a 400, and what the double answers always parses.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from lightkube.resources import apps_v1, autoscaling_v2, core_v1

from tests.kubernetes.statuses import bad_request, invalid

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One kind. `counted` kinds have a generation; `selectable` are the fields to select by."""

    kind: str
    group: str
    version: str
    plural: str
    model: Any
    namespaced: bool = True
    counted: bool = False
    scalable: bool = False
    selectable: tuple[str, ...] = ()

    @property
    def api(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"apis/{self.api}" if self.group else f"api/{self.version}"

    @property
    def resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _apps(kind: str, plural: str, model: Any, *, scalable: bool) -> Shape:
    return Shape(
        kind=kind,
        group="apps",
        version="v1",
        plural=plural,
        model=model,
        counted=True,
        scalable=scalable,
    )


_EVENT = ("involvedObject.kind", "involvedObject.name", "involvedObject.uid", "reason", "type")
SHAPES: tuple[Shape, ...] = (
    _apps("Deployment", "deployments", apps_v1.Deployment, scalable=True),
    _apps("StatefulSet", "statefulsets", apps_v1.StatefulSet, scalable=True),
    _apps("DaemonSet", "daemonsets", apps_v1.DaemonSet, scalable=False),
    _apps("ReplicaSet", "replicasets", apps_v1.ReplicaSet, scalable=True),
    Shape(
        kind="HorizontalPodAutoscaler",
        group="autoscaling",
        version="v2",
        plural="horizontalpodautoscalers",
        model=autoscaling_v2.HorizontalPodAutoscaler,
    ),
    Shape(
        kind="Pod",
        group="",
        version="v1",
        plural="pods",
        model=core_v1.Pod,
        selectable=("spec.nodeName", "status.phase", "spec.restartPolicy"),
    ),
    Shape(
        kind="Event",
        group="",
        version="v1",
        plural="events",
        model=core_v1.Event,
        selectable=_EVENT,
    ),
    Shape(kind="ConfigMap", group="", version="v1", plural="configmaps", model=core_v1.ConfigMap),
    Shape(kind="Secret", group="", version="v1", plural="secrets", model=core_v1.Secret),
    Shape(
        kind="Node",
        group="",
        version="v1",
        plural="nodes",
        model=core_v1.Node,
        namespaced=False,
        selectable=("spec.unschedulable",),
    ),
)
BY_KIND: Mapping[str, Shape] = {shape.kind: shape for shape in SHAPES}


def normal(shape: Shape, given: Object) -> Object:
    """Return an object as the server keeps it: typed, defaulted, without what is empty."""
    try:
        typed: Object = shape.model.from_dict(given).to_dict()
    except msgspec.ValidationError as error:
        raise bad_request(
            f"{shape.kind} in version {shape.version!r} cannot be handled: {error}"
        ) from None
    typed |= {"apiVersion": shape.api, "kind": shape.kind}
    _defaulted(shape, typed)
    _check(shape, typed)
    pruned: Object = _pruned(typed, kept=_KEPT.get(shape.kind, frozenset()))
    return pruned


def _defaulted(shape: Shape, thing: Object) -> None:
    spec = thing.get("spec", {})
    if shape.scalable:
        spec.setdefault("replicas", 1)
    for pod in _pod_specs(shape, thing):
        pod.setdefault("restartPolicy", "Always")
        pod.setdefault("terminationGracePeriodSeconds", 30)
        for container in pod.get("containers", []):
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            container.setdefault("imagePullPolicy", "IfNotPresent")
            _canonical(container.get("resources", {}))


def _canonical(resources: Object) -> None:
    """Write quantities as the server does: 1000m is 1."""
    for amounts in (resources.get("limits", {}), resources.get("requests", {})):
        for name, text in amounts.items():
            if text.endswith("m") and text[:-1].isdecimal() and int(text[:-1]) % 1000 == 0:
                amounts[name] = str(int(text[:-1]) // 1000)


def _pod_specs(shape: Shape, thing: Object) -> list[Object]:
    if shape.kind == "Pod":
        return [thing["spec"]]
    if shape.group == "apps":
        return [thing["spec"]["template"]["spec"]]
    return []


def _check(shape: Shape, thing: Object) -> None:
    """Refuse what the server finds invalid (422)."""
    spec, name = thing.get("spec", {}), thing["metadata"].get("name", "")
    if spec.get("replicas", 0) < 0:
        raise invalid(shape, name, "spec.replicas", "must be greater than or equal to 0")
    for number, container in enumerate(
        one for pod in _pod_specs(shape, thing) for one in pod.get("containers", [])
    ):
        if not container.get("image"):
            raise invalid(shape, name, f"spec.containers[{number}].image", "Required value")
    if shape.group == "apps":
        labels = spec["template"].get("metadata", {}).get("labels", {})
        wanted = spec["selector"].get("matchLabels", {})
        if not wanted or any(labels.get(k) != v for k, v in wanted.items()):
            where = "spec.template.metadata.labels"
            raise invalid(shape, name, where, "`selector` does not match template `labels`")


_EMPTY_MAPS = frozenset({"labels", "annotations", "data", "matchLabels", "limits", "requests"})
_FALSE = frozenset({"paused", "unschedulable", "suspend"})
# Zeros of a status that are written out, because the API requires the field.
_KEPT = {
    "ReplicaSet": frozenset({"replicas"}),
    "StatefulSet": frozenset({"replicas"}),
    "DaemonSet": frozenset(
        {"currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"}
    ),
}


def _pruned(thing: Any, *, kept: frozenset[str], status: bool = False) -> Any:
    """Leave out what Go's `omitempty` leaves out: empty maps, false, and zeros of a status."""
    if isinstance(thing, list):
        return [_pruned(one, kept=kept, status=status) for one in thing]
    if not isinstance(thing, dict):
        return thing
    pruned = {k: _pruned(v, kept=kept, status=status or k == "status") for k, v in thing.items()}
    return {k: v for k, v in pruned.items() if not _omitted(k, v, kept if status else None)}


def _omitted(key: str, value: Any, kept: frozenset[str] | None) -> bool:
    if value is None or (key in _EMPTY_MAPS and value == {}):
        return True
    if isinstance(value, bool):
        return key in _FALSE and not value
    counted = kept is not None and isinstance(value, int) and key != "observedGeneration"
    return counted and value == 0 and kept is not None and key not in kept


def changed_spec(one: Object, other: Object) -> bool:
    """Say whether something changed that counts for the generation."""
    outside = ("metadata", "status", "apiVersion", "kind")
    return {k: v for k, v in one.items() if k not in outside} != {
        k: v for k, v in other.items() if k not in outside
    }


def check_update(shape: Shape, old: Object, new: Object) -> None:
    """Refuse a change of what never changes (422)."""
    name = old["metadata"]["name"]
    if shape.group == "apps" and old["spec"]["selector"] != new["spec"]["selector"]:
        raise invalid(shape, name, "spec.selector", "field is immutable")
    if shape.kind == "Pod" and _fixed(old["spec"]) != _fixed(new["spec"]):
        raise invalid(
            shape, name, "spec", "Forbidden: pod updates may not change fields other than"
        )


def _fixed(spec: Object) -> Object:
    """Return what of a pod's spec no update may change."""
    fixed = copy.deepcopy(spec)
    for key in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds"):
        fixed.pop(key, None)
    for container in fixed.get("containers", []):
        container.pop("image", None)
    return fixed
