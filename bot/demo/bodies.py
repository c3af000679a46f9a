"""Read JSON bodies and refuse bad ones with the field's name and the reason."""

from __future__ import annotations

import json

from aiohttp import web


def refusal(status: int, reason: str, **facts: object) -> web.Response:
    """Answer with an error that a person can act on."""
    return web.json_response({"error": reason, **facts}, status=status)


class BadRequest(Exception):
    """A body that is not what the endpoint takes; its text names the field."""


async def json_object(request: web.Request) -> dict[str, object]:
    """Return the body's JSON object.

    Raises:
        BadRequest: the body is something else.
    """
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not valid JSON") from error
    if not isinstance(body, dict):
        raise BadRequest("the body is not a JSON object")
    return body


def whole_number(body: dict[str, object], field: str, *, low: int, high: int) -> int:
    """Return a required whole number.

    Raises:
        BadRequest: it is missing, of another type or out of range.
    """
    value = body.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadRequest(f"{field} must be a whole number from {low} to {high}")
    return value


def text(body: dict[str, object], field: str, *, most: int) -> str:
    """Return a required text.

    Raises:
        BadRequest: it is missing, empty, too long or of another type.
    """
    value = body.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise BadRequest(f"{field} must be a text of 1 to {most} characters")
    return value
