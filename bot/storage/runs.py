"""Runs with their claims, and the intents and outcomes of effects."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, insert, or_, select, update
from sqlmodel import col

from bot.domain.effects import EffectRecord
from bot.domain.errors import NotFound, Stale
from bot.domain.runs import Plan, Run, RunId
from bot.ports import Claim
from bot.storage.codec import Codec
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import EffectRow, RunRow
from bot.storage.upserts import Upsert

_runs = Codec(Run)
_effects = Codec(EffectRecord)

_GET = Prepared(select(col(RunRow.data)).where(col(RunRow.id) == bindparam("run")))
_ADD = Prepared(insert(RunRow))
_IS_HELD = (col(RunRow.id) == bindparam("run"), col(RunRow.fence) == bindparam("held"))
_SET: dict[str, Any] = {"data": bindparam("new_data"), "due_at": bindparam("due")}
_SAVE = Prepared(update(RunRow).where(col(RunRow.id) == bindparam("run")).values(**_SET))
_LET_GO = Prepared(update(RunRow).where(*_IS_HELD).values(**_SET, lease_until=None, worker=None))
_KEEP = Prepared(update(RunRow).where(*_IS_HELD).values(data=bindparam("new_data")))
_EXTEND = Prepared(
    update(RunRow)
    .where(*_IS_HELD, col(RunRow.lease_until).is_not(None))
    .values(lease_until=bindparam("until"))
)
_RECENT = Prepared(
    select(col(RunRow.data)).order_by(col(RunRow.created_at).desc()).limit(bindparam("most"))
)

_SCHEDULED = Prepared(
    select(col(RunRow.data)).where(col(RunRow.due_at).is_not(None)).order_by(col(RunRow.created_at))
)

_PLANS_KEPT = 512
_plans: OrderedDict[RunId, Plan] = OrderedDict()


def _loaded(text: str) -> Run:
    """Return a stored run; a plan that is equal to the one loaded last is that one.

    A plan works its digest out once, which costs more than all else that is done
    with a run between two moves. Equality is by value: a plan that was changed in
    the store is another.
    """
    run = _runs.load(text)
    if run.plan is None:
        return run
    known = _plans.pop(run.id, None)
    plan = known if known is not None and known == run.plan else run.plan
    _plans[run.id] = plan
    if len(_plans) > _PLANS_KEPT:
        _plans.popitem(last=False)
    return replace(run, plan=plan)


@lru_cache(maxsize=64)
def _claiming(but: int) -> Prepared:
    """Return the UPDATE that claims a run, for some number of runs to pass over."""
    free = or_(col(RunRow.lease_until).is_(None), col(RunRow.lease_until) < bindparam("now"))
    others = col(RunRow.id).not_in([bindparam(f"but{n}") for n in range(but)])
    longest = (
        select(col(RunRow.id))
        .where(col(RunRow.due_at) <= bindparam("now"), free, *([others] if but else []))
        .order_by(col(RunRow.due_at))
        .limit(1)
        .with_for_update(skip_locked=True)  # of which SQLite, with its one writer, knows nothing
        .scalar_subquery()
    )
    return Prepared(
        update(RunRow)
        .where(col(RunRow.id) == longest)
        .values(worker=bindparam("by"), lease_until=bindparam("until"), fence=col(RunRow.fence) + 1)
        .returning(col(RunRow.data), col(RunRow.fence))
    )


@lru_cache(maxsize=64)
def _about(subjects: int) -> Prepared:
    """Return the question for the runs of some number of subjects."""
    any_of: list[Any] = [bindparam(f"subject{n}") for n in range(subjects)]
    return Prepared(
        select(col(RunRow.data))
        .where(or_(col(RunRow.subject).in_(any_of), col(RunRow.incident).in_(any_of)))
        .order_by(col(RunRow.created_at))
    )


class StoredRuns:
    """Runs, claimed by lease and fencing token."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, id: RunId) -> Run:
        """Return a run, or raise NotFound."""
        row = await self._rows.one(_GET, {"run": id})
        if row is None:
            raise NotFound("This run is not known.")
        return _loaded(row.data)

    async def add(self, run: Run, *, due_at: datetime | None) -> None:
        """Add a run; it is worked on from `due_at`, or only when something wakes it."""
        await self._rows.execute(
            _ADD,
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
        values: dict[str, Any] = {"run": run.id, "new_data": _runs.dump(run), "due": due_at}
        if fence is None:
            await self._change(run, _SAVE, values)
        else:
            await self._change(run, _LET_GO, values | {"held": fence})

    async def keep(self, run: Run, *, fence: int) -> None:
        """Replace a run and go on holding it."""
        values = {"run": run.id, "new_data": _runs.dump(run), "held": fence}
        await self._change(run, _KEEP, values)

    async def _change(self, run: Run, statement: Prepared, values: Mapping[str, Any]) -> None:
        result = await self._rows.execute(statement, values)
        if result.rowcount != 1:
            raise Stale(f"the claim on run {run.id} has passed on")

    async def claim(
        self, *, now: datetime, lease: float, worker: str, but: Collection[RunId] = ()
    ) -> Claim | None:
        """Take the run that has been due longest, in one UPDATE; the lease is in seconds.

        `but` are runs that the worker moves already: where the clock was set
        forward, or the host slept, their leases only seem to have run out.
        """
        values: dict[str, Any] = {f"but{n}": id for n, id in enumerate(but)}
        until = now + timedelta(seconds=lease)
        values |= {"now": now, "by": worker, "until": until}
        row = await self._rows.one(_claiming(len(but)), values)
        return Claim(run=_loaded(row.data), fence=row.fence) if row else None

    async def scheduled(self) -> Sequence[Run]:
        """Return every run that has a move to come by itself, oldest first."""
        return [_loaded(row.data) for row in await self._rows.all(_SCHEDULED)]

    async def extend(self, id: RunId, *, fence: int, until: datetime) -> bool:
        """Prolong a lease; say False where the claim has passed on or ended."""
        result = await self._rows.execute(_EXTEND, {"run": id, "held": fence, "until": until})
        return bool(result.rowcount == 1)

    async def of(self, subjects: Collection[str]) -> Sequence[Run]:
        """Return the runs for some subjects (groups or incidents), oldest first."""
        values = {f"subject{n}": subject for n, subject in enumerate(subjects)}
        rows = await self._rows.all(_about(len(subjects)), values) if subjects else ()
        return [_loaded(row.data) for row in rows]

    async def recent(self, limit: int = 50) -> Sequence[Run]:
        """Return the newest runs."""
        rows = await self._rows.all(_RECENT, {"most": limit})
        return [_loaded(row.data) for row in rows]


_EFFECT = Prepared(select(col(EffectRow.data)).where(col(EffectRow.key) == bindparam("by_key")))
_SINCE = Prepared(
    select(col(EffectRow.data))
    .where(col(EffectRow.intended_at) > bindparam("moment"))
    .order_by(col(EffectRow.intended_at))
)
_SAVE_EFFECT = Prepared(Upsert(EffectRow, key=("key",), update=("state", "intended_at", "data")))


class StoredEffects:
    """Intents and outcomes."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def get(self, key: str) -> EffectRecord | None:
        """Return what is known of an effect."""
        row = await self._rows.one(_EFFECT, {"by_key": key})
        return _effects.load(row.data) if row else None

    async def since(self, moment: datetime) -> Sequence[EffectRecord]:
        """Return effects that were intended after a moment, oldest first."""
        rows = await self._rows.all(_SINCE, {"moment": moment})
        return [_effects.load(row.data) for row in rows]

    async def save(self, effect: EffectRecord) -> None:
        """Write an intent, or complete it."""
        await self._rows.execute(
            _SAVE_EFFECT,
            {
                "key": effect.key,
                "run": effect.run,
                "state": effect.state.value,
                "intended_at": effect.intended_at,
                "data": _effects.dump(effect),
            },
        )
