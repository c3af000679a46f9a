"""What people do with past incidents: look at them, search them, judge them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.alerts import GroupId
from bot.domain.documents import Found, Query
from bot.domain.errors import NotFound
from bot.domain.messages import FieldErrors, Form, Reply
from bot.domain.objections import objection_form, objection_in
from bot.domain.people import Caller
from bot.domain.relevance import Judged, query_of
from bot.plugin import InteractionRequest, PluginContext
from bot.ports import Judgement, SearchLabel
from plugins.similar.known_reading import check_reader
from plugins.similar.shelf import Shelf
from plugins.similar.stories import Story
from plugins.similar.views import (
    BECAUSE,
    LONGEST_WORDS,
    SHOWN_FIRST,
    WORDS,
    Asked,
    Shown,
    asked_in,
    similar_view,
)

_MOST_REMEMBERED = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was searched, and what was found."""

    query: Query
    found: Found


class Looking:
    """The handlers of the view.

    What a view shows is remembered for a while, so that a judgement, which the
    search learns from at once, does not shuffle the hits under the reader's
    hands. Where it is forgotten it is searched again.
    """

    def __init__(self, context: PluginContext, shelf: Shelf) -> None:
        self._context = context
        self._shelf = shelf
        self._answers: OrderedDict[tuple[str, str], Answer] = OrderedDict()

    async def show(self, request: InteractionRequest) -> Reply:
        """Show the past incidents that are most like an alert group."""
        check_reader(request.caller.person)
        asked = Asked(subject=request.value)
        await self._search(asked)
        return await self._view(asked, by=request.caller)

    async def others(self, request: InteractionRequest) -> Reply:
        """Show the next ones as well."""
        check_reader(request.caller.person)
        return await self._view(asked_in(request.value), by=request.caller)

    async def search(self, request: InteractionRequest) -> Reply:
        """Search for a person's own words."""
        check_reader(request.caller.person)
        words = " ".join(request.answers.get(WORDS, "").split())[:LONGEST_WORDS]
        if not words:
            return FieldErrors({WORDS: "Say what to search for."})
        asked = replace(asked_in(request.value), words=words, shown=SHOWN_FIRST, document="")
        await self._search(asked)
        return await self._view(asked, by=request.caller)

    async def useful(self, request: InteractionRequest) -> Reply:
        """Note that a hit was useful; saying so again changes nothing."""
        check_reader(request.caller.person)
        asked = asked_in(request.value)
        label = (await self._said(asked, request.caller)).get(asked.document)
        if label is None or label.judgement is not Judgement.USEFUL:
            await self._judge(asked, Judgement.USEFUL, reason="", by=request.caller)
        return await self._view(asked, by=request.caller)

    async def useless(self, request: InteractionRequest) -> Reply:
        """Ask why a hit is not the one."""
        check_reader(request.caller.person)
        asked = asked_in(request.value)
        story = self._story(asked.document)
        label = (await self._said(asked, request.caller)).get(asked.document)
        return objection_form(
            f"{story.title} ({story.id})",
            interaction=BECAUSE,
            value=asked.value,
            said=label.reason if label else "",
        )

    async def because(self, request: InteractionRequest) -> Reply:
        """Note that a hit was not the one, and why."""
        check_reader(request.caller.person)
        asked = asked_in(request.value)
        reason = objection_in(request.answers)
        await self._judge(asked, Judgement.USELESS, reason=reason, by=request.caller)
        return await self._view(asked, by=request.caller)

    async def learn(self) -> None:
        """Tell the search what people said of its hits so far."""
        await self._context.search.accept(await self._context.judging.acceptances())

    async def _judge(self, asked: Asked, judgement: Judgement, *, reason: str, by: Caller) -> None:
        answer = await self._answer(asked)
        judged = Judged(
            query=answer.query, found=answer.found, document=asked.document, subject=asked.subject
        )
        await self._context.judging.judge(judged, judgement, reason=reason, by=by)
        await self.learn()

    async def _view(self, asked: Asked, *, by: Caller) -> Form:
        answer, said = await self._answer(asked), await self._said(asked, by)
        past = [
            (hit, story)
            for hit in answer.found.hits
            if (story := self._shelf.get(hit.document.id)) is not None
        ]
        urls = await self._shelf.links.to(story for _, story in past[: asked.shown])
        shown = [
            Shown(hit=hit, story=story, url=urls.get(story.id, ""), label=said.get(story.id))
            for hit, story in past
        ]
        return similar_view(
            asked,
            shown,
            found=_as_shown(answer.found, shown, asked),
            searched=len(self._shelf),
            now=self._context.clock.now(),
        )

    async def _said(self, asked: Asked, by: Caller) -> Mapping[str, SearchLabel]:
        return await self._context.judging.said(asked.subject, by=by)

    async def _answer(self, asked: Asked) -> Answer:
        known = self._answers.get((asked.subject, asked.words))
        return known or await self._search(asked)

    async def _search(self, asked: Asked) -> Answer:
        """Search anew: for the group, or for a person's words, whenever that was."""
        group = await self._context.alerts.get(GroupId(asked.subject))
        if asked.words:
            query = Query(text=asked.words, at=self._context.clock.now())
            found = await self._shelf.matching(query, group)
        else:
            query = query_of(group)
            found = await self._shelf.like(query, group)
        answer = Answer(query=query, found=found)
        self._answers[asked.subject, asked.words] = answer
        while len(self._answers) > _MOST_REMEMBERED:
            self._answers.popitem(last=False)
        return answer

    def _story(self, id: str) -> Story:
        story = self._shelf.get(id)
        if story is None:
            raise NotFound("This incident is not a past one any more.")
        return story


def _as_shown(found: Found, shown: Sequence[Shown], asked: Asked) -> Found:
    """Return what was found, with a probability only where it is one of what is shown.

    It is that of the first hit, which may be past no more, and it was measured
    on alerts: of a person's words it says nothing.
    """
    if shown and shown[0].hit is found.hits[0] and not asked.words:
        return found
    return replace(found, confidence=None)
