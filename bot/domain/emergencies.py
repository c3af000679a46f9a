"""Breaking the glass, and standing authorisations: consent that is given otherwise.

A broken glass stands in for the approvals of one run in a sev1 or sev2
incident. It never lifts the ledger, the dry run, the verification or the kill
switch, and it is reviewed afterwards. A standing authorisation is given by two
people in advance, for one page as it reads then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta

from bot.domain.alerts import Severity
from bot.domain.errors import Refused
from bot.domain.people import ON_CALL, Person, PersonId, Standing
from bot.domain.runbooks import Runbook

LEAST_REASON = 20
LIVES = timedelta(minutes=15)
REVIEW_DAYS = 2  # business days
MOST_DAYS = 90  # for which an authorisation stands
PROPOSAL_LIVES = timedelta(days=7)
GRAVE = frozenset({Severity.SEV1, Severity.SEV2})


@dataclass(frozen=True, kw_only=True)
class BreakGlass:
    """One broken glass: for one run of one runbook on one service, by one person."""

    id: str
    person: Person
    incident: str
    runbook: str
    service: str
    reason: str
    at: datetime
    expires_at: datetime
    review_by: datetime
    run: str | None = None
    used_at: datetime | None = None
    reviewer: Person | None = None
    review: str = ""
    reviewed_at: datetime | None = None

    @property
    def reviewed(self) -> bool:
        """Say whether somebody else has looked back at it."""
        return self.reviewer is not None

    def usable(self, *, runbook: str, service: str | None, by: Person, at: datetime) -> bool:
        """Say whether it stands in for the approvals of this run now."""
        fitting = self.runbook == runbook and self.service == (service or "")
        mine = self.person.human == by.human
        return fitting and mine and self.run is None and self.at <= at < self.expires_at

    def overdue(self, at: datetime) -> bool:
        """Say whether its review should have taken place by now."""
        return not self.reviewed and at >= self.review_by


def target_of(runbook: str, service: str | None) -> str:
    """Return what has to be typed to break the glass; `-` stands for no service."""
    return f"{runbook} {service or '-'}"


def check_typed(typed: str, *, runbook: str, service: str | None) -> None:
    """Hold what a person typed against the target, so that nobody does this by a slip.

    Raises:
        Refused: it is something else; the sentence says what to type.
    """
    target = target_of(runbook, service)
    if typed.strip().casefold() != target.casefold():
        raise Refused(f"To break the glass, type exactly: {target}")


def break_glass(
    id: str,
    *,
    person: Person,
    incident: str,
    severity: Severity,
    runbook: str,
    service: str,
    reason: str,
    at: datetime,
    earlier: Collection[BreakGlass] = (),
) -> BreakGlass:
    """Break the glass.

    `earlier` are this person's former ones: an overdue review blocks the next.

    Raises:
        Refused: the incident is not grave, the reason too short, a review is
            overdue, or it is not a person of this workspace.
    """
    if not _full(person):
        raise Refused("Only full members of this workspace break the glass.")
    if severity not in GRAVE:
        raise Refused("The glass is broken only in a sev1 or sev2 incident.")
    if len(reason.strip()) < LEAST_REASON:
        raise Refused(f"Say why in at least {LEAST_REASON} characters; it will be reviewed.")
    if any(glass.overdue(at) for glass in earlier):
        raise Refused("The review of your last broken glass is overdue; have it reviewed first.")
    return BreakGlass(
        id=id,
        person=person,
        incident=incident,
        runbook=runbook,
        service=service,
        reason=reason.strip()[:1000],
        at=at,
        expires_at=at + LIVES,
        review_by=business_days_after(at, REVIEW_DAYS),
    )


def use(
    glass: BreakGlass, *, run: str, runbook: str, service: str | None, by: Person, at: datetime
) -> BreakGlass:
    """Use a broken glass up for one run.

    Raises:
        Refused: it was used already, has expired, or was broken for something else.
    """
    if glass.run is not None:
        raise Refused("This broken glass was used already; nothing was run.")
    if at >= glass.expires_at:
        raise Refused("The broken glass has expired; nothing was run. Break it again.")
    if not glass.usable(runbook=runbook, service=service, by=by, at=at):
        raise Refused("The glass was broken for something else; nothing was run.")
    return replace(glass, run=run, used_at=at)


def review(glass: BreakGlass, *, by: Person, note: str, at: datetime) -> BreakGlass:
    """Look back at a broken glass; somebody else has to, and there has to be something to see.

    Raises:
        Refused: it is one's own, can still be used, was reviewed, or the note is
            too short.
    """
    if not _full(by):
        raise Refused("Only full members of this workspace review a broken glass.")
    if by.human == glass.person.human:
        raise Refused("Somebody else has to review it.")
    if glass.reviewed:
        raise Refused("It was reviewed already.")
    if glass.run is None and at < glass.expires_at:
        raise Refused("It can still be used; review it when it is used or has expired.")
    if len(note.strip()) < LEAST_REASON:
        raise Refused(f"Say what you found in at least {LEAST_REASON} characters.")
    return replace(glass, reviewer=by, review=note.strip()[:1000], reviewed_at=at)


def _full(person: Person) -> bool:
    return person.active and not (person.bot or person.guest or person.stranger)


def business_days_after(at: datetime, days: int) -> datetime:
    """Return the end (midnight UTC) of the business day that is so many after a moment.

    Saturdays and Sundays are none; public holidays are not known here, so they count.
    """
    day = at.astimezone(UTC).date()
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class PreAuthorisation:
    """A standing authorisation: makes runs of one runbook on one service standard changes.

    One person proposes it and another gives it; until then it authorises
    nothing. It is bound to the page's digest, so that a page that was edited
    since needs a new one, and it ends by itself: `expires_at` is what both
    people saw. `owner` is the team whose word it is.
    """

    id: str
    runbook: str
    runbook_digest: str
    service: str
    owner: str
    proposed_by: Person
    reason: str
    at: datetime
    expires_at: datetime
    given_by: Person | None = None
    given_at: datetime | None = None
    revoked_by: Person | None = None
    revoked_at: datetime | None = None

    def covers(self, *, runbook_digest: str, service: str | None, at: datetime) -> bool:
        """Say whether it authorises a run of exactly this page now."""
        same = self.runbook_digest == runbook_digest and self.service == (service or "")
        return same and self.in_force(at)

    def in_force(self, at: datetime) -> bool:
        """Say whether two people stand behind it now."""
        if self.given_at is None or self.revoked_at is not None:
            return False
        return self.given_at <= at < self.expires_at

    def waiting(self, at: datetime) -> bool:
        """Say whether a second person may still give it."""
        if self.given_at is not None or self.revoked_at is not None:
            return False
        return at < min(self.expires_at, self.at + PROPOSAL_LIVES)


def propose(
    id: str,
    *,
    runbook: Runbook,
    service: str | None,
    team: str | None,
    days: int,
    reason: str,
    by: Standing,
    at: datetime,
) -> PreAuthorisation:
    """Propose a standing authorisation; who is on call for the owning team may.

    `team` owns the service; where nobody does, the runbook's owner stands for it.

    Raises:
        Refused: they may not, the page has no steps, the time is too long, or
            the reason too short.
    """
    owner = team or runbook.owner
    if not _full(by.person):
        raise Refused("Only full members of this workspace give standing authorisations.")
    if f"{owner}{ON_CALL}" not in by.groups:
        raise Refused(f"Only who is on call for {owner} proposes a standing authorisation.")
    if not runbook.executable:
        raise Refused(f"“{runbook.title}” has no steps to run; there is nothing to authorise.")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"A standing authorisation holds for 1 to {MOST_DAYS} days.")
    if len(reason.strip()) < LEAST_REASON:
        raise Refused(f"Say why in at least {LEAST_REASON} characters.")
    return PreAuthorisation(
        id=id,
        runbook=runbook.id,
        runbook_digest=runbook.digest,
        service=service or "",
        owner=owner,
        proposed_by=by.person,
        reason=reason.strip()[:1000],
        at=at,
        expires_at=at + timedelta(days=days),
    )


def confirm(
    proposal: PreAuthorisation, *, editors: Collection[PersonId], by: Standing, at: datetime
) -> PreAuthorisation:
    """Give what somebody else proposed, which puts it into force.

    `editors` are who wrote the page last or vouched for it: they would only
    repeat themselves.

    Raises:
        Refused: they may not, or it does not wait any more.
    """
    person = by.person
    if not _full(person):
        raise Refused("Only full members of this workspace give standing authorisations.")
    if person.human == proposal.proposed_by.human:
        raise Refused("You have proposed it yourself; a second person has to give it.")
    if person.id in editors or person.human in editors:
        raise Refused("You have edited or reviewed this page last; somebody else has to give it.")
    if proposal.owner not in by.teams:
        raise Refused(f"Only members of {proposal.owner} give this authorisation.")
    if not proposal.waiting(at):
        raise Refused("This proposal does not wait any more; propose it again.")
    return replace(proposal, given_by=person, given_at=at)


def revoke(authorisation: PreAuthorisation, *, by: Person, at: datetime) -> PreAuthorisation:
    """End a standing authorisation, or a proposal, before its time; any full member may.

    Raises:
        Refused: they may not, or it has ended already.
    """
    if not _full(by):
        raise Refused("Only full members of this workspace revoke an authorisation.")
    if authorisation.revoked_at is not None or at >= authorisation.expires_at:
        raise Refused("This authorisation has ended already.")
    return replace(authorisation, revoked_by=by, revoked_at=at)
