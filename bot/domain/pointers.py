"""JSON Pointers (RFC 6901): the one way by which pages and settings say where in an answer."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.actions import JSON


def found(document: JSON, pointer: str) -> tuple[bool, JSON]:
    """Return whether a pointer leads somewhere, and what is there."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return False, None
    return True, document
