"""A database that another process holds, a disk without room, a folder without leave to write."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bot.domain.runs import Run, RunState
from bot.storage import writer
from tests.fakes import NOON, FakeClock
from tests.faults.bells import lines
from tests.faults.house import LEASE, House, house_at
from tests.faults.sweeping import holds_what_it_did
from tests.services.gate_world import MARCUS, PRIYA, until

Trouble = (sqlite3.OperationalError, OperationalError)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BUSY_SECONDS", 0.2)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with house_at(tmp_path / "house", NOON) as house:
        await house.checkpoints.start()
        yield house


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the database as another process does that writes for too long."""
    rival = sqlite3.connect(folder / "tocsin.db", isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        rival.execute("ROLLBACK")
        rival.close()


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Mount a disk of its own, which fills up like a real one."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-disk-"))
    mounted = subprocess.run(  # our own arguments
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """Be somebody whom permissions bind, who owns a folder and all that is in it."""
    root = os.geteuid() == 0
    if root:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that others than its owner can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-fault-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def awaiting(house: House) -> Run:
    """Ask for a run and have it planned."""
    run = await house.ask()
    while await house.move():
        pass
    return await house.runs.get(run.id)


async def keep_asking(house: House) -> None:
    """Ask for runs until it fails; the write-ahead log may have some room of its own."""
    for number in range(200):
        await house.ask(request=f"more {number}", subject=f"more {number}")


async def fill(disk: Path) -> Path:
    """Write until there is no room left."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


async def test_what_cannot_be_written_for_a_lock_is_not_acknowledged(house: House) -> None:
    run = await awaiting(house)
    with held(house.folder), pytest.raises(Trouble, match="database is locked"):
        await house.approve(run.id, PRIYA)
    approval = (await house.runs.get(run.id)).approval
    assert approval is not None
    assert approval.answers == ()
    await house.approve(run.id, PRIYA)  # the very same press comes again
    done = await house.finish()
    assert done is not None
    assert done.state is RunState.SUCCEEDED
    holds_what_it_did(house.folder)


async def test_no_effect_without_its_intent_while_the_database_is_locked(house: House) -> None:
    run = await awaiting(house)
    for person in (PRIYA, MARCUS):
        await house.approve(run.id, person)
    assert await house.move()  # it begins
    claim = await house.claim()
    assert claim is not None
    with held(house.folder), pytest.raises(Trouble, match="database is locked"):
        await house.worker.move(claim)
    assert house.bells.strokes.total() == 0
    house.clock.advance(seconds=LEASE)
    done = await house.finish()
    assert done is not None
    assert done.state is RunState.SUCCEEDED
    holds_what_it_did(house.folder)


async def test_an_outcome_that_meets_a_lock_repeats_nothing(house: House) -> None:
    run = await awaiting(house)
    for person in (PRIYA, MARCUS):
        await house.approve(run.id, person)
    assert await house.move()
    claim = await house.claim()
    assert claim is not None
    rival = sqlite3.connect(house.folder / "tocsin.db", isolation_level=None)

    async def lock() -> None:
        rival.execute("BEGIN IMMEDIATE")

    house.bells.after = lock
    with pytest.raises(Trouble, match="database is locked"):
        await house.worker.move(claim)
    rival.close()
    house.bells.after = None
    assert house.bells.strokes == {f"{run.id}:ring": 1}
    house.clock.advance(seconds=LEASE)
    done = await house.finish()
    assert done is not None
    assert done.state is RunState.SUCCEEDED
    assert set(house.bells.strokes.values()) == {1}
    holds_what_it_did(house.folder)


async def test_a_worker_outlives_a_lock(house: House) -> None:
    run = await awaiting(house)
    for person in (PRIYA, MARCUS):
        await house.approve(run.id, person)
    house.worker.start()
    with held(house.folder):
        with pytest.raises(TimeoutError):
            await until(lambda: over(house, run), seconds=0.6)
        assert house.bells.strokes.total() == 0
    await until(lambda: over(house, run))
    await house.worker.stop()
    assert (await house.runs.get(run.id)).state is RunState.SUCCEEDED
    holds_what_it_did(house.folder)


async def over(house: House, run: Run) -> bool:
    """Say whether a run is over; time passes, so that a claim that broke off runs out."""
    house.clock.advance(seconds=0.2)
    return (await house.runs.get(run.id)).state.over


async def test_a_full_disk_says_so_and_goes_on_when_there_is_room() -> None:
    with small_disk("3m") as disk:
        async with house_at(disk / "house", NOON) as house:
            await house.checkpoints.start()
            run = await awaiting(house)
            filler = await fill(disk)
            with pytest.raises(Trouble, match="disk is full"):
                await keep_asking(house)
            # Priya has no key yet, and that is a file too.
            with pytest.raises((*Trouble, OSError), match=r"disk is full|No space left"):
                await house.approve(run.id, PRIYA)
            assert house.bells.strokes.total() == 0
            assert (await house.runs.get(run.id)).state is RunState.AWAITING
            filler.unlink()
            for person in (PRIYA, MARCUS):
                await house.approve(run.id, person)
            while await house.move():
                pass
            assert (await house.runs.get(run.id)).state is RunState.SUCCEEDED
            await house.checkpoints.ensure_covered()
            assert await house.checkpoints.compare() == []
            holds_what_it_did(house.folder)


async def test_a_worker_meets_a_full_disk_and_finishes_when_there_is_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with small_disk("3m") as disk:
        async with house_at(disk / "house", NOON) as house:
            await house.checkpoints.start()
            run = await awaiting(house)
            for person in (PRIYA, MARCUS):
                await house.approve(run.id, person)
            filler = await fill(disk)
            house.worker.start()
            await until(lambda: written_off(caplog))
            filler.unlink()
            await until(lambda: settled(house, run))
            await house.worker.stop()
            assert set(house.bells.strokes.values()) <= {1}
            done = await house.finish()
            assert done is not None
            assert done.state is RunState.SUCCEEDED
            holds_what_it_did(house.folder)


async def written_off(caplog: pytest.LogCaptureFixture) -> bool:
    """Say whether anybody was told of the full disk."""
    return "disk is full" in caplog.text or "No space left" in caplog.text


async def settled(house: House, run: Run) -> bool:
    """Say whether a run is over or in doubt, and let time pass."""
    house.clock.advance(seconds=0.2)
    state = (await house.runs.get(run.id)).state
    return state.over or state is RunState.IN_DOUBT


async def test_a_folder_without_leave_to_write_is_named_at_the_start(public_folder: Path) -> None:
    place = public_folder / "house"
    async with house_at(place, NOON):
        pass
    with nobody(place):
        place.chmod(0o555)
        (place / "tocsin.db").chmod(0o444)
        with pytest.raises(Trouble, match=r"readonly database|unable to open") as refused:
            House(place, FakeClock(NOON))
        assert "rollback" not in str(refused.value)
        place.chmod(0o755)
        (place / "tocsin.db").chmod(0o644)
        async with house_at(place, NOON) as house:
            await awaiting(house)
            holds_what_it_did(place)


async def test_a_folder_that_becomes_read_only_stops_no_reading(public_folder: Path) -> None:
    place = public_folder / "house"
    async with house_at(place, NOON):
        pass
    (place / "bells").touch()
    (place / "cards").touch()
    with nobody(place):
        async with house_at(place, NOON, within=0.3) as house:
            await house.checkpoints.start()
            run = await awaiting(house)
            place.chmod(0o555)
            (place / "anchors").chmod(0o555)
            assert (await house.runs.get(run.id)).state is RunState.AWAITING
            for person in (PRIYA, MARCUS):
                await house.approve(run.id, person)  # what is open already stays writable
            while await house.move():
                pass
            end = await house.runs.get(run.id)
            place.chmod(0o755)
        assert end.state in (RunState.SUCCEEDED, RunState.IN_DOUBT, RunState.FAILED)
        assert set(lines(place / "bells")) <= {
            f"{run.id}:{name}" for name in ("ring", "unheard", "peal")
        }
        holds_what_it_did(place)
