"""The double is what it stands for: the published API says so, and lightkube's own client does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import DaemonSet, Deployment, ReplicaSet, StatefulSet
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod
from lightkube.types import PatchType

from tests.kubernetes.merging import JSON_PATCH, MERGE, STRATEGIC, patched
from tests.kubernetes.published import faults
from tests.kubernetes.samples import event, furnish, observe, pods
from tests.kubernetes.server import TOKEN, ApiServer
from tests.kubernetes.shapes import BY_KIND, Object

CHECKOUT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    made = ApiServer()
    furnish(made)
    async with made.running():
        yield made
    # Whatever a test made it answer was as published.
    found = [
        fault
        for answer in made.answers
        if "metrics" not in answer["apiVersion"]
        for fault in faults(answer)
    ]
    assert found == []


# Untyped: every field of lightkube's models may be None, which here would be a failure.
@pytest.fixture
async def client(server: ApiServer, tmp_path: Path) -> AsyncIterator[Any]:
    config = KubeConfig.from_file(server.kubeconfig(tmp_path))
    async with AsyncClient(config=config, namespace="shop", trust_env=False) as made:
        yield made


@pytest.fixture
async def raw(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as made:
        yield made


def reason(no: pytest.ExceptionInfo[ApiError]) -> tuple[int | None, str | None]:
    return no.value.status.code, no.value.status.reason


async def test_every_kind_parses_into_the_typed_models(server: ApiServer, client: Any) -> None:
    server.store.create(BY_KIND["Event"], "shop", event("e", about="a", at="2026-11-20T10:00:00Z"))
    for kind in (Deployment, StatefulSet, DaemonSet, ReplicaSet, Pod, ConfigMap, Event):
        found = [thing async for thing in client.list(kind, namespace="shop")]
        assert found
        for thing in found:
            same = await client.get(kind, thing.metadata.name, namespace="shop")
            assert same.metadata.uid == thing.metadata.uid
    assert [node.metadata.name async for node in client.list(Node)] == [
        "gateway-1",
        "worker-1",
        "worker-2",
    ]
    scale = await client.get(Deployment.Scale, "checkout")
    assert (scale.spec.replicas, scale.status.selector) == (3, "app=checkout")


async def test_a_stale_write_is_a_conflict_and_changes_nothing(client: Any) -> None:
    old = await client.get(ConfigMap, "limits")
    await client.patch(ConfigMap, "limits", {"data": {"rate": "11"}}, patch_type=PatchType.MERGE)
    old.data = {"rate": "99"}
    with pytest.raises(ApiError, match="the object has been modified") as no:
        await client.replace(old)
    assert reason(no) == (409, "Conflict")
    stale = {"metadata": {"resourceVersion": old.metadata.resourceVersion}, "data": {"rate": "99"}}
    with pytest.raises(ApiError):
        await client.patch(ConfigMap, "limits", stale, patch_type=PatchType.MERGE)
    assert (await client.get(ConfigMap, "limits")).data["rate"] == "11"


async def test_versions_grow_with_every_change_and_with_no_other_write(client: Any) -> None:
    async def version() -> int:
        return int((await client.get(Deployment, "checkout")).metadata.resourceVersion)

    before = await version()
    same = {"spec": {"replicas": 3}}
    await client.patch(Deployment, "checkout", same, patch_type=PatchType.MERGE)
    assert await version() == before
    labelled = {"metadata": {"labels": {"a": "b"}}}
    live = await client.patch(Deployment, "checkout", labelled, patch_type=PatchType.MERGE)
    assert int(live.metadata.resourceVersion) > before
    generation = live.metadata.generation
    live = await client.patch(
        Deployment, "checkout", {"spec": {"paused": True}}, patch_type=PatchType.MERGE
    )
    assert live.metadata.generation == generation + 1


async def test_a_dry_run_answers_and_keeps_nothing(server: ApiServer, client: Any) -> None:
    version = server.store.version
    patch = {"spec": {"replicas": 9}}
    live = await client.patch(
        Deployment, "checkout", patch, patch_type=PatchType.MERGE, dry_run=True
    )
    assert live.spec.replicas == 9
    scaled = await client.patch(
        Deployment.Scale, "checkout", patch, patch_type=PatchType.MERGE, dry_run=True
    )
    assert scaled.spec.replicas == 9
    made = ConfigMap(metadata=ObjectMeta(name="new", namespace="shop"), data={"a": "b"})
    assert (await client.create(made, dry_run=True)).metadata.uid
    await client.delete(Pod, "lonely", dry_run=True)
    await client.delete(ConfigMap, "limits", dry_run=True)
    assert server.store.version == version
    with pytest.raises(ApiError) as no:
        await client.patch(
            Deployment,
            "checkout",
            {"spec": {"replicas": -1}},
            patch_type=PatchType.MERGE,
            dry_run=True,
        )
    assert reason(no) == (422, "Invalid")


async def test_beside_a_body_the_query_of_a_delete_is_not_read(
    server: ApiServer, raw: httpx.AsyncClient
) -> None:
    """apiserver's `DeleteResource` reads DeleteOptions from the body, or else from the query."""
    path = "/api/v1/namespaces/shop/configmaps/limits"
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
    assert faults(body) == []
    assert (await raw.request("DELETE", path, json=body)).status_code == 200
    assert ("ConfigMap", "shop", "limits") in server.store.objects
    empty = {"apiVersion": "v1", "kind": "DeleteOptions"}
    await raw.request("DELETE", path, json=empty, params={"dryRun": "All"})
    assert ("ConfigMap", "shop", "limits") not in server.store.objects
    wrong = await raw.delete(path, params={"dryRun": "yes"})
    assert wrong.status_code == 422


async def test_a_delete_keeps_its_preconditions(server: ApiServer, raw: httpx.AsyncClient) -> None:
    name = pods(server, "checkout")[0]["metadata"]["name"]
    path = f"/api/v1/namespaces/shop/pods/{name}"
    answer = await raw.request("DELETE", path, json={"preconditions": {"uid": "other"}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    uid = server.store.get(BY_KIND["Pod"], "shop", name)["metadata"]["uid"]
    answer = await raw.request("DELETE", path, json={"preconditions": {"uid": uid}})
    assert answer.json()["kind"] == "Pod"
    assert answer.json()["metadata"]["deletionGracePeriodSeconds"] == 30


@pytest.mark.parametrize(
    ("asked", "body", "said"),
    (
        ("GET /apis/apps/v1/namespaces/shop/deployments/ghost", None, (404, "NotFound")),
        ("GET /apis/apps/v1/namespaces/shop/ghosts/x", None, (404, "NotFound")),
        ("GET /api/v1/namespaces/shop/deployments/checkout", None, (404, "NotFound")),
        ("GET /apis/apps/v1/namespaces/shop/daemonsets/agent/scale", None, (404, "NotFound")),
        (f"POST {CHECKOUT}", {}, (405, "MethodNotAllowed")),
        ("POST /api/v1/namespaces/shop/configmaps", {"metadata": {}}, (400, "BadRequest")),
        (
            "POST /api/v1/namespaces/shop/configmaps",
            {"metadata": {"name": "limits"}},
            (409, "AlreadyExists"),
        ),
        (f"PUT {CHECKOUT}", {"metadata": {"name": "other"}}, (400, "BadRequest")),
        (f"PUT {CHECKOUT}", {"metadata": {"uid": "other"}}, (409, "Conflict")),
        ("GET /api/v1/pods?fieldSelector=spec.magic=1", None, (400, "BadRequest")),
        ("GET /api/v1/pods?labelSelector=a===b", None, (400, "BadRequest")),
    ),
)
async def test_no_is_said_with_a_status(
    raw: httpx.AsyncClient, asked: str, body: Any, said: tuple[int, str]
) -> None:
    answer = await raw.request(*asked.split(" "), json=body)
    assert (answer.status_code, answer.json()["reason"]) == said
    assert answer.json()["kind"] == "Status"


async def test_a_patch_of_an_unknown_kind_is_refused(raw: httpx.AsyncClient) -> None:
    answer = await raw.patch(CHECKOUT, json={}, headers={"Content-Type": "application/json"})
    assert answer.status_code == 415
    pod = "/api/v1/namespaces/shop/pods/lonely"
    answer = await raw.patch(
        pod, content=b'{"spec": {"nodeName": "x"}}', headers={"Content-Type": MERGE}
    )
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


def test_the_three_kinds_of_patches_differ_in_lists() -> None:
    live = {"spec": {"containers": [{"name": "a", "image": "1", "tty": True}, {"name": "b"}]}}
    wish = {"spec": {"containers": [{"name": "a", "image": "2"}]}}
    assert patched(live, wish, MERGE) == wish
    assert patched(live, wish, STRATEGIC) == {
        "spec": {"containers": [{"name": "a", "image": "2", "tty": True}, {"name": "b"}]}
    }
    gone = {"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}
    assert patched(live, gone, STRATEGIC) == {"spec": {"containers": [{"name": "b"}]}}
    operations = [
        {"op": "test", "path": "/spec/containers/1/name", "value": "b"},
        {"op": "replace", "path": "/spec/containers/0/image", "value": "3"},
        {"op": "remove", "path": "/spec/containers/0/tty"},
        {"op": "add", "path": "/spec/containers/-", "value": {"name": "c"}},
    ]
    assert patched(live, operations, JSON_PATCH) == {
        "spec": {"containers": [{"name": "a", "image": "3"}, {"name": "b"}, {"name": "c"}]}
    }


@pytest.mark.parametrize(
    ("labels", "fields", "count"),
    (
        ("app=checkout", "", 3),
        ("app==checkout", "status.phase=Running", 3),
        ("app!=checkout", "", 6),
        ("app in (queue, agent)", "", 5),
        ("app notin (queue,agent),app", "", 4),
        ("!app", "", 0),
        ("", "metadata.name=lonely", 1),
        ("", "spec.nodeName!=worker-1", 1),
        ("app=checkout", "status.phase!=Running", 0),
    ),
)
async def test_selectors_select(
    raw: httpx.AsyncClient, labels: str, fields: str, count: int
) -> None:
    query = {"labelSelector": labels, "fieldSelector": fields}
    answer = await raw.get("/api/v1/namespaces/shop/pods", params=query)
    assert len(answer.json()["items"]) == count


async def test_a_list_comes_in_pages_until_its_token_is_too_old(
    server: ApiServer, raw: httpx.AsyncClient
) -> None:
    path, names = "/api/v1/namespaces/shop/pods", []
    query: dict[str, Any] = {"limit": 4}
    while True:
        page = (await raw.get(path, params=query)).json()
        names += [item["metadata"]["name"] for item in page["items"]]
        if "continue" not in page["metadata"]:
            break
        assert page["metadata"]["remainingItemCount"] == 9 - len(names)
        query["continue"] = page["metadata"]["continue"]
    assert len(names) == len(set(names)) == 9
    server.store.delete(BY_KIND["ConfigMap"], "shop", "limits", {})
    server.store.compact()
    answer = await raw.get(path, params=query)
    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


async def test_a_watch_tells_what_happens_and_goes_on_where_it_stopped(
    server: ApiServer, client: Any
) -> None:
    version = str(server.store.version)
    seen: list[tuple[str, str]] = []

    async def watch(since: str | None, count: int) -> str:
        last = ""
        async for type, thing in client.watch(ConfigMap, namespace="shop", resource_version=since):
            seen.append((type, thing.metadata.name))
            last = thing.metadata.resourceVersion
            if len(seen) == count:
                break
        return last

    watching = asyncio.ensure_future(watch(version, 2))
    await client.patch(ConfigMap, "limits", {"data": {"a": "1"}}, patch_type=PatchType.MERGE)
    made = ConfigMap(metadata=ObjectMeta(name="new", namespace="shop"))
    await client.create(made)
    last = await asyncio.wait_for(watching, 5)
    assert seen == [("MODIFIED", "limits"), ("ADDED", "new")]
    await client.delete(ConfigMap, "new")
    await asyncio.wait_for(watch(last, 3), 5)
    assert seen[2:] == [("DELETED", "new")]
    seen.clear()
    await asyncio.wait_for(watch(None, 2), 5)
    assert seen == [("ADDED", "limits"), ("ADDED", "other")]


async def test_a_watch_from_a_forgotten_version_is_gone(server: ApiServer, client: Any) -> None:
    version = str(server.store.version)
    server.store.delete(BY_KIND["ConfigMap"], "shop", "limits", {})
    server.store.compact()
    with pytest.raises(ApiError, match="too old resource version") as no:
        async for _ in client.watch(Pod, namespace="shop", resource_version=version):
            pass
    assert reason(no) == (410, "Expired")


async def test_what_leaves_a_selection_is_deleted_for_who_watches_it(
    server: ApiServer, raw: httpx.AsyncClient
) -> None:
    query = {
        "watch": "true",
        "labelSelector": "tier=gold",
        "resourceVersion": str(server.store.version),
        "timeoutSeconds": "2",
    }
    lines: list[Object] = []
    async with raw.stream("GET", "/api/v1/namespaces/shop/configmaps", params=query) as answer:
        stream = answer.aiter_lines()
        for label in ("gold", "gold", "lead"):

            def build(live: Object, label: str = label) -> Object:
                live["metadata"]["labels"] = {"tier": label, "n": str(len(lines))}
                return live

            server.store.update(BY_KIND["ConfigMap"], "shop", "limits", build)
            lines.append(json.loads(await anext(stream)))
    assert [line["type"] for line in lines] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(line["object"]["metadata"]["resourceVersion"]) for line in lines]
    assert versions == sorted(set(versions))


async def test_a_log_is_read_as_kubectl_reads_it(server: ApiServer, client: Any) -> None:
    name = observe(server)
    lines = [line async for line in client.log(name, tail_lines=2)]
    assert lines == ["ERROR pool exhausted\n"] * 2


async def test_the_status_is_written_apart(client: Any) -> None:
    wish = {"status": {"readyReplicas": 1}, "spec": {"replicas": 4}}
    live = await client.patch(Deployment, "checkout", wish, patch_type=PatchType.MERGE)
    assert (live.spec.replicas, live.status.readyReplicas) == (4, 3)
    state = await client.patch(Deployment.Status, "checkout", wish, patch_type=PatchType.MERGE)
    assert state.status.readyReplicas == 1


async def test_unknown_fields_are_dropped_and_wrong_types_refused(client: Any) -> None:
    wish: Object = {"spec": {"replicas": 3, "bogus": {"a": 1}}}
    await client.patch(Deployment, "checkout", wish, patch_type=PatchType.MERGE)
    with pytest.raises(ApiError) as no:
        await client.patch(
            Deployment, "checkout", {"spec": {"replicas": "3"}}, patch_type=PatchType.MERGE
        )
    assert reason(no) == (400, "BadRequest")


def test_a_rollout_never_goes_below_what_is_wished_for() -> None:
    server = ApiServer()
    controllers = furnish(server)

    def build(live: Object) -> Object:
        live["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/checkout:3"
        return live

    server.store.update(BY_KIND["Deployment"], "shop", "checkout", build)
    for _ in range(40):
        controllers.step()
        ready = [
            pod
            for pod in pods(server, "checkout")
            if pod["status"].get("conditions") and "deletionTimestamp" not in pod["metadata"]
        ]
        assert 3 <= len(ready) <= 4
    assert {pod["spec"]["containers"][0]["image"] for pod in ready} == {"shop/checkout:3"}


def test_the_published_schema_finds_what_is_wrong() -> None:
    """A check that finds nothing proves nothing."""
    fine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "b"}}
    assert faults(fine) == []
    assert faults({**fine, "data": {"a": 1}})
    assert faults({**fine, "bogus": 1})
    with pytest.raises(KeyError):
        faults({**fine, "kind": "Unheard"})
