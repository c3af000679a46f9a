"""Scheduled jobs: APScheduler fires on every replica, a row decides who runs a slot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.plugin import Job, JobRun
from bot.ports import Clock, Database

# Slots are counted from here, so that firing falls on their beginnings and never beside them.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


class Scheduler:
    """Fires jobs at whole multiples of their interval since the epoch."""

    def __init__(self, database: Database, clock: Clock, jobs: Sequence[tuple[str, Job]]) -> None:
        self._database = database
        self._clock = clock
        self._jobs = jobs
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """Begin to fire."""
        for owner, job in self._jobs:
            self._scheduler.add_job(
                self.fire,
                "interval",
                args=(owner, job),
                seconds=job.every,
                start_date=_EPOCH,
                id=f"{owner}.{job.name}",
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )
        self._scheduler.start()

    async def stop(self) -> None:
        """Stop firing."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def fire(self, owner: str, job: Job) -> None:
        """Run the current slot of a job, unless somebody else has taken it for all."""
        slot = slot_of(self._clock.now(), job.every)
        name = f"{owner}.{job.name}"
        if not job.everywhere and not await self._taken(name, slot):
            return
        try:
            await job.handler(JobRun(slot=slot))
        except Exception:
            log.exception("job %s failed in slot %s", name, slot.isoformat())

    async def _taken(self, name: str, slot: datetime) -> bool:
        """Take a slot, and say whether nobody had."""
        async with self._database.transaction() as tx:
            return await tx.slots.take(name, slot.isoformat())


def slot_of(now: datetime, every: float) -> datetime:
    """Return the start of the slot a moment lies in; every replica computes the same."""
    seconds = now.timestamp() // every * every
    return datetime.fromtimestamp(seconds, tz=UTC)
