"""A browser for tests: headless Chromium, where there is one, and eyes on what it complains of."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.demo.alerting import AlertingKind
from bot.rehearsal import Rehearsal
from tests.browser.hands import Hands
from tests.scenarios.stage import rehearsing

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SCREENSHOTS = "TOCSIN_SCREENSHOTS"
CHECKPOINT_SECONDS = 5  # tests do not wait a minute for a proof
VIEWPORT = {"width": 1380, "height": 900}

Snap = Callable[[str], Awaitable[None]]


@pytest.fixture
async def tab() -> AsyncIterator[Any]:
    """Open a tab that forbids foreign hosts; an error of the page's own scripts fails the test."""
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    faults: list[str] = []
    async with api.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = await browser.new_page(viewport=VIEWPORT)
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("request", lambda r: faults.append(r.url) if _foreign(r.url) else None)
        yield page
        await browser.close()
    assert faults == []


def _foreign(url: str) -> bool:
    return re.match(r"https?://(?!127\.0\.0\.1[:/])", url) is not None


@pytest.fixture
def snap(tab: Any) -> Snap:
    """Return what takes a named picture of the tab, where somebody asked for pictures."""
    folder = os.environ.get(SCREENSHOTS)

    async def take(name: str) -> None:
        if not folder:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  # a local folder
        await tab.mouse.move(1, 1)
        await tab.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return take


@pytest.fixture
async def rehearsal(tmp_path: Path) -> AsyncIterator[Rehearsal]:
    """Run the whole house, with the service, its alerting and the bot."""
    soon = {"ledger": {"checkpoint_seconds": CHECKPOINT_SECONDS}}
    folder = tmp_path / "demo"
    async with rehearsing(folder, AlertingKind.AUTOMATIC, extra=soon) as rehearsal:
        yield rehearsal


@pytest.fixture
def hands(tab: Any, snap: Snap) -> Hands:
    """Give what people do with the practice page."""
    return Hands(tab, snap)
