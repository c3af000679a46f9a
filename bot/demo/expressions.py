"""A small part of PromQL over the last minute of one service's metrics.

What is understood, and nothing else::

    query    = ratio [ ("==" | "!=" | ">" | ">=" | "<" | "<=") number ]
    ratio    = term [ "/" term ]
    term     = "sum(" inner ")" | inner
    inner    = "rate(" selector "[" seconds "s" "])" | selector
    selector = name [ "{" label ("=" | "!=" | "=~" | "!~") '"' text '"' { "," … } "}" ]

The names are those of the service's own metrics, ``up``, and the recorded ratios of
``rules``. A comparison keeps what it holds for, as in Prometheus. A rate is the rise
between the first and the last sample of its window, without extrapolation.
"""

from __future__ import annotations

import operator
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

from bot.demo.rules import RECORDED

_KEPT = 60  # seconds

_COMPARISON = re.compile(r"^(.+?)\s*(==|!=|>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)$")
_DIVISION = re.compile(r"""/(?=(?:[^"]*"[^"]*")*[^"]*$)""")
_TERM = re.compile(
    r"""^(?P<sum>sum\s*\()?\s*(?P<rate>rate\s*\()?\s*
        (?P<name>[a-zA-Z_:][\w:]*)\s*(?P<matchers>\{[^}]*\})?\s*
        (?:\[(?P<window>\d+)s\])?\s*(?P<end>\)?\s*\)?)$""",
    re.VERBOSE,
)
_MATCHER = re.compile(r'^\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"([^"\\]*)"\s*$')
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

Labels = frozenset[tuple[str, str]]


class UnknownExpression(Exception):
    """The expression is outside the small part that is understood."""


@dataclass(frozen=True)
class Sample:
    """One series' value. `labels` hold ``__name__`` where Prometheus would keep it."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Scrape:
    """All series of one moment, by their labels including ``__name__``."""

    at: float
    series: Mapping[Labels, float]


def parse_exposition(text: str, target: Mapping[str, str]) -> dict[Labels, float]:
    """Read Prometheus' text format, adding the target's labels to every series."""
    return {
        frozenset({**sample.labels, **target, "__name__": sample.name}.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class History:
    """The scrapes of the last minute, and answers about them."""

    def __init__(self) -> None:
        self._scrapes: deque[Scrape] = deque()

    def add(self, scrape: Scrape) -> None:
        """Remember a scrape and forget those of more than a minute ago."""
        self._scrapes.append(scrape)
        while self._scrapes[0].at < scrape.at - _KEPT:
            self._scrapes.popleft()

    def query(self, expression: str) -> list[Sample]:
        """Evaluate an expression at the latest scrape.

        Raises:
            UnknownExpression: it is outside the part of PromQL described above.
        """
        expression = " ".join(expression.split())
        compared = _COMPARISON.match(expression)
        if compared is None:
            return self._ratio(expression)
        holds, bound = _COMPARE[compared[2]], float(compared[3])
        return [sample for sample in self._ratio(compared[1]) if holds(sample.value, bound)]

    def _ratio(self, expression: str) -> list[Sample]:
        if recorded := RECORDED.get(expression):
            labelled = {"__name__": expression}
            return [Sample(labelled, sample.value) for sample in self._ratio(recorded)]
        above, *below = (part.strip() for part in _DIVISION.split(expression))
        if not below:
            return self._term(above)
        if len(below) > 1:
            raise UnknownExpression("only one division is understood")
        divisors = {_without_name(s.labels): s.value for s in self._term(below[0])}
        return [
            Sample(dict(labels), _divide(sample.value, divisors[labels]))
            for sample in self._term(above)
            if (labels := _without_name(sample.labels)) in divisors
        ]

    def _term(self, text: str) -> list[Sample]:
        term = _TERM.match(text)
        opened = (term["sum"], term["rate"]) if term else ()
        if (
            term is None
            or term["end"].count(")") != sum(map(bool, opened))
            or bool(term["rate"]) != bool(term["window"])
        ):
            raise UnknownExpression(f"cannot evaluate {text!r}")
        wanted = _matchers(term["name"], term["matchers"] or "")
        found = self._rates(wanted, int(term["window"])) if term["rate"] else self._latest(wanted)
        if not term["sum"]:
            return found
        return [Sample({}, sum(sample.value for sample in found))] if found else []

    def _latest(self, wanted: Callable[[Mapping[str, str]], bool]) -> list[Sample]:
        if not self._scrapes:
            return []
        return [
            Sample(dict(sorted(labels)), value)
            for labels, value in self._scrapes[-1].series.items()
            if wanted(dict(labels))
        ]

    def _rates(self, wanted: Callable[[Mapping[str, str]], bool], window: int) -> list[Sample]:
        if not self._scrapes:
            return []
        since = self._scrapes[-1].at - window
        scrapes = [scrape for scrape in self._scrapes if scrape.at >= since]
        names = {labels for scrape in scrapes for labels in scrape.series if wanted(dict(labels))}
        rates = ((labels, _rate(scrapes, labels)) for labels in names)
        return [Sample(dict(_without_name(dict(ls))), r) for ls, r in rates if r is not None]


def _rate(scrapes: list[Scrape], labels: Labels) -> float | None:
    points = [(s.at, s.series[labels]) for s in scrapes if labels in s.series]
    if len(points) < 2 or points[-1][0] == points[0][0]:
        return None
    return sum(_rises(points)) / (points[-1][0] - points[0][0])


def _rises(points: list[tuple[float, float]]) -> Iterator[float]:
    for (_, before), (_, after) in pairwise(points):
        # A counter that fell has started anew from zero.
        yield after - before if after >= before else after


def _divide(above: float, below: float) -> float:
    if below:
        return above / below
    return float("nan") if above == 0 else float("inf")


def _without_name(labels: Mapping[str, str]) -> Labels:
    return frozenset((name, value) for name, value in labels.items() if name != "__name__")


def _matchers(name: str, text: str) -> Callable[[Mapping[str, str]], bool]:
    tests = [_matcher(part) for part in text.strip("{} ").split(",") if part.strip()]
    return lambda labels: labels["__name__"] == name and all(test(labels) for test in tests)


def _matcher(text: str) -> Callable[[Mapping[str, str]], bool]:
    parts = _MATCHER.match(text)
    if parts is None:
        raise UnknownExpression(f"cannot read the matcher {text!r}")
    label, how, wanted = parts.groups()
    if how in {"=", "!="}:
        return lambda labels: (labels.get(label, "") == wanted) is (how == "=")
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise UnknownExpression(f"{wanted!r} is not a regular expression: {error}") from error
    return lambda labels: bool(pattern.fullmatch(labels.get(label, ""))) is (how == "=~")
