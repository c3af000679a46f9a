"""Asks actions about the world without changing it: reads, and dry runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Arguments, DryRun, Effect
from bot.domain.errors import Refused
from bot.services.registry import Redact, Registry, answer, check_arguments, clean, own

T = TypeVar("T")

PAUSES = (0.2, 0.4)  # seconds before a read that failed for a moment is made again


class Reader:
    """Reads and dry-runs; what comes back is redacted and cut for the record."""

    def __init__(self, registry: Registry, redact: Redact) -> None:
        self._registry = registry
        self._redact = redact

    async def read(self, uses: str, arguments: Arguments, *, timeout: float) -> ActionResult:
        """Call a read-only action; `timeout` is in seconds.

        A failure that may be gone in a moment is tried again inside that time:
        nothing is changed by looking twice.

        Raises:
            Refused: the action changes things, or the arguments do not fit.
            ActionFailed: it did not answer, or not in time.
        """
        action = self._registry.get(uses)
        if action.effect is not Effect.READ:
            raise Refused(f"{uses} changes things, so it cannot be used to look.")
        if action.waiting:
            raise Refused(f"{uses} only waits, so it cannot be used to look.")
        check_arguments(action, arguments)
        call = ActionCall(key="", arguments=own(arguments), timeout=timeout)
        seen = await answer(
            uses, lambda: _patiently(lambda: action.handler(call)), timeout=timeout,
            redact=self._redact,
        )  # fmt: skip
        return replace(seen, summary=clean(seen.summary, self._redact))

    async def dry_run(self, uses: str, arguments: Arguments, *, timeout: float) -> DryRun | None:
        """Ask an action what it would change; None where it cannot tell.

        Raises:
            Refused: the arguments do not fit, or the action says no.
            ActionFailed: it did not answer, or not in time.
        """
        action = self._registry.get(uses)
        check_arguments(action, arguments)
        dry_run = action.dry_run
        if dry_run is None:
            return None
        call = ActionCall(key="", arguments=own(arguments), timeout=timeout)
        seen = await answer(
            f"the dry run of {uses}", lambda: dry_run(call), timeout=timeout, redact=self._redact
        )
        return replace(seen, diff=clean(seen.diff, self._redact))


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    for pause in PAUSES:
        try:
            return await ask()
        except ActionFailed as no:
            if no.transient is None:
                raise
        await asyncio.sleep(pause)
    return await ask()
