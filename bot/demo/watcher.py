"""The built-in watcher: Prometheus' and Alertmanager's part of the demo, where they are missing.

It reads /metrics every second, evaluates the rules, posts the webhooks, and answers
``/api/v1/query`` for the expressions that `expressions` understands.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp import web

from bot.demo.expressions import History, Sample, Scrape, UnknownExpression, parse_exposition
from bot.demo.notifications import Evaluation, Group, Groups, WatchedAlert
from bot.demo.rules import INTERVAL, JOB, RULES
from bot.demo.webhooks import fingerprint, payload

_log = logging.getLogger(__name__)

_SCRAPE_WITHIN = aiohttp.ClientTimeout(total=1)
_DELIVER_WITHIN = aiohttp.ClientTimeout(total=10)


class WatcherAlerting:
    """Watch one service until stopped.

    Only one delivery per group is on its way at a time. One that fails is tried
    again at the group's next flush, as long as there is something to tell.
    """

    def __init__(self, checkout_url: str, webhook_url: str, *, token: str, reason: str) -> None:
        self.description = f"built-in watcher ({reason})"
        self.prometheus_url = ""
        self._metrics_url = f"{checkout_url.rstrip('/')}/metrics"
        self._target = {"instance": urlsplit(checkout_url).netloc, "job": JOB}
        self._webhook_url = webhook_url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._history = History()
        self._evaluation = Evaluation()
        self._groups = Groups()
        self._deliveries: dict[int, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def urls(self) -> Mapping[str, str]:
        """Return what a person may look at."""
        query = urlencode({"query": "checkout_queue_depth"})
        return {"Watcher's query interface": f"{self.prometheus_url}/api/v1/query?{query}"}

    async def start(self) -> None:
        """Open the query interface, read the metrics once and go on watching."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/-/ready", self._ready),
                web.get("/api/v1/query", self._query),
                web.post("/api/v1/query", self._query),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.prometheus_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._session = aiohttp.ClientSession()
        await self._look(self._session)
        self._watching = asyncio.create_task(self._watch(self._session))

    async def stop(self) -> None:
        """Stop watching; a delivery on its way is given up."""
        tasks = [*self._deliveries.values(), *([self._watching] if self._watching else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._session:
            await self._session.close()
        if self._runner:
            await self._runner.cleanup()

    async def _watch(self, session: aiohttp.ClientSession) -> None:
        due = time.monotonic()
        while True:
            due = max(due + INTERVAL, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            await self._look(session)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        series = await self._scrape(session)
        now = time.time()
        self._history.add(Scrape(now, series))
        results = [(rule, self._history.query(rule.expression)) for rule in RULES]
        self._groups.update(self._evaluation.update(results, now), now)
        for group, alerts in self._groups.due(now):
            if id(group) not in self._deliveries:
                task = asyncio.create_task(self._deliver(session, group, alerts))
                self._deliveries[id(group)] = task

    async def _scrape(
        self, session: aiohttp.ClientSession
    ) -> dict[frozenset[tuple[str, str]], float]:
        up = frozenset({**self._target, "__name__": "up"}.items())
        try:
            async with session.get(self._metrics_url, timeout=_SCRAPE_WITHIN) as answer:
                answer.raise_for_status()
                return {**parse_exposition(await answer.text(), self._target), up: 1.0}
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.debug("checkout's metrics could not be read: %s", error)
            return {up: 0.0}

    async def _deliver(
        self, session: aiohttp.ClientSession, group: Group, alerts: list[WatchedAlert]
    ) -> None:
        told = [alert.as_webhook(self._generator_url(alert)) for alert in alerts]
        firing = frozenset(fingerprint(alert.labels) for alert in told if alert.ends_at is None)
        body = payload(told, group.labels, external_url=self.prometheus_url)
        try:
            async with session.post(
                self._webhook_url, json=body, headers=self._headers, timeout=_DELIVER_WITHIN
            ) as answer:
                answer.raise_for_status()
            group.delivered(firing, time.time())
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.warning("an alert could not be delivered and is tried again: %s", error)
        finally:
            del self._deliveries[id(group)]

    def _generator_url(self, alert: WatchedAlert) -> str:
        return f"{self.prometheus_url}/api/v1/query?{urlencode({'query': alert.rule.expression})}"

    async def _ready(self, _request: web.Request) -> web.Response:
        return web.Response(text="The watcher is ready.\n")

    async def _query(self, request: web.Request) -> web.Response:
        """Answer as Prometheus does, for now: the parameter ``time`` has no effect."""
        form = await request.post() if request.method == "POST" else {}
        expression = str(form.get("query") or request.query.get("query", ""))
        try:
            samples = self._history.query(expression)
        except UnknownExpression as error:
            body = {"status": "error", "errorType": "bad_data", "error": str(error)}
            return web.json_response(body, status=400)
        result = [_vector(sample, time.time()) for sample in samples]
        data = {"resultType": "vector", "result": result}
        return web.json_response({"status": "success", "data": data})


def _vector(sample: Sample, now: float) -> dict[str, object]:
    return {"metric": dict(sample.labels), "value": [round(now, 3), _number(sample.value)]}


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() else repr(value)
