"""Slack's limits, all in one place. Whatever exceeds them is cut with an ellipsis."""

from __future__ import annotations

from dataclasses import dataclass

TEXT = 3000
"""Characters in a text object, in a modal's metadata and in an input."""
FIELD = 2000
"""Characters in one field of a section."""
FIELDS = 10
"""Fields of one section."""
HEADER = 150
BUTTON = 75
BUTTON_VALUE = 2000
ACTION_ID = 255
BUTTONS = 25
"""Elements of one row of buttons."""
CONFIRM_TITLE = 100
CONFIRM_TEXT = 300
CONFIRM_BUTTON = 30
VIEW_TITLE = 24
"""Characters in a modal's title and in its two buttons."""
LABEL = 2000
OPTION = 75
OPTIONS = 100
TOPIC = 250
CHANNEL_NAME = 80
HELP_TEXT = 2000
"""Characters of a command's description or usage hint in the manifest."""
URL = 2000


@dataclass(frozen=True)
class Surface:
    """How much a place holds: blocks, and characters of text in all of them."""

    blocks: int
    text: int


# Slack refuses messages of some 11 to 13 thousand characters of blocks without
# documenting where exactly; views are bounded by their JSON, 250 kB.
MESSAGE = Surface(blocks=50, text=9500)
MODAL = Surface(blocks=100, text=60_000)
HOME = Surface(blocks=100, text=60_000)
