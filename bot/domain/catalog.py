"""What the team runs and what happened to it before: services and past incidents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service. Tier 1 is what users notice within minutes; 3 can wait for the morning.

    `depends_on` names what it calls itself; what those call follows from the
    catalog. `channel` is where its team talks.
    """

    name: str
    team: str
    description: str
    tier: int
    depends_on: tuple[str, ...] = ()
    channel: str | None = None


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All services by name."""

    services: Mapping[str, Service] = field(default_factory=dict)

    def dependencies(self, name: str) -> tuple[str, ...]:
        """Return what a service needs, directly or through others, nearest first."""
        return self._reachable(name, self._needs)

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return what needs a service, directly or through others, nearest first."""
        return self._reachable(name, self._needed_by)

    def cycle(self) -> tuple[str, ...] | None:
        """Return services that need each other in a circle (`a, b, a`), or None.

        A circle means that neither can start without the other, and that "what
        does this outage reach?" has no useful answer.
        """
        left = set(self.services)
        while free := {name for name in left if left.isdisjoint(self._needs(name))}:
            left -= free
        path: list[str] = sorted(left)[:1]
        while path:
            following = next(other for other in self._needs(path[-1]) if other in left)
            if following in path:
                return (*path[path.index(following) :], following)
            path.append(following)
        return None

    def _needs(self, name: str) -> Iterable[str]:
        service = self.services.get(name)
        return service.depends_on if service else ()

    def _needed_by(self, name: str) -> Iterable[str]:
        return (s.name for s in self.services.values() if name in s.depends_on)

    def _reachable(self, name: str, near: Callable[[str], Iterable[str]]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        waiting = deque([name])
        while waiting:
            for other in near(waiting.popleft()):
                if other != name and other not in found:
                    found[other] = None
                    waiting.append(other)
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class PastIncident:
    """An incident from before, as the knowledge folder tells it.

    `example` marks an invented one, so that nobody takes it for history.
    `path` is relative to the knowledge folder.
    """

    id: str
    title: str
    service: str
    severity: str
    started_at: datetime
    resolved_after_minutes: int
    summary: str
    cause: str
    resolution: str
    runbook: str | None = None
    example: bool = False
    path: str = ""
