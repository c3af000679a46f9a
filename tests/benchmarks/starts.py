"""Measure a start: from `tocsin serve` to the first acknowledged press, and the memory it takes.

    python -m tests.benchmarks.starts

The environment is warm: bytecode is compiled, the database and the search index
exist, and the operating system has the files in its cache. The memory is that
of the bot's process alone (`VmRSS` of Linux), without and with the encoder.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

import httpx

from bot.demo.alerting import AlertingKind
from bot.practice.errors import Refusal
from bot.rehearsal import Rehearsal, Stage
from tests.benchmarks.figures import Figure, percentile, show
from tests.scenarios.stage import ROOT, button, press_panel, until

STARTS = 5


async def first_press(rehearsal: Rehearsal) -> tuple[float, float]:
    """Start the bot and press until it answers; return seconds to the answer, and MB it takes."""
    dana = rehearsal.workspace.person("dana")
    card = button(dana, "alerts", "Details") or button(dana, "alerts", "Acknowledge")
    assert card is not None
    before = time.perf_counter()
    starting = asyncio.create_task(rehearsal.start_bot())
    while True:
        try:
            await dana.press(card, "Details")
        except Refusal:
            await asyncio.sleep(0.01)
        else:
            break
    took = time.perf_counter() - before
    await starting
    return took, resident(rehearsal)


def resident(rehearsal: Rehearsal) -> float:
    """Return the megabytes that the bot's process holds in memory."""
    assert rehearsal.bot is not None
    status = Path(f"/proc/{rehearsal.bot.process.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(kilobytes) / 1024


async def encoder_ready(rehearsal: Rehearsal) -> None:
    """Wait until search takes meaning into account."""
    async with httpx.AsyncClient() as client, asyncio.timeout(120):
        while True:
            answer = await client.get(f"{rehearsal.bot_url}/readyz")
            if answer.json()["search_by_meaning"]:
                return
            await asyncio.sleep(0.05)


async def measure() -> list[Figure]:
    """Start the bot several times without the encoder and once with it."""
    took: list[float] = []
    bare = full = 0.0
    for meaning in (False, True):
        with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
            stage = Stage(
                directory=Path(folder) / "demo",
                knowledge=ROOT / "knowledge",
                alerting=AlertingKind.WATCHER,
                meaning=meaning,
            )
            rehearsal = Rehearsal(stage)
            await rehearsal.start()
            try:
                dana = rehearsal.workspace.person("dana")
                await press_panel(rehearsal, dana, "break")
                await until("the card", lambda dana=dana: button(dana, "alerts", "Details"))  # type: ignore[misc]  # bound early
                for _ in range(STARTS):
                    await rehearsal.stop_bot()
                    seconds, bare_now = await first_press(rehearsal)
                    took.append(seconds)
                    bare = bare if meaning else bare_now
                if meaning:
                    await encoder_ready(rehearsal)
                    full = resident(rehearsal)
            finally:
                await rehearsal.stop()
    without, with_it = took[:STARTS], took[STARTS:]
    median = "start → first acknowledged press, median of"
    return [
        Figure(f"{median} {STARTS}", f"{percentile(without, 0.5):.2f}", "s", "2 s"),
        Figure(f"{median} {STARTS}, encoder on", f"{percentile(with_it, 0.5):.2f}", "s", "2 s"),
        Figure("resident memory without the encoder", f"{bare:.0f}", "MB"),
        Figure("resident memory with the encoder loaded", f"{full:.0f}", "MB"),
    ]


def main() -> list[Figure]:
    """Measure and return the figures."""
    logging.disable(logging.WARNING)
    return asyncio.run(measure())


if __name__ == "__main__":
    show(main())
