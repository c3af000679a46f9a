"""Restarting, scaling and rolling back: what is replaced, and what comes back."""

from __future__ import annotations

import pytest

from bot.domain.actions import ActionFailed, Happened, Transient
from plugins.kubernetes.restarts import RESTARTED
from tests.kubernetes.controllers import REVISION, reference
from tests.kubernetes.shapes import BY_KIND
from tests.plugins.kubernetes.shop import (
    CHECKOUT,
    NOTHING,
    SHOP,
    Shop,
    busy,
    cluster_actions,
    image,
    replicas,
    uids,
)

# Restarting.


@pytest.mark.parametrize(
    ("kind", "name"), (("Deployment", "checkout"), ("StatefulSet", "queue"), ("DaemonSet", "agent"))
)
async def test_a_restart_replaces_every_pod(shop: Shop, kind: str, name: str) -> None:
    where = {"kind": kind, "namespace": "shop", "name": name}
    before = uids(shop, name)
    seen, frozen = await shop.plan("kubernetes.restart", **where)
    assert f"{len(before)} pods are replaced, by its rolling update" in seen.diff
    assert "+        kubectl.kubernetes.io/restartedAt: (the time of the restart)" in seen.diff
    await shop.do("kubernetes.restart", **frozen)
    annotations = shop.get(kind, name)["spec"]["template"]["metadata"]["annotations"]
    assert annotations[RESTARTED] == "2026-11-20T12:00:00Z"
    assert annotations["team"] == "payments"
    shop.controllers.settle()
    after = uids(shop, name)
    assert len(after) == len(before)
    assert not before & after


async def test_a_restart_that_stops_everything_at_once_says_so(shop: Shop) -> None:
    recreate = {"type": "Recreate"}
    shop.change("Deployment", "checkout", lambda live: live["spec"].update(strategy=recreate))
    seen, _ = await shop.plan("kubernetes.restart", **CHECKOUT)
    assert "3 pods are replaced, all at once" in seen.diff


async def test_two_plans_of_one_world_are_the_same(shop: Shop) -> None:
    for uses, where in (
        ("kubernetes.restart", CHECKOUT),
        ("kubernetes.scale", {**CHECKOUT, "replicas": 4}),
        ("kubernetes.rollback", SHOP),
        ("kubernetes.cordon", {"node": "worker-1"}),
        ("kubernetes.patch", {**CHECKOUT, "patch": {"spec": {"minReadySeconds": 3}}}),
    ):
        assert await shop.plan(uses, **where) == await shop.plan(uses, **where)


async def test_a_plan_outlives_what_moves_all_the_time(shop: Shop) -> None:
    """The resource version of a workload in trouble changes every second; its template does not."""
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    busy(shop)
    shop.change("Deployment", "checkout", replicas(4))  # an autoscaler at work
    await shop.do("kubernetes.restart", **frozen)


async def test_a_write_carries_the_version_of_the_reading_right_before_it(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    busy(shop)
    version = shop.get("Deployment", "checkout")["metadata"]["resourceVersion"]
    await shop.do("kubernetes.restart", **frozen)
    written = shop.server.seen[-1]
    assert (written.method, written.query) == ("PATCH", {})
    assert written.body["metadata"]["resourceVersion"] == version


async def test_what_comes_between_reading_and_writing_is_never_overwritten(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    shop.server.meanwhile = [lambda: busy(shop)]
    await shop.do("kubernetes.restart", **frozen)  # only the status: read again, and done
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    shop.server.meanwhile = [lambda: shop.change("Deployment", "checkout", image("shop/fix:9"))]
    with pytest.raises(ActionFailed, match="changed since the plan") as no:
        await shop.do("kubernetes.restart", key="run-2:step", **frozen)
    assert no.value.transient is Transient.CONFLICT
    assert (await shop.find("kubernetes.restart", key="run-2:step", **frozen)).happened is (
        Happened.UNKNOWN
    )


async def test_an_object_that_never_stands_still_is_a_conflict(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    numbers = iter(range(1, 20))

    def flap() -> None:
        shop.change("Deployment", "checkout", replicas(next(numbers)))

    shop.server.meanwhile = [flap] * 10
    with pytest.raises(ActionFailed, match="object has been modified") as no:
        await shop.do("kubernetes.restart", **frozen)
    assert no.value.transient is Transient.CONFLICT
    assert len(shop.server.meanwhile) == 7, "it gives up after three tries"
    assert (await shop.find("kubernetes.restart", **frozen)).happened is Happened.NO


async def test_a_restart_that_would_do_nothing_is_refused(shop: Shop) -> None:
    shop.change("Deployment", "checkout", lambda live: live["spec"].update(paused=True))
    with pytest.raises(ActionFailed, match="paused"):
        await shop.plan("kubernetes.restart", **CHECKOUT)
    with pytest.raises(ActionFailed, match="paused"):
        await shop.do("kubernetes.restart", **CHECKOUT)
    shop.change(
        "DaemonSet", "agent", lambda live: live["spec"].update(updateStrategy={"type": "OnDelete"})
    )
    with pytest.raises(ActionFailed, match="only when they are deleted"):
        await shop.plan("kubernetes.restart", kind="DaemonSet", namespace="shop", name="agent")


async def test_each_restart_has_a_mark_of_its_own(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    await shop.do("kubernetes.restart", key="run-1:step", **frozen)
    assert (await shop.find("kubernetes.restart", key="run-1:step", **frozen)).happened is (
        Happened.YES
    )
    other = await shop.find("kubernetes.restart", key="run-2:step", **frozen)
    assert other.happened is Happened.UNKNOWN


# Scaling.


async def test_scaling_there_and_back(shop: Shop) -> None:
    seen, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    assert seen.diff.splitlines() == [
        "Deployment shop/checkout",
        " spec:",
        "-  replicas: 3",
        "+  replicas: 5",
    ]
    result = await shop.do("kubernetes.scale", **frozen)
    assert (result.value, result.data["before"]) == (5, 3)
    shop.controllers.settle()
    assert len(shop.images()) == 5
    assert await shop.take_back("kubernetes.scale", NOTHING, **frozen)
    assert shop.get("Deployment", "checkout")["spec"]["replicas"] == 3


async def test_a_number_that_somebody_else_has_set_is_left_alone(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    result = await shop.do("kubernetes.scale", **frozen)
    shop.change("Deployment", "checkout", replicas(9))
    with pytest.raises(ActionFailed, match="9 replicas by now, not 5"):
        await shop.take_back("kubernetes.scale", result, **frozen)
    assert (await shop.find("kubernetes.scale", **frozen)).happened is Happened.UNKNOWN
    assert shop.get("Deployment", "checkout")["spec"]["replicas"] == 9


async def test_what_changed_nothing_is_not_taken_back(shop: Shop) -> None:
    seen, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=3)
    assert "(nothing changes)" in seen.diff
    result = await shop.do("kubernetes.scale", **frozen)
    assert not await shop.take_back("kubernetes.scale", result, **frozen)


async def test_an_autoscaler_that_sets_the_number_too_is_named(shop: Shop) -> None:
    for name, about in (("checkout-hpa", "checkout"), ("other", "queue")):
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": about}
        made = {
            "metadata": {"name": name},
            "spec": {"scaleTargetRef": reference, "minReplicas": 2, "maxReplicas": 6},
        }
        shop.server.store.create(BY_KIND["HorizontalPodAutoscaler"], "shop", made)
    seen, _ = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    named = "HorizontalPodAutoscaler checkout-hpa sets its own number again, 2 to 6"
    assert seen.diff.splitlines()[4:] == [named]
    shop.server.denied = {("list", "horizontalpodautoscalers")}
    seen, _ = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    assert len(seen.diff.splitlines()) == 4


async def test_a_workload_is_switched_off_only_where_that_is_allowed(shop: Shop) -> None:
    with pytest.raises(ActionFailed, match="1 to 50"):
        await shop.plan("kubernetes.scale", **CHECKOUT, replicas=0)
    _, shop.actions = cluster_actions(shop.kubeconfig, least_replicas=0)
    seen, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=0)
    assert "no pod is left" in seen.diff
    await shop.do("kubernetes.scale", **frozen)
    assert (await shop.find("kubernetes.scale", **frozen)).happened is Happened.YES


async def test_another_object_of_the_same_name_is_not_the_one_that_was_seen(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    store, shape = shop.server.store, BY_KIND["Deployment"]
    old = shop.get("Deployment", "checkout")
    store.delete(shape, "shop", "checkout", {})
    for key in ("uid", "resourceVersion"):
        del old["metadata"][key]
    store.create(shape, "shop", old)
    with pytest.raises(ActionFailed, match="another one of its name"):
        await shop.do("kubernetes.scale", **frozen)
    assert (await shop.find("kubernetes.scale", **frozen)).happened is Happened.UNKNOWN


# Rolling back.


async def test_a_rollback_brings_the_former_template_back_whole(shop: Shop) -> None:
    seen, frozen = await shop.plan("kubernetes.rollback", **SHOP)
    assert (frozen["current"], frozen["revision"]) == (2, 1)
    for line in ("revision 2 goes, 1 comes back", "-    image: shop/checkout:2", "-    - --fast"):
        assert line in seen.diff
    result = await shop.do("kubernetes.rollback", **frozen)
    container = shop.get("Deployment", "checkout")["spec"]["template"]["spec"]["containers"][0]
    assert "args" not in container, "what only the newer template has is gone"
    shop.controllers.settle()
    assert shop.images() == ["shop/checkout:1"] * 3
    live = shop.get("Deployment", "checkout")
    assert live["metadata"]["annotations"][REVISION] == "3"
    assert "pod-template-hash" not in live["spec"]["template"]["metadata"]["labels"]
    assert await shop.take_back("kubernetes.rollback", result, **frozen)
    shop.controllers.settle()
    assert shop.images() == ["shop/checkout:2"] * 3


async def test_only_its_own_replica_sets_are_former_templates(shop: Shop) -> None:
    """Labels may be anybody's; the owner is who counts."""
    mine = next(
        one
        for one in shop.server.store.all(BY_KIND["ReplicaSet"], "shop")
        if one["metadata"]["annotations"][REVISION] == "1"
    )
    stranger = {
        "metadata": {
            "name": "evil",
            "labels": mine["metadata"]["labels"],
            "annotations": {REVISION: "1"},
            "ownerReferences": [{**reference(shop.get("Deployment", "checkout")), "uid": "other"}],
        },
        "spec": mine["spec"],
    }
    stranger["spec"]["template"]["spec"]["containers"][0]["image"] = "evil/miner:1"
    shop.server.store.create(BY_KIND["ReplicaSet"], "shop", stranger)
    _, frozen = await shop.plan("kubernetes.rollback", **SHOP)
    await shop.do("kubernetes.rollback", **frozen)
    shop.controllers.settle()
    assert shop.images() == ["shop/checkout:1"] * 3


async def test_without_a_former_revision_there_is_no_way_back(shop: Shop) -> None:
    for one in shop.server.store.all(BY_KIND["ReplicaSet"], "shop"):
        if one["metadata"]["annotations"][REVISION] == "1":
            shop.server.store.delete(BY_KIND["ReplicaSet"], "shop", one["metadata"]["name"], {})
    with pytest.raises(ActionFailed, match="no previous revision"):
        await shop.plan("kubernetes.rollback", **SHOP)
    with pytest.raises(ActionFailed, match="at revision 2 already"):
        await shop.plan("kubernetes.rollback", **SHOP, revision=2)


async def test_a_deployment_that_went_on_is_not_rolled_back(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.rollback", **SHOP)
    shop.change("Deployment", "checkout", image("shop/checkout:3"))
    shop.controllers.settle()
    with pytest.raises(ActionFailed, match="changed since the plan"):
        await shop.do("kubernetes.rollback", **frozen)
    shop.controllers.settle()
    assert shop.images() == ["shop/checkout:3"] * 3


async def test_the_undo_of_a_rollback_spares_what_somebody_has_deployed_since(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.rollback", **SHOP)
    result = await shop.do("kubernetes.rollback", **frozen)
    shop.controllers.settle()
    shop.change("Deployment", "checkout", image("shop/checkout:hotfix"))
    shop.controllers.settle()
    with pytest.raises(ActionFailed, match="by somebody else") as no:
        await shop.take_back("kubernetes.rollback", result, **frozen)
    assert no.value.transient is Transient.CONFLICT
    shop.controllers.settle()
    assert shop.images() == ["shop/checkout:hotfix"] * 3


async def test_a_number_that_is_back_already_is_as_the_undo_wants_it(shop: Shop) -> None:
    """A rollback may do no more than what the effect announced."""
    _, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=5)
    await shop.do("kubernetes.scale", **frozen)
    shop.change("Deployment", "checkout", replicas(3))
    back = {**CHECKOUT, "replicas": 3, "expected": 5}
    _, undo = await shop.plan("kubernetes.scale", **back)
    assert back.items() <= undo.items()
    await shop.do("kubernetes.scale", **undo)
