"""What people type, understood: ids, statuses, severities, roles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum

from bot.domain.alerts import Severity
from bot.domain.errors import Refused
from bot.domain.incidents import IncidentId, IncidentStatus
from bot.domain.people import Role

_ID = re.compile(r"inc-?([0-9]{1,9})", re.IGNORECASE | re.ASCII)
_SEVERITY = re.compile(r"(?:sev-?)?([1-4])", re.IGNORECASE | re.ASCII)
_LONGEST_ECHO = 40

_STATUSES: Mapping[str, IncidentStatus] = {
    **{status.value: status for status in IncidentStatus},
    "mitigated": IncidentStatus.MONITORING,
}
_ROLES: Mapping[str, Role] = {
    **{role.value: role for role in Role},
    "ic": Role.COMMANDER,
    "command": Role.COMMANDER,
    "lead": Role.COMMANDER,
    "comms": Role.COMMUNICATIONS,
    "communication": Role.COMMUNICATIONS,
}


def incident_id(word: str) -> IncidentId | None:
    """Return the incident that a word names: `INC-7`, `inc7`."""
    match = _ID.fullmatch(word)
    return IncidentId(f"INC-{int(match[1])}") if match else None


def status(word: str) -> IncidentStatus:
    """Return the status that is meant.

    Raises:
        Refused: there is no such status.
    """
    found = _STATUSES.get(word.strip().casefold())
    if found is None:
        raise _unknown("status", word, IncidentStatus)
    return found


def severity(word: str) -> Severity:
    """Return the severity that is meant: `2`, `sev2`, `SEV-2`.

    Raises:
        Refused: there is no such severity.
    """
    match = _SEVERITY.fullmatch(word.strip())
    if match is None:
        raise _unknown("severity", word, Severity)
    return Severity(f"sev{match[1]}")


def role(word: str) -> Role:
    """Return the role that is meant.

    Raises:
        Refused: there is no such role.
    """
    found = _ROLES.get(word.strip().casefold())
    if found is None:
        raise _unknown("role", word, Role)
    return found


def _unknown(what: str, word: str, choices: Iterable[Enum]) -> Refused:
    known = ", ".join(choice.value for choice in choices)
    if not word.strip():
        return Refused(f"Say which {what}: {known}.")
    return Refused(f"“{word.strip()[:_LONGEST_ECHO]}” is no {what}; there are {known}.")
