"""Short messages: the draft in the war room, and what one person missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.domain.incidents import Incident, Measure
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Heading,
    Message,
    Moment,
    Mono,
    Part,
    Span,
    duration,
    facts,
    paragraph,
    quiet,
)
from bot.domain.postmortems import CatchUp, Postmortem
from bot.domain.timeline import TimelineEntry

_MOST_LINES = 4
_LONGEST_LINE = 200
NOT_REACHED = "not on record"


def posted(postmortem: Postmortem, *, show: str) -> Message:
    """Draw the draft for the war room: the short of it, the rest behind a button."""
    button = Button(label="Show whole", interaction=show, value=postmortem.incident)
    return Message(
        summary=f"Post-mortem of {postmortem.incident}, a draft: {postmortem.title}",
        parts=(
            Heading(f"Post-mortem of {postmortem.incident} (draft)"),
            paragraph(Bold(postmortem.title)),
            paragraph(postmortem.summary),
            quiet(*written_by(postmortem.writer, by_model=postmortem.by_model)),
            measured(postmortem.measures),
            *_judged("What the assistant did well", postmortem.assistant_good),
            *_judged("Where it was of no help", postmortem.assistant_bad),
            quiet(_contents(postmortem)),
            Buttons((button,)),
        ),
    )


def measured(measures: Sequence[Measure]) -> Part:
    """Draw the usual times; one that was not reached says so."""
    return facts((f"{m.name}, {m.meaning}", length(m.seconds)) for m in measures)


def length(seconds: float | None) -> str:
    """Write a measured time."""
    return NOT_REACHED if seconds is None else duration(seconds)


def written_by(writer: str, *, by_model: bool) -> tuple[Span, ...]:
    """Say who wrote a text, so that nobody takes a model's words for the record."""
    if by_model:
        return ("Written by a language model (", Mono(writer), "). Check it against the timeline.")
    return ("Written from the records, without a language model.",)


def _judged(title: str, lines: Sequence[str]) -> Iterator[Part]:
    if not lines:
        return
    shown = [f"• {cut(line)}" for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"… and {len(lines) - _MOST_LINES} more")
    yield paragraph(Bold(title), "\n" + "\n".join(shown))


def _contents(postmortem: Postmortem) -> str:
    counted = (
        (len(postmortem.timeline), "timeline entry", "timeline entries"),
        (len(postmortem.suggestions), "suggestion", "suggestions"),
        (len(postmortem.consents), "plan", "plans"),
        (len(postmortem.action_items), "action item", "action items"),
    )
    return " · ".join(f"{n} {one if n == 1 else many}" for n, one, many in counted)


def drafted(postmortem: Postmortem, incident: Incident) -> Message:
    """Tell the person who asked where the draft is."""
    export = Mono(f"tocsin postmortem export {postmortem.incident} --format md")
    text = f"The post-mortem of {postmortem.incident} is drafted"
    if incident.channel is None:
        where: tuple[Span, ...] = (f"{text}. Write it to a file with ", export, ".")
    else:
        where = (f"{text} in ", ChannelName(incident.channel), ". As a file: ", export, ".")
    return Message(summary=f"{text}.", parts=(paragraph(*where),))


def caught_up(catch_up: CatchUp) -> Message:
    """Tell one person where an incident stands, and what happened last."""
    prose = catch_up.prose
    parts: list[Part] = [
        paragraph(prose.text),
        *_last(catch_up.latest),
        quiet(*written_by(prose.writer, by_model=prose.by_model)),
    ]
    id = catch_up.incident.id
    summary = prose.text if prose.text.startswith(id) else f"{id}: {prose.text}"
    return Message(summary=summary, parts=tuple(parts))


def _last(entries: Sequence[TimelineEntry]) -> Iterator[Part]:
    if not entries:
        return
    spans: list[Span] = [Bold("What happened last")]
    for entry in entries:
        spans += ["\n", *line(entry)]
    yield paragraph(*spans)


def line(entry: TimelineEntry) -> tuple[Span, ...]:
    """Draw a timeline entry as one line."""
    return (Moment(entry.at), f" {cut(' '.join(entry.sentence.split()))}")


def cut(text: str) -> str:
    """Keep a line short."""
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1].rstrip()}…"
