"""Patches: what they show, what they may touch, and how they are taken back."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.actions import ActionFailed, Happened, Transient
from bot.domain.errors import Refused
from tests.kubernetes.shapes import Object
from tests.plugins.kubernetes.shop import (
    CHECKOUT,
    NOTHING,
    SHOP,
    Shop,
)


async def patched(shop: Shop, patch: Object, **where: Any) -> tuple[str, dict[str, Any]]:
    seen, frozen = await shop.plan("kubernetes.patch", **{**CHECKOUT, **where}, patch=patch)
    await shop.do("kubernetes.patch", **frozen)
    assert (await shop.find("kubernetes.patch", **frozen)).happened is Happened.YES
    return seen.diff, frozen


async def test_a_patch_shows_only_what_it_changes_and_goes_back(shop: Shop) -> None:
    before = shop.get("Deployment", "checkout")["spec"]
    diff, frozen = await patched(
        shop, {"spec": {"minReadySeconds": 9}, "metadata": {"annotations": {"owner": None}}}
    )
    assert diff.splitlines() == [
        "Deployment shop/checkout",
        "-metadata:",
        "-  annotations:",
        "-    owner: payments",
        "+spec:",
        "+  minReadySeconds: 9",
    ]
    assert await shop.take_back("kubernetes.patch", NOTHING, **frozen)
    live = shop.get("Deployment", "checkout")
    assert live["spec"] == before
    assert live["metadata"]["annotations"]["owner"] == "payments"


async def test_quantities_that_the_server_writes_its_own_way_can_be_taken_back(shop: Shop) -> None:
    limits = {"limits": {"cpu": "2000m", "memory": "1Gi"}}
    container = {"name": "checkout", "image": "shop/checkout:2", "resources": limits}
    _, frozen = await patched(shop, {"spec": {"template": {"spec": {"containers": [container]}}}})
    live = shop.get("Deployment", "checkout")["spec"]["template"]["spec"]["containers"][0]
    assert live["resources"]["limits"]["cpu"] == "2"
    assert await shop.take_back("kubernetes.patch", NOTHING, **frozen)
    live = shop.get("Deployment", "checkout")["spec"]["template"]["spec"]["containers"][0]
    assert live["args"] == ["--fast"]


async def test_a_patch_that_only_takes_away_from_a_list_is_not_mistaken_for_done(
    shop: Shop,
) -> None:
    """What is there holds everything that the patch names, and more."""
    container = {"name": "checkout", "image": "shop/checkout:2"}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    _, frozen = await shop.plan("kubernetes.patch", **CHECKOUT, patch=patch)
    assert (await shop.find("kubernetes.patch", **frozen)).happened is Happened.NO
    await shop.do("kubernetes.patch", **frozen)
    assert (await shop.find("kubernetes.patch", **frozen)).happened is Happened.YES


async def test_the_undo_of_a_patch_leaves_the_annotations_of_others(shop: Shop) -> None:
    assert "annotations" not in shop.get("ConfigMap", "limits")["metadata"]
    where = {"kind": "ConfigMap", "name": "limits"}
    _, frozen = await patched(shop, {"metadata": {"annotations": {"ours": "1"}}}, **where)

    def add(live: Object) -> None:
        live["metadata"]["annotations"]["theirs"] = "2"

    shop.change("ConfigMap", "limits", add)
    assert await shop.take_back("kubernetes.patch", NOTHING, **frozen)
    assert shop.get("ConfigMap", "limits")["metadata"]["annotations"] == {"theirs": "2"}


async def test_the_undo_of_a_patch_spares_what_somebody_else_has_set_since(shop: Shop) -> None:
    _, frozen = await patched(shop, {"spec": {"minReadySeconds": 9}})
    shop.change("Deployment", "checkout", lambda live: live["spec"].update(minReadySeconds=30))
    with pytest.raises(ActionFailed, match="by somebody else") as no:
        await shop.take_back("kubernetes.patch", NOTHING, **frozen)
    assert no.value.transient is Transient.CONFLICT


async def test_a_listed_config_map_can_be_patched_and_no_other(shop: Shop) -> None:
    where = {"kind": "ConfigMap", "name": "limits"}
    _, frozen = await patched(shop, {"data": {"rate": "20", "new": "1"}}, **where)
    assert shop.get("ConfigMap", "limits")["data"] == {"rate": "20", "burst": "20", "new": "1"}
    assert await shop.take_back("kubernetes.patch", NOTHING, **frozen)
    assert shop.get("ConfigMap", "limits")["data"] == {"rate": "10", "burst": "20"}
    with pytest.raises(ActionFailed, match="config_maps"):
        await shop.plan(
            "kubernetes.patch", **{**CHECKOUT, **where, "name": "other"}, patch={"data": {"a": "c"}}
        )


async def test_a_patch_that_would_carry_a_secret_into_the_plan_is_refused(shop: Shop) -> None:
    """A list is replaced whole, so its reverse would hold everything that is in it now."""

    def leak(live: Object) -> None:
        container = live["spec"]["template"]["spec"]["containers"][0]
        container["env"] = [{"name": "DATABASE_PASSWORD", "value": "hunter2"}]

    shop.change("Deployment", "checkout", leak)
    container = {"name": "checkout", "image": "shop/checkout:9"}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    with pytest.raises(ActionFailed, match="looks secret") as no:
        await shop.plan("kubernetes.patch", **CHECKOUT, patch=patch)
    assert "hunter2" not in str(no.value)
    seen, frozen = await shop.plan("kubernetes.rollback", **SHOP)
    assert "hunter2" not in f"{seen}{frozen}"
    assert "DATABASE_PASSWORD" in seen.diff


@pytest.mark.parametrize(
    "held",
    (
        {"env": [{"name": "DATABASE_URL", "value": "postgres://shop:hunter2-hunter2@db/shop"}]},
        {"args": ["--redis-password=hunter2-hunter2"]},
    ),
)
async def test_a_secret_that_shows_by_its_form_alone_is_kept_out_of_a_plan(
    shop: Shop, held: Object
) -> None:
    def leak(live: Object) -> None:
        live["spec"]["template"]["spec"]["containers"][0].update(held)

    shop.change("Deployment", "checkout", leak)
    container = {"name": "checkout", "image": "shop/checkout:9"}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    with pytest.raises(ActionFailed, match="looks") as no:
        await shop.plan("kubernetes.patch", **CHECKOUT, patch=patch)
    assert "hunter2" not in str(no.value)


async def test_a_patch_that_is_too_large_for_a_plan_is_refused(shop: Shop) -> None:
    with pytest.raises(ActionFailed, match="16384 bytes"):
        await shop.plan("kubernetes.patch", **CHECKOUT, patch={"spec": {"x": ["y" * 100] * 200}})


@pytest.mark.parametrize(
    "patch",
    (
        {},
        {"status": {"replicas": 0}},
        {"kind": "Secret"},
        {"metadata": {"name": "other"}},
        {"metadata": {"resourceVersion": "1"}},
        {"metadata": {"ownerReferences": []}},
        {"metadata": {"labels": {"a": 1}}},
        {"spec": ["x"]},
    ),
)
async def test_a_patch_touches_nothing_but_wishes_data_labels_and_annotations(
    shop: Shop, patch: Object
) -> None:
    with pytest.raises(Refused):
        await shop.plan("kubernetes.patch", **CHECKOUT, patch=patch)
    assert shop.server.seen == []
