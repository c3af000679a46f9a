"""Killed, or left without a disk, at each point and at each call of a run's whole life.

A life is: start, ask, plan, two approvals, three effects that may not be
repeated (one of which cannot be looked up, one of R3 that waits for its anchor),
their outcomes, the card, a seal, an orderly end. `strace` kills it at the nth
write or flush, or lets that and those after it fail with ENOSPC or EIO; then it
is started again and carried to its end.

A short sweep runs always. `TOCSIN_FAULT_ROUNDS=all` takes every call there is,
any number so many for each kind of fault:
`TOCSIN_FAULT_ROUNDS=all .venv/bin/python -m pytest tests/faults -s`.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.domain.runs import RunState
from tests.faults.nursery import Order
from tests.faults.sweeping import (
    CALLS,
    KILLED,
    Ending,
    Nursery,
    failing,
    killing,
    nursery,
    prepared,
    restarted,
    strace_missing,
)

# Taken out of the environment, like every setting that is none of the bot's own.
ROUNDS = os.environ.pop("TOCSIN_FAULT_ROUNDS", "2")
# Calls of each kind in a life, a little less than there are; a whole sweep counts for itself.
SPAN = {"pwrite64": 400, "fdatasync": 34, "fsync": 20}
FIRST_SPAN = {"pwrite64": 500, "fdatasync": 34, "fsync": 20}
POINTS = [(point, n) for point in ("intent", "effect", "outcome", "card") for n in (1, 2, 3)]
# What the disk said. Whoever reads anything else looks for the fault in the wrong place.
ORIGINAL = ("disk is full", "disk I/O error", "Input/output error", "File too large")
NOT_SEALED = "Refused: The record could not be sealed outside of the database; nothing was run."

traced = pytest.mark.skipif(bool(strace_missing()), reason=strace_missing())


@pytest.fixture(scope="module")
def quiet() -> Iterator[Nursery]:
    """Lives that nothing traces."""
    with nursery() as lives:
        yield lives


@pytest.fixture(scope="module")
def deadly() -> Iterator[Nursery]:
    """Lives that are killed at a call."""
    with nursery(killing()) as lives:
        yield lives


@pytest.fixture(scope="module")
def broken() -> Iterator[Nursery]:
    """Lives whose disk fails from a call on."""
    with nursery(failing()) as lives:
        yield lives


@pytest.fixture
async def template(tmp_path: Path) -> Path:
    return await prepared(tmp_path / "template")


def sweep(span: int) -> Iterator[int]:
    """Return the calls at which the fault is met: all of them, or some from end to end."""
    if ROUNDS == "all":
        yield from range(1, 4000)
        return
    rounds = int(ROUNDS)
    yield from sorted({1 + round(k * (span - 1) / max(1, rounds - 1)) for k in range(rounds)})


class Rounds:
    """Lives one after another, each in a folder of its own."""

    def __init__(self, template: Path | None, base: Path) -> None:
        self._template = template
        self._base = base
        self.ends: Counter[str] = Counter()

    def folder(self, name: str) -> Path:
        folder = self._base / name
        if self._template is None:
            folder.mkdir()
        else:
            shutil.copytree(self._template, folder)
        return folder

    async def ended(self, folder: Path) -> Ending:
        """Restart in a folder, hold it to its promises, and let go of it."""
        try:
            ending = await restarted(folder)
        except BaseException:
            for file in ("acks", "told", "bells", "cards"):
                path = folder / file
                print(f"{path}:\n{path.read_text() if path.exists() else ''}")
            raise
        self.ends[str(ending.run.state) if ending.run else "not asked"] += 1
        shutil.rmtree(folder)
        return ending

    def tell(self, what: str) -> None:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        print(f"{what}: {self.ends.total()} rounds; {ends}")


def told_the_truth(ending: Ending) -> None:
    """Find the disk's own words in whatever anybody was told.

    People read the gate's own sentence about the seal; the log says why beside it.
    """
    for line in ending.told:
        assert NOT_SEALED in line or any(word in line for word in ORIGINAL), line
    if ending.told:
        assert any(word in line for line in ending.told for word in ORIGINAL)


@pytest.mark.parametrize(("point", "n"), POINTS)
async def test_killed_at_each_point_of_an_effect(
    template: Path, tmp_path: Path, quiet: Nursery, point: str, n: int
) -> None:
    rounds = Rounds(template, tmp_path)
    folder = rounds.folder("life")
    assert quiet.live(Order(folder=str(folder), point=point, n=n)) == KILLED
    ending = await rounds.ended(folder)
    assert ending.run is not None
    # A stroke that cannot be looked up and did not happen is not repeated: a person says so.
    lost = (point, n) == ("intent", 2)
    assert ending.run.state is (RunState.FAILED if lost else RunState.SUCCEEDED)


@traced
@pytest.mark.parametrize("call", CALLS)
async def test_killed_at_any_call(
    template: Path, tmp_path: Path, deadly: Nursery, call: str
) -> None:
    rounds = Rounds(template, tmp_path)
    for n in sweep(SPAN[call]):
        folder = rounds.folder(f"life{n}")
        status = deadly.live(Order(folder=str(folder), call=call, n=n))
        await rounds.ended(folder)
        if status != KILLED:
            assert n > SPAN[call]
            break
    rounds.tell(f"killed at a {call}")


@traced
@pytest.mark.parametrize("call", CALLS)
async def test_killed_at_any_call_of_the_first_start(
    tmp_path: Path, deadly: Nursery, call: str
) -> None:
    rounds = Rounds(None, tmp_path)
    for n in sweep(FIRST_SPAN[call]):
        folder = rounds.folder(f"life{n}")
        status = deadly.live(Order(folder=str(folder), call=call, n=n))
        await rounds.ended(folder)
        if status != KILLED:
            assert n > FIRST_SPAN[call]
            break
    rounds.tell(f"killed at a {call}, from the first start on")


@traced
@pytest.mark.parametrize("call", CALLS)
async def test_a_disk_that_fails_at_any_call_and_is_mended(
    template: Path, tmp_path: Path, broken: Nursery, call: str
) -> None:
    """The same process goes on; who was told of a failure was told what the disk said."""
    rounds = Rounds(template, tmp_path)
    for n in sweep(SPAN[call]):
        folder = rounds.folder(f"life{n}")
        status = broken.live(Order(folder=str(folder), call=call, n=n))
        ending = await rounds.ended(folder)
        told_the_truth(ending)
        if status == 0 and not ending.told and n > SPAN[call]:
            break
        # Only what cannot even be opened may end a process.
        assert status == 0 or not ending.acks
    rounds.tell(f"a disk that fails at a {call}")


@traced
@pytest.mark.parametrize("call", CALLS)
async def test_a_disk_that_fails_at_any_call_before_the_process_is_killed(
    template: Path, tmp_path: Path, broken: Nursery, call: str
) -> None:
    """What a failed flush left behind may come to life again; nothing is done for it twice."""
    rounds = Rounds(template, tmp_path)
    for n in sweep(SPAN[call]):
        folder = rounds.folder(f"life{n}")
        status = broken.live(Order(folder=str(folder), call=call, n=n, dies=True))
        ending = await rounds.ended(folder)
        told_the_truth(ending)
        if status == 0 and not ending.told and n > SPAN[call]:
            break
    rounds.tell(f"a disk that fails at a {call}, then a kill")


async def test_a_file_that_may_not_grow_any_more(
    template: Path, tmp_path: Path, quiet: Nursery
) -> None:
    """A limit of the system on the length of files: the same process goes on once it is lifted."""
    rounds = Rounds(template, tmp_path)
    told = 0
    for most in (40_000, 130_000, 220_000, 400_000, 700_000):
        folder = rounds.folder(f"most{most}")
        status = quiet.live(Order(folder=str(folder), most=most))
        ending = await rounds.ended(folder)
        told_the_truth(ending)
        told += bool(ending.told)
        assert status == 0 or not ending.acks
    assert told >= 2
    rounds.tell("a file that may not grow")
