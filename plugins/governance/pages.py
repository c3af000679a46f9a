"""The pages of governance in the browser: `/pages/governance/…`.

They show and change nothing. What concerns everybody (approvals, freezes,
switches) is for members; levels, decisions and reviews for responders; what is
written about people, and the proofs, for auditors.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.plugin import Page, PluginContext
from plugins.governance.pages_brakes import BrakePages
from plugins.governance.pages_record import RecordPages
from plugins.governance.pages_rules import RulesPages


class Pages:
    """Every page of the plugin."""

    def __init__(self, context: PluginContext) -> None:
        self._parts = (BrakePages(context), RulesPages(context), RecordPages(context))

    def all(self) -> Sequence[Page]:
        """Return the pages in the order of the menu."""
        return [page for part in self._parts for page in part.all()]
