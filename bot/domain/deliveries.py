"""Deliveries: what arrived at a webhook, kept as it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DeliveryState(StrEnum):
    """What became of a delivery."""

    TAKEN = "taken"
    QUARANTINED = "quarantined"
    REPLAYED = "replayed"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request at a webhook: its raw body and the headers that matter."""

    id: str
    source: str
    received_at: datetime
    body: bytes
    headers: Mapping[str, str]
    state: DeliveryState = DeliveryState.TAKEN
    reason: str = ""
