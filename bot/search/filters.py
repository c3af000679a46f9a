"""Which documents a query may return. Loads nothing, so that any thread can make one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Kinds, and where given: only earlier than, only of these services, never these ids."""

    kinds: Collection[str]
    before: datetime | None = None
    services: Collection[str] | None = None
    without: Collection[str] = ()
