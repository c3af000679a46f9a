"""Runs with their claims, and the intents and outcomes of effects."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlmodel import col

from bot.domain.effects import EffectRecord
from bot.domain.errors import NotFound, Stale
from bot.domain.runs import Run, RunId
from bot.ports import Claim
from bot.storage.codec import Codec
from bot.storage.rows import Rows
from bot.storage.tables import EffectRow, RunRow

_runs = Codec(Run)
_effects = Codec(EffectRecord)


class StoredRuns:
    """Runs, claimed by lease and fencing token."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, id: RunId) -> Run:
        """Return a run, or raise NotFound."""
        row = await self._rows.one(select(col(RunRow.data)).where(col(RunRow.id) == id))
        if row is None:
            raise NotFound("This run is not known.")
        return _runs.load(row.data)

    async def add(self, run: Run, *, due_at: datetime | None) -> None:
        """Add a run; it is worked on from `due_at`, or only when something wakes it."""
        await self._rows.execute(
            insert(RunRow),
            {
                "id": run.id,
                "subject": run.subject,
                "incident": run.incident,
                "created_at": run.created_at,
                "due_at": due_at,
                "fence": 0,
                "data": _runs.dump(run),
            },
        )

    async def save(self, run: Run, *, due_at: datetime | None, fence: int | None = None) -> None:
        """Replace a run and say when it is due next; with a fence, end the claim."""
        values: dict[str, Any] = {"data": _runs.dump(run), "due_at": due_at}
        if fence is not None:
            values |= {"lease_until": None, "worker": None}
        await self._update(run, values, fence)

    async def keep(self, run: Run, *, fence: int) -> None:
        """Replace a run and go on holding it."""
        await self._update(run, {"data": _runs.dump(run)}, fence)

    async def _update(self, run: Run, values: dict[str, Any], fence: int | None) -> None:
        statement = update(RunRow).where(col(RunRow.id) == run.id)
        if fence is not None:
            statement = statement.where(col(RunRow.fence) == fence)
        result = await self._rows.execute(statement.values(**values))
        if result.rowcount != 1:
            raise Stale(f"the claim on run {run.id} has passed on")

    async def claim(
        self, *, now: datetime, lease: float, worker: str, but: Collection[RunId] = ()
    ) -> Claim | None:
        """Take the run that has been due longest, in one UPDATE; the lease is in seconds.

        `but` are runs that the worker moves already: where the clock was set
        forward, or the host slept, their leases only seem to have run out.
        """
        free = or_(col(RunRow.lease_until).is_(None), col(RunRow.lease_until) < now)
        longest = (
            select(col(RunRow.id))
            .where(col(RunRow.due_at) <= now, free, col(RunRow.id).not_in(but))
            .order_by(col(RunRow.due_at))
            .limit(1)
            .scalar_subquery()
        )
        row = await self._rows.one(
            update(RunRow)
            .where(col(RunRow.id) == longest)
            .values(
                worker=worker,
                lease_until=now + timedelta(seconds=lease),
                fence=col(RunRow.fence) + 1,
            )
            .returning(col(RunRow.data), col(RunRow.fence))
        )
        return Claim(run=_runs.load(row.data), fence=row.fence) if row else None

    async def extend(self, id: RunId, *, fence: int, until: datetime) -> bool:
        """Prolong a lease; say False where the claim has passed on or ended."""
        result = await self._rows.execute(
            update(RunRow)
            .where(
                col(RunRow.id) == id,
                col(RunRow.fence) == fence,
                col(RunRow.lease_until).is_not(None),
            )
            .values(lease_until=until)
        )
        return bool(result.rowcount == 1)

    async def of(self, subjects: Collection[str]) -> Sequence[Run]:
        """Return the runs for some subjects (groups or incidents), oldest first."""
        rows = await self._rows.all(
            select(col(RunRow.data))
            .where(or_(col(RunRow.subject).in_(subjects), col(RunRow.incident).in_(subjects)))
            .order_by(col(RunRow.created_at))
        )
        return [_runs.load(row.data) for row in rows]

    async def recent(self, limit: int = 50) -> Sequence[Run]:
        """Return the newest runs."""
        rows = await self._rows.all(
            select(col(RunRow.data)).order_by(col(RunRow.created_at).desc()).limit(limit)
        )
        return [_runs.load(row.data) for row in rows]


class StoredEffects:
    """Intents and outcomes."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, key: str) -> EffectRecord | None:
        """Return what is known of an effect."""
        row = await self._rows.one(select(col(EffectRow.data)).where(col(EffectRow.key) == key))
        return _effects.load(row.data) if row else None

    async def since(self, moment: datetime) -> Sequence[EffectRecord]:
        """Return effects that were intended after a moment, oldest first."""
        rows = await self._rows.all(
            select(col(EffectRow.data))
            .where(col(EffectRow.intended_at) > moment)
            .order_by(col(EffectRow.intended_at))
        )
        return [_effects.load(row.data) for row in rows]

    async def save(self, effect: EffectRecord) -> None:
        """Write an intent, or complete it."""
        statement = upsert(EffectRow)
        await self._rows.execute(
            statement.on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "state": statement.excluded.state,
                    "intended_at": statement.excluded.intended_at,
                    "data": statement.excluded.data,
                },
            ),
            {
                "key": effect.key,
                "run": effect.run,
                "state": effect.state.value,
                "intended_at": effect.intended_at,
                "data": _effects.dump(effect),
            },
        )
