"""What Cedar is asked: a request in its words, as plain JSON.

There is nothing of a person in it but a pseudonym, their groups, teams and
roles, so it can be kept with the decision and asked again. Whatever strangers
could write stands as a JSON string and is never pasted into Cedar's own syntax.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC

from bot.domain.actions import JSON, Effect
from bot.domain.approvals import Place
from bot.domain.people import Standing
from bot.domain.policy import PolicyRequest

NO_SERVICE = "none"
READ = "read"
ASSISTANT = "Assistant"
_ACTIONS = {Effect.READ: READ, Effect.MUTATE: "mutate", Effect.DESTRUCTIVE: "destroy"}
_WORST = (Effect.DESTRUCTIVE, Effect.MUTATE, Effect.READ)

Asked = Mapping[str, JSON]
Entities = tuple[Mapping[str, JSON], ...]


def asked_of(request: PolicyRequest) -> Asked:
    """Return the question: principal, action, resource, context, and the runbook's places."""
    return {
        "principal": _principal(request),
        "action": {"type": "Action", "id": action_of(request.effects)},
        "resource": _resource(request),
        "context": _context(request),
        "groups": [_plain(place) for place in request.groups],
    }


def entities_of(request: PolicyRequest) -> Entities:
    """Return what Cedar knows of the one who asks and of the service."""
    requester = request.requester
    person = {} if requester.person.bot else _person(requester)
    service = {"team": request.team or "", "tier": request.tier or 0}
    return (
        {"uid": _principal(request), "attrs": person, "parents": []},
        {"uid": _resource(request), "attrs": service, "parents": []},
    )


def action_of(effects: Collection[Effect]) -> str:
    """Return the worst effect as an action of the schema; the worst of all where none is known."""
    worst = next((effect for effect in _WORST if effect in effects), Effect.DESTRUCTIVE)
    return _ACTIONS[worst]


def places_of(asked: Asked) -> Sequence[Place]:
    """Return the runbook's places as they stand in a question.

    Raises:
        ValueError: it is not a question as asked here.
    """
    groups = asked.get("groups")
    if not isinstance(groups, list):
        raise ValueError("the runbook's places are missing")
    return [_place(plain) for plain in groups]


def _place(plain: JSON) -> Place:
    match plain:
        case {"group": str(group), "count": int(count), "teams_differ": bool(differ)} if count > 0:
            return Place(group=group, count=count, teams_differ=differ)
    raise ValueError("one of the runbook's places cannot be read")


def _principal(request: PolicyRequest) -> dict[str, JSON]:
    if request.requester.person.bot:
        return {"type": ASSISTANT, "id": "tocsin"}
    return {"type": "Person", "id": request.requester_ref}


def _resource(request: PolicyRequest) -> dict[str, JSON]:
    return {"type": "Service", "id": request.service or NO_SERVICE}


def _person(standing: Standing) -> dict[str, JSON]:
    return {
        "groups": sorted(standing.groups),
        "teams": sorted(standing.teams),
        "roles": sorted(standing.roles),
        "guest": standing.person.guest,
        "stranger": standing.person.stranger,
        "active": standing.person.active,
        "on_call": standing.on_call,
    }


def _context(request: PolicyRequest) -> dict[str, JSON]:
    at = request.at.astimezone(UTC)
    return {
        "phase": request.phase.value,
        "runbook": request.runbook,
        "actions": sorted(set(request.actions)),
        "risk": int(request.risk),
        "change_type": request.change_type.value,
        "touches": sorted(set(request.touches)),
        "touched": len(set(request.touches)),
        "targets": request.targets,
        "severity": request.severity or "",
        "autonomy": request.autonomy,
        "frozen": bool(request.freezes),
        "calendar_fault": bool(request.calendar_faults),
        "maintenance": request.maintenance,
        "half_open": request.half_open,
        "rollback": request.rollback,
        "pre_authorised": request.pre_authorised is not None,
        "break_glass": request.break_glass is not None,
        "weekday": at.isoweekday(),
        "hour": at.hour,
    }


def _plain(place: Place) -> dict[str, JSON]:
    return {"group": place.group, "count": place.count, "teams_differ": place.teams_differ}
