"""What the double answers: objects, lists, watches, scales, logs and metrics."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.kubernetes.merging import patched
from tests.kubernetes.selecting import selector
from tests.kubernetes.shapes import SHAPES, Object, Shape
from tests.kubernetes.statuses import (
    StatusError,
    bad_request,
    expired,
    forbidden,
    invalid,
    no_such_place,
)
from tests.kubernetes.store import Change, Store


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a path names."""

    shape: Shape
    namespace: str = ""
    name: str = ""
    part: str = ""


@dataclass(kw_only=True)
class Log:
    """What a container has printed."""

    lines: list[str] = field(default_factory=list)
    previous: list[str] | None = None


class Answering:
    """Answers requests out of the store. `denied` are pairs of verb and resource we may not."""

    def __init__(self) -> None:
        self.store = Store()
        self.logs: dict[tuple[str, str, str], Log] = {}  # namespace, pod, container
        self.metrics: dict[tuple[str, str], list[Object]] = {}  # containers, by namespace and pod
        self.denied: set[tuple[str, str]] = set()
        self.leaking = ""  # a text that is repeated in whatever is answered
        self.answers: list[Object] = []

    async def served(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
        if metrics := self._measured(request):
            return metrics
        place = _place(request.path)
        verb = self._verb(request, place)
        if (verb, _resource(place)) in self.denied:
            raise forbidden(place.shape, place.name, verb, place.namespace)
        if place.part == "log":
            return self._log(request, place)
        if verb == "watch":
            return await self._watch(request, place)
        if verb == "list":
            return self.json(self._list(request, place))
        return self._object(request, place, verb, body)

    def _verb(self, request: web.Request, place: Place) -> str:
        if request.method == "GET" and not place.name:
            return "watch" if request.query.get("watch") in ("1", "true") else "list"
        verbs = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}
        verb = verbs.get(request.method, "delete")
        if (verb == "create") == bool(place.name):
            raise StatusError(405, "MethodNotAllowed", "the server does not allow this method")
        return verb

    def _object(self, request: web.Request, place: Place, verb: str, body: Any) -> web.Response:
        store, shape = self.store, place.shape
        dry = _dry(request.query.get("dryRun"))
        if place.part == "scale":
            return self._scale(request, place, body, dry=dry)
        status = place.part == "status"
        match verb:
            case "get":
                return self.json(store.get(shape, place.namespace, place.name))
            case "create":
                made = store.create(shape, place.namespace, body or {}, dry=dry)
                return self.json(made, status=201)
            case "delete":
                return self._delete(request, place, body, dry=dry)
        kind = request.content_type

        def build(old: Object) -> Any:
            return patched(old, body, kind) if verb == "patch" else body

        made = store.update(shape, place.namespace, place.name, build, status=status, dry=dry)
        return self.json(made)

    def _delete(self, request: web.Request, place: Place, body: Any, *, dry: bool) -> web.Response:
        # With a body the real server reads its options from there alone, `dryRun` too.
        options = body if isinstance(body, dict) else {}
        if body is not None:
            wished = options.get("dryRun") or []
            dry = _dry(wished[0] if wished else None)
        left = self.store.delete(place.shape, place.namespace, place.name, options, dry=dry)
        if left is not None:
            return self.json(left)
        details = {"name": place.name, "kind": place.shape.plural}
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return self.json({**done, "details": details})

    def _scale(self, request: web.Request, place: Place, body: Any, *, dry: bool) -> web.Response:
        shape, store = place.shape, self.store
        if not shape.scalable:
            raise no_such_place()
        if request.method == "GET":
            return self.json(scale_of(store.get(shape, place.namespace, place.name)))

        def build(old: Object) -> Any:
            scale = scale_of(old)
            new = patched(scale, body, request.content_type) if request.method == "PATCH" else body
            wanted = new.get("spec", {}).get("replicas", 0)
            if not isinstance(wanted, int):
                raise bad_request("json: cannot unmarshal into Go struct field ScaleSpec.replicas")
            if wanted < 0:
                raise invalid(
                    shape, place.name, "spec.replicas", "must be greater than or equal to 0"
                )
            metadata = {k: v for k, v in new["metadata"].items() if k in ("resourceVersion", "uid")}
            old["metadata"] |= metadata
            return {**old, "spec": {**old["spec"], "replicas": wanted}}

        made = store.update(shape, place.namespace, place.name, build, dry=dry)
        return self.json(scale_of(made))

    def _list(self, request: web.Request, place: Place) -> Object:
        query = request.query
        wanted = selector(
            place.shape, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        things = [t for t in self.store.all(place.shape, place.namespace) if wanted(t)]
        limit = int(query.get("limit", 0))
        start, version = 0, self.store.version
        if token := query.get("continue"):
            start, version = _continued(token)
            if version < self.store.compacted:
                raise expired("The provided continue parameter is too old to display a list result")
        end = start + limit if limit else len(things)
        metadata: Object = {"resourceVersion": str(version)}
        if end < len(things):
            metadata["continue"] = _token(end, version)
            if not (query.get("labelSelector") or query.get("fieldSelector")):
                metadata["remainingItemCount"] = len(things) - end
        items = [{k: v for k, v in t.items() if k not in ("kind", "apiVersion")} for t in things]
        shape = place.shape
        return {
            "kind": f"{shape.kind}List",
            "apiVersion": shape.api,
            "metadata": metadata,
            "items": items[start:end],
        }

    async def _watch(self, request: web.Request, place: Place) -> web.StreamResponse:
        """Stream changes as JSON, one a line, until the client leaves or its time is over."""
        query, store = request.query, self.store
        wanted = selector(
            place.shape, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        version = int(query.get("resourceVersion") or 0)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)

        async def tell(type: str, thing: Object) -> None:
            line = json.dumps({"type": type, "object": thing}) + "\n"
            await response.write(line.encode())

        if version and version < store.compacted:
            why = f"too old resource version: {version} ({store.compacted})"
            await tell("ERROR", expired(why).body)
            return response
        if not version:
            version = store.version
            for thing in store.all(place.shape, place.namespace):
                if wanted(thing):
                    await tell("ADDED", thing)
        with suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(float(query.get("timeoutSeconds", 30))):
                while True:
                    moved = store.moved
                    for change in list(store.since(version, place.shape, place.namespace)):
                        version = change.version
                        if (type := _selected(change, wanted)) is not None:
                            await tell(type, change.object)
                    await moved.wait()
        return response

    def _log(self, request: web.Request, place: Place) -> web.Response:
        pod = self.store.get(place.shape, place.namespace, place.name)
        names = [one["name"] for one in pod["spec"]["containers"]]
        container = request.query.get("container", names[0] if len(names) == 1 else "")
        if not container:
            chosen = f"choose one of: [{' '.join(names)}]"
            raise bad_request(f"a container name must be specified for pod {place.name}, {chosen}")
        if container not in names:
            raise bad_request(f"container {container} is not valid for pod {place.name}")
        log = self.logs.get((place.namespace, place.name, container), Log())
        lines: list[str] | None = log.lines
        if request.query.get("previous") == "true":
            lines = log.previous
        if lines is None:
            raise bad_request(
                f'previous terminated container "{container}" in pod "{place.name}" not found'
            )
        if "tailLines" in request.query:
            count = int(request.query["tailLines"])
            lines = lines[len(lines) - min(count, len(lines)) :]
        if self.leaking:
            lines = [*lines, f"Authorization: Bearer {self.leaking}"]
        text = "".join(f"{line}\n" for line in lines).encode()
        return web.Response(body=text[: int(request.query.get("limitBytes", len(text)))])

    def _measured(self, request: web.Request) -> web.Response | None:
        words = request.path.strip("/").split("/")
        if words[:3] != ["apis", "metrics.k8s.io", "v1beta1"]:
            return None
        namespace, name = words[4], words[6]
        containers = self.metrics.get((namespace, name))
        if containers is None:
            raise StatusError(
                404, "NotFound", f'pods.metrics.k8s.io "{namespace}/{name}" not found'
            )
        return self.json(
            {
                "kind": "PodMetrics",
                "apiVersion": "metrics.k8s.io/v1beta1",
                "metadata": {"name": name, "namespace": namespace},
                "timestamp": "2026-11-20T12:00:00Z",
                "window": "15s",
                "containers": containers,
            },
        )

    def json(
        self,
        body: Object,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        if self.leaking:
            body = _leaked(body, self.leaking)
        self.answers.append(body)
        # Without a charset, as the real one: clients compare the whole type.
        kind = {"Content-Type": "application/json", **(headers or {})}
        return web.Response(body=json.dumps(body).encode(), status=status, headers=kind)


def scale_of(thing: Object) -> Object:
    """Return the Scale of a workload: its version and uid are the workload's own."""
    metadata = thing["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = thing["spec"]["selector"].get("matchLabels", {})
    replicas = thing["spec"].get("replicas", 0)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": thing.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def _place(path: str) -> Place:
    words = path.strip("/").split("/")
    for shape in SHAPES:
        root = shape.root.split("/")
        if words[: len(root)] != root:
            continue
        rest = words[len(root) :]
        namespace = ""
        if shape.namespaced and len(rest) >= 3 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if rest and rest[0] == shape.plural and len(rest) <= 3:
            name, part = (*rest[1:], "", "")[:2]
            if (part in ("", "status", *_parts(shape))) and (
                namespace or not name or not shape.namespaced
            ):
                return Place(shape=shape, namespace=namespace, name=name, part=part)
    raise no_such_place()


def _parts(shape: Shape) -> tuple[str, ...]:
    return ("log",) if shape.kind == "Pod" else ("scale",) if shape.scalable else ()


def _resource(place: Place) -> str:
    return f"{place.shape.plural}/{place.part}" if place.part else place.shape.plural


def _dry(wish: str | None) -> bool:
    if wish not in (None, "", "All"):
        raise StatusError(
            422, "Invalid", f'dryRun: Unsupported value: "{wish}": supported values: "All"'
        )
    return wish == "All"


def _selected(change: Change, wanted: Any) -> str | None:
    """Return a change as a watch with selectors sees it: what leaves the selection is deleted."""
    now, before = wanted(change.object), change.was is not None and wanted(change.was)
    if change.type == "DELETED":
        return "DELETED" if before else None
    if now:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


def _token(start: int, version: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([start, version]).encode()).decode()


def _continued(token: str) -> tuple[int, int]:
    try:
        start, version = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise bad_request("continue key is not valid") from None
    return start, version


def _leaked(body: Any, text: str) -> Any:
    """Repeat the token wherever an answer has room for text."""
    if isinstance(body, list):
        return [_leaked(one, text) for one in body]
    if not isinstance(body, dict):
        return body
    leaked = {key: _leaked(value, text) for key, value in body.items()}
    if isinstance(leaked.get("message"), str):
        leaked["message"] += f" ({text})"
    if isinstance(leaked.get("annotations"), dict):
        leaked["annotations"]["leak"] = f"Bearer {text}"
    return leaked
