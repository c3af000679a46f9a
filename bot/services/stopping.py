"""Ends a handler that is under way when a person stops its run or pulls a switch."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bot.domain.actions import ActionFailed, ActionResult
from bot.domain.runs import PlannedStep
from bot.ports import Claim, Database
from bot.services.governing import Governor

LOOK = 0.2  # seconds between two looks at the switches while an effect is under way
GRACE = 5.0  # seconds a handler that was ended gets to let go of what it holds


class Halted(Exception):
    """A handler that was ended because a person stopped the run or pulled a switch.

    `unchanged` says that the handler knew, while it ended, that it changed nothing.
    """

    def __init__(self, reason: str, *, unchanged: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unchanged = unchanged


class Watch:
    """Watches over a handler while it runs."""

    def __init__(self, database: Database, governor: Governor) -> None:
        self._database = database
        self._governor = governor

    async def over(
        self, claim: Claim, step: PlannedStep, start: Callable[[], Awaitable[ActionResult]]
    ) -> ActionResult:
        """Start a handler, and end it where a person stops the run or pulls a switch.

        There is a look right before the start: the intent's commit took its time.

        Raises:
            Halted: it was not started, or ended; then whether it took effect has
                to be looked up.
        """
        called = await self._called(claim, step)
        if called is not None:
            raise Halted(f"stopped before it ran: {called}", unchanged=True)
        handler = asyncio.ensure_future(start())
        watch = asyncio.create_task(self._stop_called(claim, step))
        try:
            await asyncio.wait({handler, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not handler.done() and watch.exception() is not None:
                await asyncio.wait({handler})  # the watch broke off; the deadline still holds
        finally:
            watch.cancel()
            handler.cancel()
            await asyncio.wait({handler}, timeout=GRACE)
        seen = watch.done() and not watch.cancelled() and watch.exception() is None
        if handler.done() and not handler.cancelled():
            failed = handler.exception()
            if seen and isinstance(failed, ActionFailed):
                raise Halted(f"{watch.result()}; {failed.reason}", unchanged=True) from failed
            return handler.result()
        raise Halted(watch.result() if seen else "it was cancelled from within")

    async def _stop_called(self, claim: Claim, step: PlannedStep) -> str:
        """Wait until a person stops the run or a switch stands in its way; say which."""
        while True:
            await asyncio.sleep(LOOK)
            called = await self._called(claim, step)
            if called is not None:
                return f"stopped while it ran: {called}"

    async def _called(self, claim: Claim, step: PlannedStep) -> str | None:
        """Say who has pulled a switch that stands in a run's way, or stopped it, if anybody."""
        async with self._database.reading() as view:
            run = await view.runs.get(claim.run.id)
            halt = await self._governor.halted(view, run, [step.uses])
        if halt is not None:
            return f"the kill switch was pulled by {halt.by}"
        return f"by {run.stop_requested_by.name}" if run.stop_requested_by else None
