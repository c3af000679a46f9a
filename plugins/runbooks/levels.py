"""How far the assistant may go with a runbook: the level of its least trusted action."""

from __future__ import annotations

from bot.domain.autonomy import Level, autonomy_key, least
from bot.domain.runbooks import Runbook
from bot.plugin import PluginContext


async def level_of(context: PluginContext, runbook: Runbook, service: str | None) -> Level:
    """Return the level for all steps of a runbook on a service; a page to read is just shown."""
    return (await levels_of(context, [runbook], service))[0]


async def levels_of(
    context: PluginContext, runbooks: list[Runbook], service: str | None
) -> list[Level]:
    """Return the levels of several runbooks, in their order."""
    if not any(runbook.executable for runbook in runbooks):
        return [Level.L2] * len(runbooks)
    stored = await context.autonomy.levels()
    return [
        least([stored.get(autonomy_key(uses, service), Level.L2) for uses in _actions(runbook)])
        for runbook in runbooks
    ]


def _actions(runbook: Runbook) -> list[str]:
    """Return what a page does, and by what it takes that back itself."""
    back = [step.undo.uses for step in runbook.steps if step.undo]
    return [*(step.uses for step in runbook.steps), *back]
