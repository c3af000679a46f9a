"""Forms about causes: name an incident's cause, and decide whether it is a known one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.incidents import Incident
from bot.domain.known_errors import TEXT_LENGTH, TITLE_LENGTH, Account, KnownError
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Confirm,
    Field,
    Form,
    Option,
    Part,
    SelectField,
    TextField,
    paragraph,
    quiet,
)

NAMED = "similar.cause_named"
DECIDED = "similar.cause_decided"
UNLINK = "similar.cause_unlinked"

KNOWN = "known"
DECISION = "decision"
DIFFERENT = "different"

_MOST_OPTIONS = 100
_LONGEST_LABEL = 75
_LINKS_SHOWN = 3


def account_in(answers: Mapping[str, str]) -> Account:
    """Return what a person wrote, as they wrote it: nothing of it is checked yet."""
    return Account(
        title=answers.get("title", ""),
        cause=answers.get("cause", ""),
        workaround=answers.get("workaround", ""),
    )


def cause_form(
    incident: Incident, choices: Sequence[KnownError], linked: Sequence[KnownError]
) -> Form:
    """Ask for the cause of an incident: a known error, the likeliest first, or a new one."""
    parts: list[Part] = [paragraph(f"{incident.id} · {incident.title}")]
    for known in linked[:_LINKS_SHOWN]:
        parts += [quiet(f"Named already: {label(known)}"), Buttons((_unlink(incident, known),))]
    return Form(
        title="Name the cause",
        interaction=NAMED,
        value=incident.id,
        submit="Save",
        parts=tuple(parts),
        fields=(*_choice(choices), *_texts(Account(title="", cause=""), choices=bool(choices))),
    )


def decide_form(incident: Incident, account: Account, near: KnownError) -> Form:
    """Offer to extend the known error that is near, with everything that was typed."""
    options = (
        Option(value=near.id, label=_cut(f"Extend {near.id} instead")),
        Option(value=DIFFERENT, label="It is a different cause"),
    )
    decision = SelectField(
        name=DECISION, label="Is it the same cause?", options=options, initial=near.id
    )
    return Form(
        title="Is it known already?",
        interaction=DECIDED,
        value=incident.id,
        submit="Save",
        parts=(
            paragraph(Bold(label(near))),
            paragraph(near.cause),
            quiet(near.workaround or "No workaround is known yet."),
            quiet(f"Extending adds what you wrote to {near.id}, and links {incident.id} to it."),
        ),
        fields=(decision, *_texts(account, choices=True)),
    )


def label(known: KnownError) -> str:
    """Name a known error in one line."""
    return f"{known.id} · {known.title}{'' if known.open else ' (fixed)'}"


def _choice(choices: Sequence[KnownError]) -> Sequence[Field]:
    if not choices:
        return ()
    options = [Option(value=k.id, label=_cut(label(k))) for k in choices[:_MOST_OPTIONS]]
    return (
        SelectField(
            name=KNOWN,
            label="The same cause again",
            options=tuple(options),
            required=False,
            hint="The likeliest are first. Leave it empty to describe a new cause.",
        ),
    )


def _texts(account: Account, *, choices: bool) -> Sequence[Field]:
    title = "Title, of a new cause only" if choices else "Title"
    return (
        TextField(
            name="title",
            label=title,
            initial=account.title[:TITLE_LENGTH],
            required=not choices,
            longest=TITLE_LENGTH,
        ),
        TextField(
            name="cause",
            label="Why does it go wrong?",
            initial=account.cause,
            lines=4,
            required=not choices,
            longest=TEXT_LENGTH,
        ),
        TextField(
            name="workaround",
            label="What helps until it is fixed?",
            initial=account.workaround,
            lines=4,
            required=False,
            longest=TEXT_LENGTH,
        ),
    )


def _unlink(incident: Incident, known: KnownError) -> Button:
    return Button(
        label=f"{known.id} was not the cause",
        interaction=UNLINK,
        value=f"{incident.id} {known.id}",
        confirm=Confirm(
            title=f"Take {known.id} back?",
            text=f"{incident.id} is no longer linked to it. The timeline tells so.",
            yes="Take it back",
        ),
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
