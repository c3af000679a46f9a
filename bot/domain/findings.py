"""What the assistant claims about a subject, and on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What a finding is about, in the order a card shows them."""

    SEVERITY = "severity"
    KNOWN_ERROR = "known error"
    SIMILAR = "similar"
    RUNBOOK = "runbook"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One thing a claim rests on: an alert, an incident, a runbook section, a metric."""

    kind: str
    ref: str
    label: str
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One claim with its evidence.

    `confidence` is a calibrated probability or None: a number that was not
    calibrated is not shown. `value` is what the claim comes to for a machine
    (a severity, a runbook's id). `detail` is shown behind "Details" only.
    """

    kind: FindingKind
    claim: str
    evidence: tuple[Evidence, ...] = ()
    confidence: float | None = None
    model: str = ""
    value: str = ""
    detail: str = ""
    plugin: str = ""
