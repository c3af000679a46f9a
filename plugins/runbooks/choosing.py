"""From a wish to a run: suggest, ask for a runbook and its parameters, request it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bot.domain.autonomy import Level
from bot.domain.documents import Query
from bot.domain.errors import NotFound, Refused
from bot.domain.messages import FieldErrors, Form, Reply
from bot.domain.people import Caller
from bot.domain.runbooks import Runbook
from bot.plugin import CommandRequest, InteractionRequest, PluginContext
from plugins.runbooks.forms import CHOICE, choose, faults, given_in, unpack
from plugins.runbooks.judging import judging_parts
from plugins.runbooks.levels import levels_of
from plugins.runbooks.listing import listing
from plugins.runbooks.pages import page
from plugins.runbooks.subjects import CHANNEL, Subject, subject_in, subject_of
from plugins.runbooks.suggestions import KIND, Suggestion, direct, searched
from plugins.runbooks.watching import Watching

_MOST_SEARCHED = 3
_MOST_LISTED = 5


class Choosing:
    """The handlers that lead to a run."""

    def __init__(self, context: PluginContext, watching: Watching) -> None:
        self._context = context
        self._watching = watching

    async def suggest(self, subject: Subject) -> list[Suggestion]:
        """Return what fits a subject, best first: direct matches, then the search's.

        What the assistant is not trusted with there (below L2) it does not suggest;
        people find it all the same.
        """
        runbooks = self._context.knowledge.runbooks
        found = direct(runbooks.values(), subject.group) if subject.group else []
        if subject.query:
            known = {suggestion.runbook.id for suggestion in found}
            others = await self._search(subject.query)
            found += [other for other in others if other.runbook.id not in known]
        books = [suggestion.runbook for suggestion in found]
        levels = await levels_of(self._context, books, subject.service)
        return [s for s, level in zip(found, levels, strict=True) if level >= Level.L2]

    async def _search(self, query: Query) -> list[Suggestion]:
        found = await self._context.search.find(query, kinds=(KIND,), limit=_MOST_SEARCHED)
        return searched(found, self._context.knowledge.runbooks, names=query.names)

    async def open(self, request: InteractionRequest) -> Reply:
        """Open the form for a subject, with the best suggestion chosen."""
        subject = await subject_of(self._context, request.value)
        suggestions = await self.suggest(subject)
        runbooks = self._context.knowledge.runbooks
        if not runbooks:
            raise Refused("There are no runbooks yet.")
        first = min(runbooks.values(), key=lambda runbook: runbook.title)
        shown = suggestions[0].runbook if suggestions else first
        await self._watching.opened(shown, subject.id, request.caller)
        return await self.form(subject, shown, suggestions=suggestions, by=request.caller)

    async def pick(self, request: InteractionRequest) -> Reply:
        """Open the form with one runbook chosen already."""
        subject_id, id = unpack(request.value)
        subject, runbook = await subject_of(self._context, subject_id), self._runbook(id)
        await self._watching.opened(runbook, subject.id, request.caller)
        return await self.form(subject, runbook, by=request.caller)

    async def submit(self, request: InteractionRequest) -> Reply:
        """Ask for the run, or show the form of another runbook that was chosen."""
        subject_id, shown = unpack(request.value)
        runbook = self._runbook(request.answers.get(CHOICE) or shown)
        subject = await subject_of(self._context, subject_id)
        if runbook.id != shown or not runbook.executable:
            await self._watching.opened(runbook, subject.id, request.caller)
        if runbook.id != shown:
            return await self.form(subject, runbook, by=request.caller)
        if not runbook.executable:
            return page(runbook, today=self._context.clock.now().date())
        given = given_in(request.answers)
        if wrong := faults(runbook, given):
            return FieldErrors(wrong)
        # The labels have filled the form already; what a person cleared stays cleared.
        await self._context.runs.request(
            runbook,
            given,
            subject=subject.id,
            labels={},
            incident=subject.incident,
            service=subject.service,
            by=request.caller,
        )
        return None

    async def read(self, request: InteractionRequest) -> Reply:
        """Show a runbook's page."""
        runbook = self._runbook(request.value)
        await self._watching.opened(runbook, f"{CHANNEL}{request.channel}", request.caller)
        return page(runbook, today=self._context.clock.now().date())

    async def command(self, request: CommandRequest) -> Reply:
        """List the runbooks that fit the channel's incident, or a query."""
        subject = await subject_in(self._context, request.channel)
        query = " ".join(request.words)
        found = await self._asked_for(query) if query else await self.suggest(subject)
        if not query and not found:
            found = self._all()
        return listing(found[:_MOST_LISTED], subject=subject.id, query=query)

    async def _asked_for(self, query: str) -> list[Suggestion]:
        """Return what a person's words find; they judge it themselves."""
        runbooks = self._context.knowledge.runbooks
        asked = Query(text=query)
        found = await self._context.search.find(asked, kinds=(KIND,), limit=_MOST_LISTED)
        return [
            Suggestion(
                runbook=runbooks[hit.document.id],
                direct=False,
                reason=", ".join(hit.matched) or "close in meaning",
            )
            for hit in found.hits
            if hit.document.id in runbooks
        ]

    def _all(self) -> list[Suggestion]:
        runbooks = sorted(self._context.knowledge.runbooks.values(), key=lambda r: r.title)
        return [Suggestion(runbook=r, reason=f"owned by {r.owner}", direct=False) for r in runbooks]

    def _runbook(self, id: str) -> Runbook:
        runbook = self._context.knowledge.runbooks.get(id)
        if runbook is None:
            raise NotFound("This runbook does not exist any more.")
        return runbook

    async def form(
        self,
        subject: Subject,
        shown: Runbook,
        *,
        by: Caller,
        suggestions: Sequence[Suggestion] | None = None,
    ) -> Form:
        """Draw the form with one runbook chosen; one that the search found can be judged."""
        if suggestions is None:
            suggestions = await self.suggest(subject)
        knowledge = self._context.knowledge
        form = choose(
            knowledge.runbooks,
            suggestions,
            shown=shown,
            subject=subject.id,
            labels=subject.labels,
            catalog=knowledge.catalog,
        )
        found = any(s.runbook.id == shown.id and not s.direct for s in suggestions)
        if not found:
            return form
        said = await self._context.judging.said(subject.id, by=by)
        parts = judging_parts(subject.id, shown.id, said.get(shown.id))
        return replace(form, parts=(*form.parts, *parts))
