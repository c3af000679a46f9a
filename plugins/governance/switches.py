"""What is said about the kill switch. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from bot.domain.errors import Refused
from bot.domain.messages import (
    Bold,
    Button,
    Confirm,
    Message,
    Moment,
    Tone,
    note,
    paragraph,
    quiet,
)
from bot.domain.switches import GLOBAL, Halt, names, scope_of

RELEASE = "governance.release"


def scope_and_reason(text: str) -> tuple[str, str]:
    """Read a scope where the text begins with one; all else stops everything.

    Somebody who mistypes in an emergency gets too much stopped rather than nothing.
    """
    first, *rest = text.split(maxsplit=1) or [""]
    if ":" not in first:
        return GLOBAL, text
    try:
        return scope_of(first), " ".join(rest)
    except Refused:
        return GLOBAL, text


def doubt(scope: str, known: dict[str, Collection[str]]) -> str:
    """Warn of a name nobody knows: a switch that covers nothing only looks like a stop."""
    kind, _, name = scope.partition(":")
    if kind not in known or name in known[kind]:
        return ""
    return f" But no {kind} {name} is known here: is it spelt as you meant it?"


def halted(halt: Halt) -> Message:
    """Tell everybody that nothing is run, and who wishes that to end."""
    of = _of(halt.scope)
    release = f"/incident release{'' if halt.scope == GLOBAL else f' {halt.scope}'}"
    asked = f" {names(halt.releases)} asked for its release." if halt.releases else ""
    return Message(
        summary=f"{halt.by} pulled the kill switch{of}",
        parts=(
            paragraph(Bold(f"The kill switch{of} is pulled."), f" {stopped(halt.scope)}"),
            quiet(
                f"Pulled by {halt.by}, ",
                Moment(halt.at),
                f": {halt.reason}. {release} releases it.{asked}",
            ),
        ),
        tone=Tone.FIRING,
    )


def released(scope: str, pulled_at: datetime) -> Message:
    """Tell everybody that actions are run again."""
    text = f"The kill switch{_of(scope)} was released by two people. {resumed(scope)}"
    return Message(
        summary=text,
        parts=(paragraph(text), quiet("It was pulled ", Moment(pulled_at), ".")),
        tone=Tone.MUTED,
    )


def pulled(halt: Halt, warning: str) -> Message:
    """Answer who pulled it, or found it pulled."""
    what = f"The kill switch{_of(halt.scope)} is pulled by {halt.by}."
    return note(f"{what} {stopped(halt.scope)}{warning}")


def asked_for_release(halt: Halt) -> Message:
    """Answer who asked first for a release that somebody else has to as well."""
    return note(
        f"You have asked for the release of the kill switch{_of(halt.scope)}. "
        "It stays pulled until a second person asks too."
    )


def let_go(scope: str) -> Message:
    """Answer who asked last for a release."""
    return note(f"The kill switch{_of(scope)} is released. {resumed(scope)}")


def stopped(scope: str) -> str:
    """Say what a pulled switch stops, and until when."""
    what = "No action is run" if scope == GLOBAL else f"No action of {scope} is run"
    return f"{what} until two people release it."


def resumed(scope: str) -> str:
    """Say what a released switch lets happen; others may still stand."""
    what = "Actions" if scope == GLOBAL else f"Actions of {scope}"
    return f"{what} are run again, as far as no other switch is pulled."


def release_button(halt: Halt) -> Button:
    """Make the button that asks for the release."""
    confirm = Confirm(
        title="Release the kill switch?",
        text=f"{resumed(halt.scope)} It takes two people; this goes on the record.",
        yes="Release",
    )
    return Button(label="Release…", interaction=RELEASE, value=halt.scope, confirm=confirm)


def by_file(halt: Halt) -> bool:
    """Say whether a file pulls it, which nobody releases from here and whose end nothing tells."""
    return halt.by.startswith("the file ")


def _of(scope: str) -> str:
    return "" if scope == GLOBAL else f" of {scope}"
