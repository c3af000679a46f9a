"""The `limits` of a runbook page: how much a run may touch, and how often there may be one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bot.domain.limits import Limits, parse_rate
from bot.domain.runbooks import Step
from bot.knowledge.fields import SLUG, Fields

MOST_TARGETS = 1000
LONGEST_COOL_DOWN = 7 * 86400  # seconds

_KEYS = ("targets", "percent", "rate", "cool_down", "concurrency_key")


def read_limits(front: Fields) -> Limits:
    """Read the table `limits` of a page's front matter; a missing one limits nothing."""
    part = front.table("limits", required=False)
    if part is None:
        return Limits()
    limits = Limits(
        targets=part.count("targets", most=MOST_TARGETS),
        percent=_percent(part),
        rate=_rate(part),
        cool_down=part.span("cool_down", most=LONGEST_COOL_DOWN),
        concurrency_key=part.text("concurrency_key", default="", form=SLUG) or None,
    )
    part.finish()
    if not any(key in part for key in _KEYS):
        front.note("limits", "says nothing; leave it out, or give targets, percent, rate, …")
    return limits


def check_rollouts(limits: Limits, steps: Sequence[Step], front: Fields) -> None:
    """Note a limit that a step's own list of targets breaks: it could never run."""
    named = {target for step in steps for target in step.targets}
    if limits.targets is not None and len(named) > limits.targets:
        count = len(named)
        front.note("limits", f"allows {limits.targets} targets, but the steps name {count}")


def _percent(part: Fields) -> float | None:
    percent = part.number("percent")
    if percent is not None and not (math.isfinite(percent) and 0 < percent <= 100):
        part.note("percent", f"is {percent:g}, but should be above 0 and at most 100")
        return None
    return percent


def _rate(part: Fields) -> tuple[int, float] | None:
    text = part.text("rate", default="")
    if not text:
        return None
    try:
        return parse_rate(text)
    except ValueError as problem:
        part.note("rate", f"is wrong: {problem}")
        return None
