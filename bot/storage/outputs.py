"""What steps print, in pieces; and how runbooks are used, one row for each time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, func, insert, select
from sqlmodel import col

from bot.domain.runs import RunId
from bot.ports import OutputPiece, OutputSize, RunbookUse, Use
from bot.storage.prepared import Prepared
from bot.storage.rows import Rows
from bot.storage.tables import RunbookUsageRow, RunOutputRow
from bot.storage.upserts import Upsert

_PIECE = tuple(RunOutputRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel
_USE = tuple(RunbookUsageRow.__table__.columns)  # type: ignore[attr-defined]  # added by SQLModel

_OF_STEP = (
    col(RunOutputRow.run) == bindparam("of_run"),
    col(RunOutputRow.step) == bindparam("of_step"),
)
_NEWEST_FIRST = (col(RunOutputRow.attempt).desc(), col(RunOutputRow.seq).desc())
_ADD_PIECE = Prepared(insert(RunOutputRow))
_WITH_LINES = select(*_PIECE).where(*_OF_STEP, col(RunOutputRow.lines) > 0)
_NEWEST = Prepared(_WITH_LINES.order_by(*_NEWEST_FIRST).limit(bindparam("most")))
_NEWEST_OF = Prepared(
    _WITH_LINES.where(col(RunOutputRow.attempt) == bindparam("of_attempt"))
    .order_by(*_NEWEST_FIRST)
    .limit(bindparam("most"))
)
_PROGRESS = Prepared(
    select(col(RunOutputRow.permille)).where(*_OF_STEP).order_by(*_NEWEST_FIRST).limit(1)
)
_SIZES = Prepared(
    select(
        col(RunOutputRow.step),
        col(RunOutputRow.attempt),
        func.max(col(RunOutputRow.first) + col(RunOutputRow.lines)).label("printed"),
        func.sum(col(RunOutputRow.lines)).label("kept"),
    )
    .where(col(RunOutputRow.run) == bindparam("of_run"))
    .group_by(col(RunOutputRow.step), col(RunOutputRow.attempt))
    .order_by(col(RunOutputRow.step), col(RunOutputRow.attempt))
)
_ADD_USE = Prepared(Upsert(RunbookUsageRow))
_USES_OF = Prepared(
    select(*_USE)
    .where(col(RunbookUsageRow.subject) == bindparam("about"))
    .order_by(col(RunbookUsageRow.at), col(RunbookUsageRow.id))
)


class StoredRunOutputs:
    """What steps print, in pieces that are added and never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, piece: OutputPiece) -> None:
        """Keep a piece."""
        values = dict(vars(piece))
        progress = values.pop("progress")
        permille = None if progress is None else round(1000 * progress)
        await self._rows.execute(_ADD_PIECE, {**values, "permille": permille})

    async def remove(self, run: RunId, step: str, *, attempt: int, seqs: Sequence[int]) -> None:
        """Forget pieces out of the middle."""
        await self._rows.execute(
            delete(RunOutputRow).where(
                col(RunOutputRow.run) == run,
                col(RunOutputRow.step) == step,
                col(RunOutputRow.attempt) == attempt,
                col(RunOutputRow.seq).in_(list(seqs)),
            )
        )

    async def newest(
        self, run: RunId, step: str, *, attempt: int | None = None, limit: int
    ) -> Sequence[OutputPiece]:
        """Return the newest pieces of a step that have lines, oldest first.

        They are those of one attempt, or of its last one.
        """
        values: dict[str, object] = {"of_run": run, "of_step": step, "most": limit}
        if attempt is None:
            rows = await self._rows.all(_NEWEST, values)
        else:
            rows = await self._rows.all(_NEWEST_OF, {**values, "of_attempt": attempt})
        found = [_piece(row) for row in rows]
        return [piece for piece in reversed(found) if piece.attempt == found[0].attempt]

    async def progress(self, run: RunId, step: str) -> float | None:
        """Return how far a step is in its last attempt (0 to 1), where it says so."""
        row = await self._rows.one(_PROGRESS, {"of_run": run, "of_step": step})
        return _progress(row) if row else None

    async def sizes(self, run: RunId) -> Sequence[OutputSize]:
        """Return how much every step of a run printed, by step and attempt."""
        rows = await self._rows.all(_SIZES, {"of_run": run})
        return [
            OutputSize(step=row.step, attempt=row.attempt, printed=row.printed, kept=int(row.kept))
            for row in rows
        ]


class StoredRunbookUsage:
    """How runbooks are used: rows are added and never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def add(self, use: RunbookUse) -> bool:
        """Keep a use; say False, and change nothing, where its id is known already."""
        result = await self._rows.execute(_ADD_USE, {**vars(use), "what": use.what.value})
        return result.rowcount == 1

    async def since(self, moment: datetime) -> Sequence[RunbookUse]:
        """Return what happened from a moment on, oldest first."""
        rows = await self._rows.all(
            select(*_USE)
            .where(col(RunbookUsageRow.at) >= moment)
            .order_by(col(RunbookUsageRow.at), col(RunbookUsageRow.id))
        )
        return [_use(row) for row in rows]

    async def of(self, subject: str) -> Sequence[RunbookUse]:
        """Return what happened about one subject, oldest first."""
        rows = await self._rows.all(_USES_OF, {"about": subject})
        return [_use(row) for row in rows]


def _progress(row: RunOutputRow) -> float | None:
    return None if row.permille is None else row.permille / 1000


def _piece(row: RunOutputRow) -> OutputPiece:
    return OutputPiece(
        run=RunId(row.run),
        step=row.step,
        attempt=row.attempt,
        seq=row.seq,
        first=row.first,
        lines=row.lines,
        text=row.text,
        progress=_progress(row),
    )


def _use(row: RunbookUsageRow) -> RunbookUse:
    return RunbookUse(
        id=row.id,
        runbook=row.runbook,
        what=Use(row.what),
        subject=row.subject,
        person=row.person,
        at=row.at,
    )
