"""The one place where what goes wrong is turned into words for a person."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from bot.domain.errors import AlreadyDone, Refused

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Declined:
    """Nothing was done, and why, in one sentence for the person."""

    reason: str


async def attempt(work: Callable[[], Awaitable[T]], *, name: str) -> T | Declined | None:
    """Run a handler; whatever it raises becomes a sentence, or nothing for a repetition.

    What was not foreseen is logged with its traceback under a short reference
    that the person is shown.
    """
    try:
        return await work()
    except AlreadyDone:
        return None
    except Refused as refusal:
        return Declined(refusal.reason)
    except Exception:  # The last line of defence: a person waits for an answer.
        reference = secrets.token_hex(2)
        log.exception("%s failed (ref %s)", name, reference)
        return Declined(f"Something went wrong (ref {reference}).")
