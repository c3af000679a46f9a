"""What steps print: who takes it, and in which pieces it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.actions import Report
from bot.domain.runs import RunId


class Outputs(Protocol):
    """Takes what steps print while they work."""

    def reporter(self, run: RunId, step: str, attempt: int) -> Report:
        """Return what takes the output of one attempt at a step.

        It returns at once and never raises, whatever it is handed and from
        whichever thread: an effect must not wait for those who watch it.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class OutputPiece:
    """Some lines that a step printed, redacted.

    `first` is the number of its first line, from 0; what is missing between two
    pieces was cut. `progress` is how far the step was by then (0 to 1).
    """

    run: RunId
    step: str
    attempt: int
    seq: int
    first: int
    lines: int
    text: str
    progress: float | None = None


@dataclass(frozen=True, kw_only=True)
class OutputSize:
    """How many lines one attempt at a step printed, and how many of them are kept."""

    step: str
    attempt: int
    printed: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class OutputTail:
    """The last lines a step printed, of how many, and how far it is (0 to 1) if it says so."""

    lines: tuple[str, ...] = ()
    printed: int = 0
    progress: float | None = None


class RunOutputs(Protocol):
    """What steps print, in pieces that are added and never changed."""

    async def add(self, piece: OutputPiece) -> None:
        """Keep a piece."""
        ...

    async def remove(self, run: RunId, step: str, *, attempt: int, seqs: Sequence[int]) -> None:
        """Forget pieces out of the middle."""
        ...

    async def newest(
        self, run: RunId, step: str, *, attempt: int | None = None, limit: int
    ) -> Sequence[OutputPiece]:
        """Return the newest pieces of a step that have lines, oldest first.

        They are those of one attempt, or of its last one.
        """
        ...

    async def progress(self, run: RunId, step: str) -> float | None:
        """Return how far a step is in its last attempt (0 to 1), where it says so."""
        ...

    async def sizes(self, run: RunId) -> Sequence[OutputSize]:
        """Return how much every step of a run printed, by step and attempt."""
        ...
