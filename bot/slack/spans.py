"""Spans of text, drawn as Slack's rich text elements or as mrkdwn.

Rich text takes plain strings literally and is used wherever Slack allows it;
mrkdwn remains for fields and small print, with everything escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bot.domain.messages import (
    Bold,
    ChannelName,
    Elapsed,
    Link,
    Mention,
    Moment,
    Mono,
    PersonName,
    Span,
    duration,
)
from bot.slack import limits
from bot.slack.escape import ELLIPSIS, clean, code, entities, literal

Json: TypeAlias = dict[str, Any]
Drawable: TypeAlias = "str | Bold | Mono | Link | Mention | ChannelName | Moment"

_ID = re.compile(r"[A-Z0-9]{2,64}")
_UNFIT = re.compile(r"[\s<>|\"\x00-\x1f\x7f]")
_RECENT = timedelta(hours=12)
_EDGES = frozenset("*`")
_BETWEEN = "\u200b"
"""Parts a mark from a word it touches: Slack knows emphasis only beside a word's edge."""


def rich(spans: Iterable[Span], *, now: datetime, limit: int = limits.TEXT) -> list[Json]:
    """Draw spans as elements of a rich text section."""
    kept = _within(_drawable(spans), limit, lambda span: len(_visible(span)))
    return [element for element in (_element(span, now) for span in kept) if element]


def mrkdwn(spans: Iterable[Span], *, now: datetime, limit: int = limits.TEXT) -> str:
    """Draw spans as mrkdwn of at most so many characters, markup included."""
    # Two characters are spared per span for what may have to part it from its neighbours.
    kept = _within(_drawable(spans), limit, lambda span: len(_markup(span, now)) + 2)
    return _joined([_markup(span, now) for span in kept if _visible(span)])


def plain(spans: Iterable[Span]) -> str:
    """Draw spans as a plain string."""
    return "".join(_visible(span) for span in _drawable(spans))


def mentions(spans: Iterable[Span]) -> list[str]:
    """Return the markup that notifies those whom the spans mention."""
    return [_called(span) for span in _drawable(spans) if isinstance(span, Mention)]


def safe_url(url: str) -> str | None:
    """Return an http or https address that can stand in markup, or None."""
    if len(url) > limits.URL or _UNFIT.search(url):
        return None
    try:
        parts = urlsplit(url)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return None
    return url if named else None


@dataclass(frozen=True)
class _Date:
    timestamp: int
    format: str
    fallback: str


def _drawable(spans: Iterable[Span]) -> list[Drawable]:
    return [_simple(span) for span in spans]


def _simple(span: Span) -> Drawable:
    """Reduce a span to what Slack has markup for; what must not be markup becomes text."""
    if isinstance(span, PersonName):
        return clean(span.name)
    if isinstance(span, Elapsed):
        return duration(span.seconds)
    if isinstance(span, Mention):
        return span if _ID.fullmatch(span.id) else "@" + clean(span.id)
    if isinstance(span, ChannelName):
        return span if _ID.fullmatch(span.id) else "#" + clean(span.id)
    if isinstance(span, Link):
        text = clean(span.text) or clean(span.url)
        url = safe_url(span.url)
        return Link(text, url) if url else text
    if isinstance(span, Moment):
        # Slack's dates are Unix times; a source may tell of times before all of them.
        return span if span.at.timestamp() >= 1 else _fallback(span.at)
    return _with_text(span, clean(_text(span)))


def _text(span: Drawable) -> str:
    if isinstance(span, str):
        return span
    return span.text if isinstance(span, Bold | Mono | Link) else ""


def _with_text(span: Drawable, text: str) -> Drawable:
    if isinstance(span, Bold):
        return Bold(text)
    if isinstance(span, Mono):
        return Mono(text)
    return Link(text, span.url) if isinstance(span, Link) else text


def _visible(span: Drawable) -> str:
    if isinstance(span, Mention):
        return "@" + span.id
    if isinstance(span, ChannelName):
        return "#" + span.id
    return _fallback(span.at) if isinstance(span, Moment) else _text(span)


def _within(
    spans: Sequence[Drawable], limit: int, cost: Callable[[Drawable], int]
) -> list[Drawable]:
    """Keep the spans that fit, shortening the one that does not fit any more."""
    if sum(map(cost, spans)) <= limit:
        return list(spans)
    kept: list[Drawable] = []
    left = limit - 1  # for the ellipsis
    for span in spans:
        price = cost(span)
        if price > left:
            kept += _shortened(span, left, cost)
            break
        kept.append(span)
        left -= price
    return kept


def _shortened(span: Drawable, left: int, cost: Callable[[Drawable], int]) -> list[Drawable]:
    text = _text(span)
    least, most = 0, len(text)
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (
            (middle, most) if cost(_with_text(span, text[:middle])) <= left else (least, middle - 1)
        )
    short = text[:least].rstrip()
    if short:
        return [_with_text(span, short + ELLIPSIS)]
    return [ELLIPSIS] if left >= 2 else []


def _element(span: Drawable, now: datetime) -> Json | None:
    if isinstance(span, Mention):
        if span.id.startswith("S"):
            return {"type": "usergroup", "usergroup_id": span.id}
        return {"type": "user", "user_id": span.id}
    if isinstance(span, ChannelName):
        return {"type": "channel", "channel_id": span.id}
    if isinstance(span, Moment):
        date = _date(span, now)
        return {"type": "date", **vars(date)}
    if not _text(span):
        return None
    if isinstance(span, Link):
        return {"type": "link", "url": span.url, "text": span.text}
    if isinstance(span, str):
        return {"type": "text", "text": span}
    style = "bold" if isinstance(span, Bold) else "code"
    return {"type": "text", "text": span.text, "style": {style: True}}


def _markup(span: Drawable, now: datetime) -> str:
    if isinstance(span, str):
        return literal(span)
    if isinstance(span, Bold):
        return _around(literal(" ".join(span.text.split())), "*")
    if isinstance(span, Mono):
        return _around(code(span.text), "`")
    if isinstance(span, Link):
        return f"<{entities(span.url)}|{literal(' '.join(span.text.split()))}>"
    if isinstance(span, Mention):
        return _called(span)
    if isinstance(span, ChannelName):
        return f"<#{span.id}>"
    date = _date(span, now)
    return f"<!date^{date.timestamp}^{date.format}|{date.fallback}>"


def _called(span: Mention) -> str:
    return f"<!subteam^{span.id}>" if span.id.startswith("S") else f"<@{span.id}>"


def _around(text: str, mark: str) -> str:
    return f"{mark}{text}{mark}" if text else ""


def _joined(pieces: Sequence[str]) -> str:
    """Join pieces so that emphasis begins and ends at an edge of a word."""
    joined = ""
    for piece in pieces:
        joined += (_BETWEEN if _stick(joined[-1:], piece[:1]) else "") + piece
    return joined


def _stick(left: str, right: str) -> bool:
    return (left in _EDGES and _tight(right)) or (right in _EDGES and _tight(left))


def _tight(character: str) -> bool:
    return character.isalnum() or character in _EDGES


def _date(span: Moment, now: datetime) -> _Date:
    recent = abs(now - span.at) < _RECENT
    return _Date(
        timestamp=int(span.at.timestamp()),
        format="{time}" if recent else "{date_short_pretty} at {time}",
        fallback=_fallback(span.at),
    )


def _fallback(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
