"""What becomes of runbooks: that one was suggested or opened, and what people thought of it.

These rows are what `tocsin knowledge stats` counts. They are no part of the
record: nothing of them is on a timeline or in the ledger, and people stand in
them by their pseudonyms.
"""

from __future__ import annotations

from collections.abc import Collection

from bot.domain.errors import AlreadyDone, Refused
from bot.domain.people import Caller, check_member
from bot.ports import Clock, Database, Privacy, RunbookUse, Use

_JUDGEMENTS = {"yes": Use.HELPFUL, "no": Use.UNHELPFUL}


class FeedbackService:
    """Notes how runbooks are used."""

    def __init__(self, database: Database, clock: Clock, privacy: Privacy) -> None:
        self._database = database
        self._clock = clock
        self._privacy = privacy

    async def suggested(self, runbooks: Collection[str], *, subject: str) -> None:
        """Note that runbooks were suggested for a subject; each counts once for it."""
        ids = {f"{Use.SUGGESTED}:{subject}:{runbook}": runbook for runbook in runbooks}
        async with self._database.reading() as view:
            known = {use.id for use in await view.usage.of(subject)}
        new = [use for use in ids if use not in known]
        if not new:
            return
        async with self._database.transaction() as tx:
            for id in new:
                await tx.usage.add(self._use(id, ids[id], Use.SUGGESTED, subject=subject))

    async def opened(self, runbook: str, *, subject: str, by: Caller) -> None:
        """Note that a person looked at a runbook."""
        person = self._privacy.pseudonym(by.person.actor)
        use = self._use(f"{by.request}:opened", runbook, Use.OPENED, subject=subject, person=person)
        async with self._database.transaction() as tx:
            await tx.usage.add(use)

    async def judge(self, runbook: str, *, subject: str, helpful: str, by: Caller) -> None:
        """Note whether a runbook helped a person; of several answers the newest counts.

        `helpful` is `yes` or `no`.

        Raises:
            Refused: it is neither, or no full member answers.
        """
        what = _JUDGEMENTS.get(helpful)
        if what is None:
            raise Refused("Say yes or no: did it help?")
        check_member(by.person, does="say whether a runbook helped")
        person = self._privacy.pseudonym(by.person.actor)
        use = self._use(f"{by.request}:judged", runbook, what, subject=subject, person=person)
        async with self._database.transaction() as tx:
            if not await tx.usage.add(use):
                raise AlreadyDone(by.request)

    def _use(
        self, id: str, runbook: str, what: Use, *, subject: str, person: str | None = None
    ) -> RunbookUse:
        now = self._clock.now()
        return RunbookUse(id=id, runbook=runbook, what=what, subject=subject, person=person, at=now)
