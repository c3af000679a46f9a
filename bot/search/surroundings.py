"""What connects a document to a query besides its text: services, age, and people's word."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from bot.domain.documents import Acceptance, Dependencies, Outcome

Moments = npt.NDArray[np.float64]

_FURTHEST = 2  # hops between services that still say something
_HALVED_AFTER = 90.0  # days
_OUTCOMES = {Outcome.WORKED: 1.0, Outcome.FAILED: -1.0, Outcome.UNKNOWN: 0.0}


class Topology:
    """Which services need which, in either direction, at most two hops away."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._needs = {name: frozenset(others) for name, others in dependencies.items()}
        self._near: dict[str, set[str]] = {}
        for name, others in self._needs.items():
            for other in others:
                self._near.setdefault(name, set()).add(other)
                self._near.setdefault(other, set()).add(name)

    def around(self, services: Collection[str]) -> Mapping[str, int]:
        """Return the services within two hops of these, without them, by number of hops."""
        hops = dict.fromkeys(services, 0)
        waiting = deque(services)
        while waiting:
            here = waiting.popleft()
            if hops[here] == _FURTHEST:
                continue
            for other in self._near.get(here, ()):
                if other not in hops:
                    hops[other] = hops[here] + 1
                    waiting.append(other)
        return {name: count for name, count in hops.items() if count}

    def told(self, one: str, other: str) -> str:
        """Say how two services hang together."""
        if other in self._needs.get(one, ()):
            return f"{one} needs {other}"
        if one in self._needs.get(other, ()):
            return f"{other} needs {one}"
        return f"{other} is close to {one}"


def recency(created: Moments, at: datetime) -> Moments:
    """Return 0.5 ** (age / 90 days) by POSIX time, and 0 for what is yet to come.

    What has no age was created at minus infinity.
    """
    days = (aware(at).timestamp() - created) / 86_400
    recent: Moments = 0.5 ** (np.maximum(days, 0) / _HALVED_AFTER) * (days >= 0)
    return recent


def acceptance(judged: Acceptance | None) -> float:
    """Return people's word from -1 to 1, drawn towards 0 while few have spoken."""
    if judged is None:
        return 0.0
    said = judged.useful + judged.useless
    return (judged.useful - judged.useless) / (said + 2)


def outcome(document_outcome: Outcome) -> float:
    """Return 1 where what was done helped, -1 where it did not, and 0 where nobody knows."""
    return _OUTCOMES[document_outcome]


def aware(moment: datetime) -> datetime:
    """Read a time without a zone as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
