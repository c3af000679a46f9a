"""Forms: declare an incident, update its status, keep a message for the timeline."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain.alerts import AlertGroup, Severity
from bot.domain.findings import FindingKind
from bot.domain.incidents import TITLE_LENGTH, Incident, IncidentStatus
from bot.domain.messages import (
    Field,
    Form,
    Option,
    PeopleField,
    SelectField,
    TextField,
    paragraph,
    quiet,
)
from bot.domain.people import PersonId

DECLARE_SUBMIT = "incident.declared"
UPDATE_SUBMIT = "warroom.updated"
KEEP_SUBMIT = "warroom.kept"

_MOST_OPTIONS = 100
_LONGEST_SERVICE = 75
_LONGEST_NOTE = 2_000


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What the declare form is filled with. `group` is an alert group's id, or empty."""

    group: str = ""
    title: str = ""
    severity: Severity | None = None
    service: str = ""
    responders: tuple[PersonId, ...] = ()


def draft_of(group: AlertGroup) -> Draft:
    """Take over what an alert tells; a severity only if one was judged."""
    title = group.annotation("summary") or group.name
    judged = [f.value for f in group.findings if f.kind is FindingKind.SEVERITY]
    known = [Severity(value) for value in judged if value in set(Severity)]
    return Draft(
        group=group.id,
        title=" ".join(title.split())[:TITLE_LENGTH],
        severity=known[0] if known else None,
        service=group.service or "",
    )


def declare_form(draft: Draft, services: Collection[str]) -> Form:
    """Ask for what an incident needs, and say what declaring it does."""
    return Form(
        title="Declare an incident",
        interaction=DECLARE_SUBMIT,
        value=draft.group,
        submit="Declare",
        parts=(quiet("A channel is created, you and the responders are invited to it."),),
        fields=(
            TextField(
                name="title",
                label="What do users notice?",
                initial=draft.title[:TITLE_LENGTH],
                longest=TITLE_LENGTH,
            ),
            SelectField(
                name="severity",
                label="Severity",
                options=tuple(
                    Option(value=severity.value, label=f"{severity}: {severity.meaning}")
                    for severity in Severity
                ),
                initial=draft.severity.value if draft.severity else None,
            ),
            _service_field(draft.service, services),
            PeopleField(
                name="responders", label="Responders", initial=draft.responders, required=False
            ),
        ),
    )


def _service_field(service: str, services: Collection[str]) -> Field:
    names = sorted({*services, service} - {""})
    if not services or len(names) > _MOST_OPTIONS or any(len(n) > _LONGEST_SERVICE for n in names):
        return TextField(
            name="service",
            label="Service",
            initial=service[:_LONGEST_SERVICE],
            required=False,
            longest=_LONGEST_SERVICE,
        )
    return SelectField(
        name="service",
        label="Service",
        options=tuple(Option(value=name, label=name) for name in names),
        initial=service or None,
        required=False,
    )


def update_form(incident: Incident) -> Form:
    """Ask for the status and for what is known now."""
    return Form(
        title="Update the status",
        interaction=UPDATE_SUBMIT,
        value=incident.id,
        submit="Update",
        parts=(paragraph(f"{incident.id} · {incident.title}"),),
        fields=(
            SelectField(
                name="status",
                label="Status",
                options=tuple(Option(value=s.value, label=s.value) for s in IncidentStatus),
                initial=incident.status.value,
            ),
            TextField(
                name="note",
                label="What is known now",
                lines=4,
                required=False,
                hint="Goes on the timeline.",
                longest=_LONGEST_NOTE,
            ),
        ),
    )


def keep_form(incidents: Sequence[Incident]) -> Form:
    """Ask to whose timeline a message belongs that was written outside of a war room."""
    options = [
        Option(value=incident.id, label=f"{incident.id} · {incident.title}")
        for incident in incidents[:_MOST_OPTIONS]
    ]
    return Form(
        title="Add to timeline",
        interaction=KEEP_SUBMIT,
        value="",
        submit="Add",
        fields=(
            SelectField(
                name="incident",
                label="Incident",
                options=tuple(options),
                initial=options[0].value if len(options) == 1 else None,
            ),
        ),
    )
