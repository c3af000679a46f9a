"""A request's body: within a size, unpacked, decoded. Nothing is read beyond the limit."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

from bot.domain.errors import Unreadable

_GZIP = zlib.MAX_WBITS | 16


class TooLarge(Exception):
    """A body beyond the limit, packed or unpacked."""


async def collect(stream: AsyncIterator[bytes], *, limit: int) -> bytes:
    """Read a body chunk by chunk.

    Raises:
        TooLarge: as soon as more than `limit` bytes have come.
    """
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > limit:
            raise TooLarge
    return bytes(body)


def unpack(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Undo a content encoding without ever holding more than `limit` bytes.

    Raises:
        TooLarge: the body unpacks to more.
        Unreadable: the encoding is unknown, or the data is broken.
    """
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise Unreadable("content-encoding", f"{encoding[:40]!r} is not gzip or identity")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable("body", f"is not gzip: {error}") from None
    if len(plain) > limit:
        raise TooLarge
    if not unpacker.eof:
        raise Unreadable("body", "the gzip data ends early")
    if unpacker.unused_data:
        raise Unreadable("body", "goes on after the end of the gzip data")
    return plain


def decode(body: bytes) -> Any:
    """Return the JSON value of a body.

    Raises:
        Unreadable: it is not JSON, with the place of the fault.
    """
    try:
        return json.loads(body, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at line {error.lineno} column {error.colno}"
        raise Unreadable("body", f"is not JSON: {reason}") from None
    except UnicodeError:
        raise Unreadable("body", "is not UTF-8") from None
    except RecursionError:
        raise Unreadable("body", "is nested too deeply") from None
    except ValueError as error:
        raise Unreadable("body", f"is not JSON: {error}") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")
