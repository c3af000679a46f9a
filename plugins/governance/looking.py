"""The verbs that only show: `audit`, `freeze`, `approvals`, `policy`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from bot.domain.errors import Refused, TocsinError
from bot.domain.messages import Bold, Message, Part, Reply, note, paragraph, quiet
from bot.plugin import Command, CommandRequest, InteractionRequest, PluginContext
from plugins.governance import screens, waiting, words
from plugins.governance.adopting import RUNBOOK
from plugins.governance.links import Links

ENTRIES = 12
AHEAD = 14  # days of the calendar


class Looking:
    """The handlers of the reading verbs."""

    def __init__(self, context: PluginContext, links: Links) -> None:
        self._context = context
        self._links = links

    def commands(self, root: str) -> Sequence[Command]:
        """Return the verbs."""
        return (
            Command(
                root=root,
                verb="approvals",
                usage="",
                summary="list what waits for an approval or a review, and of whom",
                handler=self._approvals,
            ),
            Command(
                root=root,
                verb="freeze",
                usage="",
                summary="show the change freezes in force and announced",
                handler=self._freeze,
                aliases=("freezes",),
            ),
            Command(
                root=root,
                verb="audit",
                usage="[INC-n | type | #entry]",
                summary="read the ledger's newest entries, or one of them",
                handler=self._audit,
            ),
            Command(
                root=root,
                verb="policy",
                usage="",
                summary="show the policy in force, and request a proposed change of it",
                handler=self._policy,
            ),
        )

    async def _audit(self, request: CommandRequest) -> Reply:
        words.check_member(request.caller.person)
        asked = words.query(request.text)
        if asked.seq is not None:
            entry = await self._context.records.entry(asked.seq)
            return screens.entry(entry, more=self._links.to("entry", seq=str(asked.seq)))
        found = await self._context.records.entries(asked.wanted, limit=ENTRIES)
        wanted = {"incident": asked.wanted.incident, "type": asked.wanted.type}
        query = {name: value for name, value in wanted.items() if value}
        return screens.entries(found, more=self._links.to("ledger", **query))

    async def _freeze(self, request: CommandRequest) -> Reply:
        words.check_member(request.caller.person)
        now = self._context.clock.now()
        current = self._context.calendars.at(now)
        windows = self._context.calendars.between(now, now + timedelta(days=AHEAD))
        return screens.calendar(
            windows, current.faults, at=now, days=AHEAD, more=self._links.to("freezes")
        )

    async def _approvals(self, request: CommandRequest) -> Reply:
        words.check_member(request.caller.person)
        now = self._context.clock.now()
        runs = await self._context.records.awaiting()
        glasses = await self._context.emergencies.open_reviews(now)
        proposals = [a for a in await self._context.emergencies.authorisations() if a.waiting(now)]
        parts: list[Part] = []
        for found in await waiting.located(self._context, runs):
            parts += waiting.plan_lines(found)
        parts += waiting.others(len(runs))
        for glass in glasses[: waiting.MOST_SHOWN]:
            parts += waiting.review_lines(glass, at=now)
        parts += waiting.others(len(glasses))
        for proposal in proposals[: waiting.MOST_SHOWN]:
            parts += waiting.proposal_lines(proposal)
        if not parts:
            return note("Nothing waits for anybody.")
        parts.append(quiet("Plans are approved where they are shown, so that everybody sees it."))
        title = paragraph(Bold("What waits, and for whom"))
        return Message(
            summary="What waits, and for whom",
            parts=(title, *parts, *self._links.to("approvals")),
        )

    async def _policy(self, request: CommandRequest) -> Reply:
        words.check_member(request.caller.person)
        policies = self._context.policies
        try:
            proposal, difference = policies.proposal(), policies.difference()
        except TocsinError as fault:
            return screens.faulty(str(fault))
        return screens.policy(
            await policies.in_force(),
            proposal,
            difference,
            request=RUNBOOK in self._context.knowledge.runbooks,
            more=self._links.to("policy"),
        )

    async def change_policy(self, request: InteractionRequest) -> Reply:
        """Ask for the run that puts a proposal into force, in the alerts channel."""
        runbook = self._context.knowledge.runbooks.get(RUNBOOK)
        channel = self._context.channels().alerts
        if runbook is None:
            raise Refused("The runbook change-policy is not there any more.")
        if channel is None:
            raise screens.no_alerts_channel()
        await self._context.runs.request(
            runbook,
            {"digest": request.value},
            subject=f"channel:{channel}",
            labels={},
            incident=None,
            service=None,
            by=request.caller,
        )
        return screens.requested(request.value)
