"""Cordoning nodes and deleting pods: theirs stay theirs."""

from __future__ import annotations

import pytest

from bot.domain.actions import ActionFailed, Happened, Transient
from plugins.kubernetes.changing import EFFECT
from tests.kubernetes.samples import pods
from tests.kubernetes.shapes import BY_KIND, Object
from tests.plugins.kubernetes.shop import (
    Shop,
)

# Nodes.


async def test_cordoning_there_and_back(shop: Shop) -> None:
    seen, frozen = await shop.plan("kubernetes.cordon", node="worker-1")
    assert "+  unschedulable: true" in seen.diff
    assert (seen.targets, seen.out_of) == (("Node worker-1",), 3)
    result = await shop.do("kubernetes.cordon", **frozen)
    assert shop.get("Node", "worker-1", "")["spec"]["unschedulable"] is True
    assert await shop.take_back("kubernetes.cordon", result, **frozen)
    assert "unschedulable" not in shop.get("Node", "worker-1", "")["spec"]


async def test_what_somebody_else_has_cordoned_stays_cordoned(shop: Shop) -> None:
    def close(live: Object) -> None:
        live["spec"]["unschedulable"] = True

    _, frozen = await shop.plan("kubernetes.cordon", node="worker-1")
    shop.change("Node", "worker-1", close, namespace="")
    with pytest.raises(ActionFailed, match="by somebody else") as no:
        await shop.do("kubernetes.cordon", **frozen)
    assert no.value.transient is Transient.CONFLICT
    assert (await shop.find("kubernetes.cordon", **frozen)).happened is Happened.UNKNOWN
    seen, frozen = await shop.plan("kubernetes.cordon", node="worker-1")
    assert "(nothing changes)" in seen.diff
    result = await shop.do("kubernetes.cordon", **frozen)
    assert not await shop.take_back("kubernetes.cordon", result, **frozen)
    assert EFFECT not in shop.get("Node", "worker-1", "")["metadata"]["annotations"]


async def test_a_node_that_somebody_has_opened_again_was_cordoned_all_the_same(shop: Shop) -> None:
    """Otherwise it would be done again, and the person overruled."""

    def opened(live: Object) -> None:
        live["spec"].pop("unschedulable")

    _, frozen = await shop.plan("kubernetes.cordon", node="worker-1")
    assert (await shop.find("kubernetes.cordon", **frozen)).happened is Happened.NO
    await shop.do("kubernetes.cordon", **frozen)
    shop.change("Node", "worker-1", opened, namespace="")
    assert (await shop.find("kubernetes.cordon", **frozen)).happened is Happened.YES


async def test_a_role_that_may_not_list_nodes_can_still_cordon_one(shop: Shop) -> None:
    shop.server.denied = {("list", "nodes")}
    seen, _ = await shop.plan("kubernetes.cordon", node="worker-1")
    assert seen.out_of is None


# Pods.


async def test_a_deleted_pod_is_made_anew(shop: Shop) -> None:
    name = pods(shop.server, "checkout")[0]["metadata"]["name"]
    seen, frozen = await shop.plan("kubernetes.delete_pod", namespace="shop", name=name)
    assert f"- Pod shop/{name} (Running on worker-1" in seen.diff
    assert "+ a new pod, made by ReplicaSet checkout-" in seen.diff
    assert seen.out_of == 3
    await shop.do("kubernetes.delete_pod", **frozen)
    assert shop.get("Pod", name)["metadata"]["deletionTimestamp"]
    assert (await shop.find("kubernetes.delete_pod", **frozen)).happened is Happened.YES
    with pytest.raises(ActionFailed, match="being deleted already"):
        await shop.do("kubernetes.delete_pod", **frozen)
    shop.controllers.settle()
    assert len(shop.images()) == 3
    assert (await shop.find("kubernetes.delete_pod", **frozen)).happened is Happened.YES
    with pytest.raises(ActionFailed, match="gone already") as no:
        await shop.do("kubernetes.delete_pod", **frozen)
    assert no.value.transient is Transient.CONFLICT


async def test_a_new_pod_of_the_same_name_is_spared_even_in_the_last_moment(shop: Shop) -> None:
    """The pods of a StatefulSet come back under their old names."""
    name = pods(shop.server, "queue")[0]["metadata"]["name"]
    where = {"namespace": "shop", "name": name}
    _, frozen = await shop.plan("kubernetes.delete_pod", **where)

    def recreate() -> None:
        old = shop.get("Pod", name)
        shop.server.store.delete(BY_KIND["Pod"], "shop", name, {"gracePeriodSeconds": 0})
        for key in ("uid", "resourceVersion"):
            del old["metadata"][key]
        shop.server.store.create(BY_KIND["Pod"], "shop", old)

    shop.server.meanwhile = [recreate]
    with pytest.raises(ActionFailed, match="UID in the precondition") as no:
        await shop.do("kubernetes.delete_pod", **frozen)
    assert no.value.transient is Transient.CONFLICT
    assert "deletionTimestamp" not in shop.get("Pod", name)["metadata"]


async def test_a_pod_that_the_node_itself_runs_is_not_deleted(shop: Shop) -> None:
    pod = shop.get("Pod", "lonely")
    pod["metadata"] = {
        "name": "kube-proxy",
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": "worker-1", "uid": "u", "controller": True}
        ],
    }
    shop.server.store.create(BY_KIND["Pod"], "shop", pod)
    with pytest.raises(ActionFailed, match="no controller"):
        await shop.plan("kubernetes.delete_pod", namespace="shop", name="kube-proxy")
