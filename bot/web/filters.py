"""What templates say in one way everywhere: moments, spans of time, digests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

NOTHING = "\N{EN DASH}"
_SHORT = 12  # characters of a digest that people compare


def moment(at: datetime | None) -> Markup | str:
    """Return a moment in UTC, readable by people and machines: `2026-11-20 12:00:00 UTC`."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    return _time(utc, f"{utc:%Y-%m-%d %H:%M:%S} UTC", title="")


def ago(at: datetime | None, *, now: datetime) -> Markup | str:
    """Return how far a moment is from now: `3 h ago`, `in 5 min`; the moment as its title."""
    if at is None:
        return NOTHING
    utc = at.astimezone(UTC)
    away = (utc - now).total_seconds()
    text = "now" if abs(away) < 1 else f"in {span(away)}" if away > 0 else f"{span(-away)} ago"
    return _time(utc, text, title=f"{utc:%Y-%m-%d %H:%M:%S} UTC")


def span(length: timedelta | float | None) -> str:
    """Return a length of time (seconds, where it is a number) by its two largest units."""
    if length is None:
        return NOTHING
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def digest(text: str | bytes | None) -> Markup | str:
    """Return the beginning of a digest, and the whole as its title."""
    if not text:
        return NOTHING
    whole = text.hex() if isinstance(text, bytes) else text
    shown = whole if len(whole) <= _SHORT + 1 else whole[:_SHORT] + "…"
    return Markup('<code class="digest" title="{}">{}</code>').format(whole, shown)


def _time(at: datetime, text: str, *, title: str) -> Markup:
    machine = f"{at:%Y-%m-%dT%H:%M:%S}Z"
    if not title:
        return Markup('<time datetime="{}">{}</time>').format(machine, text)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(machine, title, text)
