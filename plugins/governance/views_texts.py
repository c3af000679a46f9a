"""Machine-made text for people: JSON and files, with nothing in them that hides."""

from __future__ import annotations

import json

from bot.domain.actions import JSON

_KEPT = frozenset("\n\t")


def visible(text: str) -> str:
    r"""Return a text with every character written out that shows nothing of itself.

    One that turns the direction of reading could make a rule read as its opposite
    (Boucher and Anderson, *Trojan Source*, 2021). It becomes `\u202e`.
    """
    return "".join(c if c.isprintable() or c in _KEPT else _escape(c) for c in text)


def pretty(value: JSON) -> str:
    """Return JSON for reading, its keys in order."""
    return visible(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
