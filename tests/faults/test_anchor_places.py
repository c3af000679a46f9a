"""The place that holds checkpoints is gone, full or read-only: what goes on, and what does not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bot.domain.runs import Run, RunState
from tests.fakes import NOON
from tests.faults.house import House, house_at
from tests.faults.sweeping import holds_what_it_did
from tests.faults.test_locks_and_disks import nobody
from tests.services.gate_world import MARCUS, PRIYA, runbook, step, until

ALONE = runbook(step("ring", "bell.ring@1"))
GRAVE = runbook(step("peal", "bell.peal@1"))
REFUSED = "The record could not be sealed outside of the database; nothing was run."

Harm = Callable[[House], AbstractContextManager[None]]


@contextmanager
def gone(house: House) -> Iterator[None]:
    """Unmount the disk that the anchor is on."""
    anchors, away = house.folder / "anchors", house.folder / "away"
    anchors.rename(away)
    yield
    away.rename(anchors)


@contextmanager
def read_only(house: House) -> Iterator[None]:
    """Take the leave to write away."""
    anchors = house.folder / "anchors"
    with nobody(house.folder):
        (anchors / "log").chmod(0o444)
        anchors.chmod(0o555)
        yield
        anchors.chmod(0o755)
        (anchors / "log").chmod(0o644)


@contextmanager
def full(house: House) -> Iterator[None]:
    """Let every write to the anchor find its disk full: that is what /dev/full is for."""
    log, away = house.folder / "anchors" / "log", house.folder / "log.away"
    log.rename(away)
    log.symlink_to("/dev/full")
    yield
    log.unlink()
    away.rename(log)


WORDS: dict[Harm, str] = {
    gone: "No such file",
    read_only: "Permission denied",
    full: "not a regular file",
}


HARMS = (gone, read_only, full)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others than its owner can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-anchors-"))
    folder.chmod(0o755)
    yield folder / "house"
    shutil.rmtree(folder)


async def carried_out(house: House, request: str, *, grave: bool = False) -> Run:
    """Ask for a run, approve it, and let it be carried out as far as it goes."""
    house.use(GRAVE if grave else ALONE)
    run = await house.ask(request=request, subject=request)
    while await house.move():
        pass
    for person in (PRIYA, MARCUS) if grave else (PRIYA,):
        await house.approve(run.id, person)
    while await house.move():
        pass
    return await house.runs.get(run.id)


@pytest.mark.parametrize("harm", HARMS)
async def test_sealing_and_light_effects_go_on_without_the_anchor(place: Path, harm: Harm) -> None:
    async with house_at(place, NOON, within=0.3) as house:
        await house.checkpoints.start()
        assert (await carried_out(house, "before", grave=True)).state is RunState.SUCCEEDED
        with harm(house):
            light = await carried_out(house, "light")
            assert light.state is RunState.SUCCEEDED
            grave = await carried_out(house, "grave", grave=True)
            assert grave.state is RunState.FAILED
            assert grave.reason == REFUSED
            assert house.bells.strokes[f"{grave.id}:peal"] == 0
            await house.checkpoints.seal("to see that it goes on")
            state = await house.checkpoints.state()
            assert state.sealed_size == state.size
            assert state.fault is None
            assert WORDS[harm] in str(state.anchors[0].error)
            assert str(place / "anchors") in str(state.anchors[0].error)
        await until(lambda: caught_up(house), seconds=5)  # by itself
        assert (await carried_out(house, "after", grave=True)).state is RunState.SUCCEEDED
        assert await house.checkpoints.compare() == []
        holds_what_it_did(place)


async def caught_up(house: House) -> bool:
    """Say whether the anchor holds the newest checkpoint, and nothing complains."""
    state = await house.checkpoints.state()
    [anchor] = state.anchors
    return anchor.error is None and state.newest is not None and anchor.size == state.newest.size


@pytest.mark.parametrize("harm", HARMS)
async def test_a_start_without_the_anchor_refuses_grave_effects_until_it_is_back(
    place: Path, harm: Harm
) -> None:
    async with house_at(place, NOON, within=0.3) as house:
        await house.checkpoints.start()
        await carried_out(house, "before", grave=True)
    async with house_at(place, NOON, within=0.3) as house:
        with harm(house):
            await house.checkpoints.start()
            assert (await carried_out(house, "light")).state is RunState.SUCCEEDED
            assert (await carried_out(house, "grave", grave=True)).reason == REFUSED
            assert (await house.checkpoints.state()).anchors[0].error
        await until(lambda: caught_up(house), seconds=5)
        assert (await carried_out(house, "after", grave=True)).state is RunState.SUCCEEDED
        holds_what_it_did(place)
