"""The rules by which a rollout is complete, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.kubernetes.rollouts import rollout

READY = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
OLD = {"currentRevision": "a", "updateRevision": "b"}
NEW = {"currentRevision": "b", "updateRevision": "b"}
PART = {"updateStrategy": {"rollingUpdate": {"partition": 1}}}
LATE = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]


def live(kind: str, spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    """Return a workload whose controller has seen its second generation."""
    return {
        "kind": kind,
        "metadata": {"generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2, **status},
    }


@pytest.mark.parametrize(
    ("status", "done"),
    (
        (READY, True),
        ({**READY, "replicas": 4, "availableReplicas": 4}, False),  # an old one ends
        ({**READY, "updatedReplicas": 2}, False),
        ({**READY, "availableReplicas": 2}, False),
        ({**READY, "conditions": LATE}, False),
        (
            {**READY, "observedGeneration": 1},
            False,
        ),
        ({}, False),
    ),
)
def test_a_deployment(status: dict[str, Any], done: bool) -> None:
    assert rollout("Deployment", live("Deployment", {"replicas": 3}, **status)).done is done


def test_a_deployment_that_is_scaled_to_nothing_is_complete() -> None:
    assert rollout("Deployment", live("Deployment", {"replicas": 0})).done


@pytest.mark.parametrize(
    ("spec", "status", "done"),
    (
        ({}, {"readyReplicas": 2, **NEW}, True),
        ({}, {"readyReplicas": 1, **NEW}, False),
        ({}, {"readyReplicas": 2, **OLD}, False),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {
                "readyReplicas": 2,
                "updatedReplicas": 1,
                "currentRevision": "a",
                "updateRevision": "b",
            },
            True,
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": 1}}},
            {
                "readyReplicas": 2,
                "updatedReplicas": 0,
                "currentRevision": "a",
                "updateRevision": "b",
            },
            False,
        ),
    ),
)
def test_a_stateful_set(spec: dict[str, Any], status: dict[str, Any], done: bool) -> None:
    seen = rollout("StatefulSet", live("StatefulSet", {"replicas": 2, **spec}, **status))
    assert seen.done is done


@pytest.mark.parametrize(
    ("status", "done"),
    (
        ({"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}, True),
        ({"desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "numberAvailable": 3}, False),
        ({"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}, False),
    ),
)
def test_a_daemon_set(status: dict[str, Any], done: bool) -> None:
    seen = rollout("DaemonSet", live("DaemonSet", {}, **status))
    assert seen.done is done
    assert (seen.part == 1) is done
