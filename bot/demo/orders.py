"""Orders and the bounded queue they wait in."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

REMEMBERED = 2000
# The queue is kept in so many parts; an order's id says which one it is in.
PARTITIONS = tuple(f"partition-{number:02}" for number in range(1, 17))


class OrderStatus(StrEnum):
    """How far an order has come."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"


@dataclass
class Order:
    """One order of a customer."""

    id: str
    item: str
    quantity: int
    accepted_at: datetime
    status: OrderStatus = OrderStatus.QUEUED

    def as_json(self) -> dict[str, object]:
        """Return the order as the interface shows it."""
        return {
            "id": self.id,
            "item": self.item,
            "quantity": self.quantity,
            "status": self.status.value,
            "accepted_at": self.accepted_at.isoformat(),
        }


class QueueFull(Exception):
    """The queue has no room for another order."""


class OrderBook:
    """Orders waiting for the worker, and a memory of the latest ones.

    The queue is bounded: an order that cannot be done soon is refused at the door
    rather than accepted and forgotten.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._waiting: deque[str] = deque()
        self._orders: OrderedDict[str, Order] = OrderedDict()

    @property
    def depth(self) -> int:
        """Count the orders that wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Tell whether the next order would be refused."""
        return self.depth >= self.capacity

    def get(self, order_id: str) -> Order | None:
        """Find a remembered order."""
        return self._orders.get(order_id)

    def accept(self, item: str, quantity: int) -> Order:
        """Put a new order on the queue.

        Raises:
            QueueFull: there is no room.
        """
        if self.full:
            raise QueueFull
        order = Order(secrets.token_hex(6), item, quantity, datetime.now(UTC))
        self._orders[order.id] = order
        self._waiting.append(order.id)
        while len(self._orders) > REMEMBERED:
            self._orders.popitem(last=False)
        return order

    def take(self) -> str | None:
        """Hand out the oldest waiting order, if there is one."""
        if not self._waiting:
            return None
        order_id = self._waiting.popleft()
        self._mark(order_id, OrderStatus.PROCESSING)
        return order_id

    def waiting_in(self, partitions: Iterable[str]) -> int:
        """Count the places taken in some partitions."""
        named = frozenset(partitions)
        return sum(partition_of(order_id) in named for order_id in self._waiting)

    @property
    def faults(self) -> int:
        """Count what should not be in the queue: orders that are done, unknown or there twice."""
        return self.depth - len({i for i in self._waiting if self._belongs(i)})

    def rebuild(self, partitions: Iterable[str]) -> int:
        """Keep each waiting order of some partitions once, and count what was dropped.

        What is dropped is gone for good: nothing remembers where it stood.
        """
        named, before = frozenset(partitions), self.depth
        kept: dict[str, None] = {}
        rebuilt: deque[str] = deque()
        for order_id in self._waiting:
            if partition_of(order_id) not in named:
                rebuilt.append(order_id)
            elif order_id not in kept and self._belongs(order_id):
                kept[order_id] = None
                rebuilt.append(order_id)
        self._waiting = rebuilt
        return before - self.depth

    def _belongs(self, order_id: str) -> bool:
        order = self._orders.get(order_id)
        return order is not None and order.status is OrderStatus.QUEUED

    def give_back(self, order_ids: Iterable[str]) -> None:
        """Return orders whose worker was lost to the head of the queue, in their old order.

        They were accepted once, so they come back even when the queue is full.
        """
        returned = list(order_ids)
        self._waiting.extendleft(reversed(returned))
        for order_id in returned:
            self._mark(order_id, OrderStatus.QUEUED)

    def complete(self, order_id: str) -> None:
        """Note that an order is done."""
        self._mark(order_id, OrderStatus.COMPLETED)

    def _mark(self, order_id: str, status: OrderStatus) -> None:
        if order := self._orders.get(order_id):
            order.status = status


def partition_of(order_id: str) -> str:
    """Return the name of the part of the queue an order waits in."""
    return PARTITIONS[int(order_id, 16) % len(PARTITIONS)]
