"""What people say of runbooks that the search found, kept as labels that it learns from."""

from __future__ import annotations

from bot.domain.errors import NotFound, Refused
from bot.domain.messages import Reply
from bot.domain.objections import objection_form, objection_in
from bot.domain.people import Caller
from bot.domain.relevance import Judged
from bot.domain.runbooks import Runbook
from bot.plugin import InteractionRequest, PluginContext
from bot.ports import Judgement, SearchLabel
from plugins.runbooks.choosing import Choosing
from plugins.runbooks.forms import unpack
from plugins.runbooks.judging import BECAUSE
from plugins.runbooks.subjects import Subject, subject_of
from plugins.runbooks.suggestions import KIND

_MOST_SEARCHED = 10


class Fitting:
    """The handlers of the two buttons, which show the form again with the answer in it."""

    def __init__(self, context: PluginContext, choosing: Choosing) -> None:
        self._context = context
        self._choosing = choosing

    async def useful(self, request: InteractionRequest) -> Reply:
        """Note that a runbook was the right one; saying so again changes nothing."""
        subject, runbook = await self._meant(request.value)
        label = await self._said(subject, runbook, request.caller)
        if label is None or label.judgement is not Judgement.USEFUL:
            await self._judge(subject, runbook, Judgement.USEFUL, by=request.caller)
        return await self._choosing.form(subject, runbook, by=request.caller)

    async def useless(self, request: InteractionRequest) -> Reply:
        """Ask why a runbook is not the right one."""
        subject, runbook = await self._meant(request.value)
        label = await self._said(subject, runbook, request.caller)
        return objection_form(
            runbook.title,
            interaction=BECAUSE,
            value=request.value,
            said=label.reason if label else "",
        )

    async def because(self, request: InteractionRequest) -> Reply:
        """Note that a runbook was not the right one, and why."""
        subject, runbook = await self._meant(request.value)
        reason = objection_in(request.answers)
        await self._judge(subject, runbook, Judgement.USELESS, reason=reason, by=request.caller)
        return await self._choosing.form(subject, runbook, by=request.caller)

    async def _judge(
        self,
        subject: Subject,
        runbook: Runbook,
        judgement: Judgement,
        *,
        reason: str = "",
        by: Caller,
    ) -> None:
        if subject.query is None:
            raise Refused("Nothing was searched for here, so there is nothing to judge.")
        found = await self._context.search.find(subject.query, kinds=(KIND,), limit=_MOST_SEARCHED)
        judged = Judged(query=subject.query, found=found, document=runbook.id, subject=subject.id)
        await self._context.judging.judge(judged, judgement, reason=reason, by=by)
        await self._context.search.accept(await self._context.judging.acceptances())

    async def _said(self, subject: Subject, runbook: Runbook, by: Caller) -> SearchLabel | None:
        return (await self._context.judging.said(subject.id, by=by)).get(runbook.id)

    async def _meant(self, value: str) -> tuple[Subject, Runbook]:
        id, name = unpack(value)
        runbook = self._context.knowledge.runbooks.get(name)
        if runbook is None:
            raise NotFound("This runbook does not exist any more.")
        return await subject_of(self._context, id), runbook
