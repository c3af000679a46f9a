"""Slack's cursors: where the next page begins, in base64."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from bot.practice.api.call import Call
from bot.practice.errors import SlackError

T = TypeVar("T")


def page(
    call: Call, entries: Sequence[T], *, default: int = 100, most: int = 1000
) -> tuple[list[T], str]:
    """Cut one page out of `entries`; give it and the next cursor, empty at the end.

    Raises:
        SlackError: `invalid_cursor` or `invalid_limit`.
    """
    limit = call.number("limit", default, most=most)
    start = _read(call.text("cursor"))
    cut = list(entries[start : start + limit])
    following = start + limit
    cursor = _write(following) if following < len(entries) else ""
    return cut, cursor


def _write(position: int) -> str:
    return base64.b64encode(f"next:{position}".encode()).decode()


def _read(cursor: str) -> int:
    if not cursor:
        return 0
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except (ValueError, binascii.Error):
        raise SlackError("invalid_cursor") from None
