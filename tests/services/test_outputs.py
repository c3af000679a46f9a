"""Output from a handler to rows: at once, redacted, capped, coalesced, and nothing lost."""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import Output
from bot.domain.redaction import MASK, RedactedStream, Redactor
from bot.domain.runs import RunId
from bot.ports import OutputSize, OutputTail, Queued
from bot.services.outputs import CHANGE, OutputPace, OutputService
from bot.services.printed import Printed, readable
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import FakeClock
from tests.storage.opened import opened

RUN = RunId("r1")
SECRET = "correct-horse-battery"
QUICK = OutputPace(write=0.01, tell=0.02)


class Desk:
    """An output service on a real store."""

    def __init__(self, database: SqliteDatabase, pace: OutputPace) -> None:
        self.database = database
        self.service = OutputService(database, FakeClock(), Redactor([SECRET]), pace=pace)

    async def news(self) -> list[Queued]:
        async with self.database.reading() as view:
            return list(await view.outbox.due(now=FakeClock().now(), limit=1000))

    async def whole(self, attempt: int = 1) -> str:
        return await self.service.whole(RUN, "s", attempt)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as database:
        desk = Desk(database, QUICK)
        yield desk
        await desk.service.stop()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 10
    while not await condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.005)


async def test_lines_are_written_while_the_step_works_and_told_of(desk: Desk) -> None:
    report = desk.service.reporter(RUN, "s", 1)
    for number in range(7):
        report(Output(line=f"line {number}"))
    report(Output(progress=0.25))

    async def shown() -> bool:
        return await desk.service.tail(RUN, "s", lines=3) == OutputTail(
            lines=("line 4", "line 5", "line 6"), printed=7, progress=0.25
        )

    await until(shown)
    (news,) = await desk.news()
    assert (news.happening.kind, news.happening.subject) == ("run", RUN)
    assert news.happening.change == CHANGE


async def test_a_normal_end_loses_nothing_from_any_thread(desk: Desk) -> None:
    report = desk.service.reporter(RUN, "s", 1)

    def work() -> None:
        for number in range(500):
            report(Output(line=f"{number:03}"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await desk.service.stop()
    lines = (await desk.whole()).split("\n")
    assert sorted(lines) == sorted(f"{n:03}" for n in range(500) for _ in threads)


async def test_what_comes_after_a_pause_is_written_too(desk: Desk) -> None:
    report = desk.service.reporter(RUN, "s", 1)
    for number in range(4):
        report(Output(line=f"{number}"))
        await asyncio.sleep(0.05)  # longer than the writer waits for more
    await desk.service.stop()
    assert await desk.whole() == "0\n1\n2\n3"


async def test_what_comes_just_before_the_end_is_not_lost(tmp_path: Path) -> None:
    """Whatever the writer is doing at that moment: writing, resting, or about to end."""
    async with opened(tmp_path) as database:
        for wait in range(25):
            desk = Desk(database, OutputPace(write=0.004, tell=0.02))
            report = desk.service.reporter(RUN, f"s{wait}", 1)
            report(Output(line="first"))
            await asyncio.sleep(0.002 * wait)
            report(Output(line="last"))
            await desk.service.stop()
            assert await desk.service.whole(RUN, f"s{wait}", 1) == "first\nlast"


async def test_who_prints_for_ever_keeps_nobody_from_stopping(tmp_path: Path) -> None:
    over = threading.Event()
    async with opened(tmp_path) as database:
        service = OutputService(database, FakeClock(), Redactor(), pace=QUICK)
        report = service.reporter(RUN, "s", 1)

        def work() -> None:
            while not over.wait(0.001):
                report(Output(line="again"))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            async with asyncio.timeout(10):
                await service.stop()
        finally:
            over.set()
            await asyncio.to_thread(thread.join)
            await asyncio.sleep(0.1)  # the last write is over before the store is closed


async def test_secrets_are_hidden_before_anything_is_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        desk = Desk(database, QUICK)
        report = desk.service.reporter(RUN, "s", 1)
        report(Output(line=f"a {SECRET} b"))
        report(Output(line=f"half {SECRET[:9]}"))

        async def alone() -> bool:
            return (await desk.service.tail(RUN, "s", lines=1)).lines == (f"half {MASK}",)

        await until(alone)
        report(Output(line=f"{SECRET[9:]} half"))
        report(Output(line=f"col\x1b[31m{SECRET[:8]}\x1b[0m{SECRET[8:]}"))
        report(Output(line="password=hunter2"))
        await desk.service.stop()
        text = await desk.whole()
    assert text.startswith(f"a {MASK} b\nhalf {MASK}\n")
    assert text.endswith(f"col{MASK}\npassword={MASK}")
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("tocsin.db*"))  # noqa: ASYNC240  # a local folder
    for hidden in (SECRET, SECRET[:9], SECRET[9:], "hunter2"):
        assert hidden.encode() not in stored


async def test_of_very_much_the_middle_is_cut_and_said_to_be(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        desk = Desk(database, OutputPace(write=0.01, tell=0.02, head=2_000, tail=3_000))
        report = desk.service.reporter(RUN, "s", 1)
        for number in range(3_000):
            report(Output(line=f"line {number:05}"))
            if number % 100 == 0:
                await asyncio.sleep(0.011)
        await desk.service.stop()
        text, (size,) = await desk.whole(), await desk.service.sizes(RUN)
    lines = text.split("\n")
    assert lines[0] == "line 00000"
    assert lines[-1] == "line 02999"
    assert size.printed == 3_000
    cuts = [line for line in lines if "were cut" in line]
    assert cuts == [f"… {3_000 - size.kept:,} lines were cut here …"]
    assert len(text) < 2_000 + 3_000 + 10_000  # the newest piece stays, however large
    kept = [line for line in lines if line not in cuts]
    assert len(kept) == size.kept
    assert kept == sorted(kept)


async def test_a_flood_fills_neither_memory_nor_the_loop(tmp_path: Path) -> None:
    """A gigabyte takes as long as taking in lines takes; here it is some megabytes."""
    async with opened(tmp_path) as database:
        desk = Desk(database, OutputPace())
        report = desk.service.reporter(RUN, "s", 1)
        line = Output(line="y" * 1_000)
        tracemalloc.start()

        def flood() -> None:
            for _ in range(30_000):
                report(line)

        await asyncio.to_thread(flood)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await desk.service.stop()
        (size,) = await desk.service.sizes(RUN)
        text = await desk.whole()
    assert peak < 2_000_000
    assert size.printed == 30_000
    assert 131 + 60 <= size.kept <= 280
    assert "lines were cut here" in text


async def test_half_a_secret_is_hidden_where_the_other_half_was_cut(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        desk = Desk(database, OutputPace(write=5, head=10))
        report = desk.service.reporter(RUN, "s", 1)
        report(Output(line="something longer than the head"))
        await asyncio.sleep(0.05)  # it is written; from here on it waits
        report(Output(line=SECRET[:12]))
        report(Output(line=f"{SECRET[12:]} tail"))
        for _ in range(63):
            report(Output(line="z" * 1_023))
        report(Output(line="z" * 1_000))  # with this, all but the first half fits
        await desk.service.stop()
        lines = (await desk.whole()).split("\n")
    assert lines[:3] == [
        "something longer than the head",
        "… 1 line was cut here …",
        f"{MASK} tail",
    ]


async def test_news_are_coalesced_and_the_last_lines_are_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        desk = Desk(database, OutputPace(write=0.01, tell=0.3))
        report = desk.service.reporter(RUN, "s", 1)
        began = time.monotonic()
        for number in range(40):
            report(Output(line=f"{number}"))
            await asyncio.sleep(0.005)
        told = len(await desk.news())
        assert 1 <= told <= 1 + (time.monotonic() - began) / 0.3

        async def again() -> bool:
            return len(await desk.news()) == told + 1

        await until(again)  # by itself, though nothing more was printed
        await desk.service.stop()


async def test_attempts_do_not_mix(desk: Desk) -> None:
    desk.service.reporter(RUN, "s", 1)(Output(line="first"))
    desk.service.reporter(RUN, "s", 2)(Output(line="second"))
    await desk.service.stop()
    assert await desk.whole(1) == "first"
    assert await desk.whole(2) == "second"
    assert (await desk.service.tail(RUN, "s", lines=5)).lines == ("second",)
    assert await desk.service.sizes(RUN) == [
        OutputSize(step="s", attempt=attempt, printed=1, kept=1) for attempt in (1, 2)
    ]


async def test_progress_alone_is_kept_and_bounded(desk: Desk) -> None:
    report = desk.service.reporter(RUN, "s", 1)
    report(Output(line="one line"))
    for progress in (0.1, 7.0, float("nan"), -1.0, 0.5):
        report(Output(progress=progress))
        await asyncio.sleep(0.02)
    await desk.service.stop()
    tail = await desk.service.tail(RUN, "s", lines=5)
    assert tail == OutputTail(lines=("one line",), printed=1, progress=0.5)


async def test_a_store_that_fails_loses_nothing_that_is_followed_by_more(desk: Desk) -> None:
    report = desk.service.reporter(RUN, "s", 1)
    async with desk.database.transaction() as tx:
        real = type(tx.outputs).add

    async def fails(*_: object) -> None:
        raise OSError("the disk is full")

    type(tx.outputs).add = fails  # type: ignore[method-assign,assignment]  # a fault, for a moment
    try:
        report(Output(line="one"))
        await asyncio.sleep(0.05)
    finally:
        type(tx.outputs).add = real  # type: ignore[method-assign]
    report(Output(line="two"))
    await desk.service.stop()
    assert await desk.whole() == "one\ntwo"


async def test_a_reporter_is_harmless_when_the_loop_is_gone(tmp_path: Path) -> None:
    def elsewhere() -> Callable[[Output], None]:
        async def make() -> Callable[[Output], None]:
            database = SqliteDatabase(tmp_path / "a.db", FakeClock())
            return OutputService(database, FakeClock(), Redactor()).reporter(RUN, "s", 1)

        return asyncio.run(make())

    report = await asyncio.to_thread(elsewhere)
    report(Output(line="nobody hears this"))


@pytest.mark.parametrize(
    ("printed", "read"),
    (
        ("plain\r\n", "plain"),
        ("10%\r20%\r100%", "100%"),
        ("\x1b[1;31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        ("a\x00b\x07c\td", "abc\td"),
        ("two\nlines\n", "two\nlines"),
        ("\ud800x", "?x"),
        ("é ü ✓", "é ü ✓"),
    ),
)
def test_a_line_is_made_readable(printed: str, read: str) -> None:
    assert readable(printed) == read


def test_a_line_that_is_one_long_word_is_read_at_once() -> None:
    start = time.process_time()
    for _ in range(50):
        line = readable("a" * 20_000)
    assert time.process_time() - start < 1
    assert line == "a" * 12_384
    assert readable("a b" * 10_000 + "c") == ("a b" * 10_000)[: 16_384 - 2]


def test_a_line_without_end_is_cut_and_half_a_token_with_it() -> None:
    line = readable("word " * 3_276 + "ghp_" + "a" * 40)
    assert len(line) <= 16_384
    assert "ghp" not in line


@given(st.lists(st.text(max_size=40), max_size=40), st.lists(st.booleans(), max_size=40))
def test_every_line_is_counted_once_however_it_is_handed_over(
    lines: list[str], pauses: list[bool]
) -> None:
    printed = Printed(RUN, "s", 1, RedactedStream(Redactor()), head=100)
    pieces = []
    for number, line in enumerate(lines):
        printed.take(Output(line=line))
        if pauses[number : number + 1] == [True] and printed.hand_over():
            pieces += list(printed.pieces())
            printed.written(0)
    if printed.settle():
        pieces += list(printed.pieces())
    written = [piece for piece in pieces if piece.lines]
    assert [piece.seq for piece in pieces] == list(range(len(pieces)))
    number = 0
    for piece in written:
        assert piece.first == number
        number += piece.lines
    assert "\n".join(piece.text for piece in written) == "\n".join(map(readable, lines))
