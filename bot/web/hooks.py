"""`POST /hooks/<plugin>`: is it authentic, can it be read; then taken, or kept for replay.

What cannot be understood is answered with 4xx and kept, so that it can be
replayed once the reason is mended. Senders retry only 5xx, so an overload is a
503, and a database that cannot be written a 500, never a polite lie.
"""

from __future__ import annotations

import hmac
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from prometheus_client import CollectorRegistry, Counter, Histogram

from bot.domain.alerts import Notification
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.errors import AlreadyDone, NotFound, Refused, Unreadable
from bot.plugin import Payload, Webhook
from bot.ports import Clock
from bot.services.alerts import AlertService
from bot.web.bodies import TooLarge, decode, unpack

log = logging.getLogger(__name__)

KEPT_HEADERS = ("content-type", "content-encoding", "user-agent")


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A request at a webhook, as far as it matters. `sender` is an IP address."""

    plugin: str
    body: bytes
    headers: Mapping[str, str]
    sender: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the sender is told."""

    status: int
    body: Mapping[str, object]


class HookReceiver:
    """Takes deliveries for all webhooks."""

    def __init__(
        self,
        alerts: AlertService,
        clock: Clock,
        *,
        webhooks: Mapping[str, Webhook],
        max_bytes: int,
        metrics: CollectorRegistry,
    ) -> None:
        self._alerts = alerts
        self._clock = clock
        self._webhooks = webhooks
        self.max_bytes = max_bytes
        self._deliveries = Counter(
            "tocsin_deliveries", "Deliveries at webhooks", ["source", "result"], registry=metrics
        )
        self._seconds = Histogram(
            "tocsin_delivery_seconds", "From request to commit", registry=metrics
        )

    def authentic(self, plugin: str, headers: Mapping[str, str], sender: str) -> Answer | None:
        """Return the refusal of a request that may not be taken, before its body is read."""
        hook = self._webhooks.get(plugin)
        if hook is None:
            return _no(404, f"there is no webhook {plugin[:40]!r}")
        if hook.token is None:
            if _local(sender):
                return None
            return _no(401, "this webhook has no token set, so only this host may use it")
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if hmac.compare_digest(given.encode(), hook.token.encode()):
            return None
        return _no(401, "authorization: the bearer token is missing or wrong")

    async def take(self, request: Incoming) -> Answer:
        """Take a delivery, or keep it for replay and say why."""
        delivery = self._delivery(request)
        try:
            notifications = read(self._webhooks, delivery, limit=self.max_bytes)
        except TooLarge:
            self._deliveries.labels(request.plugin, "too large").inc()
            return _no(413, f"body: unpacks to more than {self.max_bytes} bytes")
        except Unreadable as fault:
            return await self._keep(delivery, str(fault))
        with self._seconds.time():
            try:
                groups = await self._alerts.ingest(delivery, notifications)
            except AlreadyDone:
                groups = []
            except ValueError as fault:  # it parses, yet holds what has no stored form
                return await self._keep(delivery, f"body: cannot be stored: {fault}")
        self._deliveries.labels(request.plugin, "taken").inc()
        return Answer(status=202, body={"delivery": delivery.id, "groups": len(groups)})

    async def replay(self, delivery: Delivery) -> int:
        """Try a kept delivery again; return how many groups it told of.

        Raises:
            Unreadable: it still cannot be understood; it stays kept.
            Refused: it is not kept (any more), or its plugin is not enabled.
        """
        if delivery.state is not DeliveryState.QUARANTINED:
            raise Refused(f"This delivery was {delivery.state} already.")
        try:
            notifications = read(self._webhooks, delivery, limit=self.max_bytes)
        except TooLarge:
            raise Unreadable("body", f"unpacks to more than {self.max_bytes} bytes") from None
        await self._alerts.replay(delivery, notifications)
        return len(notifications)

    async def _keep(self, delivery: Delivery, reason: str) -> Answer:
        reason = "".join(c if c.isprintable() else "\ufffd" for c in reason)
        await self._alerts.quarantine(delivery, reason)
        self._deliveries.labels(delivery.source, "kept").inc()
        log.warning("delivery %s from %s was kept: %s", delivery.id, delivery.source, reason)
        return Answer(
            status=422,
            body={
                "error": reason,
                "delivery": delivery.id,
                "hint": f"kept; mend the cause, then: tocsin alerts replay {delivery.id}",
            },
        )

    def _delivery(self, request: Incoming) -> Delivery:
        kept = {k: v for k, v in request.headers.items() if k in KEPT_HEADERS}
        return Delivery(
            id=uuid.uuid4().hex,
            source=request.plugin,
            received_at=self._clock.now(),
            body=request.body,
            headers=kept,
        )


def read(
    webhooks: Mapping[str, Webhook], delivery: Delivery, *, limit: int
) -> Sequence[Notification]:
    """Understand a delivery.

    Raises:
        Unreadable: naming the field and the reason, or that the plugin failed on it.
        TooLarge: it unpacks to more than `limit` bytes.
        NotFound: its plugin is not enabled.
    """
    hook = webhooks.get(delivery.source)
    if hook is None:
        raise NotFound(f"The plugin {delivery.source} is not enabled.")
    encoding = delivery.headers.get("content-encoding", "").strip().lower()
    value = decode(unpack(delivery.body, encoding, limit=limit))
    payload = Payload(json=value, headers=delivery.headers, received_at=delivery.received_at)
    try:
        return hook.parse(payload)
    except Unreadable:
        raise
    except Exception as error:  # a plugin's failure must not lose a delivery
        log.exception("plugin %s failed on delivery %s", delivery.source, delivery.id)
        raise Unreadable(
            "body", f"the plugin {delivery.source} failed on it ({type(error).__name__})"
        ) from error


def _no(status: int, error: str) -> Answer:
    return Answer(status=status, body={"error": error})


def _local(sender: str) -> bool:
    try:
        return ip_address(sender).is_loopback
    except ValueError:
        return False
