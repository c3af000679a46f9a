"""Circuit breakers: an action that keeps failing somewhere is not tried again by itself.

One breaker for each action and service, after Nygard, *Release It!*: closed, it
counts what went wrong; open, it lets nothing through; half open, it lets one
trial through that a person has approved. A second, over all actions, stops the
whole fleet where more is being changed than anybody can follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class BreakerState(StrEnum):
    """How a breaker stands at a moment."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Trouble(StrEnum):
    """What counts against an action."""

    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    IN_DOUBT = "in doubt"
    LOOP = "raised again the alert it answered"


@dataclass(frozen=True, kw_only=True)
class BreakerRules:
    """When breakers open, and for how long. Times in seconds.

    `troubles` within `window` open one; after `rest` it is half open. More than
    `fleet` effects within `fleet_window` stop every further one. The same alert
    answered `loop` times by the same action within `loop_window` is a loop.
    """

    troubles: int = 3
    window: float = 3600
    rest: float = 1800
    fleet: int = 20
    fleet_window: float = 600
    loop: int = 2
    loop_window: float = 1800


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """The breaker of one action (without its version) on one service."""

    action: str
    service: str
    troubles: tuple[tuple[datetime, Trouble], ...] = ()
    opened_at: datetime | None = None
    reason: str = ""

    @property
    def key(self) -> str:
        """Return what identifies it."""
        return breaker_key(self.action, self.service)

    def state(self, at: datetime, rules: BreakerRules) -> BreakerState:
        """Say how it stands."""
        if self.opened_at is None:
            return BreakerState.CLOSED
        rested = at >= self.opened_at + timedelta(seconds=rules.rest)
        return BreakerState.HALF_OPEN if rested else BreakerState.OPEN


def breaker_key(action: str, service: str | None) -> str:
    """Return what identifies the breaker of an action on a service."""
    return f"{action.split('@', maxsplit=1)[0]}|{service or ''}"


def note_trouble(
    breaker: Breaker, trouble: Trouble, *, at: datetime, rules: BreakerRules
) -> Breaker:
    """Count what went wrong, and open the breaker where it is too much.

    A trial that goes wrong opens it at once, and so does a loop: waiting for
    more of either would be the harm itself.
    """
    since = at - timedelta(seconds=rules.window)
    troubles = (*(t for t in breaker.troubles if t[0] > since), (at, trouble))
    half_open = breaker.state(at, rules) is BreakerState.HALF_OPEN
    counted = replace(breaker, troubles=troubles)
    if trouble is Trouble.LOOP or half_open or len(troubles) >= rules.troubles:
        return replace(counted, opened_at=at, reason=_reason(troubles))
    return counted


def note_success(breaker: Breaker, *, at: datetime, rules: BreakerRules) -> Breaker:
    """Close a breaker whose trial went well; a success elsewhere forgives nothing."""
    if breaker.state(at, rules) is BreakerState.HALF_OPEN:
        return replace(breaker, troubles=(), opened_at=None, reason="")
    return breaker


def _reason(troubles: tuple[tuple[datetime, Trouble], ...]) -> str:
    last = troubles[-1][1]
    if last is Trouble.LOOP:
        return f"it {last}"
    times = "once" if len(troubles) == 1 else f"{len(troubles)} times"
    return f"it went wrong {times}, most recently: {last}"
