"""Post-mortems and catch-ups as use cases.

The language model writes outside of any transaction: it may take seconds. Where
there is none, where it fails, and where its text has numbers that the record
does not have, the records tell the story themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

from bot.domain.alerts import GroupId
from bot.domain.events import Happening
from bot.domain.incidents import IncidentId
from bot.domain.ledger import Entry
from bot.domain.people import Caller
from bot.domain.postmortems import CatchUp, Postmortem, Prose, Records, draft
from bot.domain.prose import catch_up, facts, invented, latest
from bot.domain.runbooks import Runbook
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database, LanguageModel, ModelUnavailable, Prompts, Transaction

log = logging.getLogger(__name__)

SUMMARY_PROMPT = "postmortem_summary"
CATCH_UP_PROMPT = "catch_up"


@dataclass(frozen=True, kw_only=True)
class IncidentFacts:
    """The variables of both prompts: what is on record, one fact per line."""

    facts: str


class PostmortemService:
    """Drafts post-mortems and catch-ups. `runbooks` are the pages whose review may be due."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        prompts: Prompts,
        model: LanguageModel,
        *,
        runbooks: Collection[Runbook] = (),
    ) -> None:
        self._database = database
        self._clock = clock
        self._prompts = prompts
        self._model = model
        self._runbooks = tuple(runbooks)

    async def get(self, incident: IncidentId) -> Postmortem | None:
        """Return an incident's newest draft, if there is one."""
        async with self._database.reading() as view:
            return await view.postmortems.get(incident)

    async def draft(self, incident: IncidentId, *, by: Caller) -> Postmortem:
        """Draft the post-mortem of an incident from its records, and keep it.

        A later draft replaces an earlier one; the ledger keeps the digest of each.

        Raises:
            NotFound: there is no such incident.
            AlreadyDone: the same request was handled before.
        """
        records = await self._records(incident)
        prose = await self._written(SUMMARY_PROMPT, records)
        postmortem = draft(records, at=self._clock.now(), by=by.person, prose=prose)
        async with self._database.transaction(once=by.request) as tx:
            await tx.postmortems.save(postmortem)
            await self._tell(tx, postmortem, by=by)
        return postmortem

    async def catch_up(self, incident: IncidentId) -> CatchUp:
        """Tell a person who joins now where an incident stands.

        Raises:
            NotFound: there is no such incident.
        """
        records, now = await self._records(incident), self._clock.now()
        prose = await self._written(CATCH_UP_PROMPT, records)
        prose = prose or Prose(text=catch_up(records, at=now))
        return CatchUp(incident=records.incident, at=now, prose=prose, latest=latest(records))

    async def _records(self, id: IncidentId) -> Records:
        async with self._database.reading() as view:
            incident = await view.incidents.get(id)
            subjects = [id, *incident.groups]
            return Records(
                incident=incident,
                groups=tuple([await view.groups.get(GroupId(group)) for group in incident.groups]),
                runs=tuple(await view.runs.of(subjects)),
                timeline=tuple(await view.timeline.of(subjects)),
                runbooks=self._runbooks,
            )

    async def _written(self, prompt: str, records: Records) -> Prose | None:
        """Let the language model write, or return None where its text cannot be used."""
        known = facts(records, at=self._clock.now())
        try:
            text = await self._model.write(self._prompts.render(prompt, IncidentFacts(facts=known)))
        except ModelUnavailable as why:
            log.info("the records tell it themselves: %s", why)
            return None
        numbers = invented(text, known)
        if numbers:
            log.warning("a model's text was not used, its numbers are not on record: %s", numbers)
            return None
        return Prose(text=text, writer=self._model.name)

    async def _tell(self, tx: Transaction, postmortem: Postmortem, *, by: Caller) -> None:
        at = postmortem.drafted_at
        person = by.person
        await tx.timeline.add(
            TimelineEntry(
                subject=postmortem.incident,
                at=at,
                kind=TimelineKind.INCIDENT,
                text="drafted the post-mortem",
                actor=person.actor,
                actor_name=person.name,
            )
        )
        await tx.ledger.append(self._entry(postmortem, by=by))
        await tx.outbox.add(
            Happening(
                kind="incident", subject=postmortem.incident, change="postmortem drafted", at=at
            )
        )

    def _entry(self, postmortem: Postmortem, *, by: Caller) -> Entry:
        body: dict[str, object] = {
            "document_sha256": postmortem.digest,
            "timeline_entries": len(postmortem.timeline),
        }
        if postmortem.by_model:
            body["prompt"] = SUMMARY_PROMPT
            body["prompt_sha256"] = self._prompts.digest(SUMMARY_PROMPT)
        return Entry(
            type="postmortem.drafted",
            actor=by.person.actor,
            at=postmortem.drafted_at,
            incident=postmortem.incident,
            model_version=postmortem.writer if postmortem.by_model else None,
            body=body,
        )
