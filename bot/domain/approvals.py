"""Approvals: consent of other people to exactly one plan.

A request is bound to a plan's digest. Answers count towards groups with
distinct people: one person never fills two places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId

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
    """`count` distinct approvals from a group; the empty group is anyone but the requester."""

    group: str
    count: int = 1


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One person's answer, with the groups they belonged to when they gave it."""

    person: Person
    approve: bool
    at: datetime
    groups: frozenset[str] = frozenset()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A request for consent to the plan with this digest.

    Two expiries: it must be answered before `answer_by`, and what was approved
    must start before `execute_by`, which is set when it is granted.
    """

    id: str
    digest: str
    requester: Person
    quorum: tuple[Place, ...]
    answer_by: datetime
    execute_within: float
    excluded: frozenset[PersonId] = frozenset()
    answers: tuple[Answer, ...] = ()
    verdict: Verdict = Verdict.WAITING
    execute_by: datetime | None = None


def decide(approval: Approval, answer: Answer, *, digest: str) -> Approval:
    """Record one person's answer.

    The requester may not approve their own action, whatever their role: the
    ledger must show two people. They may deny it, since a denial only stops.
    A late answer is refused rather than ignored, so that the approver learns
    that nothing was run. A single denial ends the request.

    Raises:
        Refused: the answer is late, repeated, for another plan, from a bot, or
            from someone who may not give it.
    """
    _check_open(approval, answer.at, digest)
    _check_person(approval, answer)
    answered = replace(approval, answers=(*approval.answers, answer))
    if not answer.approve:
        return replace(answered, verdict=Verdict.DENIED)
    if not satisfied(answered.quorum, answered.answers):
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


def _check_open(approval: Approval, at: datetime, digest: str) -> None:
    if approval.verdict is not Verdict.WAITING:
        raise Refused(f"This plan is {approval.verdict} already; nothing was changed.")
    if digest != approval.digest:
        raise Refused("This card shows an older plan; look at the current one and answer there.")
    if at >= approval.answer_by:
        raise Refused("This request has expired; nothing was run. Ask for a new plan.")


def _check_person(approval: Approval, answer: Answer) -> None:
    person = answer.person
    if person.bot:
        raise Refused("Bots and apps never approve.")
    if any(a.person.id == person.id for a in approval.answers):
        raise Refused("You have answered this request already.")
    if not answer.approve:
        return
    if person.id == approval.requester.id:
        raise Refused("You asked for this run, so someone else has to approve it.")
    if person.id in approval.excluded:
        raise Refused("You wrote or last edited this plan, so someone else has to approve it.")
    if not any(p.group == ANYONE or p.group in answer.groups for p in approval.quorum):
        names = " or ".join(sorted(f"@{p.group}" for p in approval.quorum))
        raise Refused(f"This plan needs an approval from {names}, and you are not a member.")


def satisfied(quorum: Sequence[Place], answers: Sequence[Answer]) -> bool:
    """Say whether distinct people fill every place."""
    return sum(missing(quorum, answers).values()) == 0


def missing(quorum: Sequence[Place], answers: Sequence[Answer]) -> Mapping[str, int]:
    """Return how many approvals each group still lacks, people matched to one place each.

    A bipartite matching (augmenting paths): counting members per group would
    let one person of two groups fill both.
    """
    seats = [place.group for place in quorum for _ in range(place.count)]
    yes = [a for a in answers if a.approve]
    taken: dict[int, int] = {}
    for person in range(len(yes)):
        _seat(person, yes, seats, taken, set())
    lacking: dict[str, int] = {place.group: 0 for place in quorum}
    for number, group in enumerate(seats):
        if number not in taken:
            lacking[group] += 1
    return lacking


def _seat(
    person: int,
    answers: Sequence[Answer],
    seats: Sequence[str],
    taken: dict[int, int],
    tried: set[int],
) -> bool:
    for number in _fitting(answers[person].groups, seats):
        if number in tried:
            continue
        tried.add(number)
        if number not in taken or _seat(taken[number], answers, seats, taken, tried):
            taken[number] = person
            return True
    return False


def _fitting(groups: Collection[str], seats: Sequence[str]) -> list[int]:
    return [n for n, group in enumerate(seats) if group in (ANYONE, *groups)]


def expire(approval: Approval, at: datetime) -> Approval:
    """Let time end a request: unanswered by `answer_by`, or granted but not started in time."""
    late = approval.verdict is Verdict.WAITING and at >= approval.answer_by
    unused = (
        approval.verdict is Verdict.GRANTED
        and approval.execute_by is not None
        and at >= approval.execute_by
    )
    return replace(approval, verdict=Verdict.EXPIRED) if late or unused else approval
