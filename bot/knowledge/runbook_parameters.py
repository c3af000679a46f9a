"""The `params` of a runbook page: what a run has to know, and what it may be."""

from __future__ import annotations

import re

from bot.domain.errors import Refused
from bot.domain.parameters import Parameter, ParameterKind, typed
from bot.domain.patterns import LONGEST_PATTERN, PatternError, compile_pattern
from bot.knowledge.fields import Fields
from bot.knowledge.problems import Notes

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def read_parameters(front: Fields, notes: Notes) -> dict[str, Parameter]:
    """Read the table `params` of a page's front matter, by name."""
    found: dict[str, Parameter] = {}
    for name, part in front.named_tables("params").items():
        if _NAME.fullmatch(name) is None:
            notes.add(part.line, f'the parameter "{name}" should look like disk_path')
        found[name] = _parameter(name, part)
    return found


def _parameter(name: str, part: Fields) -> Parameter:
    parameter = Parameter(
        name=name,
        kind=part.choice("type", ParameterKind),
        label=part.text("from", default="") or None,
        required=part.flag("required", default=True),
        default=part.scalar("default"),
        pattern=_pattern(part),
        values=part.texts("values"),
        description=part.text("description", default=""),
    )
    part.finish()
    if (parameter.kind is ParameterKind.ENUM) != bool(parameter.values):
        part.note("values", "has to list the choices of an enum, and of nothing else")
    elif parameter.default is not None:
        _check_default(parameter, part)
    if parameter.kind is ParameterKind.STRING and parameter.label and "pattern" not in part:
        part.note("from", "takes text from an alert, so the parameter needs a pattern")
    return parameter


def _pattern(part: Fields) -> str | None:
    pattern = part.text("pattern", default="", longest=LONGEST_PATTERN)
    try:
        compile_pattern(pattern)
    except PatternError as problem:
        part.note("pattern", f"cannot be used: {problem}")
        return None
    return pattern or None


def _check_default(parameter: Parameter, part: Fields) -> None:
    try:
        typed(parameter, str(parameter.default))
    except Refused as refusal:
        part.note("default", f"does not fit: {refusal.reason}")
