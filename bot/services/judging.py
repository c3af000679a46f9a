"""What people think of what the search found: Useful, or Not this one and why.

A row is written only when a person presses a button: the assistant never labels
its own hits, nor does it take silence, a click on a link or a run for a
judgement. The rows train the ranker and tell it which documents helped; they
are no part of the record, and people stand in them by their pseudonyms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bot.domain.documents import Acceptance
from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, check_member
from bot.domain.relevance import Judged
from bot.ports import Clock, Database, Judgement, Privacy, SearchLabel

LONGEST_REASON = 200  # characters


class JudgingService:
    """Keeps people's judgements, and counts them by document."""

    def __init__(self, database: Database, clock: Clock, privacy: Privacy) -> None:
        self._database = database
        self._clock = clock
        self._privacy = privacy

    async def judge(
        self, judged: Judged, judgement: Judgement, *, reason: str = "", by: Caller
    ) -> SearchLabel:
        """Keep a person's word on a hit; of several on the same one their newest counts.

        `reason` says why it was not the one; it is cut to `LONGEST_REASON`.

        Raises:
            Refused: no full member judges, or the document is not among what was found.
            AlreadyDone: the same request was handled before.
        """
        check_member(by.person, does="say whether a hit was useful")
        label = self._label(judged, judgement, reason=reason, by=by)
        async with self._database.transaction() as tx:
            if not await tx.labels.add(label):
                raise AlreadyDone(by.request)
        return label

    async def said(self, subject: str, *, by: Caller) -> Mapping[str, SearchLabel]:
        """Return a person's newest word on each document that was found for a subject."""
        person = self._privacy.pseudonym(by.person.actor)
        async with self._database.reading() as view:
            labels = await view.labels.of(subject)
        return {label.document: label for label in labels if label.person == person}

    async def acceptances(self) -> Mapping[str, Acceptance]:
        """Count by document how many found it useful and how many did not."""
        async with self._database.reading() as view:
            labels = await view.labels.all()
        return accepted(labels)

    def _label(
        self, judged: Judged, judgement: Judgement, *, reason: str, by: Caller
    ) -> SearchLabel:
        ids = [hit.document.id for hit in judged.found.hits]
        if judged.document not in ids:
            raise Refused("This was not found any more; nothing was noted.")
        place = ids.index(judged.document)
        return SearchLabel(
            id=f"{by.request}:judged",
            query=judged.query.text,
            names=judged.query.names,
            services=judged.query.services,
            subject=judged.subject,
            document=judged.document,
            kind=judged.found.hits[place].document.kind,
            judgement=judgement,
            reason=" ".join(reason.split())[:LONGEST_REASON],
            place=place + 1,
            confidence=judged.found.confidence,
            model=judged.found.model,
            person=self._privacy.pseudonym(by.person.actor),
            at=self._clock.now(),
        )


def accepted(labels: Iterable[SearchLabel]) -> Mapping[str, Acceptance]:
    """Count judgements by document, oldest first given.

    One person's newest word on a document counts once for each subject, so that
    pressing a button often outweighs nobody.
    """
    newest = {(label.person, label.subject, label.document): label for label in labels}
    counts = Counter((label.document, label.judgement) for label in newest.values())
    return {
        document: Acceptance(
            useful=counts[document, Judgement.USEFUL], useless=counts[document, Judgement.USELESS]
        )
        for document in dict.fromkeys(document for document, _ in counts)
    }
