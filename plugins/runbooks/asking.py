"""Tell the people who may approve that a plan waits for them: one message each, kept current.

The plan itself stands where the incident is. An updated message notifies nobody,
so without this an approver would learn of a waiting plan by chance.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime

from bot.domain.actions import Risk
from bot.domain.approvals import ANYONE
from bot.domain.errors import NotFound
from bot.domain.incidents import IncidentId
from bot.domain.messages import Bold, Link, Message, Moment, paragraph, quiet
from bot.domain.people import ON_CALL, PersonId
from bot.domain.runs import Run, RunState
from bot.plugin import PluginContext
from bot.ports import ChatError, MessageRef
from plugins.runbooks.consent import vetoable
from plugins.runbooks.steps import risk_words

log = logging.getLogger(__name__)

# A group larger than this is not an on-call group, and asking all of it is noise.
MOST_ASKED = 12


def request_message(run: Run, link: str) -> Message:
    """Draw the request as it stands: what is asked while it waits, else how it ended."""
    title = Link(f"“{run.title}”", link)
    if run.state is not RunState.AWAITING or run.approval is None or run.plan is None:
        return _over(run, title)
    if vetoable(run.approval) and run.approval.veto_until is not None:
        return _announcement(run, title, run.plan.risk, run.approval.veto_until)
    asks = f"{run.requester.name} asks for an approval of "
    return Message(
        summary=f"{asks}“{run.title}”",
        parts=(
            paragraph(asks, title, " · ", Bold(risk_words(run.plan.risk))),
            quiet("Look at the plan and answer there, by ", Moment(run.approval.answer_by), "."),
        ),
    )


def _announcement(run: Run, title: Link, risk: Risk, until: datetime) -> Message:
    text = f"{run.requester.name} begins by itself with "
    return Message(
        summary=f"{text}“{run.title}” unless somebody stops it",
        parts=(
            paragraph(text, title, " at ", Moment(until), " · ", Bold(risk_words(risk))),
            quiet("Nobody has to approve it. To keep it from happening, press “Stop it…” there."),
        ),
    )


def _over(run: Run, title: Link) -> Message:
    what = "needs no approval any more" if run.plan and run.plan.quorum else "is settled"
    text = f"“{run.title}” {what}: {_ended(run)}."
    return Message(summary=text, parts=(paragraph(title, f" {what}: {_ended(run)}."),))


def _ended(run: Run) -> str:
    if run.state not in _BEGUN:
        return f"it is {run.state}"
    return "it was approved" if run.plan and run.plan.quorum else "nobody stopped it"


_BEGUN = frozenset(
    {
        RunState.APPROVED,
        RunState.RUNNING,
        RunState.VERIFYING,
        RunState.MANUAL,
        RunState.SUCCEEDED,
        RunState.ROLLING_BACK,
        RunState.ROLLED_BACK,
    }
)


class Asking:
    """Keeps the requests of all runs current."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    async def update(self, run: Run, plan: MessageRef) -> None:
        """Ask each possible approver once, and tell those who were asked how it ended.

        Of what only waits for a veto, those on call for the service are told: who
        is not told cannot stop it.
        """
        approval = run.approval
        if approval is None or run.plan is None:
            return
        groups = {place.group for place in approval.quorum if place.group != ANYONE}
        if vetoable(approval) and run.plan.team:
            groups = {f"{run.plan.team}{ON_CALL}"}
        people = await self._members(groups, run) - {run.requester.id, *approval.excluded}
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

    async def _members(self, groups: Collection[str], run: Run) -> set[PersonId]:
        """Return who fills a place: of a user group, of a team, or with a part in the incident."""
        found: set[PersonId] = set()
        for group in groups:
            kind, _, name = group.rpartition(":")
            if kind == "role":
                found |= await self._holders(name, run)
                continue
            for handle in (name, f"{name}{ON_CALL}") if kind == "team" else (name,):
                found |= set(await self._context.chat.members_of(handle))
        return found

    async def _holders(self, role: str, run: Run) -> set[PersonId]:
        if run.incident is None:
            return set()
        try:
            incident = await self._context.incidents.get(IncidentId(run.incident))
        except NotFound:
            return set()
        return {person.id for held, person in incident.roles.items() if held.value == role}
