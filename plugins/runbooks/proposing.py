"""Offer a draft of a runbook after an incident that had none, for review in git."""

from __future__ import annotations

from bot.domain.incidents import Incident, IncidentId
from bot.domain.messages import Button, Message, Mono, paragraph
from bot.plugin import InteractionRequest, PluginContext

PROPOSE = "runbooks.propose"


class Proposing:
    """Drafts pages from what people did; nothing is merged by a press."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def propose(self, request: InteractionRequest) -> Message:
        """Write the draft, and say where it lies.

        Raises:
            Refused: a runbook was run for the incident, or a draft is there already.
        """
        path = await self._context.proposals.propose(IncidentId(request.value))
        told = "A draft from this incident's timeline lies on the bot's machine, for review in git:"
        return Message(summary=f"{told} {path}", parts=(paragraph(f"{told} ", Mono(str(path))),))


def propose_button(incident: Incident) -> Button | None:
    """Offer a draft once the incident is over."""
    if incident.status.open:
        return None
    return Button(label="Draft a runbook", interaction=PROPOSE, value=incident.id)
