"""Choose a runbook and fill in its parameters.

One form holds the choice, with the suggested runbook first, and that runbook's
parameters. Who chooses another one gets the form again, with its parameters.
The form's value is `<subject>|<runbook shown>`; a subject is an alert group, an
incident, or `channel:<id>` where there is neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.catalog import Catalog
from bot.domain.errors import Refused
from bot.domain.messages import Field, Form, Option, Part, SelectField, TextField, paragraph, quiet
from bot.domain.parameters import LONGEST_VALUE, Parameter, ParameterKind, typed
from bot.domain.runbooks import Runbook
from plugins.runbooks.suggestions import Suggestion

SUBMIT = "runbooks.submit"
CHOICE = "runbook"
PREFIX = "parameter_"

_MOST_OPTIONS = 100
_SEPARATOR = "|"


def form_value(subject: str, runbook: str) -> str:
    """Pack what the form is about into its opaque value."""
    return f"{subject}{_SEPARATOR}{runbook}"


def unpack(value: str) -> tuple[str, str]:
    """Return the subject and the runbook of a form's or a button's value.

    Raises:
        Refused: it is not one of ours.
    """
    subject, separator, runbook = value.rpartition(_SEPARATOR)
    if not separator or not subject or not runbook:
        raise Refused("This is from an older version; please start again.")
    return subject, runbook


def choose(
    runbooks: Mapping[str, Runbook],
    suggestions: Sequence[Suggestion],
    *,
    shown: Runbook,
    subject: str,
    labels: Mapping[str, str],
    catalog: Catalog,
) -> Form:
    """Ask for a runbook and for the parameters of the one that is shown."""
    reasons = {s.runbook.id: s.reason for s in suggestions}
    ids = dict.fromkeys([*reasons, shown.id, *sorted(runbooks, key=lambda id: runbooks[id].title)])
    options = [_option(runbooks[id], reasons.get(id)) for id in ids if id in runbooks]
    fields = [_parameter_field(p, labels, catalog) for p in shown.parameters]
    return Form(
        title="Run a runbook",
        interaction=SUBMIT,
        value=form_value(subject, shown.id),
        submit="Show the plan" if shown.executable else "Read it",
        parts=_introduction(shown, reasons.get(shown.id)),
        fields=(
            SelectField(
                name=CHOICE,
                label="Runbook",
                options=tuple(options[:_MOST_OPTIONS]),
                initial=shown.id,
                hint="Choosing another one shows its parameters next.",
            ),
            *fields,
        ),
    )


def _introduction(shown: Runbook, reason: str | None) -> tuple[Part, ...]:
    suggested = f"Why this one: {reason}." if reason else "No alert names this runbook."
    if not shown.executable:
        return (paragraph(suggested), quiet("It has no steps to run: it is read and done by hand."))
    return (
        paragraph(suggested),
        quiet("Nothing is changed yet: it is diagnosed first, and others approve the plan."),
    )


def _option(runbook: Runbook, reason: str | None) -> Option:
    kind = "" if runbook.executable else " (to read)"
    suffix = f" · {reason}" if reason else ""
    return Option(value=runbook.id, label=f"{runbook.title}{kind}{suffix}")


def _parameter_field(parameter: Parameter, labels: Mapping[str, str], catalog: Catalog) -> Field:
    name, label = f"{PREFIX}{parameter.name}", parameter.name.replace("_", " ").capitalize()
    initial = labels.get(parameter.label or "", "")
    if not initial and parameter.default is not None:
        initial = str(parameter.default)
    choices = parameter.values
    if parameter.kind is ParameterKind.SERVICE and catalog.services:
        choices = tuple(sorted(catalog.services))
    if choices and len(choices) <= _MOST_OPTIONS and (not initial or initial in choices):
        return SelectField(
            name=name,
            label=label,
            hint=_hint(parameter, labels),
            required=parameter.required,
            options=tuple(Option(value=c, label=c) for c in choices),
            initial=initial or None,
        )
    return TextField(
        name=name,
        label=label,
        initial=initial[:LONGEST_VALUE],
        hint=_hint(parameter, labels),
        required=parameter.required,
        longest=LONGEST_VALUE,
    )


_EXAMPLES = {
    ParameterKind.INTEGER: "A whole number.",
    ParameterKind.NUMBER: "A number.",
    ParameterKind.DURATION: "A time such as 30s, 5m or 2h.",
}


def _hint(parameter: Parameter, labels: Mapping[str, str]) -> str:
    taken = parameter.label in labels if parameter.label else False
    parts = (
        parameter.description,
        _EXAMPLES.get(parameter.kind, ""),
        f"From the alert's label {parameter.label}." if taken else "",
    )
    return " ".join(part for part in parts if part)


def given_in(answers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the parameters a person filled in, by their names."""
    return {
        name.removeprefix(PREFIX): text.strip()
        for name, text in answers.items()
        if name.startswith(PREFIX) and text.strip()
    }


def faults(runbook: Runbook, given: Mapping[str, str]) -> dict[str, str]:
    """Name what is wrong with filled-in parameters, by field."""
    wrong: dict[str, str] = {}
    for parameter in runbook.parameters:
        try:
            if parameter.name in given:
                typed(parameter, given[parameter.name])
        except Refused as no:
            wrong[f"{PREFIX}{parameter.name}"] = no.reason
    return wrong
