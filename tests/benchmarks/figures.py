"""What a benchmark found, and how it is shown."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure, its unit, and the goal it is held against, if there is one."""

    name: str
    value: str
    unit: str
    goal: str = ""


def show(figures: Sequence[Figure]) -> None:
    """Print figures as a small table."""
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        goal = f"  (goal {figure.goal})" if figure.goal else ""
        sys.stdout.write(f"{figure.name:<{width}}  {figure.value:>9} {figure.unit}{goal}\n")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * share // 1).__int__() - 1))]
