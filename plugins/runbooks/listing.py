"""The answer to `/incident runbook`: a short list with buttons to run and to read."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.messages import Bold, Button, Buttons, Message, Part, note, paragraph
from plugins.runbooks.buttons import PICK
from plugins.runbooks.forms import form_value
from plugins.runbooks.suggestions import Suggestion

READ = "runbooks.read"


def listing(found: Sequence[Suggestion], *, subject: str, query: str) -> Message:
    """List runbooks with the reason why each is on the list."""
    if not found:
        return note(f"No runbook found for “{query}”." if query else "There are no runbooks yet.")
    parts: list[Part] = []
    for suggestion in found:
        runbook = suggestion.runbook
        parts.append(paragraph(Bold(runbook.title), f" · {suggestion.reason}"))
        parts.append(Buttons(_buttons(suggestion, subject)))
    count = len(found)
    return Message(summary=f"{count} runbook{'s' if count != 1 else ''}", parts=tuple(parts))


def _buttons(suggestion: Suggestion, subject: str) -> tuple[Button, ...]:
    runbook = suggestion.runbook
    read = Button(label="Read", interaction=READ, value=runbook.id)
    if not runbook.executable:
        return (read,)
    run = Button(label="Run…", interaction=PICK, value=form_value(subject, runbook.id))
    return (run, read)
