"""Made-up values: for parameters, for what checks find, for what verifications hope to see."""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from bot.domain.actions import JSON
from bot.domain.deciding import fact_name, goal_holds
from bot.domain.errors import Refused
from bot.domain.parameters import Parameter, ParameterKind, typed
from bot.domain.pattern_syntax import Characters
from bot.domain.patterns import Pattern, PatternError, compile_pattern
from bot.domain.runbooks import Expectation, Runbook

MOST_TRIES = 20_000
_NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,9})?(?![\w.])")

_WORDS = (
    "sample", "a", "1", "10", "100", "0.5", "30s", "5m", "1h", "512Mi", "1Gi", "web", "default",
    "production", "prod", "main", "node-1", "db-1", "web-0", "api-7d4b9c6f5-x2x4q", "10.0.0.1",
    "127.0.0.1:9100", "/", "/var", "/dev/sda1", "eth0", "example.org", "https://example.org/",
    "checkout", "orders", "nginx.service", "user@example.org", "2026-11-21", "abcdef0123456789",
)  # fmt: skip
_KINDS: Mapping[ParameterKind, str] = {
    ParameterKind.INTEGER: "1",
    ParameterKind.NUMBER: "1",
    ParameterKind.DURATION: "30s",
    ParameterKind.QUANTITY: "1Gi",
    ParameterKind.SERVICE: "checkout",
}


def parameters_for(runbook: Runbook) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return a text for every parameter, and the names of those nothing fits.

    What the page's own cases give comes first, then defaults, then words that the
    pattern takes.
    """
    given: dict[str, str] = {}
    unknown: list[str] = []
    for parameter in runbook.parameters:
        text = next((t for t in _candidates(runbook, parameter) if _fits(parameter, t)), None)
        if text is not None:
            given[parameter.name] = text
        elif parameter.required:
            unknown.append(parameter.name)
    return given, unknown


def _candidates(runbook: Runbook, parameter: Parameter) -> Iterator[str]:
    for case in runbook.cases:
        yield from (t for t in (case.parameters.get(parameter.name),) if t is not None)
        yield from (t for t in (case.labels.get(parameter.label or ""),) if t is not None)
    if parameter.default is not None:
        yield str(parameter.default)
    yield from parameter.values
    if parameter.kind in _KINDS:
        yield _KINDS[parameter.kind]
    yield from _WORDS
    if parameter.pattern is not None:
        yield from _matching(parameter.pattern)


def _matching(text: str) -> Iterator[str]:
    """Yield a shortest value that a pattern takes, if there is any."""
    try:
        value = shortest(compile_pattern(text))
    except PatternError:
        return
    if value is not None:
        yield value


def shortest(pattern: Pattern) -> str | None:
    """Return a shortest value that fits a pattern (a search in breadth), or None."""
    waiting: deque[tuple[int, str]] = deque([(0, "")])
    seen: set[int] = set()
    while waiting:
        number, value = waiting.popleft()
        if number == len(pattern.states) - 1:
            return value
        if number in seen:
            continue
        seen.add(number)
        state = pattern.states[number]
        waiting.extendleft((free, value) for free in state.free)
        character = _some(state.accepts) if state.accepts is not None else ""
        if character:
            waiting.append((state.after, value + character))
    return None


def _some(characters: Characters) -> str:
    """Return a character that reads well, of a set."""
    usual = (*"a1A0-./_:", *sorted(characters.listed), *(first for first, _ in characters.ranges))
    return next((c for c in usual if characters.has(c)), "")


def _fits(parameter: Parameter, text: str) -> bool:
    try:
        typed(parameter, text)
    except Refused:
        return False
    return True


def fitting(expected: Expectation) -> float:
    """Return a number that is as expected, and far from the bounds where that is possible."""
    if expected.equals is not None:
        return expected.equals
    above, below = expected.above, expected.below
    if above is not None and below is not None:
        return (above + below) / 2
    if below is not None:
        return below / 2 if below > 0 else below - 1
    return 1.0 if above is None else above + max(1.0, abs(above) / 2)


def facts_that_reach(
    runbook: Runbook, parameters: Mapping[str, JSON], known: Mapping[str, JSON]
) -> Mapping[str, JSON] | None:
    """Return values of all checks with which a run has helped; None where none was found.

    Those in `known`, by check, are settled. Tried are the numbers that the
    expression and its parameters name, and their neighbours.
    """
    if runbook.done_when is None:
        return known
    when = runbook.done_when.when
    open_ones = [c.id for c in runbook.diagnose if c.id not in known and _names(when, c.id)]
    numbers = _numbers(when, parameters)
    tries = itertools.product(numbers, repeat=len(open_ones))
    for values in itertools.islice(tries, MOST_TRIES):
        facts = {**known, **dict(zip(open_ones, values, strict=True))}
        if goal_holds(when, parameters, facts) is True:
            return facts
    return None


def _names(when: str, check: str) -> bool:
    return re.search(rf"\bfacts\.{fact_name(check)}\b", when) is not None


def _numbers(when: str, parameters: Mapping[str, JSON]) -> Sequence[float]:
    """Return the numbers that an expression and its parameters name, and their neighbours."""
    named = [float(text) for text in _NUMBER.findall(when)]
    named += [
        float(value)
        for name, value in parameters.items()
        if isinstance(value, int | float) and re.search(rf"\bparams\.{name}\b", when)
    ]
    found = [0.0, 1.0]
    for number in named:
        found += [number, number / 2, number - 1, number + 1, number * 2]
    return list(dict.fromkeys(found))
