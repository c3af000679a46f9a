"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.kubernetes.shapes import Object, Shape
from tests.kubernetes.statuses import bad_request

_SET = re.compile(r"\s*([^\s!=,()]+)\s+(in|notin)\s+\(([^)]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s=!,()]*)\s*")
_THERE = re.compile(r"\s*(!?)([^\s!=,()]+)\s*")

Wanted = Callable[[Object], bool]


def selector(shape: Shape, labels: str, fields: str) -> Wanted:
    """Return what says whether an object is selected."""
    tests = [*_label_tests(labels), *_field_tests(shape, fields)]
    return lambda thing: all(test(thing) for test in tests)


def _label_tests(text: str) -> list[Wanted]:
    parts = re.split(r",(?![^(]*\))", text) if text else []
    return [_label_test(part) for part in parts]


def _label_test(part: str) -> Wanted:
    if found := _SET.fullmatch(part):
        key, word, values = found[1], found[2], {v.strip() for v in found[3].split(",")}
        return lambda thing: (_labels(thing).get(key) in values) == (word == "in")
    if found := _EQUAL.fullmatch(part):
        key, sign, value = found[1], found[2], found[3]
        return lambda thing: (_labels(thing).get(key) == value) == (sign != "!=")
    if found := _THERE.fullmatch(part):
        absent, key = found[1] == "!", found[2]
        return lambda thing: (key in _labels(thing)) != absent
    raise bad_request(f"unable to parse requirement: {part}")


def _field_tests(shape: Shape, text: str) -> list[Wanted]:
    return [_field_test(shape, part) for part in (text.split(",") if text else [])]


def _field_test(shape: Shape, part: str) -> Wanted:
    found = _EQUAL.fullmatch(part)
    if found is None:
        raise bad_request(f"invalid selector: {part!r}; can't understand it")
    field, sign, value = found[1], found[2], found[3]
    if field not in ("metadata.name", "metadata.namespace", *shape.selectable):
        raise bad_request(f'field label not supported: "{field}"')
    return lambda thing: (_field(thing, field) == value) == (sign != "!=")


def _labels(thing: Object) -> dict[str, str]:
    labels: dict[str, str] = thing["metadata"].get("labels", {})
    return labels


def _field(thing: Object, field: str) -> str:
    found: Any = thing
    for token in field.split("."):
        found = found.get(token, "") if isinstance(found, dict) else ""
    return str(found).lower() if isinstance(found, bool) else str(found)
