"""The pinned card, the announcement, the topic, and what is said to one person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.domain.alerts import AlertGroup, AlertStatus
from bot.domain.incidents import Incident, IncidentStatus, MilestoneKind
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Confirm,
    Facts,
    Heading,
    Link,
    Message,
    Moment,
    Paragraph,
    Part,
    PersonName,
    Quiet,
    Span,
    Tone,
    facts,
    note,
    quiet,
)
from bot.domain.people import Role
from bot.domain.runs import Run
from bot.domain.timeline import TimelineEntry

UPDATE = "warroom.update"
RESOLVE = "warroom.resolve"
CLOSE = "warroom.close"
TAKE: Mapping[Role, str] = {role: f"warroom.{role.value}" for role in Role}

NOBODY = "nobody yet"
ENTRIES_SHOWN = 20

_LONGEST_ENTRY = 300
_ALERTS_NAMED = 3
_RUNS_SHOWN = 5
_INCIDENTS_LISTED = 20
_INCIDENTS_NAMED = 5
_WISHES = {
    Role.COMMANDER: "Take command",
    Role.SCRIBE: "Be scribe",
    Role.COMMUNICATIONS: "Lead communications",
}
_TAKEOVERS = {
    Role.COMMANDER: "Take over command",
    Role.SCRIBE: "Take over as scribe",
    Role.COMMUNICATIONS: "Take over communications",
}
_TONES = {
    IncidentStatus.INVESTIGATING: Tone.FIRING,
    IncidentStatus.IDENTIFIED: Tone.WAITING,
    IncidentStatus.MONITORING: Tone.WAITING,
    IncidentStatus.RESOLVED: Tone.GOOD,
    IncidentStatus.CLOSED: Tone.MUTED,
}


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a card tells besides the incident. `links` lead to the alerts' cards, by group."""

    alerts: Sequence[AlertGroup] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    runs: Sequence[Run] = ()

    @property
    def firing(self) -> Sequence[AlertGroup]:
        """Return the alerts that still fire."""
        return [group for group in self.alerts if group.status is AlertStatus.FIRING]


def topic(incident: Incident) -> str:
    """Say in one line what the channel is for; an incident that is over says so first."""
    commander = incident.roles.get(Role.COMMANDER)
    words = (
        "" if incident.status.open else incident.status.value,
        incident.severity.value,
        incident.service,
        incident.id,
        f"commander: {commander.name if commander else NOBODY}",
    )
    return " · ".join(word for word in words if word)


def card(incident: Incident, around: Surroundings, offers: Sequence[Button] = ()) -> Message:
    """Draw the pinned card. `offers` are buttons of other plugins."""
    return _card(incident, around, _buttons(incident, around, offers))


def standing(incident: Incident, around: Surroundings) -> Message:
    """Draw the card for one person who asked where things stand: without buttons."""
    return _card(incident, around, ())


def _card(incident: Incident, around: Surroundings, buttons: Sequence[Button]) -> Message:
    title = f"{incident.id} · {incident.title}"
    parts: list[Part] = [Heading(title), _facts(incident, around)]
    if around.runs:
        parts.append(_runs(around.runs))
    if buttons:
        parts.append(Buttons(tuple(buttons)))
    summary = f"{title} ({incident.severity}, {incident.status})"
    return Message(summary=summary, parts=tuple(parts), tone=_TONES[incident.status])


def _facts(incident: Incident, around: Surroundings) -> Facts:
    pairs: list[tuple[str, Span | tuple[Span, ...]]] = [
        ("Status", incident.status.value),
        ("Severity", f"{incident.severity}: {incident.severity.meaning}"),
        ("Service", incident.service or "not named"),
    ]
    pairs += [(role.title, _holder(incident, role)) for role in Role]
    by = PersonName(incident.declared_by.id, incident.declared_by.name)
    if started := incident.milestone(MilestoneKind.STARTED):
        pairs.append(("Started", Moment(started.at)))
    pairs.append(("Declared", (Moment(incident.declared_at), " by ", by)))
    if around.alerts:
        pairs.append(("Alert" if len(around.alerts) == 1 else "Alerts", _alerts(around)))
    if not incident.status.open and (ended := incident.milestone(MilestoneKind.RESOLVED)):
        pairs.append(("Resolved", Moment(ended.at)))
    return facts(pairs)


def _holder(incident: Incident, role: Role) -> Span:
    person = incident.roles.get(role)
    return PersonName(person.id, person.name) if person else NOBODY


def _alerts(around: Surroundings) -> tuple[Span, ...]:
    spans: list[Span] = []
    for group in around.alerts[:_ALERTS_NAMED]:
        url = around.links.get(group.id)
        spans += [", "] if spans else []
        spans += [Link(group.name, url) if url else group.name, f" ({group.status})"]
    left = len(around.alerts) - _ALERTS_NAMED
    return (*spans, f" and {left} more") if left > 0 else tuple(spans)


def _runs(runs: Sequence[Run]) -> Quiet:
    told = [f"{run.title} ({run.state})" for run in runs[-_RUNS_SHOWN:]]
    earlier = len(runs) - len(told)
    return quiet("Runbooks: ", f"{earlier} earlier, " if earlier else "", ", ".join(told))


def _buttons(
    incident: Incident, around: Surroundings, offers: Sequence[Button]
) -> Sequence[Button]:
    if incident.status.open:
        roles = [role_button(incident, role) for role in Role]
        return (*roles, _update_button(incident), *offers, resolve_button(incident, around.firing))
    if incident.status is IncidentStatus.RESOLVED:
        return (*offers, _close_button(incident))
    return tuple(offers)


def role_button(incident: Incident, role: Role) -> Button:
    """Offer a role; one that is held is taken over only after a question."""
    held, name = incident.roles.get(role), role.title.lower()
    if held is None:
        return Button(label=_WISHES[role], interaction=TAKE[role], value=incident.id)
    return Button(
        label=_TAKEOVERS[role],
        interaction=TAKE[role],
        value=incident.id,
        confirm=Confirm(
            title=f"Take over as {name}?",
            text=f"{held.name} has this role now, and will not have it any more.",
            yes="Take over",
        ),
    )


def _update_button(incident: Incident) -> Button:
    return Button(label="Update status…", interaction=UPDATE, value=incident.id)


def resolve_button(incident: Incident, firing: Sequence[AlertGroup]) -> Button:
    """Offer to resolve, with a warning where alerts still fire."""
    text = still_firing(firing) or "No alert of it fires any more."
    return Button(
        label="Resolve",
        interaction=RESOLVE,
        value=incident.id,
        confirm=Confirm(title=f"Resolve {incident.id}?", text=text, yes="Resolve"),
    )


def still_firing(firing: Sequence[AlertGroup]) -> str:
    """Warn that alerts fire although the incident ends; nothing where none does."""
    if not firing:
        return ""
    names = ", ".join(group.name for group in firing[:_ALERTS_NAMED])
    more = f" and {len(firing) - _ALERTS_NAMED} more" if len(firing) > _ALERTS_NAMED else ""
    return f"Still firing: {names}{more}."


def _close_button(incident: Incident) -> Button:
    return Button(
        label="Close",
        interaction=CLOSE,
        value=incident.id,
        confirm=Confirm(
            title=f"Close {incident.id}?",
            text="Nothing is changed about a closed incident any more.",
            yes="Close",
        ),
    )


def announcement(incident: Incident) -> Message:
    """Tell everybody once that there is an incident, and where it is worked on."""
    title = f"{incident.id} · {incident.title}"
    words = [incident.status.value, incident.severity.value, incident.service]
    line: list[Span] = [Bold(title), "\n", " · ".join(word for word in words if word)]
    if incident.channel is not None:
        line += [" · ", ChannelName(incident.channel)]
    summary = f"{title} ({incident.severity}, {incident.status})"
    return Message(summary=summary, parts=(Paragraph(tuple(line)),), tone=_TONES[incident.status])


def duty(incident: Incident, role: Role) -> Message:
    """Tell a person what the role they took means."""
    name = role.title.lower()
    return note(f"You are the {name} of {incident.id}. The {name} {role.duty}.")


def declared(incident: Incident) -> Message:
    """Tell who declared an incident what happens next."""
    others = len(incident.responders) - 1
    invited = f"you and {others} more are" if others > 0 else "you are"
    return note(f"{incident.id} is declared. Its channel is being opened, and {invited} invited.")


def ended(incident: Incident, firing: Sequence[AlertGroup]) -> Message:
    """Confirm that an incident is over, and warn of what is not."""
    words = [f"{incident.id} is {incident.status}.", still_firing(firing)]
    if incident.status is IncidentStatus.RESOLVED:
        words.append("Once all is written down, /incident close ends it.")
    return note(" ".join(word for word in words if word))


def open_list(incidents: Sequence[Incident]) -> Message:
    """List the incidents people work on."""
    if not incidents:
        return note("No incident is open.")
    number = len(incidents)
    summary = "1 incident is open" if number == 1 else f"{number} incidents are open"
    left = number - _INCIDENTS_LISTED
    more = (quiet(f"And {left} more."),) if left > 0 else ()
    lines = map(_line, incidents[:_INCIDENTS_LISTED])
    return Message(summary=summary, parts=(Heading(summary), *lines, *more))


def _line(incident: Incident) -> Paragraph:
    commander = incident.roles.get(Role.COMMANDER)
    words = (
        incident.severity.value,
        incident.status.value,
        incident.service,
        f"commander: {commander.name if commander else NOBODY}",
    )
    spans: list[Span] = [Bold(incident.id), f" {incident.title}"]
    if incident.channel is not None:
        spans += [" · ", ChannelName(incident.channel)]
    spans.append("\n" + " · ".join(word for word in words if word))
    return Paragraph(tuple(spans))


def story(incident: Incident, entries: Sequence[TimelineEntry]) -> Message:
    """Show the last entries of the timeline, oldest first."""
    if not entries:
        return note(f"Nothing is on the timeline of {incident.id} yet.")
    shown = entries[-ENTRIES_SHOWN:]
    left = len(entries) - len(shown)
    summary = f"Timeline of {incident.id}"
    earlier = (quiet(f"{left} earlier entries are not shown."),) if left else ()
    return Message(summary=summary, parts=(Heading(summary), *earlier, *map(_entry, shown)))


def _entry(entry: TimelineEntry) -> Quiet:
    text = " ".join(entry.sentence.split())
    if len(text) > _LONGEST_ENTRY:
        text = f"{text[: _LONGEST_ENTRY - 1]}…"
    return quiet(Moment(entry.at), " ", text)


def which(incidents: Sequence[Incident]) -> str:
    """Say which incidents are open, to somebody who named none outside of a war room."""
    if not incidents:
        return "No incident is open."
    named = [f"{incident.id} ({incident.title})" for incident in incidents[:_INCIDENTS_NAMED]]
    left = len(incidents) - len(named)
    more = f" and {left} more" if left else ""
    return f"Say which incident, or ask in its channel. Open: {', '.join(named)}{more}."
