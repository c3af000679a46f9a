"""The kill switch: what it covers, who pulled it, and what it takes to release it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.errors import Refused
from bot.domain.people import Person

GLOBAL = "global"
SCOPES = ("team", "service", "runbook", "plugin")
RELEASES = 2  # distinct people it takes to let effects happen again
_SCOPE = re.compile(rf"(?:{'|'.join(SCOPES)}):[\w.-]{{1,64}}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Halt:
    """A pulled switch.

    `scope` is `global`, or what alone is stopped: `team:web`, `service:checkout`,
    `runbook:worker-stuck`, `plugin:command`. `releases` are people who have asked
    for its release so far.
    """

    scope: str = GLOBAL
    by: str
    at: datetime
    reason: str
    releases: tuple[Person, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What a run touches, as far as switches are concerned."""

    runbook: str
    service: str | None
    teams: frozenset[str]
    plugins: frozenset[str]

    @property
    def scopes(self) -> frozenset[str]:
        """Return every scope whose switch stops this run, in lower case as people's are kept."""
        named = [
            GLOBAL,
            f"runbook:{self.runbook}",
            *([f"service:{self.service}"] if self.service else []),
            *(f"team:{team}" for team in self.teams),
            *(f"plugin:{plugin}" for plugin in self.plugins),
        ]
        return frozenset(scope.casefold() for scope in named)


def scope_of(text: str) -> str:
    """Read a scope as people type it; nothing means everything.

    Raises:
        Refused: it is none.
    """
    scope = text.strip().casefold() or GLOBAL
    if scope == GLOBAL or _SCOPE.fullmatch(scope):
        return scope
    names = ", ".join(f"{kind}:<name>" for kind in SCOPES)
    raise Refused(f"“{text[:80]}” is not a scope; write global, {names}.")


def standing_in_the_way(halts: Collection[Halt], reach: Reach) -> Halt | None:
    """Return the switch that stops a run, the widest first."""
    covering = [halt for halt in halts if halt.scope in reach.scopes]
    return min(covering, key=lambda h: (h.scope != GLOBAL, h.scope), default=None)


def refusal(halt: Halt) -> Refused:
    """Say that and why nothing is run."""
    what = "" if halt.scope == GLOBAL else f" of {halt.scope}"
    return Refused(f"The kill switch{what} is pulled by {halt.by}; nothing was run.")


def ask_release(halt: Halt, by: Person) -> Halt | None:
    """Add one person's wish to release a switch; None once enough people wish it.

    Raises:
        Refused: they have asked already, or may not.
    """
    if by.bot:
        raise Refused("Only people release the kill switch.")
    if by.stranger or by.guest or not by.active:
        raise Refused("Only full members of this workspace release the kill switch.")
    if any(person.human == by.human for person in halt.releases):
        raise Refused("You have asked for the release already; a second person has to as well.")
    releases = (*halt.releases, by)
    return None if len(releases) >= RELEASES else replace(halt, releases=releases)


def names(people: Sequence[Person]) -> str:
    """Return people's names as one text."""
    return " and ".join(person.name for person in people)
