"""One range query: from how an expression went for some time to one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.actions import JSON, ActionFailed, ActionResult
from plugins.prometheus.api import fetch
from plugins.prometheus.queries import number, only

MOST_SAMPLES = 5_000  # Prometheus itself gives 11,000 at most
_USUAL_SAMPLES = 240

ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 4000},
        "over": {"type": "integer", "minimum": 1, "maximum": 31 * 86_400},
        "step": {"type": "integer", "minimum": 1, "maximum": 86_400},
        "reduce": {"enum": ["max", "min", "avg", "last", "delta"]},
    },
    "required": ["query", "over", "reduce"],
    "additionalProperties": False,
}

_REDUCE: Mapping[str, Callable[[Sequence[float]], float]] = {
    "max": max,
    "min": min,
    "avg": lambda values: sum(values) / len(values),
    "last": lambda values: values[-1],
    "delta": lambda values: values[-1] - values[0],
}
_NEED_THE_END = frozenset({"last", "delta"})


@dataclass(frozen=True, kw_only=True)
class Range:
    """What is asked: `over` and `step` are in seconds, and it ends at `end`."""

    query: str
    over: int
    reduce: str
    end: datetime
    step: int | None = None

    @property
    def every(self) -> int:
        """Return the step, chosen by us where none is given."""
        return self.step or max(1, math.ceil(self.over / _USUAL_SAMPLES))


async def ask_range(url: str, asked: Range, *, token: str, timeout: float) -> ActionResult:
    """Return how an expression went, as one number; `timeout` is in seconds.

    Samples that are not a number (NaN) are left out. `last` and `delta` (the last
    less the first, without regard to resets of counters) need a sample at the
    end: what a series said before it ended is not how things are.

    Raises:
        ActionFailed: Prometheus did not answer with one series.
    """
    if asked.over / asked.every > MOST_SAMPLES:
        raise ActionFailed(f"the step gives more than {MOST_SAMPLES} samples; choose a longer one")
    parameters = {
        "query": asked.query,
        "start": f"{(asked.end - timedelta(seconds=asked.over)).timestamp():.3f}",
        "end": f"{asked.end.timestamp():.3f}",
        "step": str(asked.every),
    }
    data = await fetch(url, "query_range", parameters, token=token, timeout=timeout)
    series = _series(data)
    samples = _samples(series)
    if asked.reduce in _NEED_THE_END:
        _check_end(samples, asked)
    values = [value for _, value in samples if not math.isnan(value)]
    reduced = _REDUCE[asked.reduce](values) if values else math.nan
    finite = math.isfinite(reduced)
    shown = f"{reduced:.4g}" if finite else "no number"
    return ActionResult(
        summary=f"{asked.reduce} over {asked.over} s: {shown}",
        value=reduced if finite else None,
        data={"query": asked.query, "labels": series.get("metric", {}), "samples": len(values)},
    )


def _series(data: dict[str, JSON]) -> dict[str, JSON]:
    kind, result = data.get("resultType"), data.get("result")
    if kind != "matrix" or not isinstance(result, list):
        raise ActionFailed(f"the query gives a {kind}, not numbers over time")
    return only(result)


def _samples(series: dict[str, JSON]) -> Sequence[tuple[float, float]]:
    """Return times and values in their order."""
    written = series.get("values")
    if not isinstance(written, list) or not written:
        raise ActionFailed("the query gives a histogram, not numbers over time")
    if any(not isinstance(sample, list) or len(sample) != 2 for sample in written):
        raise ActionFailed("Prometheus's answer cannot be understood")
    return [(number(at), number(text)) for at, text in written]


def _check_end(samples: Sequence[tuple[float, float]], asked: Range) -> None:
    last, _ = samples[-1]
    if last <= asked.end.timestamp() - asked.every - 1:
        ended = asked.end.timestamp() - last
        raise ActionFailed(f"the series ended {ended:.0f} s ago, so it says nothing of now")
