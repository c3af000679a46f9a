"""Asking whether a runbook that the search found was the right one. Pure."""

from __future__ import annotations

from bot.domain.messages import Button, Buttons, Part, quiet
from bot.ports import Judgement, SearchLabel
from plugins.runbooks.forms import form_value

USEFUL = "runbooks.useful"
USELESS = "runbooks.useless"
BECAUSE = "runbooks.useless_because"


def judging_parts(subject: str, runbook: str, said: SearchLabel | None) -> tuple[Part, ...]:
    """Ask whether a runbook fits the subject, or show what the reader said of it before."""
    value = form_value(subject, runbook)
    return (
        quiet(_said(said)),
        Buttons(
            (
                Button(label="Useful", interaction=USEFUL, value=value),
                Button(label="Not this one", interaction=USELESS, value=value),
            )
        ),
    )


def _said(label: SearchLabel | None) -> str:
    if label is None:
        return "The search found it. Was it the right one? The search learns from the answer."
    if label.judgement is Judgement.USEFUL:
        return "You called it useful. You can change your mind: your last word counts."
    return f"You said: not this one ({label.reason}). The others are in the list."
