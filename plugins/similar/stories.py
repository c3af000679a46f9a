"""Past incidents as stories: what a card tells of them and what the search reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.catalog import PastIncident
from bot.domain.documents import Document
from bot.domain.incidents import Incident, MilestoneKind
from bot.domain.runs import Run, RunState
from bot.domain.timeline import TimelineEntry, TimelineKind

KIND = "incident"

_TOLD = (TimelineKind.NOTE, TimelineKind.PIN)
_LONGEST_TEXT = 8_000
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, kw_only=True)
class Story:
    """One past incident. `resolution` is what ended it, as far as is known."""

    id: str
    title: str
    at: datetime
    resolution: str
    text: str
    service: str
    names: tuple[str, ...] = ()
    example: bool = False

    @property
    def document(self) -> Document:
        """Return the story as the search keeps it."""
        return Document(
            id=self.id,
            kind=KIND,
            title=self.title,
            text=self.text[:_LONGEST_TEXT],
            names=self.names,
            services=(self.service,),
            created_at=self.at,
        )


def told(incident: PastIncident) -> Story:
    """Tell an incident of the knowledge folder."""
    return Story(
        id=incident.id,
        title=incident.title,
        at=incident.started_at,
        resolution=incident.resolution,
        text="\n\n".join((incident.summary, incident.cause, incident.resolution)),
        service=incident.service,
        example=incident.example,
    )


def lived(
    incident: Incident,
    *,
    names: Sequence[str],
    runs: Sequence[Run],
    timeline: Sequence[TimelineEntry],
    postmortem: str,
) -> Story:
    """Tell an incident of our own from its records.

    What resolved it is the last run that succeeded before the end; without one
    nothing is claimed.
    """
    helped = [run.title for run in runs if run.state is RunState.SUCCEEDED]
    resolution = f"“{helped[-1]}” was run" if helped else ""
    notes = [entry.text for entry in timeline if entry.kind in _TOLD]
    started = incident.milestone(MilestoneKind.STARTED)
    return Story(
        id=incident.id,
        title=incident.title,
        at=started.at if started else incident.declared_at,
        resolution=resolution,
        text="\n\n".join(
            part for part in (incident.summary, resolution, *notes, postmortem) if part
        ),
        service=incident.service,
        names=tuple(dict.fromkeys(names)),
    )


def first_sentence(text: str, longest: int = 140) -> str:
    """Return the first sentence of a text, on one line and not too long."""
    flat = " ".join(text.split())
    sentence = _SENTENCE_END.split(flat, maxsplit=1)[0].rstrip(".")
    return sentence if len(sentence) <= longest else f"{sentence[: longest - 1].rstrip()}…"


def age(past: timedelta) -> str:
    """Say how long ago something was, the way people do."""
    days = past.days
    for unit, length in (("year", 365), ("month", 30), ("week", 7), ("day", 1)):
        count = days // length
        if count >= 1 and not (unit == "week" and count < 2):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "today"
