"""Matchers as arguments, as people read them, and as Alertmanager's filters.

A value travels quoted, so that whatever an alert's label holds stays a value
(syntax: https://prometheus.io/docs/alerting, "Matcher").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.actions import JSON, ActionFailed

Matcher = Mapping[str, Any]

SCHEMA: Mapping[str, JSON] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 20,
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$", "maxLength": 200},
            "value": {"type": "string", "maxLength": 1000},
            "regex": {"type": "boolean"},
            "equal": {"type": "boolean"},
        },
        "required": ["name", "value"],
        "additionalProperties": False,
    },
}
_SIGNS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}


def written(matcher: Matcher) -> str:
    """Return a matcher as Alertmanager reads it, with its value quoted."""
    sign = _SIGNS[matcher.get("equal", True), matcher.get("regex", False)]
    value = matcher["value"].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{matcher["name"]}{sign}"{value}"'


def shown(matchers: Sequence[Matcher]) -> str:
    """Return matchers for people: `{alertname="HighLatency", env="prod"}`."""
    return "{" + ", ".join(written(matcher) for matcher in matchers) + "}"


def as_sent(matchers: Sequence[Matcher]) -> Sequence[Mapping[str, JSON]]:
    """Return matchers as the body of a silence holds them."""
    return [
        {
            "name": matcher["name"],
            "value": matcher["value"],
            "isRegex": matcher.get("regex", False),
            "isEqual": matcher.get("equal", True),
        }
        for matcher in matchers
    ]


def as_received(matchers: JSON) -> Sequence[Matcher]:
    """Return the matchers of a silence that Alertmanager shows."""
    return [
        {
            "name": str(each.get("name")),
            "value": str(each.get("value")),
            "regex": bool(each.get("isRegex")),
            "equal": bool(each.get("isEqual", True)),
        }
        for each in matchers
        if isinstance(each, dict)
    ]


def check_narrow(matchers: Sequence[Matcher]) -> None:
    """Refuse to silence by patterns and exclusions alone, which may match everything.

    Raises:
        ActionFailed: no label is named with its exact value.
    """
    exact = (
        matcher["value"] and matcher.get("equal", True) and not matcher.get("regex", False)
        for matcher in matchers
    )
    if not any(exact):
        raise ActionFailed("one matcher has to be an exact value, so that a silence stays narrow")
