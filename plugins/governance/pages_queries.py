"""What an address may ask a page for: anybody can type one, so everything is checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from bot.domain.errors import Refused

HOME = "/pages/governance/"
MOST = 128  # characters; ids and pseudonyms are shorter
_NUMBER = re.compile(r"[0-9]{1,15}")


def address(path: str, **query: object) -> str:
    """Return the address of one of our pages; what is None or empty is left out."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return HOME + path + (f"?{urlencode(given, errors='replace')}" if given else "")


def word(query: Mapping[str, str], name: str) -> str:
    """Return a plain text from an address; empty where it asks for none.

    Raises:
        Refused: it is too long, or holds what nobody can read.
    """
    text = query.get(name, "").strip()
    if len(text) > MOST or not text.isprintable():
        raise Refused(f"The {name} in the address is too long, or is not plain text.")
    return text


def wanted(query: Mapping[str, str], name: str) -> str:
    """Return a plain text that the page cannot do without.

    Raises:
        Refused: it is missing, too long, or holds what nobody can read.
    """
    text = word(query, name)
    if not text:
        raise Refused(f"The address names no {name}.")
    return text


def number(query: Mapping[str, str], name: str) -> int | None:
    """Return a number of a ledger entry from an address; None where it asks for none.

    Raises:
        Refused: it is no such number.
    """
    text = word(query, name)
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise Refused(f"“{text[:40]}” is not the number of a ledger entry.")
    return int(text)


def entry_number(query: Mapping[str, str]) -> int:
    """Return the number of the entry that a page is about.

    Raises:
        Refused: the address names none.
    """
    seq = number(query, "seq")
    if seq is None:
        raise Refused("The address names no ledger entry.")
    return seq
