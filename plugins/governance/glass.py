"""What is said about broken glass: the form, everybody's message, the page, the review. Pure."""

from __future__ import annotations

from datetime import datetime

from bot.domain.emergencies import LEAST_REASON, BreakGlass, target_of
from bot.domain.messages import (
    Bold,
    Button,
    Form,
    Message,
    Moment,
    Mono,
    Part,
    Span,
    TextField,
    Tone,
    paragraph,
    quiet,
)
from plugins.governance.notices import name_of

BREAK = "governance.break_glass"
REVIEW = "governance.review"
REVIEWED = "governance.reviewed"

TYPED = "typed"
REASON = "reason"
NOTE = "note"
_LONGEST = 1000
_SEPARATOR = "|"


def form_value(incident: str, runbook: str, service: str) -> str:
    """Pack what the form is about into its opaque value."""
    return _SEPARATOR.join((incident, runbook, service))


def unpack(value: str) -> tuple[str, str, str] | None:
    """Return incident, runbook and service of a form's value, or None where it is not ours."""
    parts = value.split(_SEPARATOR)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 and all(parts[:2]) else None


def break_form(*, incident: str, title: str, runbook: str, service: str, reason: str) -> Form:
    """Ask to type the target, so that nobody breaks the glass by a slip."""
    target = target_of(runbook, service)
    return Form(
        title="Break the glass",
        interaction=BREAK,
        value=form_value(incident, runbook, service),
        submit="Break the glass",
        parts=(
            paragraph(
                Bold(f"{incident}: {title}. "),
                "For fifteen minutes you can run this once without anybody's approval.",
            ),
            quiet(
                "The plan, the dry run, the kill switch, the verification and the record stay. "
                "The security contact is told at once, and somebody else reviews it."
            ),
            paragraph("To go on, type: ", Mono(target)),
        ),
        fields=(
            TextField(name=TYPED, label="Target", hint=f"Exactly: {target}", longest=200),
            TextField(
                name=REASON,
                label="Reason",
                initial=reason[:_LONGEST],
                lines=3,
                longest=_LONGEST,
                hint=f"At least {LEAST_REASON} characters. The reviewer reads it.",
            ),
        ),
    )


def broken(glass: BreakGlass) -> Message:
    """Answer who broke it."""
    text = "The glass is broken for you alone, for one run, until "
    return Message(
        summary="The glass is broken",
        parts=(
            paragraph(text, Moment(glass.expires_at), "."),
            quiet(
                f"Ask for {glass.runbook} now: “Run runbook…” on the incident's card, or "
                "/incident runbook. Its review is due by ",
                Moment(glass.review_by),
                ".",
            ),
        ),
    )


def everybody(glass: BreakGlass, *, told: str = "") -> Message:
    """Tell everybody, and keep it current until it is reviewed.

    `told` says who was paged, or that nobody could be.
    """
    target = target_of(glass.runbook, glass.service)
    parts: list[Part] = [
        paragraph(Bold("Broken glass: "), name_of(glass.person), f" may run {target} once."),
        quiet(f"{glass.incident}: {glass.reason}"),
        quiet(*_standing(glass)),
    ]
    if told:
        parts.append(quiet(told))
    return Message(
        summary=f"{glass.person.name} broke the glass for {target}",
        parts=tuple(parts),
        tone=Tone.MUTED if glass.reviewed else Tone.FIRING,
    )


def page(glass: BreakGlass) -> Message:
    """Page the security contact: what, why, by when to look back."""
    target = target_of(glass.runbook, glass.service)
    return Message(
        summary=f"Broken glass: {target} in {glass.incident}",
        parts=(
            paragraph(Bold("Broken glass in "), Bold(glass.incident), "."),
            paragraph(
                name_of(glass.person), f" may run {target} once without approval: {glass.reason}"
            ),
            quiet(*_standing(glass)),
            quiet(f"/incident review {glass.id} takes your review; theirs does not count."),
        ),
        tone=Tone.MUTED if glass.reviewed else Tone.FIRING,
    )


def _standing(glass: BreakGlass) -> tuple[Span, ...]:
    if glass.reviewer is not None:
        return ("Reviewed by ", name_of(glass.reviewer), f": {glass.review}")
    due: tuple[Span, ...] = ("Its review is due by ", Moment(glass.review_by), ".")
    if glass.used_at is not None:
        return ("Used ", Moment(glass.used_at), ". ", *due)
    return ("It can be used once, until ", Moment(glass.expires_at), ". ", *due)


def review_form(glass: BreakGlass) -> Form:
    """Ask what somebody found who looked back."""
    target = target_of(glass.runbook, glass.service)
    used: tuple[Span, ...] = ("It was never used.",)
    if glass.used_at is not None:
        used = ("It was used ", Moment(glass.used_at), f" by run {glass.run}.")
    return Form(
        title="Review broken glass",
        interaction=REVIEWED,
        value=glass.id,
        submit="Record the review",
        parts=(
            paragraph(name_of(glass.person), f" broke the glass for {target} in {glass.incident}."),
            paragraph("The reason given: ", glass.reason),
            quiet(*used),
        ),
        fields=(
            TextField(
                name=NOTE,
                label="What you found",
                lines=4,
                longest=_LONGEST,
                hint=f"Was it needed, and what would have made it unnecessary? At least "
                f"{LEAST_REASON} characters.",
            ),
        ),
    )


def review_button(glass: BreakGlass) -> Button:
    """Make the button that opens the review."""
    return Button(label="Review…", interaction=REVIEW, value=glass.id)


def due(glass: BreakGlass, *, at: datetime) -> tuple[Span, ...]:
    """Say since or until when a review is due."""
    word = "Overdue since " if glass.overdue(at) else "Due by "
    return (word, Moment(glass.review_by))
