"""Limits of a runbook: how much it may touch, and how often it may run.

What cannot be held against a limit breaks it: a share of nobody knows how many,
or a bound that is not a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.errors import Refused

WIDEST_WAVE = 4  # targets; what goes wrong in one wave must stay few
_RATE = re.compile(r"(\d{1,4})/(\d{1,6})(s|m|h|d)", re.ASCII)
_MINUTE, _TICK = timedelta(minutes=1), timedelta(microseconds=1)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run of a runbook may not exceed; None is no limit.

    `targets` is a number and `percent` a share of what the targets are out of.
    `rate` is so many runs in so many seconds, for the runbook on one service.
    `cool_down` are the seconds to wait after the last effect of another run.
    `concurrency_key` is what only one run at a time may hold; empty, it is the
    service.
    """

    targets: int | None = None
    percent: float | None = None
    rate: tuple[int, float] | None = None
    cool_down: float | None = None
    concurrency_key: str | None = None


def parse_rate(text: str) -> tuple[int, float]:
    """Return the number and the seconds of a rate such as `3/1h` or `1/30m`.

    Raises:
        ValueError: the text is not of that form, or one of the two is zero.
    """
    found = _RATE.fullmatch(text)
    if found is None or int(found[1]) == 0 or int(found[2]) == 0:
        raise ValueError(f'"{text[:40]}" is not a rate such as 3/1h or 1/30m')
    return int(found[1]), float(int(found[2]) * _SECONDS[found[3]])


def check_targets(limits: Limits, targets: Sequence[str], out_of: int | None) -> None:
    """Hold what a plan touches against the limits on it; a target named twice is one.

    Raises:
        Refused: it is too many, too large a share, or a share of nobody knows how many.
    """
    count = len(set(targets))
    if limits.targets is not None and not count <= limits.targets:
        raise Refused(
            f"The plan touches {_targets(count)}, and this runbook may touch {limits.targets}."
        )
    if limits.percent is None:
        return
    if out_of is None:
        raise Refused(
            f"This runbook may touch {limits.percent:g} % of its targets, and nothing says how "
            "many there are."
        )
    if not 100 * count <= limits.percent * out_of:
        raise Refused(
            f"The plan touches {count} of {_targets(out_of)}, and this runbook may touch "
            f"{limits.percent:g} % of them."
        )


def waves(targets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return targets in the groups they are rolled out to: 1, then 2, then 4 at a time."""
    found: list[tuple[str, ...]] = []
    size, left = 1, tuple(targets)
    while left:
        found.append(left[:size])
        left, size = left[size:], min(size * 2, WIDEST_WAVE)
    return tuple(found)


def check_rate(limits: Limits, began: Iterable[datetime], *, at: datetime) -> None:
    """Hold one more run against the limit on how often; `began` are when other runs did.

    Moments that lie ahead count: they come from a clock that was set back since.

    Raises:
        Refused: saying from when on another run is possible.
    """
    if limits.rate is None:
        return
    count, seconds = limits.rate
    window = timedelta(seconds=seconds)
    recent = sorted(moment for moment in began if moment > at - window)
    if len(recent) < count:
        return
    free = recent[-count] + window
    raise Refused(
        f"This runbook may run {_times(count)} in {_span(seconds)} on one service; "
        f"nothing was run, and nothing is before {clock_time(free, at)}."
    )


def check_cool_down(limits: Limits, last: datetime | None, *, at: datetime) -> None:
    """Hold a run against the time to wait since `last`, when another run's last effect ended.

    Raises:
        Refused: saying until when to wait.
    """
    if limits.cool_down is None or last is None:
        return
    free = last + timedelta(seconds=limits.cool_down)
    if not at >= free:
        raise Refused(
            f"This runbook waits {_span(limits.cool_down)} after its last effect on a service; "
            f"nothing was run, and nothing is before {clock_time(free, at)}."
        )


def clock_time(moment: datetime, now: datetime) -> str:
    """Return until when to wait, as people read it: a full minute, with its day if not today.

    A part of a minute counts as a whole one, so that nobody tries too early.
    """
    moment = (moment + _MINUTE - _TICK).replace(second=0, microsecond=0)
    day = "" if moment.date() == now.date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M} UTC"


def _targets(count: int) -> str:
    return "1 target" if count == 1 else f"{count} targets"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _span(seconds: float) -> str:
    for name, unit in (("h", 3600), ("min", 60)):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"
