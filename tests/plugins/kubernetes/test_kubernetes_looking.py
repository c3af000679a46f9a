"""What the reading actions see, and what they do not fall for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bot.domain.actions import ActionFailed, Transient
from tests.kubernetes.answering import Log
from tests.kubernetes.controllers import Controllers
from tests.kubernetes.samples import event, observe, pods
from tests.kubernetes.server import TOKEN, ApiServer, Fault
from tests.kubernetes.shapes import BY_KIND
from tests.plugins.kubernetes.shop import CHECKOUT, Shop, cluster_actions


async def value(shop: Shop, pointer: str, **where: Any) -> float | None:
    return (await shop.do("kubernetes.get", **{**CHECKOUT, **where}, pointer=pointer)).value


async def test_a_number_is_read_and_a_truth_is_one(shop: Shop) -> None:
    assert await value(shop, "/status/readyReplicas") == 3
    assert await value(shop, "/spec/template/spec/containers/0/ports/0/containerPort") == 8080
    pod = pods(shop.server, "checkout")[0]["metadata"]["name"]
    controlled = "/metadata/ownerReferences/0/controller"
    assert await value(shop, controlled, kind="Pod", name=pod) == 1


async def test_a_count_that_the_api_leaves_out_is_zero_and_a_misspelt_one_is_not(
    shop: Shop,
) -> None:
    assert await value(shop, "/status/unavailableReplicas") == 0
    worker = {"kind": "Node", "name": "worker-1"}
    result = await shop.do("kubernetes.get", **worker, pointer="/spec/unschedulable")
    assert result.value == 0
    with pytest.raises(ActionFailed, match="nothing at /status/unavailable"):
        await value(shop, "/status/unavailable")


async def test_text_is_never_read(shop: Shop) -> None:
    container = "/spec/template/spec/containers/0"
    for pointer in (f"{container}/image", f"{container}/env/0/value", "/spec/template"):
        with pytest.raises(ActionFailed, match="not a number"):
            await value(shop, pointer)


async def test_a_text_of_digits_is_a_text(shop: Shop) -> None:
    """A PIN in an environment variable is a number to look at, and none of our business."""
    container = {"name": "queue", "image": "q", "env": [{"name": "PIN", "value": "4711"}]}
    shop.change(
        "StatefulSet",
        "queue",
        lambda live: live["spec"]["template"]["spec"].update(containers=[container]),
    )
    pointer = "/spec/template/spec/containers/0/env/0/value"
    with pytest.raises(ActionFailed, match="not a number") as no:
        await value(shop, pointer, kind="StatefulSet", name="queue")
    assert "4711" not in str(no.value)


async def test_a_quantity_below_limits_is_a_number(shop: Shop) -> None:
    container = {"name": "queue", "image": "q", "resources": {"limits": {"memory": "512Mi"}}}
    shop.change(
        "StatefulSet",
        "queue",
        lambda live: live["spec"]["template"]["spec"].update(containers=[container]),
    )
    pointer = "/spec/template/spec/containers/0/resources/limits/memory"
    assert await value(shop, pointer, kind="StatefulSet", name="queue") == 512 * 1024**2


async def test_the_old_status_of_a_changed_object_is_no_value(shop: Shop) -> None:
    _, frozen = await shop.plan("kubernetes.restart", **CHECKOUT)
    await shop.do("kubernetes.restart", **frozen)
    assert await value(shop, "/status/readyReplicas") is None
    assert await value(shop, "/spec/replicas") == 3
    shop.controllers.settle()
    assert await value(shop, "/status/readyReplicas") == 3


async def test_a_rollout_is_complete_only_when_nothing_old_is_left(shop: Shop) -> None:
    for kind, name in (
        ("Deployment", "checkout"),
        ("StatefulSet", "queue"),
        ("DaemonSet", "agent"),
    ):
        where = {"kind": kind, "namespace": "shop", "name": name}
        assert (await shop.do("kubernetes.rollout", **where)).value == 1
        old = {pod["metadata"]["uid"] for pod in pods(shop.server, name)}
        await shop.do("kubernetes.restart", **where)
        for _ in range(60):
            done = (await shop.do("kubernetes.rollout", **where)).value
            left = [pod["metadata"] for pod in pods(shop.server, name)]
            now = {one["uid"] for one in left if "deletionTimestamp" not in one}
            assert not (done and old & now), "an old pod is left that is not ending"
            if done:
                break
            shop.controllers.step()
        assert done


async def test_a_rollout_to_a_broken_image_never_completes(shop: Shop) -> None:
    broken = Controllers(shop.server.store, broken=frozenset({"shop/checkout:3"}))

    def bad(live: Any) -> None:
        live["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/checkout:3"

    shop.change("Deployment", "checkout", bad)
    broken.settle()
    result = await shop.do("kubernetes.rollout", **CHECKOUT)
    assert result.value == 0
    assert "1 of 3 new" in result.summary
    assert await value(shop, "/status/readyReplicas") == 3


async def test_warnings_are_counted_by_when_they_were_last_seen(shop: Shop) -> None:
    store, shape = shop.server.store, BY_KIND["Event"]
    for made in (
        event("old", about="a", at="2026-11-20T10:00:00Z"),
        event("new", about="a", at="2026-11-20T11:59:00Z", count=7),
        event("calm", about="a", at="2026-11-20T11:59:30Z", type="Normal"),
        event("other", about="b", at="2026-11-20T11:59:30Z"),
        event(
            "series",
            about="b",
            at="2026-11-20T10:00:00Z",
            series={"count": 3, "lastObservedTime": "2026-11-20T11:58:00.123456Z"},
        ),
    ):
        store.create(shape, "shop", made)
    everything = await shop.do("kubernetes.events", namespace="shop")
    assert everything.value == 3
    assert everything.data == {"warnings": 3, "events": 4}
    assert any("Pod a: Back-off" in line and "(x7)" in line for line in shop.printed)
    assert (await shop.do("kubernetes.events", namespace="shop", name="a")).value == 1
    assert (await shop.do("kubernetes.events", namespace="shop", since=30_000)).value == 4
    assert (await shop.do("kubernetes.events", namespace="shop", name="nobody")).value == 0


async def test_a_long_list_is_read_page_by_page(shop: Shop) -> None:
    for number in range(1100):
        made = event(f"e{number}", about="a", at="2026-11-20T11:59:00Z")
        shop.server.store.create(BY_KIND["Event"], "shop", made)
    assert (await shop.do("kubernetes.events", namespace="shop")).value == 1100
    assert len(shop.printed) == 100
    assert sum("continue" in seen.query for seen in shop.server.seen) == 2


async def test_lines_of_a_log_are_printed_and_counted_and_not_kept(shop: Shop) -> None:
    where = {"namespace": "shop", "name": observe(shop.server)}
    result = await shop.do("kubernetes.logs", **where, lines=50)
    assert result.value == 50
    assert shop.printed[-1] == "ERROR pool exhausted"
    assert "pool" not in str(result)
    shop.printed.clear()
    errors = await shop.do("kubernetes.logs", **where, contains="ERROR")
    assert (errors.value, errors.data["lines"]) == (3, 200)
    assert shop.printed == ["ERROR pool exhausted"] * 3
    shop.printed.clear()
    await shop.do("kubernetes.logs", **where, previous=True)
    assert shop.printed == ["panic: out of memory"]


async def test_whatever_a_program_prints_becomes_short_single_lines(shop: Shop) -> None:
    name = observe(shop.server)
    nasty = "\x1b[31mred\x1b[0m \u202eevil \r overwritten \x00" + "x" * 5000
    shop.server.logs["shop", name, "checkout"] = Log(lines=[nasty, "\u2028two"])
    result = await shop.do("kubernetes.logs", namespace="shop", name=name)
    assert result.value == 2
    assert all(line.isprintable() and len(line) <= 1000 for line in shop.printed)


async def test_the_server_says_which_container_is_missing(shop: Shop) -> None:
    where = {"namespace": "shop", "name": observe(shop.server)}
    with pytest.raises(ActionFailed, match="container ghost is not valid for pod"):
        await shop.do("kubernetes.logs", **where, container="ghost")
    pod = shop.get("Pod", where["name"])
    pod["metadata"] = {"name": "two"}
    pod["spec"]["containers"].append({"name": "proxy", "image": "p"})
    shop.server.store.create(BY_KIND["Pod"], "shop", pod)
    with pytest.raises(ActionFailed, match=r"choose one of: \[checkout proxy\]"):
        await shop.do("kubernetes.logs", namespace="shop", name="two")


async def test_what_a_pod_uses_is_the_sum_of_its_containers(shop: Shop) -> None:
    where = {"namespace": "shop", "name": observe(shop.server)}
    cpu = await shop.do("kubernetes.top", **where, resource="cpu")
    assert cpu.value == pytest.approx(0.25125)
    memory = await shop.do("kubernetes.top", **where, resource="memory")
    assert memory.value == 129 * 1024**2
    with pytest.raises(ActionFailed, match=r"pods\.metrics\.k8s\.io"):
        await shop.do("kubernetes.top", namespace="shop", name="lonely", resource="cpu")


@pytest.mark.parametrize(
    ("fault", "transient"),
    (
        (Fault(method="GET", status=429), Transient.RATE_LIMITED),
        (Fault(method="GET", status=500), Transient.UNAVAILABLE),
        (Fault(method="GET", status=503, after=True), Transient.UNAVAILABLE),
        (Fault(method="GET", drop=True), Transient.UNAVAILABLE),
        (Fault(method="GET", status=302), Transient.UNAVAILABLE),
    ),
)
async def test_a_look_that_fails_says_whether_it_may_work_later(
    shop: Shop, fault: Fault, transient: Transient
) -> None:
    shop.server.faults = [fault]
    with pytest.raises(ActionFailed) as no:
        await value(shop, "/spec/replicas")
    assert no.value.transient is transient
    assert await value(shop, "/spec/replicas") == 3


async def test_what_the_server_refuses_is_told_in_its_words(shop: Shop) -> None:
    with pytest.raises(ActionFailed, match=r'deployments\.apps "ghost" not found') as gone:
        await value(shop, "/spec/replicas", name="ghost")
    assert gone.value.transient is None
    shop.server.denied = {("get", "deployments")}
    with pytest.raises(ActionFailed, match='cannot get resource "deployments"') as forbidden:
        await value(shop, "/spec/replicas")
    assert forbidden.value.transient is None


async def test_a_stranger_is_turned_away(tmp_path: Path) -> None:
    server = ApiServer()
    async with server.running():
        _, actions = cluster_actions(server.kubeconfig(tmp_path), context="stranger")
        shop = Shop(server=server, controllers=Controllers(server.store), actions=actions)
        with pytest.raises(ActionFailed, match="401: Unauthorized"):
            await value(shop, "/spec/replicas")


async def test_an_answer_without_end_is_cut_off(shop: Shop) -> None:
    name = observe(shop.server)
    shop.server.logs["shop", name, "checkout"] = Log(lines=["x" * 1000] * 2000)
    result = await shop.do("kubernetes.logs", namespace="shop", name=name, lines=2000)
    assert result.value is not None
    assert result.value <= 1000
    big = {"metadata": {"name": "big"}, "data": {"a": "x" * 5_000_000}}
    shop.server.store.create(BY_KIND["ConfigMap"], "shop", big)
    _, shop.actions = cluster_actions(shop.kubeconfig, config_maps=("shop/big",))
    with pytest.raises(ActionFailed, match="too much"):
        await value(shop, "/data/a", kind="ConfigMap", name="big")


@pytest.mark.parametrize(
    "content",
    (
        "",
        "{",
        f"token: {TOKEN}",
        f"users: [{{name: a, user: {{token: [{TOKEN}]}}}}]",
        f"clusters: []\ncontexts: []\nusers: []\ncurrent-context: {TOKEN}",
        f"!!python/object/apply:os.system ['echo {TOKEN}']",
        "clusters: [{name: c, cluster: {server: 'https://x', certificate-authority: /none}}]\n"
        "contexts: [{name: a, context: {cluster: c, user: u}}]\n"
        f"users: [{{name: u, user: {{token: {TOKEN}}}}}]\ncurrent-context: a",
    ),
)
async def test_a_broken_configuration_is_told_without_its_content(
    tmp_path: Path, content: str
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    _, actions = cluster_actions(file)
    server = ApiServer()
    shop = Shop(server=server, controllers=Controllers(server.store), actions=actions)
    with pytest.raises(ActionFailed, match="Kubernetes") as no:
        await value(shop, "/spec/replicas")
    assert TOKEN not in f"{no.value!r}{no.value.__cause__!r}"
    assert no.value.__suppress_context__


async def test_outside_of_a_cluster_a_missing_kubeconfig_is_told() -> None:
    _, actions = cluster_actions(Path("/nonexistent/kubeconfig"))
    server = ApiServer()
    shop = Shop(server=server, controllers=Controllers(server.store), actions=actions)
    with pytest.raises(ActionFailed, match="cannot be read"):
        await value(shop, "/spec/replicas")
    _, actions = cluster_actions(None)
    shop.actions = actions
    with pytest.raises(ActionFailed, match="cannot be read"):
        await value(shop, "/spec/replicas")
