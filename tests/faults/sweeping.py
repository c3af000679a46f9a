"""Runs lives under strace, restarts what died, and holds the folder against every promise."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from bot.domain.effects import EffectState
from bot.domain.runs import Run, RunState
from bot.ledger.anchors.paragraphs import notes_in
from bot.ledger.subjects import SubjectKeys
from bot.storage.sqlite import read_entries, verify_file
from tests.fakes import NOON, FakeClock
from tests.faults.bells import lines
from tests.faults.house import House, house_at
from tests.faults.nursery import AT, WINDOW, Order

ROOT = Path(__file__).parents[2]
CALLS = ("pwrite64", "fdatasync", "fsync")
KILLED = -signal.SIGKILL


@cache
def strace_missing() -> str:
    """Say why nothing can be traced here, or nothing."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        ["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "this machine does not let strace trace"


def killing() -> Sequence[str]:
    """Kill with SIGKILL at the call."""
    return [part for call in CALLS for part in ("-e", f"inject={call}:signal=KILL:when={AT}")]


def failing() -> Sequence[str]:
    """Let writes find the disk full, and flushes find it broken."""
    errors = {"pwrite64": "ENOSPC", "fdatasync": "EIO", "fsync": "EIO"}
    span = f"when={AT}..{AT + WINDOW - 1}"
    faults = [
        part
        for call, error in errors.items()
        for part in ("-e", f"inject={call}:error={error}:{span}")
    ]
    return ["--seccomp-bpf", *faults]


class Nursery:
    """A traced process that forks a life for every order."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()

    def live(self, order: Order) -> int:
        """Let a life meet its fault; return how it ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(order)) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer, "the nursery has died"
        return answer


@contextmanager
def nursery(faults: Sequence[str] = ()) -> Iterator[Nursery]:
    """Start a nursery, under strace where calls shall fail."""
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={','.join(CALLS)}", *faults]
    command = [*(traced if faults else []), sys.executable, "-m", "tests.faults.nursery"]
    process = subprocess.Popen(  # strace and ourselves
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        try:
            yield Nursery(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is left of a life after its restart."""

    run: Run | None
    acks: Sequence[str]
    told: Sequence[str]


async def prepared(folder: Path) -> Path:
    """Make a folder whose database has its schema, and nothing else."""
    house = House(folder, FakeClock())
    await house.close()
    shutil.rmtree(folder / "keys")
    shutil.rmtree(folder / "anchors")
    (folder / "log.key").unlink()
    return folder


async def restarted(folder: Path) -> Ending:
    """Restart after a crash, carry the story to its end, and hold it to its promises."""
    before = lines(folder / "bells")
    if lines(folder / "acks"):  # before, there may be no tables yet
        holds_what_it_did(folder)
    async with house_at(folder, NOON + timedelta(seconds=400)) as house:
        acks = lines(folder / "acks")
        await _keeps_its_word(house, acks)
        run = await house.finish()
        assert await house.checkpoints.compare() == []
        assert await house.database.archive.size() == (await house.checkpoints.state()).sealed_size
        if run is not None:
            await _did_it_once(house, run)
    assert lines(folder / "bells")[: len(before)] == before
    holds_what_it_did(folder)
    return Ending(run=run, acks=acks, told=lines(folder / "told"))


def holds_what_it_did(folder: Path) -> None:
    """Hold the ledger against its tree, and every stroke against its intent."""
    assert lines(folder / "unannounced") == []
    strokes = lines(folder / "bells")
    assert len(strokes) == len(set(strokes)), "a bell rang twice"
    verdict = verify_file(folder / "tocsin.db", SubjectKeys(folder / "keys"))
    assert verdict.ok, verdict
    entries = read_entries(folder / "tocsin.db", incident="", last=10_000)
    intents = [e["idem_key"] for e in entries if e["type"] == "action.intent"]
    outcomes = [e["idem_key"] for e in entries if e["type"] == "action.outcome"]
    assert set(strokes) <= set(intents)
    assert set(outcomes) <= set(intents)


async def _keeps_its_word(house: House, acks: Sequence[str]) -> None:
    """Find everything that was acknowledged."""
    entries = read_entries(house.folder / "tocsin.db", house.keys, incident="", last=10_000)
    granted = [e for e in entries if e["type"] == "approval.granted"]
    for ack in acks:
        what, value = ack.split(" ", 1)
        if what == "asked":
            assert any(run.id == value for run in await house.runs.recent())
        elif what.startswith("approved-"):
            approval = (await house.runs.get(value)).approval  # type: ignore[arg-type]  # an id
            assert approval is not None
            assert what[9:] in {a.person.id for a in approval.answers if a.approve}
            assert len(granted) >= len(approval.answers)
        elif what == "anchored":
            notes = notes_in((house.folder / "anchors" / "log").read_bytes())
            assert any(int(note.split(b"\n")[1]) >= int(value) for note in notes)


async def _did_it_once(house: House, run: Run) -> None:
    """Hold the end of a run against the world: what succeeded rang, and what failed did not."""
    assert run.plan is not None
    async with house.database.reading() as view:
        for step in run.plan.steps:
            effect = await view.effects.get(run.effect_key(step))
            rang = house.bells.strokes[run.effect_key(step)]
            if effect is None:
                assert rang == 0
                continue
            assert effect.state in (EffectState.SUCCEEDED, EffectState.FAILED)
            assert rang == (effect.state is EffectState.SUCCEEDED), effect
    if run.state is RunState.SUCCEEDED:
        assert len(house.bells.strokes) == len(run.plan.steps)
    cards = lines(house.folder / "cards")
    assert sum(line.startswith("post ") for line in cards) == 1
    assert cards[-1].endswith(f" {run.state}")
