"""What people type, understood: incidents, entries, levels, services."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bot.domain.autonomy import Level
from bot.domain.entries import EntryFilter
from bot.domain.errors import NotFound, Refused
from bot.domain.incidents import IncidentId
from bot.domain.people import Person
from bot.domain.runbooks import Runbook

NO_SERVICE = "-"
_INCIDENT = re.compile(r"inc-?([0-9]{1,9})", re.IGNORECASE | re.ASCII)
_ENTRY = re.compile(r"#?([0-9]{1,12})", re.ASCII)
_TYPE = re.compile(r"[a-z][a-z0-9_.]{0,63}", re.IGNORECASE | re.ASCII)
_LEVEL = re.compile(r"l?([0-4])", re.IGNORECASE | re.ASCII)
_LONGEST_ECHO = 40


def incident_id(word: str) -> IncidentId | None:
    """Return the incident that a word names: `INC-7`, `inc7`."""
    match = _INCIDENT.fullmatch(word)
    return IncidentId(f"INC-{int(match[1])}") if match else None


@dataclass(frozen=True, kw_only=True)
class Query:
    """What somebody wants to see of the ledger: one entry, or the newest of some kind."""

    seq: int | None = None
    wanted: EntryFilter = EntryFilter()  # noqa: RUF009  # frozen


def query(text: str) -> Query:
    """Read what to look for: `INC-1`, `switch`, `#12`, or nothing.

    Raises:
        Refused: it is none of these.
    """
    word = text.strip()
    if not word:
        return Query()
    if (incident := incident_id(word)) is not None:
        return Query(wanted=EntryFilter(incident=incident))
    if (entry := _ENTRY.fullmatch(word)) is not None:
        return Query(seq=int(entry[1]))
    if _TYPE.fullmatch(word) is not None:
        return Query(wanted=EntryFilter(type=word.casefold()))
    raise Refused(
        f"“{word[:_LONGEST_ECHO]}” is no incident (INC-1), no entry (#12) and no type of entry "
        "(switch, approval.granted)."
    )


def level(word: str) -> Level:
    """Return the level of autonomy that is meant: `L3`, `3`.

    Raises:
        Refused: there is no such level.
    """
    match = _LEVEL.fullmatch(word.strip())
    if match is None:
        known = ", ".join(f"{each.name} ({each.meaning})" for each in Level)
        raise Refused(f"“{word[:_LONGEST_ECHO]}” is no level of autonomy; there are {known}.")
    return Level(int(match[1]))


def service(word: str, known: Collection[str]) -> str | None:
    """Return the service that is meant; `-` stands for none.

    Raises:
        Refused: the catalog does not know it.
    """
    name = word.strip().casefold()
    if name == NO_SERVICE:
        return None
    if name not in known:
        raise Refused(
            f"“{word[:_LONGEST_ECHO]}” is no service in services.toml; - stands for none."
        )
    return name


def runbook(word: str, known: Mapping[str, Runbook]) -> Runbook:
    """Return the runbook that is meant.

    Raises:
        NotFound: there is none.
    """
    found = known.get(word.strip().casefold())
    if found is None:
        raise NotFound(
            f"There is no runbook “{word[:_LONGEST_ECHO]}”; /incident runbook lists them."
        )
    return found


def check_member(person: Person) -> None:
    """Let only full members read what governs a workspace.

    Raises:
        Refused: it is a guest, a stranger, a bot or somebody who has left.
    """
    if person.bot or person.guest or person.stranger or not person.active:
        raise Refused("This is for full members of this workspace.")


def days(word: str) -> int:
    """Return a number of days: `30`, `30d`.

    Raises:
        Refused: it is none.
    """
    number = word.strip().casefold().removesuffix("d")
    if not (number.isascii() and number.isdigit() and len(number) <= 4):
        raise Refused(f"“{word[:_LONGEST_ECHO]}” is no number of days such as 30.")
    return int(number)
