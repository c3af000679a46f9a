"""Patches as the API server applies them: merge (RFC 7386), strategic, and JSON (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

from tests.kubernetes.statuses import StatusError, bad_request, unsupported

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

# `patchMergeKey` of the published OpenAPI, for the lists that the double's kinds have.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "conditions": "type",
    "ownerReferences": "uid",
    "imagePullSecrets": "name",
    "taints": "key",
}


def patched(document: Any, patch: Any, content_type: str) -> Any:
    """Return a document with a patch of one of the three kinds applied."""
    ways = {MERGE: merge, STRATEGIC: strategic, JSON_PATCH: _operated}
    if content_type not in ways:
        raise unsupported(content_type)
    return ways[content_type](document, patch)


def merge(document: Any, patch: Any) -> Any:
    """Apply a merge patch, line by line as RFC 7386 has it in its pseudocode."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = copy.deepcopy(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


def strategic(document: Any, patch: Any) -> Any:
    """Apply a strategic merge patch: some lists are merged by the key of their elements."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    if patch.get("$patch") == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
    target = copy.deepcopy(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, list) and name in _MERGE_KEYS:
            target[name] = _merged_list(target.get(name) or [], value, _MERGE_KEYS[name])
        else:
            target[name] = strategic(target.get(name), value)
    return target


def _merged_list(old: list[Any], patch: list[Any], key: str) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [copy.deepcopy(one) for one in patch if one != {"$patch": "replace"}]
    result = copy.deepcopy(old)
    for element in patch:
        if key not in element:
            raise bad_request(f"map: {element} does not contain declared merge key: {key}")
        there = next((one for one in result if one.get(key) == element[key]), None)
        if element.get("$patch") == "delete":
            result = [one for one in result if one.get(key) != element[key]]
        elif there is None:
            result.append(copy.deepcopy(element))
        else:
            result[result.index(there)] = strategic(there, element)
    return result


def _operated(document: Any, operations: Any) -> Any:
    result = copy.deepcopy(document)
    for operation in operations:
        *way, last = [
            token.replace("~1", "/").replace("~0", "~")
            for token in operation["path"].split("/")[1:]
        ]
        parent = result
        try:
            for token in way:
                parent = parent[int(token) if isinstance(parent, list) else token]
            _operate(parent, last, operation)
        except (KeyError, IndexError, ValueError):
            message = "the server rejected our request due to an error in our request"
            raise StatusError(422, "Invalid", message) from None
    return result


def _operate(parent: Any, last: str, operation: dict[str, Any]) -> None:
    key: Any = int(last) if isinstance(parent, list) and last != "-" else last
    match operation["op"]:
        case "test":
            if parent[key] != operation["value"]:
                raise ValueError(last)
        case "remove":
            del parent[key]
        case "replace":
            _ = parent[key]  # it has to be there
            parent[key] = operation["value"]
        case "add" if isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else key, operation["value"])
        case "add":
            parent[key] = operation["value"]
        case other:
            raise bad_request(f"unknown operation {other}")
