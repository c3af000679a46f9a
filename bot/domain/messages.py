"""What the assistant says, without how a chat platform draws it.

A `Message` is a handful of parts; a `Form` is a handful of fields. Text is made
of spans, so that nothing that came from outside is ever read as markup: a plain
string is always shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from bot.domain.people import ChannelId, PersonId


@dataclass(frozen=True)
class Bold:
    """Text that stands out."""

    text: str


@dataclass(frozen=True)
class Mono:
    """Text as the machine wrote it."""

    text: str


@dataclass(frozen=True)
class Link:
    """A link; only http and https addresses become clickable."""

    text: str
    url: str


@dataclass(frozen=True)
class PersonName:
    """A person's name, drawn without notifying them."""

    id: PersonId
    name: str


@dataclass(frozen=True)
class Mention:
    """A person or user group that is to be notified."""

    id: PersonId


@dataclass(frozen=True)
class ChannelName:
    """A channel one can jump to."""

    id: ChannelId


@dataclass(frozen=True)
class Moment:
    """A time, drawn in the reader's time zone."""

    at: datetime


@dataclass(frozen=True)
class Elapsed:
    """How long ago something was, as of the drawing (`3 min`)."""

    seconds: float


Span: TypeAlias = "str | Bold | Mono | Link | PersonName | Mention | ChannelName | Moment | Elapsed"


@dataclass(frozen=True)
class Heading:
    """The message's title line."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Quiet:
    """Small print: evidence, sources, who did what."""

    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Facts:
    """Label and value pairs, drawn side by side."""

    pairs: tuple[tuple[str, tuple[Span, ...]], ...]


@dataclass(frozen=True)
class Code:
    """Preformatted text: a diff, an output."""

    text: str


@dataclass(frozen=True)
class Divider:
    """A line between two thoughts."""


class Style(Enum):
    """How loudly a button speaks."""

    PLAIN = "plain"
    PRIMARY = "primary"
    DANGER = "danger"


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """A question asked before a button acts."""

    title: str
    text: str
    yes: str
    no: str = "Cancel"


@dataclass(frozen=True, kw_only=True)
class Button:
    """A button: the interaction it starts and an opaque id, nothing else.

    Everything about the subject is looked up when it is pressed, since a card
    may be old by then.
    """

    label: str
    interaction: str
    value: str
    style: Style = Style.PLAIN
    confirm: Confirm | None = None


@dataclass(frozen=True)
class Buttons:
    """A row of buttons."""

    buttons: tuple[Button, ...]


Part: TypeAlias = "Heading | Paragraph | Quiet | Facts | Code | Divider | Buttons"


class Tone(Enum):
    """The message's mood, drawn as a colour at its edge."""

    NONE = "none"
    FIRING = "firing"
    WAITING = "waiting"
    MUTED = "muted"
    GOOD = "good"


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something the assistant says. `summary` is what a notification shows."""

    summary: str
    parts: tuple[Part, ...] = ()
    tone: Tone = Tone.NONE


@dataclass(frozen=True, kw_only=True)
class TextField:
    """A line or a paragraph to type. `longest` counts characters."""

    name: str
    label: str
    initial: str = ""
    lines: int = 1
    required: bool = True
    hint: str = ""
    longest: int = 3000


@dataclass(frozen=True, kw_only=True)
class Option:
    """One choice: what is stored and what is shown."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class SelectField:
    """One of several choices."""

    name: str
    label: str
    options: tuple[Option, ...]
    initial: str | None = None
    required: bool = True
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class PeopleField:
    """People of the workspace; the answer is their ids joined by commas."""

    name: str
    label: str
    initial: tuple[PersonId, ...] = ()
    required: bool = True
    hint: str = ""


Field: TypeAlias = "TextField | SelectField | PeopleField"


@dataclass(frozen=True, kw_only=True)
class Form:
    """Something to fill in. Submitting starts `interaction` with `value` and the answers.

    A form without fields only shows its parts, and has no submit button.
    """

    title: str
    interaction: str
    value: str
    fields: tuple[Field, ...] = ()
    submit: str = "Submit"
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class FieldErrors:
    """What is wrong with a submitted form, by field name; the form stays open."""

    errors: dict[str, str] = field(default_factory=dict)


Reply: TypeAlias = "Message | Form | FieldErrors | None"


def paragraph(*spans: Span) -> Paragraph:
    """Make running text of spans."""
    return Paragraph(spans)


def quiet(*spans: Span) -> Quiet:
    """Make small print of spans."""
    return Quiet(spans)


def facts(pairs: Iterable[tuple[str, Span | tuple[Span, ...]]]) -> Facts:
    """Make facts of label and value pairs, where a value may be one span."""
    return Facts(
        tuple((label, value if isinstance(value, tuple) else (value,)) for label, value in pairs)
    )


def note(text: str) -> Message:
    """Make a message of one plain sentence."""
    return Message(summary=text, parts=(paragraph(text),))


def duration(seconds: float) -> str:
    """Write a length of time the way people say it: `45 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        hours, minutes = whole // 3600, whole % 3600 // 60
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = whole // 86400, whole % 86400 // 3600
    return f"{days} d {hours} h" if hours else f"{days} d"
