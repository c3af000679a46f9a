"""The timeline: what happened, for people. Corrected by a new entry, never edited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TimelineKind(StrEnum):
    """Where an entry came from."""

    ALERT = "alert"
    INCIDENT = "incident"
    ROLE = "role"
    RUN = "run"
    APPROVAL = "approval"
    NOTE = "note"
    PIN = "pin"
    JOIN = "join"
    FINDING = "finding"


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """One thing that happened.

    `at` is when it happened, which for a pinned message is when the message was
    written; `origin` is what it was taken from, and one origin is recorded once
    per subject. `subject` is an incident's id or an alert group's.
    """

    subject: str
    at: datetime
    kind: TimelineKind
    text: str
    actor: str = "system"
    actor_name: str = ""
    origin: str = ""
