"""The same request in other situations: who may approve what, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bot.domain.policy import ChangeType, PolicyDecision, PolicyRequest
from bot.ports import Policy


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What policy would say in one situation."""

    situation: str
    decision: PolicyDecision


def explain(policy: Policy, request: PolicyRequest) -> Sequence[Explained]:
    """Ask policy about a request as it is, and in each situation that changes the answer.

    The other situations start from an ordinary day and differ from it in one thing.
    """
    return [
        Explained(situation=situation, decision=policy.decide(asked))
        for situation, asked in _situations(request)
    ]


def _situations(request: PolicyRequest) -> Iterator[tuple[str, PolicyRequest]]:
    day = replace(
        request,
        freezes=(),
        calendar_faults=(),
        maintenance=False,
        half_open=False,
        pre_authorised=None,
        break_glass=None,
        change_type=ChangeType.NORMAL,
    )
    standard = replace(day, pre_authorised="explained", change_type=ChangeType.STANDARD)
    glass = replace(day, break_glass="explained", severity="sev1", change_type=ChangeType.EMERGENCY)
    yield "now", request
    yield "on an ordinary day", day
    yield "with a standing authorisation", standard
    yield "after failures (breaker half open)", replace(day, half_open=True)
    yield "in a change freeze", replace(day, freezes=("a freeze",))
    yield "with an unreadable calendar", replace(day, calendar_faults=("a calendar",))
    yield "with broken glass, sev1", glass
    yield "with broken glass in a freeze, sev1", replace(glass, freezes=("a freeze",))
