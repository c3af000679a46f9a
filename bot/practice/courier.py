"""What both ways of delivery share: the record of envelopes, and sending events again."""

import asyncio
import logging
import uuid
from abc import ABC, abstractmethod

from typing_extensions import override

from bot.practice.delivery import ACKNOWLEDGE_SECONDS, Delivery, accepts_response
from bot.practice.errors import NotAcknowledged
from bot.practice.records import Envelope, InstalledApp, Json
from bot.practice.state import State

log = logging.getLogger(__name__)
RETRY_DELAYS = (0.0, 60.0, 300.0)  # seconds before the second, third and last attempt


class Courier(Delivery, ABC):
    """Deliver payloads, each in an envelope of its own.

    Interactions and commands are tried once; events again after each of `retry_delays`, in a new
    envelope that holds the same event id.
    """

    def __init__(self, state: State, *, retry_delays: tuple[float, ...] = RETRY_DELAYS) -> None:
        self.state = state
        self.retry_delays = retry_delays
        self.acknowledge_seconds = ACKNOWLEDGE_SECONDS
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def carry(self, app: InstalledApp, envelope: Envelope) -> Json | None:
        """Take one envelope to the app and bring the acknowledgement's payload back.

        Raises:
            NotAcknowledged: nobody was there, or nobody answered in time.
        """

    @override
    async def deliver(self, app: InstalledApp, type: str, payload: Json) -> Json | None:
        return await self.carry(app, self._envelope(app, type, payload))

    @override
    def announce(self, app: InstalledApp, payload: Json) -> None:
        task = asyncio.get_running_loop().create_task(self._announce(app, payload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _announce(self, app: InstalledApp, payload: Json) -> None:
        for attempt, delay in enumerate((0.0, *self.retry_delays)):
            if delay:
                await asyncio.sleep(delay)
            envelope = self._envelope(app, "events_api", payload)
            envelope.retry_attempt = attempt
            envelope.retry_reason = "timeout" if attempt else ""
            try:
                await self.carry(app, envelope)
            except NotAcknowledged:
                continue
            return
        log.info("event %s was never acknowledged", payload["event_id"])

    def _envelope(self, app: InstalledApp, type: str, payload: Json) -> Envelope:
        return Envelope(
            envelope_id=str(uuid.uuid4()),
            app_id=app.id,
            type=type,
            payload=payload,
            accepts_response_payload=accepts_response(type, payload),
            sent_at=self.state.clock(),
        )

    async def stop(self) -> None:
        """Give up what is still to be delivered."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
