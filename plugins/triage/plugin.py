"""The plugin: asked about an alert group, it answers with one finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from typing_extensions import override

from bot.domain.alerts import AlertGroup
from bot.domain.findings import Finding
from bot.domain.incidents import Incident
from bot.plugin import Plugin, PluginSettings
from plugins.triage.rules import assess


class Triage(Plugin[PluginSettings]):
    """Proposes a severity for alerts. An incident's severity was set by a person."""

    name: ClassVar[str] = "triage"

    @override
    async def findings(self, subject: AlertGroup | Incident) -> Sequence[Finding]:
        if isinstance(subject, Incident):
            return ()
        return (assess(subject, self.context.knowledge.catalog),)
