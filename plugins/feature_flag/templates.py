"""What a request to this flag service looks like, and where the answer holds the flag."""

from __future__ import annotations

from bot.domain.actions import JSON, ActionFailed
from bot.domain.pointers import found

FLAG = "{flag}"
ENABLED = "{enabled}"


def filled(template: JSON, *, flag: str, enabled: bool) -> JSON:
    """Return a body with the flag's name and its new state in their places.

    A place is a text that is nothing but `{flag}` or `{enabled}`; within other
    text they stand for themselves.
    """
    if template == FLAG:
        return flag
    if template == ENABLED:
        return enabled
    if isinstance(template, dict):
        return {key: filled(part, flag=flag, enabled=enabled) for key, part in template.items()}
    if isinstance(template, list | tuple):
        return [filled(part, flag=flag, enabled=enabled) for part in template]
    return template


def mentions(template: JSON, place: str) -> bool:
    """Say whether a body has a place to fill."""
    if isinstance(template, dict):
        return any(mentions(part, place) for part in template.values())
    if isinstance(template, list | tuple):
        return any(mentions(part, place) for part in template)
    return bool(template == place)


def state_at(document: JSON, pointer: str) -> bool:
    """Return the true or false that a JSON Pointer (RFC 6901) leads to.

    Raises:
        ActionFailed: there is none; a number or a text is not taken for one.
    """
    there, value = found(document, pointer)
    if not there:
        raise ActionFailed(f"the flag service's answer has nothing at {pointer}")
    if not isinstance(value, bool):
        raise ActionFailed(f"the flag service's answer has no true or false at {pointer}")
    return value
