"""Erasing what the ledger says of a person, and legal holds that keep it from happening.

Bodies and salts are removed and an entry says of which entries, in one
transaction; the person's key is destroyed after that commit, so that nothing is
unreadable of which no entry tells. A crash between the two leaves a note of the
erasure, which `finish_pending` completes at the next start. The leaves stay, and
with them every proof.

Only the ledger is meant here: what timelines, runs and messages hold is removed
where they are kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence

from bot.domain.errors import Refused
from bot.domain.ledger import ERASED, Entry
from bot.ports import Clock, Database, Hold, LedgerArchive, Privacy, Transaction

EVERYTHING = "all"  # the subject of a hold that covers everybody

log = logging.getLogger(__name__)

_PERSON = "person:"
_A_PERSON = re.compile(r"person:\S+")
_INCIDENT = re.compile(r"INC-[1-9][0-9]*")
_PENDING = "erasure:"
_LISTED = 4000  # entries named in one body, which has room for 65 thousand bytes


class PrivacyService:
    """Erases people from the ledger, and places and lifts legal holds.

    Subjects are references such as `person:U1`. `by` is the reference of whoever
    asks; that they may is for the caller to decide.
    """

    def __init__(
        self, database: Database, clock: Clock, privacy: Privacy, *, archive: LedgerArchive
    ) -> None:
        self._database = database
        self._clock = clock
        self._privacy = privacy
        self._archive = archive

    async def erase(self, subject: str, reason: str, *, by: str) -> int:
        """Erase every body that tells of a person, and their key; return how many bodies.

        What is written about them later stands under another pseudonym.

        Raises:
            Refused: a legal hold covers the person or one of the entries, or it is
                no person.
        """
        if not subject.startswith(_PERSON) or " " in subject:
            raise Refused("Only people are erased: name one as person:<id>.")
        incidents = await self._incidents_of(subject)
        async with self._database.transaction() as tx:
            seqs = await tx.ledger.telling_of(subject)
            await self._check_holds(tx, subject, seqs=seqs, known=incidents)
            await self._remove(tx, seqs, reason, by=by)
            await tx.keys.save(f"{_PENDING}{subject}", json.dumps({"reason": reason, "by": by}))
        return len(seqs) + await self._finish(subject, reason, by=by)

    async def finish_pending(self) -> int:
        """Complete erasures that a crash has cut off; return how many. For the start."""
        async with self._database.reading() as view:
            kept = await view.keys.all()
        pending = {key: value for key, value in kept.items() if key.startswith(_PENDING)}
        finished = 0
        for key, value in pending.items():
            subject = key.removeprefix(_PENDING)
            try:
                asked = json.loads(value)
                reason, by = str(asked["reason"]), str(asked["by"])
                await self._check_still_free(subject)
            except (Refused, ValueError, KeyError, TypeError) as error:
                log.error("an erasure of %s that broke off is not completed: %s", subject, error)
                continue
            await self._finish(subject, reason, by=by)
            finished += 1
        return finished

    async def _check_still_free(self, subject: str) -> None:
        """Hold a pending erasure against the holds of now: its row alone is not believed."""
        incidents = await self._incidents_of(subject)
        async with self._database.reading() as view:
            seqs = await view.ledger.telling_of(subject)
            await self._check_holds(view, subject, seqs=seqs, known=incidents)

    async def hold(self, subject: str, reason: str, *, by: str) -> Hold:
        """Keep everything of a person, of an incident, or (`all`) at all from being erased.

        Raises:
            Refused: it is held already, or there is no reason.
        """
        if not reason.strip():
            raise Refused("A legal hold needs a reason.")
        subject = _subject(subject)
        hold = Hold(subject=subject, by=by, reason=reason, at=self._clock.now())
        async with self._database.transaction() as tx:
            if not await tx.holds.add(subject, hold):
                raise Refused("There is a legal hold on that already.")
            await tx.ledger.append(self._told("hold.placed", hold, reason, by=by))
        return hold

    async def release_hold(self, subject: str, reason: str, *, by: str) -> None:
        """Lift a legal hold; others that cover the same entries stay in force.

        Raises:
            Refused: there is none, or there is no reason.
        """
        if not reason.strip():
            raise Refused("Lifting a legal hold needs a reason.")
        subject = _subject(subject)
        async with self._database.transaction() as tx:
            hold = await tx.holds.get(subject)
            if hold is None:
                raise Refused("There is no legal hold on that.")
            await tx.holds.remove(subject)
            await tx.ledger.append(self._told("hold.lifted", hold, reason, by=by))

    async def holds(self) -> Sequence[Hold]:
        """Return every legal hold in force."""
        async with self._database.reading() as view:
            return list((await view.holds.all()).values())

    async def _finish(self, subject: str, reason: str, *, by: str) -> int:
        """Destroy the key, then remove what was appended on the way; return how many bodies.

        Entries that were on their way into the ledger during the erasure are
        not seen by it; they are closed under the key that is gone now.
        """
        await asyncio.to_thread(self._privacy.erase, subject)
        async with self._database.transaction() as tx:
            late = await tx.ledger.telling_of(subject)
            if late:
                await self._remove(tx, late, reason, by=by)
            await tx.keys.remove(f"{_PENDING}{subject}")
        return len(late)

    async def _remove(self, tx: Transaction, seqs: Sequence[int], reason: str, *, by: str) -> None:
        """Remove bodies and tell of it in entries that are about nobody and so are never erased."""
        await tx.ledger.erase(seqs)
        for start in range(0, max(len(seqs), 1), _LISTED):
            listed = list(seqs[start : start + _LISTED])
            await tx.ledger.append(
                Entry(
                    type=ERASED,
                    actor="system",
                    at=self._clock.now(),
                    outcome=str(len(listed)),
                    body={"entries": listed, "reason": reason, "by": self._privacy.pseudonym(by)},
                )
            )

    async def _incidents_of(self, subject: str) -> Mapping[int, str | None]:
        """Return the incidents of a person's entries, where holds on incidents ask for them."""
        async with self._database.reading() as view:
            if not _on_incidents(await view.holds.all()):
                return {}
            seqs = await view.ledger.telling_of(subject)
        return {seq: await self._incident_of(seq) for seq in seqs}

    async def _incident_of(self, seq: int) -> str | None:
        incident = json.loads((await self._archive.entry(seq)).leaf).get("incident")
        return None if incident is None else str(incident)

    async def _check_holds(
        self,
        tx: Transaction,
        subject: str,
        *,
        seqs: Sequence[int],
        known: Mapping[int, str | None],
    ) -> None:
        """Refuse where a hold covers anything; what is known already is not looked up again."""
        holds = await tx.holds.all()
        for name in (EVERYTHING, subject):
            if name in holds:
                raise Refused(f"A legal hold forbids erasing this: {holds[name].reason}")
        held = _on_incidents(holds)
        for seq in seqs if held else ():
            incident = known[seq] if seq in known else await self._incident_of(seq)
            if incident in held:
                reason = holds[incident].reason
                raise Refused(f"A legal hold on {incident} forbids erasing this: {reason}")

    def _told(self, type: str, hold: Hold, reason: str, *, by: str) -> Entry:
        person = hold.subject.startswith(_PERSON)
        incident = None if person or hold.subject == EVERYTHING else hold.subject
        return Entry(
            type=type,
            actor=by,
            at=self._clock.now(),
            incident=incident,
            body={"subject": hold.subject, "reason": reason},
            about=(hold.subject,) if person else (),
        )


def _subject(text: str) -> str:
    """Return what a hold is on; a word that names nothing would hold nothing."""
    named = text.strip()
    if named == EVERYTHING or _A_PERSON.fullmatch(named):
        return named
    if _INCIDENT.fullmatch(named.upper()):
        return named.upper()
    raise Refused("Name a person as person:<id>, an incident as INC-<number>, or all.")


def _on_incidents(holds: Collection[str]) -> frozenset[str]:
    return frozenset(s for s in holds if s != EVERYTHING and not s.startswith(_PERSON))
