"""Links from Slack to the same thing in the browser, where the pages have an address."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from bot.domain.messages import Link, Part, quiet


class Links:
    """Knows the root address of the web pages; empty, there are no links."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")

    def to(self, page: str, **query: str) -> Sequence[Part]:
        """Return small print that leads to a page of this plugin, or nothing."""
        if not self._root:
            return ()
        asked = f"?{urlencode(query)}" if query else ""
        return (quiet(Link("More in the browser", f"{self._root}/pages/governance/{page}{asked}")),)
