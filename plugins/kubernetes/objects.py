"""Objects as plain JSON: merge patches and their reverse, one place in them, their differences.

A merge patch (RFC 7386) names what changes; null removes. Lists are replaced
whole. The API server keeps no nulls of its own, so a reverse patch is exact.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml
from lightkube.utils.quantity import parse_quantity

from bot.domain.actions import JSON

HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|(api|private|access|signing).?key|dsn"
    r"|connection.?string|(^|[^a-z])(auth|pass|pwd)([^a-z]|$)",
    re.IGNORECASE,
)


def merged(document: JSON, patch: JSON) -> JSON:
    """Return a document with a merge patch applied (RFC 7386, section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


# Maps whose keys belong to many, and which the server leaves out when they are empty.
_SHARED = ("labels", "annotations", "data")


def reverse(document: JSON, patch: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the merge patch that takes a patch back: what is there now wherever it changes.

    What others have put into a shared map since is not part of it.
    """
    backwards: dict[str, JSON] = {}
    for key, value in patch.items():
        now = document.get(key, {} if key in _SHARED else None)
        if isinstance(value, Mapping) and isinstance(now, Mapping):
            backwards[key] = reverse(now, value)
        else:
            backwards[key] = document.get(key)
    return backwards


def between(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the merge patch that makes one document of another."""
    patch: dict[str, JSON] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if key in before and old == value:
            continue
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            patch[key] = between(old, value)
        else:
            patch[key] = value
    return patch


def without_nulls(document: JSON) -> JSON:
    """Return a document without nulls: a merge patch cannot say them."""
    if isinstance(document, Mapping):
        return {k: without_nulls(v) for k, v in document.items() if v is not None}
    return [without_nulls(v) for v in document] if isinstance(document, list) else document


def contains(document: JSON, patch: JSON) -> bool:
    """Say whether a patch is applied: whatever it names is so.

    The server fills in defaults and writes quantities its own way (`1000m`
    becomes `1`), so more in an object, and equal quantities, count as applied.
    """
    if isinstance(patch, Mapping):
        found = document if isinstance(document, Mapping) else {}
        return all(
            key not in found if value is None else key in found and contains(found[key], value)
            for key, value in patch.items()
        ) and (isinstance(document, Mapping) or not any(v is not None for v in patch.values()))
    if isinstance(patch, list):
        return (
            isinstance(document, list)
            and len(document) == len(patch)
            and all(map(contains, document, patch))
        )
    return bool(document == patch) or _same_quantity(document, patch)


def _same_quantity(one: JSON, other: JSON) -> bool:
    if not isinstance(one, str) or not isinstance(other, str | int | float):
        return False
    first, second = quantity(one), quantity(str(other))
    return first is not None and first == second


def quantity(text: str) -> Decimal | None:
    """Return the number of a quantity such as `250m` or `1Gi`; None where it is none."""
    for suffix, power in (("n", -9), ("u", -6)):  # as metrics are written
        if text.endswith(suffix) and text[:-1].isdecimal():
            return Decimal(text[:-1]).scaleb(power)
    try:
        return parse_quantity(text) if len(text) <= 40 else None
    except (ValueError, InvalidOperation):
        return None


def touched(document: JSON, patch: JSON) -> JSON:
    """Return the part of a document that a patch names."""
    if not isinstance(patch, Mapping) or not isinstance(document, Mapping):
        return document
    parts = {key: touched(document[key], value) for key, value in patch.items() if key in document}
    return {key: part for key, part in parts.items() if part != {} or not patch[key]}


def digest(part: JSON) -> str:
    """Return what a part of an object is recognised by: 32 hexadecimal digits of its SHA-256."""
    text = json.dumps(part, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def diff(before: JSON, after: JSON) -> str:
    """Return the unified difference of two parts, as YAML, with what looks secret hidden."""
    old, new = (_lines(hide(part)) for part in (before, after))
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def _lines(part: JSON) -> list[str]:
    if part in (None, {}):
        return []
    return yaml.safe_dump(part, sort_keys=True, allow_unicode=True, width=120).splitlines()


def hide(document: JSON) -> JSON:
    """Return a document without the values that look secret by their names."""
    if isinstance(document, list):
        return [hide(item) for item in document]
    if not isinstance(document, Mapping):
        return document
    hidden = {
        key: HIDDEN if _secret(key, value) else hide(value) for key, value in document.items()
    }
    if _secret_variable(document):
        hidden["value"] = HIDDEN
    return hidden


def secrets_in(document: JSON, where: str = "") -> Iterator[str]:
    """Name the places of a document whose values look secret."""
    if isinstance(document, list):
        for number, item in enumerate(document):
            yield from secrets_in(item, f"{where}/{number}")
    elif isinstance(document, Mapping):
        if _secret_variable(document):
            yield f"{where} ({document['name']})"
        for key, value in document.items():
            if _secret(key, value):
                yield f"{where}/{key}"
            yield from secrets_in(value, f"{where}/{key}")


def _secret(key: str, value: Any) -> bool:
    """Say whether a key's own value is secret: `password: x`, and not `secretName: x`."""
    if key == "kubectl.kubernetes.io/last-applied-configuration":
        return True
    named = _SECRET.search(key) is not None and not key.endswith(("Name", "name"))
    return named and isinstance(value, str)


def _secret_variable(document: Mapping[str, JSON]) -> bool:
    """Say whether this is an environment variable whose value is written out."""
    name, value = document.get("name"), document.get("value")
    return isinstance(name, str) and isinstance(value, str) and bool(_SECRET.search(name))


def owner(document: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the reference to the controller that owns an object; empty where none does."""
    owners: Sequence[Mapping[str, JSON]] = document["metadata"].get("ownerReferences") or ()
    return next((one for one in owners if one.get("controller")), {})
