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

    @property
    def sentence(self) -> str:
        """Tell it with who did it: `Dana joined the channel`, but `Dana: All is well`.

        What a person wrote stands behind a colon, and so does a text that begins
        a sentence of its own.
        """
        if not self.actor_name:
            return self.text
        quoted = self.kind in (TimelineKind.NOTE, TimelineKind.PIN) or self.text[:1].isupper()
        return f"{self.actor_name}{':' if quoted else ''} {self.text}"
