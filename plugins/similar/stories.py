"""Past incidents as stories: what a card tells of them and what the search reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.catalog import PastIncident
from bot.domain.documents import Document, Kind, Outcome
from bot.domain.incidents import Incident, MilestoneKind, measures
from bot.domain.messages import duration
from bot.domain.people import ChannelId
from bot.domain.records import verified
from bot.domain.runs import Run, RunState
from bot.domain.timeline import TimelineEntry, TimelineKind

KINDS = (Kind.INCIDENT, Kind.POSTMORTEM)

_TOLD = (TimelineKind.NOTE, TimelineKind.PIN)
_LONGEST_TEXT = 8_000
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, kw_only=True)
class Story:
    """One past incident. `resolution` is what ended it, as far as is known.

    `run` is the title of the runbook that was run last, `seconds` the time to
    resolve, `channel` where people worked on it. One incident is one document,
    with or without a post-mortem: two of them would compete with each other.
    """

    id: str
    title: str
    at: datetime
    summary: str = ""
    cause: str = ""
    resolution: str = ""
    notes: str = ""
    outcome: Outcome = Outcome.UNKNOWN
    run: str = ""
    seconds: float | None = None
    services: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    kind: Kind = Kind.INCIDENT
    channel: ChannelId | None = None
    example: bool = False

    @property
    def document(self) -> Document:
        """Return the story as the search keeps it: Markdown, a section for each part."""
        sections = (
            ("Summary", self.summary),
            ("Cause", self.cause),
            ("Resolution", self.resolution),
            ("Notes", self.notes),
        )
        text = "\n\n".join(f"## {name}\n\n{told}" for name, told in sections if told)
        return Document(
            id=self.id,
            kind=self.kind,
            title=self.title,
            text=text[:_LONGEST_TEXT],
            names=self.names,
            services=self.services,
            created_at=self.at,
            outcome=self.outcome,
        )

    @property
    def lasted(self) -> str:
        """Say how long it took to resolve, where that is on record."""
        return "" if self.seconds is None else f"resolved in {duration(self.seconds)}"


def told(incident: PastIncident, *, run: str = "") -> Story:
    """Tell an incident of the knowledge folder.

    What its page calls the resolution is what ended it, so it worked. `run` is
    the title of the runbook that the page names.
    """
    return Story(
        id=incident.id,
        title=incident.title,
        at=incident.started_at,
        summary=incident.summary.strip(),
        cause=incident.cause.strip(),
        resolution=incident.resolution.strip(),
        outcome=Outcome.WORKED if incident.resolution.strip() else Outcome.UNKNOWN,
        run=run,
        seconds=60.0 * incident.resolved_after_minutes,
        services=(incident.service,),
        example=incident.example,
    )


def lived(
    incident: Incident,
    *,
    names: Iterable[str],
    services: Iterable[str] = (),
    runs: Sequence[Run],
    timeline: Sequence[TimelineEntry],
    postmortem: str | None,
    cause: str = "",
) -> Story:
    """Tell an incident of our own from its records.

    What is claimed to have resolved it is the last run that ended before the
    incident did; without one nothing is claimed. `postmortem` is the summary of
    its post-mortem, None where there is none; `cause` is what people named.
    """
    last = _last_before_the_end(runs, incident)
    started = incident.milestone(MilestoneKind.STARTED)
    return Story(
        id=incident.id,
        title=incident.title,
        at=started.at if started else incident.declared_at,
        summary="\n\n".join(part for part in (incident.summary, postmortem) if part),
        cause=cause,
        resolution=_resolution(last) if last else "",
        notes="\n\n".join(entry.text for entry in timeline if entry.kind in _TOLD),
        outcome=_outcome(last) if last else Outcome.UNKNOWN,
        run=last.title if last else "",
        seconds=_seconds(incident),
        services=_each(incident.service, *services),
        names=_each(*names),
        kind=Kind.INCIDENT if postmortem is None else Kind.POSTMORTEM,
        channel=incident.channel,
    )


def _each(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


def _last_before_the_end(runs: Sequence[Run], incident: Incident) -> Run | None:
    """Return the last run of a person's or the assistant's that changed anything, or tried."""
    end = incident.milestone(MilestoneKind.RESOLVED)
    done = [
        run
        for run in runs
        if run.parent is None
        and _outcome(run) is not Outcome.UNKNOWN
        and (end is None or run.ended_at is None or run.ended_at <= end.at)
    ]
    return max(done, key=lambda run: run.ended_at or run.created_at, default=None)


def _outcome(run: Run) -> Outcome:
    """Say whether a run helped. One that could not even be planned tells nothing."""
    if run.state is RunState.SUCCEEDED:
        return Outcome.WORKED
    failed = run.state is RunState.ROLLED_BACK or (run.state.failed and run.plan is not None)
    return Outcome.FAILED if failed else Outcome.UNKNOWN


def _resolution(run: Run) -> str:
    if run.state is RunState.SUCCEEDED:
        return f"“{run.title}” was run and {'verified' if verified(run) else 'succeeded'}"
    return f"“{run.title}” was run and did not work"


def _seconds(incident: Incident) -> float | None:
    """Return the time to resolve by milestones; undetected, it counts from the declaration."""
    known = {measure.name: measure.seconds for measure in measures(incident.milestones)}
    if known["TTR"] is not None:
        return known["TTR"]
    end = incident.milestone(MilestoneKind.RESOLVED)
    if end is None or end.at < incident.declared_at:
        return None
    return (end.at - incident.declared_at).total_seconds()


def first_sentence(text: str, longest: int = 140) -> str:
    """Return the first sentence of a text, on one line and not too long."""
    flat = " ".join(text.split())
    return shortened(_SENTENCE_END.split(flat, maxsplit=1)[0].rstrip("."), longest)


def shortened(text: str, longest: int) -> str:
    """Return a text on one line and not too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1].rstrip()}…"


def age(past: timedelta) -> str:
    """Say how long ago something was, the way people do."""
    days = past.days
    for unit, length in (("year", 365), ("month", 30), ("week", 7), ("day", 1)):
        count = days // length
        if count >= 1 and not (unit == "week" and count < 2):
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "today"
