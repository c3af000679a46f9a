"""Bringing the newest checkpoint to an anchor, again and again until it is kept.

An anchor that fails holds up neither the ledger nor the other anchors. It needs
only ever the newest checkpoint: that covers all which it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from bot.domain.errors import Refused
from bot.ports import Anchor, AnchorFailed, Proof, SignedCheckpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long anchors may take, and how soon a failure is tried again; in seconds."""

    first_retry: float = 1.0
    longest_retry: float = 300.0
    within: float = 30.0


STEADY = Pace()


@dataclass(frozen=True, kw_only=True)
class AnchorState:
    """What an anchor holds, since when, and why not more."""

    name: str
    size: int | None
    at: datetime | None
    error: str | None


async def attempted(work: Awaitable[object]) -> str | None:
    """Do what may fail in ways of its own, and return why it failed, in one sentence."""
    try:
        await work
    except Refused as error:
        return error.reason
    except AnchorFailed as error:
        return str(error)
    except Exception as error:
        # A key service, a full disk, an adapter's fault: sealing must outlive them all.
        log.exception("the ledger could not be sealed or anchored")
        return f"{type(error).__name__}: {error}"
    return None


class Keeper:
    """Sees to one anchor.

    `confirmed` is told what the anchor keeps; `doubted` is asked to look after
    every failure whether the anchor contradicts the log. `unreadable` is why what
    it holds could not be compared last.
    """

    def __init__(
        self,
        anchor: Anchor,
        proof: Proof,
        *,
        confirmed: Callable[[Anchor, SignedCheckpoint, bytes], Awaitable[None]],
        doubted: Callable[[Anchor], Awaitable[None]],
        pace: Pace,
    ) -> None:
        self.anchor = anchor
        self._proof = proof
        self._confirmed = confirmed
        self._doubted = doubted
        self._pace = pace
        self._wanted: SignedCheckpoint | None = None
        self._held: SignedCheckpoint | None = None
        self._error: str | None = None
        self.unreadable: str | None = None
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> AnchorState:
        """Return what the anchor holds, as far as is known here."""
        held = self._held
        return AnchorState(
            name=self.anchor.name,
            size=held.size if held else None,
            at=held.at if held else None,
            error=self._error or self.unreadable,
        )

    def offer(self, checkpoint: SignedCheckpoint) -> None:
        """Want a checkpoint to be kept, in place of whatever is on its way."""
        self._wanted = checkpoint
        if checkpoint != self._held and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(), name=f"anchor {self.anchor.name}")

    def hurry(self) -> None:
        """Try again now rather than after the pause that follows a failure."""
        self._hurry.set()

    async def holding(self, checkpoint: SignedCheckpoint) -> None:
        """Wait until the anchor holds a checkpoint, or a later one."""
        while not self._covers(checkpoint):
            await self._news.wait()

    async def stop(self) -> None:
        """Give up what is under way; it is taken up again after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _covers(self, checkpoint: SignedCheckpoint) -> bool:
        held = self._held
        same = held is not None and held.origin == checkpoint.origin
        return same and held is not None and held.size >= checkpoint.size

    async def _work(self) -> None:
        pause = self._pace.first_retry
        while (wanted := self._wanted) is not None and wanted != self._held:
            self._hurry.clear()
            self._error = await attempted(self._bring(wanted))
            if self._error is None:
                pause = self._pace.first_retry
                continue
            log.warning("%s does not hold the newest checkpoint: %s", self._name, self._error)
            await attempted(self._doubted(self.anchor))
            await self._rest(pause)
            pause = min(2 * pause, self._pace.longest_retry)

    async def _bring(self, checkpoint: SignedCheckpoint) -> None:
        try:
            async with asyncio.timeout(self._pace.within):
                receipt = await self.anchor.keep(checkpoint, proof=self._proof)
        except TimeoutError:
            within = self._pace.within
            raise AnchorFailed(f"{self._name} did not answer within {within:g} s") from None
        await self._confirmed(self.anchor, checkpoint, receipt)
        self._held, self.unreadable = checkpoint, None
        self._news.set()
        self._news = asyncio.Event()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    @property
    def _name(self) -> str:
        return self.anchor.name
