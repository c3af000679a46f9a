"""Measure how long people wait: press to acknowledgement, and press to the card that shows it.

    python -m tests.benchmarks.presses [COUNT]

The bot runs as a process of its own, as in the demo, with the real slack-bolt
over Socket Mode, against the practice workspace in this process.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from bot.demo.alerting import AlertingKind
from bot.practice.records import Message
from bot.rehearsal import Rehearsal, Stage
from tests.benchmarks.figures import Figure, percentile, show
from tests.scenarios.stage import ROOT, buttons_of, text_of

COUNT = 500
WARM = 3  # presses that are not counted
POLL = 0.001


async def seen(condition: Callable[[], object], *, seconds: float = 30) -> None:
    """Wait until something shows, looking every millisecond."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not show in time")
        await asyncio.sleep(POLL)


def _says(message: Message, words: str) -> bool:
    return words in text_of(message)


def _decided(plan: Message) -> bool:
    return "Approve" not in buttons_of(plan)


class Waits:
    """Presses buttons many times and keeps how long each wait was, in milliseconds."""

    def __init__(
        self, rehearsal: Rehearsal, count: int, *, fire: Callable[[str], Awaitable[None]]
    ) -> None:
        self.rehearsal, self.count, self.fire = rehearsal, count, fire
        self._channel = rehearsal.workspace.channel("alerts")
        self.dana = rehearsal.workspace.person("dana")
        self.priya = rehearsal.workspace.person("priya")
        self.acknowledged: list[float] = []
        self.shown: list[float] = []
        self.decided: list[float] = []
        self.decision_shown: list[float] = []

    async def acknowledge(self) -> None:
        """Let a person take one alert after the other."""
        for number in range(-WARM, self.count):
            card = await self._card(f"ack-{number}", "Acknowledge")
            before = time.perf_counter()
            await self.dana.press(card, "Acknowledge")
            acked = time.perf_counter()
            await seen(partial(_says, card, "Acknowledged by"))
            if number >= 0:
                self.acknowledged.append((acked - before) * 1000)
                self.shown.append((time.perf_counter() - before) * 1000)

    async def decide(self) -> None:
        """Let one person ask for a run and another approve it; every approval is on the record."""
        for number in range(-WARM, self.count):
            card = await self._card(f"run-{number}", "Run runbook…")
            await self.dana.press(card, "Run runbook…")
            await seen(lambda: self.dana.modal)
            await self.dana.submit({})
            plan = await self._newest("Approve")
            before = time.perf_counter()
            await self.priya.press(plan, "Approve")
            acked = time.perf_counter()
            await seen(partial(_decided, plan))
            if number >= 0:
                self.decided.append((acked - before) * 1000)
                self.decision_shown.append((time.perf_counter() - before) * 1000)
            await seen(partial(_says, plan, "Succeeded"))

    async def _card(self, name: str, label: str) -> Message:
        """Fire an alert of its own group and return its card."""
        await self.fire(name)
        return await self._newest(label, name)

    async def _newest(self, label: str, word: str = "") -> Message:
        """Wait for a message among the newest that has a button and perhaps a word."""
        found: list[Message] = []

        def stands() -> bool:
            newest = itertools.islice(reversed(self._channel.messages.values()), 4)
            found[:] = [m for m in newest if label in buttons_of(m) and word in text_of(m)]
            return bool(found)

        await seen(stands)
        return found[0]


# One step that does nothing and is over at once, but needs another person's consent.
PAGE = """---
format: runbook/v1
id: do-nothing
version: 1
title: Do nothing
owner: payments
reviewed: {by: payments-oncall, at: 2026-11-02, max_age: 180d}
match:
  alerts: [CheckoutHighErrorRate]
  services: [checkout]
approval:
  R2:
    - {group: payments-oncall, count: 1}
steps:
  - id: nothing
    title: Run a program that does nothing
    uses: command.run@1
    with:
      program: "true"
    risk: R2
    timeout: 5s
    commit_point: true
---

## Meaning

A page of the benchmark.

## Impact

None.

## Diagnosis

None.

## Mitigation

### Do nothing {#nothing}

Nothing happens.
"""


def knowledge(folder: Path) -> Path:
    """Write a knowledge folder whose one runbook is over at once."""
    page = folder / "knowledge" / "runbooks" / "bench" / "do-nothing.md"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE)
    (folder / "knowledge" / "incidents").mkdir()
    shutil.copy(ROOT / "knowledge" / "services.toml", folder / "knowledge")
    return folder / "knowledge"


async def measure(count: int) -> list[Figure]:
    """Run the demo and press."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        stage = Stage(
            directory=Path(folder) / "demo",
            knowledge=knowledge(Path(folder)),
            alerting=AlertingKind.WATCHER,
            meaning=False,
            extra={"plugins.command.programs.true": {"path": shutil.which("true") or ""}},
        )
        rehearsal = Rehearsal(stage)
        await rehearsal.start()
        try:
            async with httpx.AsyncClient() as client:
                waits = Waits(rehearsal, count, fire=lambda name: _fire(client, rehearsal, name))
                await waits.acknowledge()
                await waits.decide()
        finally:
            await rehearsal.stop()
    return [
        *_figures("press → ack", waits.acknowledged),
        *_figures("press → card updated", waits.shown),
        *_figures("press on Approve → ack", waits.decided),
        *_figures("press → approval on the record → card updated", waits.decision_shown),
    ]


async def _fire(client: httpx.AsyncClient, rehearsal: Rehearsal, name: str) -> None:
    labels = {"alertname": "CheckoutHighErrorRate", "service": "checkout", "severity": "critical"}
    alert = {
        "status": "firing",
        "labels": {**labels, "instance": name},
        "annotations": {"summary": f"Orders are refused at {name}"},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    body = {"version": "4", "groupKey": name, "commonLabels": labels, "alerts": [alert]}
    token = rehearsal._environment["TOCSIN_PLUGINS__ALERTMANAGER__TOKEN"]
    answer = await client.post(
        f"{rehearsal.bot_url}/hooks/alertmanager",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    answer.raise_for_status()


def _figures(name: str, waits: list[float]) -> list[Figure]:
    return [
        Figure(f"{name}, p50 of {len(waits)}", f"{percentile(waits, 0.50):.1f}", "ms"),
        Figure(f"{name}, p99 of {len(waits)}", f"{percentile(waits, 0.99):.1f}", "ms"),
    ]


def main(count: int = COUNT) -> list[Figure]:
    """Measure and return the figures."""
    logging.disable(logging.WARNING)
    return asyncio.run(measure(count))


if __name__ == "__main__":
    show(main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT))
