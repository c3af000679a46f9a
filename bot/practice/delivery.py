"""How an envelope reaches an app: the contract of Socket Mode and of signed HTTP requests."""

from typing import Protocol

from typing_extensions import override

from bot.practice.errors import NotAcknowledged
from bot.practice.records import InstalledApp, Json

ACKNOWLEDGE_SECONDS = 3.0
ACCEPTS_RESPONSE = frozenset({"slash_commands", "view_submission", "block_suggestion"})


class Delivery(Protocol):
    """Carry payloads to apps.

    `type` is Socket Mode's: `events_api`, `interactive` or `slash_commands`.
    """

    async def deliver(self, app: InstalledApp, type: str, payload: Json) -> Json | None:
        """Deliver one payload and give the acknowledgement's payload.

        Raises:
            NotAcknowledged: nobody was there, or nobody answered within three seconds.
        """
        ...

    def announce(self, app: InstalledApp, payload: Json) -> None:
        """Deliver an event in the background, again and again until it is acknowledged."""
        ...


class Nowhere(Delivery):
    """Stand in while no server runs: interactions fail, events are lost, as on Slack."""

    @override
    async def deliver(self, app: InstalledApp, type: str, payload: Json) -> Json | None:
        raise NotAcknowledged("dispatch_failed")

    @override
    def announce(self, app: InstalledApp, payload: Json) -> None:
        return


def accepts_response(type: str, payload: Json) -> bool:
    """Say whether an acknowledgement of this payload may carry an answer."""
    return type in ACCEPTS_RESPONSE or payload.get("type") in ACCEPTS_RESPONSE
