"""What a person does with the practice page in a browser, and what they see on it."""

from __future__ import annotations

import re
from typing import Any

PATIENCE_MS = 40_000  # for what a service, an alert or a run has to do first


class Hands:
    """One person at a time at the page; `become` makes it another."""

    def __init__(self, page: Any, snap: Any) -> None:
        self.page = page
        self.snap = snap
        self.modal = page.get_by_test_id("modal")
        self.panel = page.get_by_test_id("panel-checkout")

    @property
    def messages(self) -> Any:
        """The messages of the open channel."""
        return self.page.locator("main .message")

    def message(self, *words: str) -> Any:
        """Return the newest message of the open channel with all these words."""
        found = self.messages
        for word in words:
            found = found.filter(has_text=word)
        return found.last

    async def visit(self, url: str) -> None:
        await self.page.goto(url)
        await self.page.get_by_test_id("composer").wait_for()

    async def go_to(self, channel: str) -> None:
        row = self.page.locator("nav .sidebar-row", has_text=channel)
        await row.click()
        await self.sees(self.page.locator(".room-head h1"), channel)

    async def become(self, name: str) -> None:
        switcher = self.page.get_by_test_id("person-switcher")
        await switcher.click()
        await self.page.get_by_role("option", name=name).click()
        await self.sees(switcher, name)
        await self.page.wait_for_url(re.compile(f"as={name.split(maxsplit=1)[0].lower()}"))

    async def press(self, place: Any, label: str) -> None:
        await place.get_by_role("button", name=label, exact=True).click()

    async def confirm(self, label: str) -> None:
        confirm = self.page.get_by_test_id("confirm")
        await self.press(confirm, label)
        await self.gone(confirm)

    async def submit(self) -> None:
        await self.page.get_by_test_id("modal-submit").click()

    async def choose(self, field: str, option: str) -> None:
        """Choose from a menu of the open form."""
        block = self.modal.locator(".block-input", has_text=field)
        await block.get_by_role("button").first.click()
        await self.page.get_by_role("option", name=option).first.click()

    async def say(self, text: str) -> None:
        composer = self.page.get_by_test_id("composer")
        await composer.fill(text)
        await composer.press("Enter")

    async def react(self, message: Any, emoji: str) -> None:
        await message.hover()
        await self.press(message.locator(".toolbar"), "Add reaction")
        await self.page.get_by_placeholder("Search all emoji").fill(emoji)
        await self.page.locator(f"[data-emoji={emoji}]").first.click()

    async def sees(self, place: Any, *words: str | re.Pattern[str]) -> None:
        from playwright.async_api import expect

        for word in words:
            await expect(place).to_contain_text(word, timeout=PATIENCE_MS)

    async def gone(self, place: Any) -> None:
        from playwright.async_api import expect

        await expect(place).to_have_count(0, timeout=PATIENCE_MS)

    async def coloured(self, message: Any, colour: str) -> None:
        """Wait for the bar beside a card to have a colour: the state seen from afar."""
        from playwright.async_api import expect

        bar = message.locator(".attachment")
        await expect(bar).to_have_attribute("style", re.compile(colour), timeout=PATIENCE_MS)
