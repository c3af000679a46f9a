"""Post-mortems as files: Markdown to work on, HTML to print and pass around.

Everything in a post-mortem may have been written by strangers: labels, chat,
alert names. Both formats show it as text. In Markdown every printed expression
is escaped by the environment; in HTML Jinja2 does the same, and a content
security policy within the page forbids scripts and anything from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.domain.incidents import MilestoneKind
from bot.domain.messages import duration
from bot.domain.postmortems import Postmortem
from bot.domain.records import exact
from bot.domain.timeline import TimelineEntry, TimelineKind

FOLDER = Path(__file__).resolve().parent.parent / "prompts" / "export"

Format = Literal["md", "html"]

_MARKS = re.compile(r"[\\`*_\[\]<>|~&$@#]")
_ADDRESS = re.compile(r"(?<=\w)://|(?<=www)\.", re.IGNORECASE)
_BEGINNING = re.compile(r"^(?:[+=-]|\d{1,9}(?=[.)]))")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_JUDGED = {True: "helped", False: "did not help", None: "open"}
_SAID = {TimelineKind.NOTE: "noted: ", TimelineKind.PIN: "wrote: "}
_PHASES = {
    MilestoneKind.STARTED: "not noticed yet",
    MilestoneKind.DETECTED: "waiting for somebody",
    MilestoneKind.ACKNOWLEDGED: "being worked on",
    MilestoneKind.MITIGATED: "watched",
}


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch between two milestones, for the bar at the top of the page."""

    kind: str
    name: str
    seconds: float


def render(postmortem: Postmortem, format: Format) -> str:
    """Write a post-mortem as Markdown or as one self-contained HTML page.

    Raises:
        ValueError: the format is neither.
    """
    environment = _ENVIRONMENTS.get(format)
    if environment is None:
        raise ValueError(f"format: {format!r} is neither md nor html")
    template = environment.get_template(f"postmortem.{format}.j2")
    days = [(day, list(entries)) for day, entries in groupby(postmortem.timeline, _day_of)]
    return template.render(pm=postmortem, phases=tuple(phases(postmortem)), days=days)


def phases(postmortem: Postmortem) -> Iterator[Phase]:
    """Return the stretches from the start to the resolution, in order."""
    ends = (*_PHASES, MilestoneKind.RESOLVED)
    reached = [(MilestoneKind(kind), at) for kind, at, _ in postmortem.milestones if kind in ends]
    for (kind, start), (_, end) in pairwise(reached):
        if kind is MilestoneKind.RESOLVED:
            return
        if end > start:
            seconds = (end - start).total_seconds()
            yield Phase(kind=kind.value, name=_PHASES[kind], seconds=seconds)


def escaped(value: object) -> str:
    """Return a text on one line in which Markdown sees no markup, link, HTML or table cell."""
    flat = " ".join(visible(str(value)).split())
    marked = _ADDRESS.sub(lambda m: f"\\{m[0]}", _MARKS.sub(lambda m: f"\\{m[0]}", flat))
    return _BEGINNING.sub(_escaped_beginning, marked)


def _escaped_beginning(match: re.Match[str]) -> str:
    """Keep a text from beginning as a heading or an item of a list."""
    mark = match[0]
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def visible(text: str) -> str:
    """Drop control characters and those that hide or turn text around."""
    return _UNSEEN.sub("", text)


def _paragraphs(text: str) -> list[str]:
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


def _day_of(entry: TimelineEntry) -> str:
    return f"{entry.at.astimezone(UTC):%Y-%m-%d}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M:%S}"


def _told(entry: TimelineEntry) -> str:
    """Tell words that somebody wrote from deeds."""
    return f"{_SAID.get(entry.kind, '')}{entry.text}"


def _length(seconds: float | None) -> str:
    return "not on record" if seconds is None else duration(seconds)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _shown(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


_FILTERS: Mapping[str, Any] = {
    "exact": exact,
    "clock": _clock,
    "told": _told,
    "length": _length,
    "paragraphs": _paragraphs,
    "judged": _JUDGED.__getitem__,
    "sentence": _sentence,
}


def _environment(**options: Any) -> Environment:
    environment = Environment(  # noqa: S701  # each format says how it escapes
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters.update(_FILTERS)
    return environment


_ENVIRONMENTS: Mapping[str, Environment] = {
    "md": _environment(autoescape=False, finalize=escaped),
    "html": _environment(autoescape=True, finalize=_shown),
}
