"""What the double keeps: objects with resource versions, and the history that watches read."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.kubernetes.shapes import (
    BY_KIND,
    Object,
    Shape,
    changed_spec,
    check_update,
    normal,
)
from tests.kubernetes.statuses import bad_request, conflict, exists, not_found

Key = tuple[str, str, str]  # kind, namespace, name

_STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One line of the history: `was` is the object before it, where there was one."""

    version: int
    type: str
    shape: Shape
    object: Object
    was: Object | None


class Store:
    """Objects by kind, namespace and name. One counter gives all resource versions, as in etcd."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}
        self.history: list[Change] = []
        self.version = 1000
        self.moved = asyncio.Event()  # another one after each change
        self.compacted = 1000  # versions up to here have left the history

    def take_over(self, other: Store) -> None:
        """Begin where another store is now."""
        self.objects = copy.deepcopy(other.objects)
        self.version = self.compacted = other.version

    # Reading.

    def get(self, shape: Shape, namespace: str, name: str) -> Object:
        """Return a copy of an object."""
        found = self.objects.get((shape.kind, namespace, name))
        if found is None:
            raise not_found(shape, name)
        return copy.deepcopy(found)

    def all(self, shape: Shape, namespace: str) -> list[Object]:
        """Return copies of all objects of a kind, of a namespace or of all (empty)."""
        return [
            copy.deepcopy(thing)
            for (kind, where, _), thing in sorted(self.objects.items())
            if kind == shape.kind and namespace in ("", where)
        ]

    def since(self, version: int, shape: Shape, namespace: str) -> Iterator[Change]:
        """Return the changes of a kind after a version."""
        for change in self.history:
            where = change.object["metadata"].get("namespace", "")
            if change.version > version and change.shape is shape and namespace in ("", where):
                yield change

    # Writing. With `dry` everything is done but kept.

    def create(self, shape: Shape, namespace: str, given: Object, *, dry: bool = False) -> Object:
        """Keep a new object."""
        thing = copy.deepcopy(given)
        metadata = thing.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        if not metadata.get("name"):
            raise bad_request("name or generateName is required")
        if shape.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the object does not match the request")
        metadata["creationTimestamp"] = _now()
        metadata["uid"] = str(uuid.uuid4())
        if shape.counted:
            metadata["generation"] = 1
        thing = normal(shape, thing)
        if self._key(shape, thing) in self.objects:
            raise exists(shape, metadata["name"])
        return self._keep(shape, thing, None, "ADDED", dry=dry)

    def update(
        self,
        shape: Shape,
        namespace: str,
        name: str,
        build: Callable[[Object], Any],
        *,
        status: bool = False,
        dry: bool = False,
    ) -> Object:
        """Replace an object by what `build` makes of it.

        A resource version in the result has to be the object's own. Writes to
        the object leave its status alone, writes to the status everything else.
        """
        old = self.get(shape, namespace, name)
        new = build(copy.deepcopy(old))
        if not isinstance(new, dict) or not isinstance(new.setdefault("metadata", {}), dict):
            raise bad_request("the object provided is unrecognized")
        self._check_same(shape, old, new["metadata"])
        new = copy.deepcopy(new)
        if status:
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        elif "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)
        for key in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace"):
            new["metadata"].pop(key, None)
            if key in old["metadata"]:
                new["metadata"][key] = old["metadata"][key]
        new["metadata"] |= {"name": name, "resourceVersion": old["metadata"]["resourceVersion"]}
        new = normal(shape, new)
        check_update(shape, old, new)
        if new == old:
            return old  # a write that changes nothing is not written
        if shape.counted and changed_spec(old, new):
            new["metadata"]["generation"] += 1
        return self._keep(shape, new, old, "MODIFIED", dry=dry)

    def delete(
        self, shape: Shape, namespace: str, name: str, options: Object, *, dry: bool = False
    ) -> Object | None:
        """Delete an object; return it where it only begins to end, as a pod on a node does."""
        old = self.get(shape, namespace, name)
        self._check_preconditions(shape, old, options.get("preconditions") or {})
        grace = options.get("gracePeriodSeconds", 30)
        if shape.kind == "Pod" and old["spec"].get("nodeName") and grace > 0:
            if old["metadata"].get("deletionTimestamp"):
                return old
            new = copy.deepcopy(old)
            new["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
            return self._keep(shape, new, old, "MODIFIED", dry=dry)
        self._keep(shape, old, old, "DELETED", dry=dry)
        return None

    def put_back(self, objects: dict[Key, Object]) -> None:
        """Bring every object back to a former state, as new writes of it."""
        for key in [key for key in self.objects if key not in objects]:
            thing = self.objects[key]
            self._keep(BY_KIND[key[0]], thing, thing, "DELETED", dry=False)
        for key, thing in objects.items():
            self._keep(BY_KIND[key[0]], thing, self.objects.get(key), "MODIFIED", dry=False)

    def compact(self) -> None:
        """Forget the history, as etcd does every few minutes."""
        self.compacted = self.version
        self.history.clear()

    def _check_same(self, shape: Shape, old: Object, given: Object) -> None:
        own, name = old["metadata"], old["metadata"]["name"]
        if given.get("name", name) != name:
            raise bad_request("the name of the object does not match the name on the URL")
        if given.get("namespace", own.get("namespace")) != own.get("namespace"):
            raise bad_request("the namespace of the object does not match the namespace on the URL")
        if given.get("resourceVersion") not in (None, "", own["resourceVersion"]):
            raise conflict(shape, name, _STALE)
        if given.get("uid") not in (None, "", own["uid"]):
            why = f"UID in precondition: {given['uid']}, UID in object meta: {own['uid']}"
            raise conflict(shape, name, f"Precondition failed: {why}")

    def _check_preconditions(self, shape: Shape, old: Object, wanted: Object) -> None:
        metadata = old["metadata"]
        if wanted.get("uid") not in (None, metadata["uid"]):
            why = (
                f"the UID in the precondition ({wanted['uid']}) does not match the UID in record "
                f"({metadata['uid']}). The object might have been deleted and then recreated"
            )
            raise conflict(shape, metadata["name"], why)
        if wanted.get("resourceVersion") not in (None, metadata["resourceVersion"]):
            why = "the ResourceVersion in the precondition does not match that in record"
            raise conflict(shape, metadata["name"], why)

    def _keep(
        self, shape: Shape, thing: Object, was: Object | None, type: str, *, dry: bool
    ) -> Object:
        thing = copy.deepcopy(thing)
        if dry:
            return thing
        self.version += 1
        thing["metadata"]["resourceVersion"] = str(self.version)
        key = self._key(shape, thing)
        if type == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = thing
        self.history.append(
            Change(version=self.version, type=type, shape=shape, object=thing, was=was)
        )
        self.moved.set()
        self.moved = asyncio.Event()
        return copy.deepcopy(thing)

    def _key(self, shape: Shape, thing: Object) -> Key:
        metadata = thing["metadata"]
        return (shape.kind, metadata.get("namespace", ""), metadata["name"])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
