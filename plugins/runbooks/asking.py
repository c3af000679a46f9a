"""Tell the people who may approve that a plan waits for them: one message each, kept current.

The plan itself stands where the incident is. An updated message notifies nobody,
so without this an approver would learn of a waiting plan by chance.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from bot.domain.approvals import ANYONE
from bot.domain.messages import Bold, Link, Message, Moment, paragraph, quiet
from bot.domain.people import PersonId
from bot.domain.runs import Run, RunState
from bot.plugin import PluginContext
from bot.ports import ChatError, MessageRef
from plugins.runbooks.steps import risk_words

log = logging.getLogger(__name__)

# A group larger than this is not an on-call group, and asking all of it is noise.
MOST_ASKED = 12


def request_message(run: Run, link: str) -> Message:
    """Draw the request as it stands: what is asked while it waits, else how it ended."""
    title = Link(f"“{run.title}”", link)
    if run.state is not RunState.AWAITING or run.approval is None or run.plan is None:
        text = f"“{run.title}” needs no approval any more: {_ended(run)}."
        return Message(
            summary=text,
            parts=(paragraph(title, f" needs no approval any more: {_ended(run)}."),),
        )
    asks = f"{run.requester.name} asks for an approval of "
    return Message(
        summary=f"{asks}“{run.title}”",
        parts=(
            paragraph(asks, title, " · ", Bold(risk_words(run.plan.risk))),
            quiet("Look at the plan and answer there, by ", Moment(run.approval.answer_by), "."),
        ),
    )


def _ended(run: Run) -> str:
    started = (RunState.APPROVED, RunState.RUNNING, RunState.VERIFYING, RunState.SUCCEEDED)
    return "it was approved" if run.state in started else f"it is {run.state}"


class Asking:
    """Keeps the requests of all runs current."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def update(self, run: Run, plan: MessageRef) -> None:
        """Ask each possible approver once, and tell those who were asked how it ended."""
        if run.approval is None:
            return
        groups = {place.group for place in run.approval.quorum if place.group != ANYONE}
        people = await self._members(groups) - {run.requester.id, *run.approval.excluded}
        if not people or len(people) > MOST_ASKED:
            return
        message = request_message(run, await self._context.chat.link(plan))
        for person in sorted(people):
            await self._show(run, person, message)

    async def _show(self, run: Run, person: PersonId, message: Message) -> None:
        key = f"ask:{run.id}:{person}"
        known = await self._context.posts.get(key)
        if run.state is not RunState.AWAITING and known is None:
            return
        try:
            channel = known.channel if known else await self._context.chat.direct(person)
            await self._context.posts.show(key, message, channel=channel)
        except ChatError as error:
            log.warning("%s could not be asked about run %s: %s", person, run.id, error)

    async def _members(self, groups: Collection[str]) -> set[PersonId]:
        return {person for group in groups for person in await self._context.chat.members_of(group)}
