"""Text to components and properties (RFC 5545 section 3.1), by `icalendar`'s content lines.

Values stay as they are written: `icalendar` reads some faults as something else
(it skips a broken part of an RRULE and takes Windows' zone names), and a
calendar that freezes production is read strictly or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from icalendar.parser import Contentline, Contentlines

_DEEPEST = 4  # calendar, event, alarm; nothing goes deeper


class Unfit(Exception):
    """A calendar that cannot be relied on, with the reason: `event x: RRULE: ...`."""

    def __init__(self, reason: str, *, uid: str = "", name: str = "") -> None:
        event = f"event {uid}" if uid else ""
        super().__init__(": ".join(part for part in (event, name, reason) if part))


@dataclass(frozen=True, kw_only=True)
class Property:
    """One property with its parameters; `uid` is of the event it belongs to."""

    name: str
    params: Mapping[str, str]
    value: str
    uid: str = ""

    def unfit(self, reason: str) -> Unfit:
        """Return the error that names this property."""
        return Unfit(reason, uid=self.uid, name=self.name)


@dataclass(frozen=True, kw_only=True)
class Component:
    """A calendar, an event, or another part, with its properties in their order."""

    name: str
    properties: list[Property] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)

    @property
    def uid(self) -> str:
        """Return the UID as far as it can be shown, to name the component in a reason."""
        return next((p.value[:100] for p in self.properties if p.name == "UID"), "")

    def all(self, name: str) -> Sequence[Property]:
        """Return all properties of a name."""
        return [p for p in self.properties if p.name == name]

    def one(self, name: str) -> Property | None:
        """Return a property that may stand once.

        Raises:
            Unfit: it stands more than once.
        """
        found = self.all(name)
        if len(found) > 1:
            raise found[0].unfit("stands more than once")
        return found[0] if found else None


def read_calendar(content: bytes) -> Component:
    """Return the one VCALENDAR of a file.

    Raises:
        Unfit: it is not UTF-8, not iCalendar, or ends in the middle.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit("is not UTF-8") from None
    root = Component(name="")
    open_parts = [root]
    for line in Contentlines.from_ical(text):  # type: ignore[no-untyped-call]  # icalendar's
        if line.strip():
            _take(_property(line, open_parts[-1]), open_parts)
    if len(open_parts) > 1:
        raise Unfit(f"ends within {open_parts[-1].name}; the file is torn")
    if [part.name for part in root.parts] != ["VCALENDAR"]:
        raise Unfit("does not hold exactly one VCALENDAR")
    return _named(root.parts[0])


def _take(found: Property, open_parts: list[Component]) -> None:
    if found.name == "BEGIN":
        part = Component(name=found.value.strip().upper())
        open_parts[-1].parts.append(part)
        open_parts.append(part)
        if len(open_parts) > _DEEPEST + 1:
            raise Unfit("is nested too deeply")
    elif found.name == "END":
        if found.value.strip().upper() != open_parts[-1].name or len(open_parts) == 1:
            raise Unfit(f"END:{found.value[:40]} ends nothing that has begun")
        open_parts.pop()
    elif len(open_parts) == 1:
        raise Unfit(f"{found.name} stands outside of VCALENDAR")
    else:
        open_parts[-1].properties.append(found)


def _property(line: Contentline, within: Component) -> Property:
    try:
        name, params, value = line.raw_parts()
    except ValueError:
        raise Unfit(f'the line "{line[:60]}" cannot be read', uid=within.uid) from None
    if any(not isinstance(given, str) for given in params.values()):
        raise Unfit("a parameter has several values", uid=within.uid, name=name.upper())
    return Property(
        name=name.upper(),
        params={key.upper(): str(given) for key, given in params.items()},
        value=value,
    )


def _named(calendar: Component) -> Component:
    """Let the properties of each event know its UID, wherever it stands among them."""
    for part in calendar.parts:
        uid = part.uid
        part.properties[:] = [
            Property(name=p.name, params=p.params, value=p.value, uid=uid) for p in part.properties
        ]
    return calendar
