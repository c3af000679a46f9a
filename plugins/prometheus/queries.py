"""One instant query: from an expression to exactly one number, or a clear no.

Several series are refused rather than one of them picked, because which one
comes first is chance; no series is not zero.
"""

from __future__ import annotations

import math

from bot.domain.actions import JSON, ActionFailed, ActionResult
from plugins.prometheus.api import fetch


async def ask(url: str, query: str, *, token: str, timeout: float) -> ActionResult:
    """Return the value of an expression now; `timeout` is in seconds.

    A value that is not a finite number is none: nothing can be verified by it.

    Raises:
        ActionFailed: Prometheus did not answer with one number.
    """
    data = await fetch(url, "query", {"query": query}, token=token, timeout=timeout)
    labels, text = _sample(data)
    value = number(text)
    finite = math.isfinite(value)
    summary = f"{value:.4g}" if finite else f"no number ({text})"
    return ActionResult(
        summary=summary, value=value if finite else None, data={"query": query, "labels": labels}
    )


def _sample(data: dict[str, JSON]) -> tuple[JSON, JSON]:
    """Return the labels and the written value of the only sample."""
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar" and isinstance(result, list):
        return {}, _written(result)
    if kind != "vector" or not isinstance(result, list):
        raise ActionFailed(f"the query gives a {kind}, not one number")
    series = only(result)
    if "value" not in series:
        raise ActionFailed("the query gives a histogram, not one number")
    return series.get("metric", {}), _written(series["value"])


def only(result: list[JSON]) -> dict[str, JSON]:
    """Return the one series of a result.

    Raises:
        ActionFailed: there is none, or there are several.
    """
    if not result:
        raise ActionFailed("no series matches the query, so there is no value")
    if len(result) > 1:
        raise ActionFailed(f"the query gives {len(result)} series; aggregate them to one")
    return result[0] if isinstance(result[0], dict) else {}


def _written(sample: JSON) -> JSON:
    if not isinstance(sample, list) or len(sample) != 2:
        raise ActionFailed("Prometheus's answer cannot be understood")
    return sample[1]


def number(text: JSON) -> float:
    """Read a sample's value, which may be NaN or infinite.

    Raises:
        ActionFailed: it is none.
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ActionFailed("Prometheus's answer cannot be understood") from None
