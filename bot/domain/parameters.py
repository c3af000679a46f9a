"""Parameters of a runbook: how they get typed values, and where the values go.

What comes from an alert's labels is written by strangers, so a parameter's value is
checked against its kind and pattern and then put in whole: nothing is ever
interpolated into a longer string, be it a query, a URL or an argument.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot.domain.actions import JSON, Arguments
from bot.domain.errors import Refused
from bot.domain.expressions import ValueKind
from bot.domain.patterns import PatternError, compile_pattern
from bot.domain.quantities import parse_quantity

LONGEST_VALUE = 500
FACTS = "facts."

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_]*|facts\.[a-z0-9_]+)\}")


class ParameterKind(StrEnum):
    """What sort of value a parameter takes."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    ENUM = "enum"
    SERVICE = "service"
    QUANTITY = "quantity"

    @property
    def values(self) -> ValueKind:
        """Say what its values are: a duration is seconds, a quantity a number of its unit."""
        text = (ParameterKind.STRING, ParameterKind.ENUM, ParameterKind.SERVICE)
        return ValueKind.TEXT if self in text else ValueKind.NUMBER


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Something a run must know: typed by a person, or taken from an alert's label.

    `label` names that alert label (`from:` in the page). `pattern` must match
    the whole value; `values` lists what an enum allows.
    """

    name: str
    kind: ParameterKind
    label: str | None = None
    required: bool = True
    default: JSON = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    description: str = ""


class Parameterised(Protocol):
    """What has a title and takes parameters: a runbook."""

    @property
    def title(self) -> str:
        """Return what people call it."""
        ...

    @property
    def parameters(self) -> Sequence[Parameter]:
        """Return what it takes."""
        ...


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `30s`, `5m`, `180d`.

    One whole number and one unit (ms, s, m, h, d), so that there is one way to
    write each; zero is not a duration.

    Raises:
        ValueError: the text is not of that form.
    """
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ValueError(f'"{text}" is not a duration such as 30s, 5m, 2h or 180d')
    return float(int(found[1]) * _SECONDS[found[2]])


def resolve(
    runbook: Parameterised, labels: Mapping[str, str], given: Mapping[str, str]
) -> Mapping[str, JSON]:
    """Return a typed value for every parameter of a runbook.

    What a person gave counts before the alert's label, and that before the
    default. An optional parameter without any of them is None.

    Raises:
        Refused: a value is missing or does not fit, or a name is unknown.
    """
    known = {parameter.name for parameter in runbook.parameters}
    for name in given:
        if name not in known:
            raise Refused(f'{runbook.title} has no parameter "{name}".')
    return {p.name: _resolved(p, labels, given) for p in runbook.parameters}


def _resolved(parameter: Parameter, labels: Mapping[str, str], given: Mapping[str, str]) -> JSON:
    text = given.get(parameter.name, "").strip() or labels.get(parameter.label or "", "")
    if text:
        return typed(parameter, text)
    if parameter.default is not None:
        return typed(parameter, str(parameter.default))
    if parameter.required:
        source = f' (the alert has no label "{parameter.label}")' if parameter.label else ""
        raise Refused(f'Parameter "{parameter.name}" needs a value{source}.')
    return None


def typed(parameter: Parameter, text: str) -> JSON:
    """Turn the text of a value into its type: a duration becomes seconds.

    Raises:
        Refused: the text does not fit the parameter; the reason names both.
    """
    try:
        value = _converted(parameter, text)
        fits = parameter.pattern is None or compile_pattern(parameter.pattern).fits(text)
    except PatternError as problem:
        raise Refused(f'Parameter "{parameter.name}" has no usable pattern: {problem}.') from None
    except ValueError as problem:
        raise Refused(f'Parameter "{parameter.name}": {problem}.') from None
    if not fits:
        raise Refused(
            f'Parameter "{parameter.name}": {_shown(text)} does not match {parameter.pattern}.'
        )
    return value


def _converted(parameter: Parameter, text: str) -> JSON:
    if len(text) > LONGEST_VALUE:
        raise ValueError(f"the value is longer than {LONGEST_VALUE} characters")
    match parameter.kind:
        case ParameterKind.INTEGER:
            return _integer(text)
        case ParameterKind.NUMBER:
            return _number(text)
        case ParameterKind.DURATION:
            seconds = parse_duration(text)
            return int(seconds) if seconds.is_integer() else seconds
        case ParameterKind.QUANTITY:
            return parse_quantity(text)
        case ParameterKind.ENUM:
            return _one_of(parameter.values, text)
        case ParameterKind.SERVICE:
            return _service(text)
        case ParameterKind.STRING:
            return _string(parameter, text)


def _integer(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not a whole number")
    return int(text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{_shown(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{_shown(text)} is not a finite number")
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not a number as JSON writes it")
    return value


def _one_of(values: tuple[str, ...], text: str) -> str:
    if text not in values:
        raise ValueError(f"{_shown(text)} is not one of {', '.join(values)}")
    return text


def _service(text: str) -> str:
    if _SERVICE.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is not the name of a service")
    return text


def _string(parameter: Parameter, text: str) -> str:
    """Refuse what a command line would take for an option, unless a pattern allows it."""
    if not text.isprintable():
        raise ValueError("the value has a line break or an invisible character")
    if parameter.pattern is None and text.startswith("-"):
        raise ValueError(f"{_shown(text)} begins with a dash, like an option of a command")
    return text


def _shown(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'


def placeholder(value: str) -> str | None:
    """Return the name where a value is exactly `${name}` or `${facts.name}`, else None."""
    found = _PLACEHOLDER.fullmatch(value)
    return found[1] if found else None


def placeholders(value: JSON) -> Iterator[str]:
    """Yield the names of all placeholders in a value, however deep."""
    if isinstance(value, str):
        name = placeholder(value)
        if name is not None:
            yield name
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from placeholders(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from placeholders(part)


def substitute(arguments: Arguments, parameters: Mapping[str, JSON]) -> Arguments:
    """Put typed values in the place of values that are exactly `${name}`.

    The value takes the whole place with its own type. An optional argument
    whose parameter is None is left out, so that the action's default counts. A
    fact (`facts.used`) that is None is refused: what was to be found out first
    has no default. A fact that is a whole number goes in as one, since actions
    measure in floats.

    Raises:
        Refused: a placeholder names no parameter, or a fact that is not known.
    """
    replaced = {key: _replaced(value, parameters) for key, value in arguments.items()}
    return {k: v for k, v in replaced.items() if v is not None or arguments[k] is None}


def _replaced(value: JSON, parameters: Mapping[str, JSON]) -> JSON:
    if isinstance(value, list):
        return [_replaced(item, parameters) for item in value]
    if isinstance(value, dict):
        return {key: _replaced(item, parameters) for key, item in value.items()}
    name = placeholder(value) if isinstance(value, str) else None
    if name is None:
        return value
    if name.startswith(FACTS):
        return _fact(name, parameters.get(name))
    if name not in parameters:
        raise Refused(f'The runbook has no parameter "{name}".')
    return parameters[name]


def _fact(name: str, value: JSON) -> JSON:
    if value is None:
        raise Refused(f"What {name} stands for could not be found out.")
    return int(value) if isinstance(value, float) and value.is_integer() else value
