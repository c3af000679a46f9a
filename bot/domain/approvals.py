"""Approvals: consent of other people to exactly one plan.

A request is bound to a plan's digest. Answers count towards groups with
distinct people: one human being never fills two places, whatever accounts they
have. Who may not approve is settled here, in code, where no policy can lift it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.domain.errors import Refused
from bot.domain.people import ChannelId, Person, PersonId, Standing

ANYONE = ""


class Verdict(StrEnum):
    """How a request for approval stands."""

    WAITING = "waiting"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, kw_only=True)
class Place:
    """`count` distinct approvals from a group, or from anyone but the requester.

    `group` is the handle of a user group, `team:<name>`, `role:<incident role>`,
    or empty for anyone. With `teams_differ` each of them has to be of another
    team, and who is of no team does not count.
    """

    group: str
    count: int = 1
    teams_differ: bool = False

    def __str__(self) -> str:  # type: ignore[explicit-override]  # not in 3.11's typing
        kind, _, name = self.group.rpartition(":")
        whose = {"team": f"of team {name}", "role": f"acting as {name}"}.get(kind, f"@{name}")
        more = "other person" if self.count == 1 else "other people"
        who = more if self.group == ANYONE else whose
        apart = ", each of another team" if self.teams_differ and self.count > 1 else ""
        return f"{self.count} {who}{apart}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One person's answer, with what they belonged to when they gave it, and where."""

    person: Person
    approve: bool
    at: datetime
    groups: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    reason: str = ""
    channel: ChannelId | None = None

    @property
    def standing(self) -> Standing:
        """Return the person as they stood when they answered."""
        return Standing(person=self.person, groups=self.groups, teams=self.teams, roles=self.roles)


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A request for consent to the plan with this digest.

    Two expiries: it must be answered before `answer_by`, and what was approved
    must start before `execute_by`, which is set when it is granted. `excluded`
    are people beside the requester whose own plan this is. `channels` are where
    it may be answered, empty for anywhere. With `veto_until` nobody has to
    consent, but until then a denial stops it.
    """

    id: str
    digest: str
    requester: Person
    quorum: tuple[Place, ...]
    answer_by: datetime
    execute_within: float
    excluded: frozenset[PersonId] = frozenset()
    channels: frozenset[ChannelId] = frozenset()
    answers: tuple[Answer, ...] = ()
    verdict: Verdict = Verdict.WAITING
    execute_by: datetime | None = None
    veto_until: datetime | None = None


def decide(approval: Approval, answer: Answer, *, digest: str) -> Approval:
    """Record one person's answer.

    The requester may not approve their own action, whatever their role: the
    ledger must show two people. They may deny it, since a denial only stops.
    A late answer is refused rather than ignored, so that the approver learns
    that nothing was run. A single denial ends the request.

    Raises:
        Refused: the answer is late, repeated, for another plan, from a bot, or
            from someone who may not give it, or not from here.
    """
    _check_open(approval, answer, digest)
    _check_person(approval, answer)
    answered = replace(approval, answers=(*approval.answers, answer))
    if not answer.approve:
        return replace(answered, verdict=Verdict.DENIED)
    if not satisfied(answered.quorum, standings(answered)):
        return answered
    return grant(answered, answer.at)


def grant(approval: Approval, at: datetime) -> Approval:
    """Mark a request as granted and start its second expiry."""
    from_now = at.timestamp() + approval.execute_within
    return replace(
        approval,
        verdict=Verdict.GRANTED,
        execute_by=datetime.fromtimestamp(from_now, tz=at.tzinfo),
    )


def _check_open(approval: Approval, answer: Answer, digest: str) -> None:
    if approval.verdict is not Verdict.WAITING:
        raise Refused(f"This plan is {approval.verdict} already; nothing was changed.")
    if digest != approval.digest:
        raise Refused("This card shows an older plan; look at the current one and answer there.")
    if answer.at >= approval.answer_by:
        raise Refused("This request has expired; nothing was run. Ask for a new plan.")
    if answer.approve and approval.channels and answer.channel not in approval.channels:
        raise Refused("A plan is approved where it is shown to everybody: in the run's channel.")


def _check_person(approval: Approval, answer: Answer) -> None:
    person = answer.person
    if person.bot:
        raise Refused("Bots and apps never approve.")
    if any(a.person.human == person.human for a in approval.answers):
        raise Refused("You have answered this request already.")
    if not answer.approve:
        if person.stranger or not person.active:
            raise Refused("Only members of this workspace answer a request.")
        return
    why = barred(approval, person)
    if why is not None:
        raise Refused(why)
    if not any(fits(place, answer.standing) for place in approval.quorum):
        names = " or ".join(sorted(str(place) for place in approval.quorum))
        raise Refused(f"This plan needs the approval of {names}, and you do not belong there.")


def barred(approval: Approval, person: Person) -> str | None:
    """Say why a person may never approve this request, or None where they may.

    These are the invariants: they hold when the answer is given and again right
    before each effect.
    """
    if person.bot:
        return "Bots and apps never approve."
    if person.human == approval.requester.human:
        return "You asked for this run, so someone else has to approve it."
    if person.id in approval.excluded or person.human in approval.excluded:
        return "You wrote or last edited this plan, so someone else has to approve it."
    if person.stranger:
        return "People of other organisations do not approve here."
    if person.guest:
        return "Guests do not approve."
    if not person.active:
        return "This account is deactivated."
    return None


def fits(place: Place, standing: Standing) -> bool:
    """Say whether a person could fill a place."""
    if place.teams_differ and place.count > 1 and not standing.teams:
        return False
    return place.group == ANYONE or standing.belongs(place.group)


def standings(approval: Approval) -> Sequence[Standing]:
    """Return those who consented, as they stood when they did."""
    return [answer.standing for answer in approval.answers if answer.approve]


def satisfied(quorum: Sequence[Place], people: Sequence[Standing]) -> bool:
    """Say whether distinct people fill every place."""
    return sum(missing(quorum, people).values()) == 0


def missing(quorum: Sequence[Place], people: Sequence[Standing]) -> Mapping[str, int]:
    """Return how many approvals each group still lacks, people matched to one place each.

    Counting members per group would let one person of two groups fill both. The
    best assignment is searched for: quorums have a handful of seats, so going
    through them is fast, and it is the only way where teams must differ too.
    """
    seats = [place for place in quorum for _ in range(place.count)]
    search = _Search(seats, [[p for p in people if fits(seat, p)] for seat in seats])
    lacking: dict[str, int] = {place.group: 0 for place in quorum}
    for number, filled in enumerate(search.best()):
        if not filled:
            lacking[seats[number].group] += 1
    return lacking


class _Search:
    """Looks for the assignment of people to seats that leaves the fewest empty."""

    def __init__(self, seats: Sequence[Place], candidates: Sequence[Sequence[Standing]]) -> None:
        self.seats = seats
        self.candidates = candidates
        self.order = sorted(range(len(seats)), key=lambda n: len(candidates[n]))
        self.found: frozenset[int] = frozenset()
        self.seen: set[tuple[int, frozenset[str], frozenset[tuple[Place, str]]]] = set()

    def best(self) -> Sequence[bool]:
        """Say of each seat whether the best assignment fills it."""
        self._go(0, frozenset(), frozenset(), frozenset())
        return [number in self.found for number in range(len(self.seats))]

    def _go(
        self,
        depth: int,
        used: frozenset[str],
        teams: frozenset[tuple[Place, str]],
        filled: frozenset[int],
    ) -> None:
        if len(filled) > len(self.found):
            self.found = filled
        left = len(self.order) - depth
        state = (depth, used, teams)
        if left == 0 or len(filled) + left <= len(self.found) or state in self.seen:
            return
        self.seen.add(state)
        number = self.order[depth]
        seat = self.seats[number]
        for candidate in self.candidates[number]:
            if candidate.person.human in used:
                continue
            taken = used | {candidate.person.human}
            for team in _teams(seat, candidate):
                if team in teams:
                    continue
                more = teams | {team} if team else teams
                self._go(depth + 1, taken, more, filled | {number})
        self._go(depth + 1, used, teams, filled)


def _teams(seat: Place, candidate: Standing) -> Collection[tuple[Place, str] | None]:
    """Return the teams for which a candidate could sit here; None where teams do not matter."""
    if not (seat.teams_differ and seat.count > 1):
        return (None,)
    return [(seat, team) for team in sorted(candidate.teams)]


def expire(approval: Approval, at: datetime) -> Approval:
    """Let time end a request: unanswered by `answer_by`, or granted but not started in time."""
    late = approval.verdict is Verdict.WAITING and at >= approval.answer_by
    unused = (
        approval.verdict is Verdict.GRANTED
        and approval.execute_by is not None
        and at >= approval.execute_by
    )
    return replace(approval, verdict=Verdict.EXPIRED) if late or unused else approval


def ripen(approval: Approval, at: datetime) -> Approval:
    """Grant a request that only waited for a veto, once nobody has given one in time."""
    waited = approval.veto_until is not None and approval.veto_until <= at < approval.answer_by
    if approval.verdict is Verdict.WAITING and not approval.quorum and waited:
        return grant(approval, at)
    return approval


def could_approve(approval: Approval, standing: Standing) -> bool:
    """Say whether an approval of this person would count."""
    answered = any(a.person.human == standing.person.human for a in approval.answers)
    if answered or barred(approval, standing.person) is not None:
        return False
    return any(fits(place, standing) for place in approval.quorum)
