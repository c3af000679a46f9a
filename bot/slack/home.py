"""The home page: what the plugins have to say to one person, under each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.messages import Divider, Message, Part, paragraph
from bot.slack import limits
from bot.slack.blocks import draw, parts_of
from bot.slack.spans import Json


def render_home(sections: Sequence[Message], *, now: datetime) -> Json:
    """Draw a home page; with nothing to say it says so."""
    parts: list[Part] = []
    for section in sections:
        parts += [Divider()] if parts else []
        parts += parts_of(section)
    quiet = [paragraph("Nothing needs you right now.")]
    return {"type": "home", "blocks": draw(parts or quiet, now=now, surface=limits.HOME)}
