"""What is certain when something breaks, and what a rehearsal leaves behind: nothing."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain.actions import ActionFailed, Happened, OutcomeUnknown, Transient
from tests.kubernetes.samples import pods
from tests.kubernetes.server import Fault
from tests.plugins.kubernetes.shop import (
    CHECKOUT,
    SHOP,
    Shop,
)


@pytest.mark.parametrize(
    ("fault", "happened"),
    (
        (Fault(method="PATCH", status=500), Happened.NO),
        (Fault(method="PATCH", status=504, after=True), Happened.YES),
        (Fault(method="PATCH", status=408), Happened.NO),
        (Fault(method="PATCH", status=307), Happened.NO),
        (Fault(method="PATCH", drop=True), Happened.NO),
        (Fault(method="PATCH", drop=True, after=True), Happened.YES),
    ),
)
@pytest.mark.parametrize(
    ("uses", "where"),
    (
        ("kubernetes.restart", CHECKOUT),
        ("kubernetes.scale", {**CHECKOUT, "replicas": 7}),
        ("kubernetes.rollback", SHOP),
        ("kubernetes.cordon", {"node": "worker-2"}),
        ("kubernetes.patch", {**CHECKOUT, "patch": {"spec": {"minReadySeconds": 3}}}),
    ),
)
async def test_an_unclear_answer_is_a_doubt_that_a_look_resolves(
    shop: Shop, uses: str, where: dict[str, Any], fault: Fault, happened: Happened
) -> None:
    _, frozen = await shop.plan(uses, **where)
    shop.server.faults = [Fault(**vars(fault))]
    with pytest.raises(OutcomeUnknown):
        await shop.do(uses, **frozen)
    assert (await shop.find(uses, **frozen)).happened is happened


@pytest.mark.parametrize(
    ("status", "transient"),
    ((429, Transient.RATE_LIMITED), (403, None), (422, None), (401, None), (410, None)),
)
async def test_a_clear_no_is_certain(shop: Shop, status: int, transient: Transient | None) -> None:
    _, frozen = await shop.plan("kubernetes.scale", **CHECKOUT, replicas=7)
    shop.server.faults = [Fault(method="PATCH", status=status)]
    with pytest.raises(ActionFailed, match=str(status)) as no:
        await shop.do("kubernetes.scale", **frozen)
    assert no.value.transient is transient


async def test_a_dry_run_that_fails_is_never_a_doubt(shop: Shop) -> None:
    for fault in (Fault(method="PATCH", status=500), Fault(method="PATCH", drop=True)):
        shop.server.faults = [fault]
        with pytest.raises(ActionFailed) as no:
            await shop.plan("kubernetes.scale", **CHECKOUT, replicas=7)
        assert no.value.transient is Transient.UNAVAILABLE


async def test_what_the_server_would_refuse_is_refused_by_the_dry_run(shop: Shop) -> None:
    with pytest.raises(ActionFailed, match="`selector` does not match"):
        await shop.plan(
            "kubernetes.patch",
            **CHECKOUT,
            patch={"spec": {"selector": {"matchLabels": {"app": None, "new": "x"}}}},
        )
    with pytest.raises(ActionFailed, match="Expected `int"):
        await shop.plan("kubernetes.patch", **CHECKOUT, patch={"spec": {"minReadySeconds": "many"}})
    shop.server.denied = {("patch", "deployments/scale")}
    with pytest.raises(ActionFailed, match='cannot patch resource "deployments"'):
        await shop.plan("kubernetes.scale", **CHECKOUT, replicas=7)


async def test_every_rehearsal_asks_the_server_to_keep_nothing(shop: Shop) -> None:
    name = pods(shop.server, "checkout")[0]["metadata"]["name"]
    version = shop.server.store.version
    for uses, where in (
        ("kubernetes.restart", CHECKOUT),
        ("kubernetes.scale", {**CHECKOUT, "replicas": 4}),
        ("kubernetes.rollback", SHOP),
        ("kubernetes.cordon", {"node": "worker-1"}),
        ("kubernetes.patch", {**CHECKOUT, "patch": {"spec": {"minReadySeconds": 3}}}),
        ("kubernetes.delete_pod", {"namespace": "shop", "name": name}),
    ):
        await shop.plan(uses, **where)
    assert shop.server.store.version == version
    writes = [seen for seen in shop.server.seen if seen.method != "GET"]
    assert [seen.query for seen in writes[:-1]] == [{"dryRun": "All"}] * 5
    assert writes[-1].body["dryRun"] == ["All"], "beside a body the query of a DELETE is not read"
