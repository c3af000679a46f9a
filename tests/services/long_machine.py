"""Plays many histories of the governance machine, over several processes.

    python -m tests.services.long_machine --histories 100000 --processes 2

Each batch has a seed of its own, which is printed with what it found, so that
`--first-seed` plays it again. A summary says how often what was reached.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.services.test_governance_machine import GovernanceMachine

BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a batch of histories reached, and the shortest history that broke it."""

    seed: int
    tally: Counter[str]
    fault: str = ""


def play(number: int, histories: int) -> Played:
    """Play a batch by its seed."""
    GovernanceMachine.tally.clear()
    gc.freeze()
    wanted = settings(
        GovernanceMachine.TestCase.settings,
        max_examples=histories,
        database=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    machine = seed(number)(type(f"Machine{number}", (GovernanceMachine,), {}))
    try:
        run_state_machine_as_test(machine, settings=wanted)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what was looked for
        notes = "\n".join(getattr(error, "__notes__", []))
        fault = "".join(traceback.format_exception_only(error)) + notes
        return Played(seed=number, tally=Counter(GovernanceMachine.tally), fault=fault)
    return Played(seed=number, tally=Counter(GovernanceMachine.tally))


def _played(batch: tuple[int, int]) -> Played:
    return play(*batch)


def batches(histories: int, first: int) -> Iterator[tuple[int, int]]:
    """Return the seeds of the batches, with how many histories each plays."""
    for number, start in enumerate(range(0, histories, BATCH)):
        yield first + number, min(BATCH, histories - start)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, print, and return 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.services.long_machine")
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    total, faults, began = Counter[str](), 0, time.monotonic()
    work = list(batches(asked.histories, asked.first_seed))
    # Not ProcessPoolExecutor: with max_tasks_per_child it stands still in Python 3.11.
    with get_context("spawn").Pool(asked.processes, maxtasksperchild=4) as pool:
        for played in pool.imap_unordered(_played, work):
            total += played.tally
            if played.fault:
                faults += 1
                print(f"\nseed {played.seed}:\n{played.fault}", flush=True)
            _progress(total["histories"], began)
    print("\n" + "\n".join(f"{count:>9}  {what}" for what, count in sorted(total.items())))
    print(f"{faults} of {len(work)} batches found a fault")
    return 1 if faults else 0


def _progress(histories: int, began: float) -> None:
    seconds = time.monotonic() - began
    rate = histories / seconds
    print(f"{histories} histories in {seconds:.0f} s ({rate:.1f}/s)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
