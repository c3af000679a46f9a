"""Obligations: whose consent a permit asks for, written beside it as annotations.

Cedar answers yes or no. What a yes costs stands in `@quorum`, in the words of
people; `@veto` says how long they can stop what nobody has to approve.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.approvals import ANYONE, Place
from bot.domain.people import Role

NOBODY = "nobody"
RUNBOOK = "runbook"
OWNER = "team:"  # the team of the service at hand; its name is put in when it is known
MOST_PEOPLE = 9
LONGEST_VETO = 3_600  # seconds

_TERM = re.compile(r"([1-9]) (\S+)( from different teams)?")
_WHO = re.compile(r"@[a-z0-9][a-z0-9._-]{0,79}|team:[a-z0-9][a-z0-9._-]{0,62}|role:[a-z]{1,40}")
_VETO = re.compile(r"([1-9]\d{0,3})(s|m)")
_SECONDS = {"s": 1, "m": 60}


class Unclear(ValueError):
    """An obligation that cannot be understood, with the reason."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is known of one policy beside its conditions.

    `quorum` is None where the policy does not say whose consent it wants, and
    empty where it says that nobody has to give it.
    """

    id: str
    permits: bool
    quorum: tuple[Place, ...] | None = None
    veto_seconds: float = 0
    reason: str = ""


def quorum(text: str) -> tuple[Place, ...]:
    """Read whose consent is wanted: `1 @sre + 2 anyone from different teams + 1 owner + runbook`.

    `nobody` stands alone. `runbook` reminds readers that the runbook's own
    places always count, so it adds nothing here. Nobody is named twice.

    Raises:
        Unclear: it cannot be read.
    """
    if text == NOBODY:
        return ()
    places: list[Place] = []
    for term in text.split(" + "):
        if term != RUNBOOK:
            places.append(_place(term))
    if not places:
        raise Unclear(f'{text!r:.80} names nobody; write "{NOBODY}" where that is meant')
    if len({place.group for place in places}) < len(places):
        raise Unclear(f"{text!r:.80} names the same people twice")
    if sum(place.count for place in places) > MOST_PEOPLE:
        raise Unclear(f"{text!r:.80} wants more than {MOST_PEOPLE} people")
    return tuple(places)


def _place(term: str) -> Place:
    match = _TERM.fullmatch(term)
    if match is None:
        raise Unclear(f'{term!r:.80} is not like "1 anyone", "2 @sre-leads" or "{RUNBOOK}"')
    count, differ = int(match[1]), match[3] is not None
    if differ and count < 2:
        raise Unclear(f"{term!r:.80} wants one person from different teams")
    place = Place(group=_group(match[2]), count=count, teams_differ=differ)
    if differ and place.group.startswith("team:"):
        raise Unclear(f"{term!r:.80} wants one team to be different teams")
    return place


def _group(who: str) -> str:
    if who == "anyone":
        return ANYONE
    if who == "owner":
        return OWNER
    if _WHO.fullmatch(who) is None:
        raise Unclear(f"{who!r:.80} is not anyone, owner, @group, team:name or role:name")
    if who.startswith("role:") and who not in {f"role:{role.value}" for role in Role}:
        roles = ", ".join(role.value for role in Role)
        raise Unclear(f"{who!r:.80} is not a role of incidents ({roles})")
    return who.removeprefix("@")


def veto(text: str) -> float:
    """Read a window for vetoes, such as `120s` or `2m`, in seconds.

    Raises:
        Unclear: it cannot be read, or is longer than an hour.
    """
    match = _VETO.fullmatch(text)
    if match is None:
        raise Unclear(f'{text!r:.80} is not a time like "120s" or "2m"')
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > LONGEST_VETO:
        raise Unclear(f"{text!r:.80} is longer than {LONGEST_VETO} s")
    return seconds


def owned_by(places: Sequence[Place], team: str) -> tuple[Place, ...]:
    """Put the name of the service's team in.

    Raises:
        Unclear: its consent is wanted, and there is none.
    """
    if not team and any(place.group == OWNER for place in places):
        raise Unclear("the consent of the owning team is wanted, and the service has no team")
    return tuple(
        replace(place, group=f"{OWNER}{team}") if place.group == OWNER else place
        for place in places
    )


def together(obligations: Iterable[Sequence[Place]], runbook: Sequence[Place]) -> tuple[Place, ...]:
    """Return the quorum that meets every obligation and what the runbook demands.

    The same group in several obligations is one place: the larger count, teams
    that differ where one of them wants it. Different groups add up, so nobody
    serves two policies with one consent. People the runbook names serve also as
    the `anyone` of a policy ("somebody else has to look"), as in the built-in
    rules, unless those have to be of different teams.
    """
    wanted: dict[str, Place] = {}
    for place in (place for places in obligations for place in places):
        wanted[place.group] = _wider(wanted.get(place.group), place)
    named = _sums(runbook)
    anyone, least = wanted.pop(ANYONE, None), named.pop(ANYONE, None)
    serving = sum(max(0, p.count - _count(wanted.get(group))) for group, p in named.items())
    for group, place in named.items():
        wanted[group] = _wider(wanted.get(group), place)
    if anyone is not None and not anyone.teams_differ:
        anyone = replace(anyone, count=anyone.count - serving)
    last = [place for place in (anyone, least) if place is not None and place.count > 0]
    return (
        *sorted(wanted.values(), key=lambda place: place.group),
        *([_wider(last[0], last[-1])] if last else ()),
    )


def _wider(one: Place | None, other: Place) -> Place:
    if one is None:
        return other
    return Place(
        group=one.group,
        count=max(one.count, other.count),
        teams_differ=one.teams_differ or other.teams_differ,
    )


def _sums(places: Sequence[Place]) -> dict[str, Place]:
    """Add a runbook's places up: it lists one after another, and means all of them."""
    sums: dict[str, Place] = {}
    for place in places:
        earlier = sums.get(place.group)
        more = replace(place, count=place.count + _count(earlier))
        sums[place.group] = _wider(earlier, more)
    return sums


def _count(place: Place | None) -> int:
    return place.count if place is not None else 0


def rule(id: str, annotations: Mapping[str, str], *, permits: bool) -> Rule:
    """Read what stands beside a policy.

    Raises:
        Unclear: an annotation cannot be read, or has no place here.
    """
    if not permits and ("quorum" in annotations or "veto" in annotations):
        raise Unclear("a forbid asks for no consent; only a permit has @quorum or @veto")
    wanted = quorum(annotations["quorum"]) if "quorum" in annotations else None
    if "veto" in annotations and wanted != ():
        raise Unclear(f'@veto is for what nobody has to approve: write @quorum("{NOBODY}") too')
    return Rule(
        id=id,
        permits=permits,
        quorum=wanted,
        veto_seconds=veto(annotations["veto"]) if "veto" in annotations else 0,
        reason=_reason(annotations["reason"]) if "reason" in annotations else "",
    )


def _reason(text: str) -> str:
    if not 5 <= len(text) <= 200 or not text.isprintable() or not text.endswith("."):
        raise Unclear("@reason is one sentence of at most 200 characters with a full stop")
    return text
