"""What steps print and how runbooks are used, in rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from bot.domain.runs import RunId
from bot.ports import OutputPiece, OutputSize, RunbookUse, Use
from tests.fakes import FakeClock
from tests.storage.stores import Store

RUN = RunId("r1")
NOW = FakeClock().now()


def piece(seq: int, *, step: str = "restart", attempt: int = 1, lines: int = 1) -> OutputPiece:
    text = "\n".join(f"{step} {attempt} {seq} {n}" for n in range(lines))
    return OutputPiece(
        run=RUN, step=step, attempt=attempt, seq=seq, first=10 * seq, lines=lines, text=text
    )


async def put(store: Store, *pieces: OutputPiece) -> None:
    async with store.transaction() as tx:
        for each in pieces:
            await tx.outputs.add(each)


async def test_the_newest_pieces_come_oldest_first_and_whole(store: Store) -> None:
    pieces = [replace(piece(n), progress=n / 10) for n in range(5)]
    await put(store, *pieces, piece(0, step="other"), replace(piece(9), run=RunId("r2")))
    async with store.reading() as view:
        assert await view.outputs.newest(RUN, "restart", limit=3) == pieces[2:]
        assert await view.outputs.newest(RUN, "restart", limit=99) == pieces
        assert await view.outputs.newest(RUN, "nothing", limit=3) == []
        assert await view.outputs.progress(RUN, "restart") == 0.4
        assert await view.outputs.progress(RUN, "nothing") is None


async def test_the_last_attempt_counts_unless_another_is_asked_for(
    store: Store,
) -> None:
    first, second = piece(0), piece(0, attempt=2)
    await put(store, first, second, piece(1, attempt=2, lines=0))
    async with store.reading() as view:
        assert await view.outputs.newest(RUN, "restart", limit=9) == [second]
        assert await view.outputs.newest(RUN, "restart", attempt=1, limit=9) == [first]


async def test_what_is_cut_out_of_the_middle_is_counted(store: Store) -> None:
    await put(store, *(piece(n, lines=10) for n in range(5)), piece(0, step="a"))
    async with store.transaction() as tx:
        await tx.outputs.remove(RUN, "restart", attempt=1, seqs=[1, 2])
    async with store.reading() as view:
        assert await view.outputs.sizes(RUN) == [
            OutputSize(step="a", attempt=1, printed=1, kept=1),
            OutputSize(step="restart", attempt=1, printed=50, kept=30),
        ]


async def test_a_piece_is_never_replaced(store: Store) -> None:
    await put(store, piece(0))
    with pytest.raises(IntegrityError):
        await put(store, replace(piece(0), text="other"))
    async with store.reading() as view:
        assert await view.outputs.newest(RUN, "restart", limit=9) == [piece(0)]


def use(id: str, what: Use = Use.OPENED, *, minutes: int = 0, subject: str = "g1") -> RunbookUse:
    at = NOW + timedelta(minutes=minutes)
    return RunbookUse(id=id, runbook="disk", what=what, subject=subject, person="p-1", at=at)


async def test_a_use_is_kept_once_and_found_by_time_and_subject(store: Store) -> None:
    late, early = use("b", Use.HELPFUL, minutes=5), replace(use("a"), person=None)
    async with store.transaction() as tx:
        assert await tx.usage.add(late)
        assert await tx.usage.add(early)
        assert not await tx.usage.add(use("a", Use.UNHELPFUL, minutes=9))
        assert await tx.usage.add(use("c", subject="g2"))
    async with store.reading() as view:
        assert await view.usage.since(NOW) == [early, use("c", subject="g2"), late]
        assert await view.usage.since(NOW + timedelta(minutes=1)) == [late]
        assert await view.usage.of("g1") == [early, late]
