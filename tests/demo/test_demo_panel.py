from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.demo.checkout import CheckoutService
from bot.demo.panel import CheckoutPanel, PanelFact, PanelFailed


@pytest.fixture
async def panel(checkout: CheckoutService) -> AsyncIterator[CheckoutPanel]:
    panel = CheckoutPanel(checkout.url, admin_token="let me in", alerting="Prometheus 2.42.0")
    yield panel
    await panel.close()


async def facts(panel: CheckoutPanel) -> dict[str, PanelFact]:
    return {fact.label: fact for fact in await panel.facts()}


async def test_a_healthy_service_shows_good_facts(panel: CheckoutPanel) -> None:
    shown = await facts(panel)
    assert list(shown) == ["Health", "Errors", "Queue", "Worker", "Watched by"]
    assert shown["Health"] == PanelFact("Health", "healthy", "good")
    assert shown["Errors"] == PanelFact("Errors", "0% of requests", "good")
    assert shown["Worker"] == PanelFact("Worker", "running, generation 1", "good")
    assert shown["Watched by"].value == "Prometheus 2.42.0"


async def test_break_it_shows_and_repair_by_hand_heals(panel: CheckoutPanel, until: Any) -> None:
    await panel.press("break")

    async def bad() -> bool:
        shown = await facts(panel)
        return {shown[name].tone for name in ("Health", "Errors", "Queue", "Worker")} == {"bad"}

    async def good() -> bool:
        return "bad" not in {fact.tone for fact in await panel.facts()}

    await until(bad)
    await panel.press("repair")
    await until(good)


async def test_repair_by_hand_restarts_a_worker_that_has_ended(
    panel: CheckoutPanel, checkout: CheckoutService
) -> None:
    worker = checkout.supervisor._worker
    assert worker is not None
    await worker.kill()
    with pytest.raises(PanelFailed, match="checkout refuses: the worker is stopped"):
        await panel.press("break")
    assert "another is started" in await panel.press("repair")
    assert checkout.supervisor.generation == 2


async def test_the_latest_rebuild_of_the_queue_is_shown_as_it_goes(
    panel: CheckoutPanel, checkout: CheckoutService, until: Any
) -> None:
    checkout.rebuilder.pace = 0.2
    checkout.rebuilder.begin("k", ["partition-01", "partition-02", "partition-03"], 1)

    async def shows(value: str) -> bool:
        fact = (await facts(panel))["Queue rebuild"]
        return fact == PanelFact("Queue rebuild", value)

    await until(lambda: shows("building, 1 of 3"))
    checkout.rebuilder.stop("k", "by hand")
    await until(lambda: shows("stopped, 1 of 3"))


async def test_an_unknown_button_is_refused(panel: CheckoutPanel) -> None:
    with pytest.raises(PanelFailed, match="no button 'explode'"):
        await panel.press("explode")


async def test_a_service_out_of_reach_is_a_fact(
    panel: CheckoutPanel, checkout: CheckoutService
) -> None:
    await checkout.stop()
    assert (await facts(panel))["Health"] == PanelFact("Health", "cannot be reached", "bad")
    with pytest.raises(PanelFailed, match="cannot be reached"):
        await panel.press("break")
