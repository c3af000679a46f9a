"""Why a hit was not the one: the form that asks a person, and what they answered."""

from __future__ import annotations

from collections.abc import Mapping

from bot.domain.messages import Bold, Form, Option, SelectField, TextField, paragraph

REASONS = ("other cause", "other service", "outdated", "no help", "other")

_REASON, _NOTE = "reason", "note"
_LONGEST_NOTE = 180  # characters
_BEHIND = ": "


def objection_form(title: str, *, interaction: str, value: str, said: str = "") -> Form:
    """Ask why a hit of this title is not the one; `said` is what the person said before."""
    reason, note = _parts(said)
    return Form(
        title="Not this one",
        interaction=interaction,
        value=value,
        parts=(paragraph(Bold(title)),),
        fields=(
            SelectField(
                name=_REASON,
                label="Why not?",
                options=tuple(Option(value=r, label=r.capitalize()) for r in REASONS),
                initial=reason,
                hint="The search learns from it.",
            ),
            TextField(
                name=_NOTE,
                label="In your words",
                initial=note,
                required=False,
                longest=_LONGEST_NOTE,
            ),
        ),
        submit="Not this one",
    )


def objection_in(answers: Mapping[str, str]) -> str:
    """Return the reason that the form gives: one of `REASONS`, and the person's words behind it."""
    chosen, note = answers.get(_REASON, ""), " ".join(answers.get(_NOTE, "").split())
    reason = chosen if chosen in REASONS else REASONS[-1]
    return f"{reason}{_BEHIND}{note}" if note else reason


def _parts(said: str) -> tuple[str, str]:
    """Take a reason apart again; one of another version is the person's own words."""
    if not said:
        return REASONS[0], ""
    reason, _, note = said.partition(_BEHIND)
    return (reason, note) if reason in REASONS else (REASONS[-1], said)
