"""One instant query: from an expression to exactly one number, or a clear no.

Several series are refused rather than one of them picked, because which one
comes first is chance; no series is not zero.
"""

from __future__ import annotations

import json
import math

import httpx

from bot.domain.actions import JSON, ActionFailed, ActionResult

_LONGEST_ANSWER = 2_000_000
_LONGEST_REASON = 300


async def ask(url: str, query: str, *, token: str, timeout: float) -> ActionResult:
    """Return the value of an expression now; `timeout` is in seconds.

    A value that is not a finite number is none: nothing can be verified by it.

    Raises:
        ActionFailed: Prometheus did not answer with one number.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = await _fetch(f"{url.rstrip('/')}/api/v1/query", query, headers, timeout)
    labels, written = _sample(_data(body))
    number = _number(written)
    finite = number is not None and math.isfinite(number)
    summary = f"{number:.4g}" if number is not None and finite else f"no number ({written})"
    return ActionResult(
        summary=summary, value=number if finite else None, data={"query": query, "labels": labels}
    )


async def _fetch(url: str, query: str, headers: dict[str, str], timeout: float) -> JSON:
    try:
        async with (
            httpx.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.stream("GET", url, params={"query": query}, headers=headers) as answer,
        ):
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _LONGEST_ANSWER:
                    raise ActionFailed("Prometheus answered too much; aggregate to one series")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ActionFailed(f"Prometheus cannot be asked ({type(error).__name__})") from error
    try:
        return json.loads(content)
    except ValueError:
        reason = f"Prometheus answered {answer.status_code}, and not with JSON"
        raise ActionFailed(reason) from None


def _data(body: JSON) -> dict[str, JSON]:
    if not isinstance(body, dict):
        raise ActionFailed("Prometheus's answer cannot be understood")
    if body.get("status") != "success":
        reason = f"{body.get('errorType', 'error')}: {body.get('error', 'no reason given')}"
        raise ActionFailed(f"Prometheus says {reason[:_LONGEST_REASON]}")
    data = body.get("data")
    if not isinstance(data, dict):
        raise ActionFailed("Prometheus's answer cannot be understood")
    return data


def _sample(data: dict[str, JSON]) -> tuple[JSON, JSON]:
    """Return the labels and the written value of the only sample."""
    kind, result = data.get("resultType"), data.get("result")
    if kind == "scalar" and isinstance(result, list):
        return {}, _written(result)
    if kind != "vector" or not isinstance(result, list):
        raise ActionFailed(f"the query gives a {kind}, not one number")
    if not result:
        raise ActionFailed("no series matches the query, so there is no value")
    if len(result) > 1:
        raise ActionFailed(f"the query gives {len(result)} series; aggregate them to one")
    series = result[0]
    if not isinstance(series, dict) or "value" not in series:
        raise ActionFailed("the query gives a histogram, not one number")
    return series.get("metric", {}), _written(series["value"])


def _written(sample: JSON) -> JSON:
    if not isinstance(sample, list) or len(sample) != 2:
        raise ActionFailed("Prometheus's answer cannot be understood")
    return sample[1]


def _number(written: JSON) -> float | None:
    """Read a sample's value; NaN is no number, infinity is told apart by the caller."""
    try:
        number = float(written)
    except (TypeError, ValueError):
        raise ActionFailed("Prometheus's answer cannot be understood") from None
    return None if math.isnan(number) else number
