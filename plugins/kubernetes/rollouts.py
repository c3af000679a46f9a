"""Whether a rollout is complete, by the rules of `kubectl rollout status`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.actions import JSON


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How far a rollout is. `part` goes from 0 to 1; it is `done` only when nothing old is left."""

    done: bool
    part: float
    detail: str


def rollout(kind: str, live: Mapping[str, JSON]) -> Rollout:
    """Say how far the rollout of a Deployment, StatefulSet or DaemonSet is."""
    if stale(live):
        return Rollout(done=False, part=0.0, detail="its controller has not seen the change yet")
    status = live.get("status") or {}
    if kind == "Deployment":
        return _deployment(live, status)
    return _daemon_set(status) if kind == "DaemonSet" else _stateful_set(live, status)


def stale(live: Mapping[str, JSON]) -> bool:
    """Say whether a status still tells of the object as it was before the last change.

    Right after a change the old status looks perfectly healthy.
    """
    if live.get("kind") not in _OBSERVED:
        return False
    observed = (live.get("status") or {}).get("observedGeneration", 0)
    return bool(observed < live["metadata"].get("generation", 0))


_OBSERVED = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "PodDisruptionBudget"}
)


def _deployment(live: Mapping[str, JSON], status: Mapping[str, JSON]) -> Rollout:
    wanted = int(live["spec"].get("replicas", 1))
    total, updated = _number(status, "replicas"), _number(status, "updatedReplicas")
    available = _number(status, "availableReplicas")
    late = any(
        one.get("type") == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded"
        for one in status.get("conditions") or ()
    )
    detail = f"{updated} of {wanted} new, {total - updated} old, {available} available"
    if late:
        return Rollout(done=False, part=0.0, detail=f"it is past its progress deadline: {detail}")
    done = updated >= wanted and total <= updated and available >= updated
    return Rollout(done=done, part=_part(min(updated, available), wanted, done=done), detail=detail)


def _daemon_set(status: Mapping[str, JSON]) -> Rollout:
    wanted = _number(status, "desiredNumberScheduled")
    updated, available = (
        _number(status, name) for name in ("updatedNumberScheduled", "numberAvailable")
    )
    done = updated >= wanted and available >= wanted
    detail = f"{updated} of {wanted} new, {available} available"
    return Rollout(done=done, part=_part(min(updated, available), wanted, done=done), detail=detail)


def _stateful_set(live: Mapping[str, JSON], status: Mapping[str, JSON]) -> Rollout:
    wanted = int(live["spec"].get("replicas", 1))
    updated, ready = _number(status, "updatedReplicas"), _number(status, "readyReplicas")
    rolling = live["spec"].get("updateStrategy", {}).get("rollingUpdate") or {}
    kept = int(rolling.get("partition") or 0)
    revised = kept > 0 or status.get("updateRevision") == status.get("currentRevision")
    done = ready >= wanted and revised and (kept == 0 or updated >= wanted - kept)
    detail = f"{updated} new, {ready} of {wanted} ready"
    return Rollout(done=done, part=_part(min(updated, ready), wanted, done=done), detail=detail)


def _part(now: int, wanted: int, *, done: bool) -> float:
    return 1.0 if done else min(now / wanted, 0.99) if wanted else 0.0


def _number(status: Mapping[str, JSON], name: str) -> int:
    return int(status.get(name) or 0)
