"""Buttons, the silence form, and lists of what fires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.domain.alerts import AlertGroup, AlertStatus
from bot.domain.messages import (
    Bold,
    Button,
    Form,
    Heading,
    Link,
    Message,
    Moment,
    Option,
    Paragraph,
    SelectField,
    Span,
    Style,
    TextField,
    duration,
    note,
    paragraph,
    quiet,
)
from bot.domain.people import PersonId

ACKNOWLEDGE = "alerts.acknowledge"
SILENCE = "alerts.silence"
SILENCE_SUBMIT = "alerts.silence_submit"
DETAILS = "alerts.details"

SPANS: Mapping[str, timedelta] = {
    "30 min": timedelta(minutes=30),
    "1 h": timedelta(hours=1),
    "4 h": timedelta(hours=4),
    "24 h": timedelta(hours=24),
}
LONGEST_REASON = 200

_SHOWN_AT_HOME = 5
_SHOWN_IN_LIST = 20


def acknowledge_button(group: AlertGroup) -> Button | None:
    """Let somebody take a firing alert, or take it over from who has it."""
    if group.status is AlertStatus.RESOLVED:
        return None
    if group.acknowledged_by is not None:
        return Button(label="Take over", interaction=ACKNOWLEDGE, value=group.id)
    return Button(label="Acknowledge", interaction=ACKNOWLEDGE, value=group.id, style=Style.PRIMARY)


def silence_button(group: AlertGroup) -> Button | None:
    """Let somebody mute an alert that fires."""
    if group.status is AlertStatus.RESOLVED:
        return None
    return Button(label="Silence", interaction=SILENCE, value=group.id)


def details_button(group: AlertGroup) -> Button:
    """Show everything behind the card."""
    return Button(label="Details", interaction=DETAILS, value=group.id)


def silence_form(group: AlertGroup, *, at: datetime) -> Form:
    """Ask for how long, and why."""
    parts = [paragraph(Bold(group.name), " keeps its card and makes no noise for that time.")]
    if group.silenced_until is not None and group.silenced(at):
        parts.append(paragraph("It is silenced until ", Moment(group.silenced_until), " now."))
    return Form(
        title="Silence this alert",
        interaction=SILENCE_SUBMIT,
        value=group.id,
        submit="Silence",
        parts=tuple(parts),
        fields=(
            SelectField(
                name="duration",
                label="For how long",
                options=tuple(Option(value=span, label=span) for span in SPANS),
                initial="1 h",
            ),
            TextField(
                name="reason",
                label="Why",
                hint="Goes on the alert's timeline.",
                longest=LONGEST_REASON,
            ),
        ),
    )


def firing_list(groups: Sequence[AlertGroup], links: Mapping[str, str], *, at: datetime) -> Message:
    """List what fires, for who asked."""
    if not groups:
        return note("No alert is firing.")
    summary = _count(len(groups))
    lines = [_line(group, links, at=at) for group in listed(groups)]
    left = len(groups) - len(lines)
    more = (quiet(f"And {left} more."),) if left else ()
    return Message(summary=summary, parts=(Heading(summary), *lines, *more))


def home(
    groups: Sequence[AlertGroup], links: Mapping[str, str], *, viewer: PersonId, at: datetime
) -> Message | None:
    """Show a person what fires: what they took first, then what nobody took.

    What is silenced is left out: it was decided that it needs nobody for now.
    """
    loud = [group for group in groups if not group.silenced(at)]
    if not loud:
        return None
    ordered = at_home(groups, viewer=viewer, at=at)
    left = len(loud) - len(ordered)
    more = (quiet(f"And {left} more: /incident alerts"),) if left else ()
    summary = _count(len(loud))
    lines = (_line(group, links, at=at) for group in ordered)
    return Message(summary=summary, parts=(Heading(summary), *lines, *more))


def listed(groups: Sequence[AlertGroup]) -> Sequence[AlertGroup]:
    """Return the groups that a list has room for."""
    return groups[:_SHOWN_IN_LIST]


def at_home(
    groups: Sequence[AlertGroup], *, viewer: PersonId, at: datetime
) -> Sequence[AlertGroup]:
    """Return the groups that a person's home page has room for, what concerns them first."""
    return for_viewer([g for g in groups if not g.silenced(at)], viewer)[:_SHOWN_AT_HOME]


def for_viewer(groups: Sequence[AlertGroup], viewer: PersonId) -> list[AlertGroup]:
    """Order groups by how much they concern a person; the order within stays."""

    def concern(group: AlertGroup) -> int:
        if group.acknowledged_by is None:
            return 1
        return 0 if group.acknowledged_by.id == viewer else 2

    return sorted(groups, key=concern)


def _count(number: int) -> str:
    return "1 alert is firing" if number == 1 else f"{number} alerts are firing"


def _line(group: AlertGroup, links: Mapping[str, str], *, at: datetime) -> Paragraph:
    url = links.get(group.id)
    name: Span = Link(group.name, url) if url else Bold(group.name)
    lasting = duration((at - min(group.starts_at, at)).total_seconds())
    facts = [group.service or "", f"for {lasting}", _holder(group, at), group.incident or ""]
    return paragraph(name, " · ", " · ".join(fact for fact in facts if fact))


def _holder(group: AlertGroup, at: datetime) -> str:
    if group.silenced(at):
        return "silenced"
    if group.acknowledged_by is None:
        return "nobody has it"
    return f"{group.acknowledged_by.name} has it"
