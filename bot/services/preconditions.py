"""Holds what has to be true right before an effect, when it is planned and each time again."""

from __future__ import annotations

from collections.abc import Iterable

from bot.domain.actions import ActionFailed
from bot.domain.errors import Refused
from bot.domain.runs import Precondition
from bot.services.reading import Reader

LOOK_SECONDS = 10.0  # that one look at the world may take


async def check_preconditions(reader: Reader, preconditions: Iterable[Precondition]) -> None:
    """Look at every precondition; one that cannot be found out does not hold.

    Raises:
        Refused: naming the first that does not hold, and what was found.
    """
    for wanted in preconditions:
        try:
            seen = await reader.read(wanted.uses, wanted.arguments, timeout=LOOK_SECONDS)
        except (ActionFailed, Refused) as no:
            raise Refused(
                f"“{wanted.title}” has to hold and could not be found out ({no.reason}); "
                "nothing was run."
            ) from no
        if not wanted.expect.holds(seen.value):
            raise Refused(
                f"“{wanted.title}” does not hold: {seen.summary} (expected {wanted.expect}); "
                "nothing was run."
            )
