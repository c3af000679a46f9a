"""Intents and outcomes: the two rows around every effect on a system."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.domain.actions import Arguments, Transient


class EffectState(StrEnum):
    """An effect without an outcome after its worker is gone is in doubt."""

    INTENDED = "intended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in doubt"


@dataclass(frozen=True, kw_only=True)
class EffectRecord:
    """One effect on a system: written before it starts, completed after it ended.

    `service` and `runbook` are what rates and breakers are counted by; `subject`
    is what the run answers, `decision` the one that let it happen; `stopped` says
    that a person ended it, which is not held against the action. `transient` says
    of a failure why the same call may work later.
    """

    key: str
    run: str
    uses: str
    arguments: Arguments
    state: EffectState
    intended_at: datetime
    ended_at: datetime | None = None
    summary: str = ""
    value: float | None = None
    attempts: int = 1
    service: str | None = None
    runbook: str = ""
    subject: str = ""
    risk: int = 0
    stopped: bool = False
    decision: str = ""
    transient: Transient | None = None
