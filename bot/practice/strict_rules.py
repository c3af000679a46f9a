"""The building stones of the strict checks: one closure per rule, faults collected in a list.

Messages follow the wording of Slack's own answers, with a JSON pointer to the place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.practice.records import Json

Check = Callable[["Faults", object, str], None]


class Faults:
    """Collect what is wrong and where."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        """Record one fault at a JSON pointer."""
        self.found.append(f"{what} [json-pointer:{where}]")


def anything(faults: Faults, value: object, where: str) -> None:
    """Accept any value."""


def boolean(faults: Faults, value: object, where: str) -> None:
    """Ask for true or false."""
    if not isinstance(value, bool):
        faults.add(where, "must be a boolean")


def string(most: int, *, least: int = 0) -> Check:
    """Ask for a string of a certain length."""

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, str):
            faults.add(where, "must be a string")
        elif len(value) > most:
            faults.add(where, f"must be less than {most + 1} characters")
        elif len(value) < least:
            faults.add(where, f"must be more than {least - 1} characters")

    return check


def integer(least: int, most: int) -> Check:
    """Ask for a whole number within bounds."""

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            faults.add(where, "must be an integer")
        elif not least <= value <= most:
            faults.add(where, f"must be between {least} and {most}")

    return check


def matching(test: Callable[[str], object], what: str) -> Check:
    """Ask for a string that passes a test."""

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, str) or not test(value):
            faults.add(where, f"must be {what}")

    return check


def choice(*allowed: str) -> Check:
    """Ask for one of several words."""

    def check(faults: Faults, value: object, where: str) -> None:
        if value not in allowed:
            faults.add(where, f"must be a valid enum value: {', '.join(allowed)}")

    return check


def items(each: Check, *, least: int = 1, most: int) -> Check:
    """Ask for a list of a certain length, each entry checked."""

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, list):
            faults.add(where, "must be an array")
            return
        if len(value) > most:
            faults.add(where, f"no more than {most} items allowed")
        if len(value) < least:
            faults.add(where, f"no less than {least} items allowed")
        for number, entry in enumerate(value):
            each(faults, entry, f"{where}/{number}")

    return check


def text(most: int, *, kinds: Sequence[str] = ("plain_text",), least: int = 1) -> Check:
    """Ask for a text object: its kind, its length, and nothing that does not belong there."""
    length = string(most, least=least)

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, dict):
            faults.add(where, "must be an object")
            return
        kind = value.get("type")
        if kind not in kinds:
            faults.add(f"{where}/type", f"unsupported type: {kind}")
            return
        extra = set(value) - {"type", "text", "emoji" if kind == "plain_text" else "verbatim"}
        for name in sorted(extra):
            faults.add(where, f"invalid additional property: {name}")
        if "text" not in value:
            faults.add(where, "missing required field: text")
            return
        length(faults, value["text"], f"{where}/text")

    return check


@dataclass(frozen=True, slots=True)
class Shape:
    """What an object may hold: required and optional fields, and a rule across them."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    rule: Callable[[Faults, Json, str], None] | None = None

    def __call__(self, faults: Faults, value: object, where: str) -> None:
        """Check one object."""
        if not isinstance(value, dict):
            faults.add(where, "must be an object")
            return
        known = {**self.required, **self.optional, "type": anything}
        for name in value:
            if name not in known:
                faults.add(where, f"invalid additional property: {name}")
            elif value[name] is None and name in self.optional:
                faults.add(f"{where}/{name}", "must not be null")
            else:
                known[name](faults, value[name], f"{where}/{name}")
        for name in self.required:
            if name not in value:
                faults.add(where, f"missing required field: {name}")
        if self.rule is not None:
            self.rule(faults, value, where)


def by_type(shapes: Mapping[str, Check]) -> Check:
    """Choose the check by the object's `type`; a type not listed is not allowed here."""

    def check(faults: Faults, value: object, where: str) -> None:
        if not isinstance(value, dict):
            faults.add(where, "must be an object")
            return
        kind = value.get("type")
        if not isinstance(kind, str):
            faults.add(where, "missing required field: type")
        elif kind not in shapes:
            faults.add(f"{where}/type", f"unsupported type: {kind}")
        else:
            shapes[kind](faults, value, where)

    return check
