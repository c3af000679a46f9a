"""The arguments of the actions, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.actions import JSON
from plugins.kubernetes.kinds import ROLLING, SCALABLE

Schema = Mapping[str, JSON]

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 253}
NAMESPACE: Schema = {"type": "string", "minLength": 1, "maxLength": 63}
KIND: Schema = {"type": "string", "minLength": 1, "maxLength": 63}
POINTER: Schema = {"type": "string", "pattern": "^/", "maxLength": 300}
REPLICAS: Schema = {"type": "integer", "minimum": 0, "maximum": 100_000}
# What a dry run pins: which object, and the digest of the part of it that it saw.
UID: Schema = {"type": "string", "minLength": 1, "maxLength": 64}
SEEN: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$", "maxLength": 32}

# Null takes a whole part away, as the reverse of a patch does that brought it.
_LABELS: Schema = {
    "type": ["object", "null"],
    "maxProperties": 50,
    "additionalProperties": {"type": ["string", "null"], "maxLength": 4000},
}
PATCH: Schema = {
    "type": "object",
    "minProperties": 1,
    "properties": {
        "spec": {"type": ["object", "null"], "maxProperties": 50},
        "data": _LABELS,
        "metadata": {
            "type": "object",
            "minProperties": 1,
            "properties": {"labels": _LABELS, "annotations": _LABELS},
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}


def schema(*required: str, **properties: Schema) -> Schema:
    """Return the schema of an action's arguments: closed, these required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


GET = schema("kind", "name", "pointer", kind=KIND, namespace=NAMESPACE, name=NAME, pointer=POINTER)
EVENTS = schema(
    "namespace",
    namespace=NAMESPACE,
    name=NAME,
    since={"type": "integer", "minimum": 1, "maximum": 604_800},
)
LOGS = schema(
    "namespace",
    "name",
    namespace=NAMESPACE,
    name=NAME,
    container=NAME,
    lines={"type": "integer", "minimum": 1, "maximum": 2_000},
    previous={"type": "boolean"},
    contains={"type": "string", "minLength": 1, "maxLength": 200},
)
TOP = schema(
    "namespace",
    "name",
    "resource",
    namespace=NAMESPACE,
    name=NAME,
    resource={"enum": ["cpu", "memory"]},
)
ROLLOUT = schema(
    "kind", "namespace", "name", kind={"enum": list(ROLLING)}, namespace=NAMESPACE, name=NAME
)
RESTART = schema(
    "kind",
    "namespace",
    "name",
    kind={"enum": list(ROLLING)},
    namespace=NAMESPACE,
    name=NAME,
    uid=UID,
    seen=SEEN,
)
SCALE = schema(
    "kind",
    "namespace",
    "name",
    "replicas",
    kind={"enum": list(SCALABLE)},
    namespace=NAMESPACE,
    name=NAME,
    replicas=REPLICAS,
    uid=UID,
    expected=REPLICAS,
)
ROLLBACK = schema(
    "namespace",
    "name",
    namespace=NAMESPACE,
    name=NAME,
    revision={"type": "integer", "minimum": 1},
    current={"type": "integer", "minimum": 1},
    leaves=SEEN,
    left=SEEN,
    uid=UID,
    seen=SEEN,
)
CORDON = schema("node", node=NAME, uid=UID, expected={"type": "boolean"})
DELETE_POD = schema("namespace", "name", namespace=NAMESPACE, name=NAME, uid=UID)
PATCHING = schema(
    "kind",
    "name",
    "patch",
    kind=KIND,
    namespace=NAMESPACE,
    name=NAME,
    patch=PATCH,
    uid=UID,
    seen=SEEN,
    before=PATCH,
    expected=PATCH,
)
