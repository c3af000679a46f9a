"""`docs/runbooks-engine.md` says of runs what the code does."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.domain.actions import Transient
from bot.domain.runbooks import OnFailure, OnUnknown
from bot.domain.runs import TRANSITIONS, Plan, PlannedStep, RunState
from bot.services import printed, registry, stopping
from bot.services.engine import Pace
from bot.services.outputs import OutputPace
from bot.settings import RunsSection

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "runbooks-engine.md").read_text(encoding="utf-8")
FLAT = re.sub(r"\s+", " ", PAGE)
PACE = OutputPace()


def states() -> Mapping[str, tuple[str, str]]:
    """Return the table of states: for each what it may become, and the remark."""
    table = PAGE.partition("| state |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {state: (moves, remark) for state, moves, remark in cells}


def section(title: str) -> str:
    """Return what stands under a heading."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_table_of_states_is_the_table_of_transitions() -> None:
    wanted = {s: ", ".join(sorted(TRANSITIONS.get(s, frozenset()))) for s in RunState}
    assert {state: moves for state, (moves, _) in states().items()} == wanted


def test_the_table_says_which_states_are_the_end() -> None:
    over = {state for state, (_, remark) in states().items() if remark.startswith("over")}
    assert over == {state for state in RunState if state.over}


@pytest.mark.parametrize("bound", (Plan, PlannedStep))
def test_everything_that_an_approval_binds_is_named(bound: type) -> None:
    named = re.findall(r"`(\w+)`", section("What an approval binds"))
    missing = [f.name for f in dataclasses.fields(bound) if f.name not in named]
    assert missing == []


def test_nothing_is_named_as_bound_that_is_not() -> None:
    fields = {f.name for bound in (Plan, PlannedStep) for f in dataclasses.fields(bound)}
    listed = section("What an approval binds").partition("**Right before")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == fields


@pytest.mark.parametrize(
    "words",
    (
        f"a lease of {RunsSection().lease:g} s",
        f"a lease of {Pace().lease:g} s",
        f"every {stopping.LOOK:g} s while a handler",
        f"has {stopping.GRACE:g} s to let go",
        f"The first {PACE.head:,} and the last {PACE.tail:,} bytes".replace("The", "the"),
        f"told every {PACE.tell:g} s at most",
        f"of a line {printed._LONGEST_LINE:,} characters",
        f"cut at {registry.SUMMARY_LENGTH:,} characters",
    ),
)
def test_the_numbers_are_those_of_the_code(words: str) -> None:
    assert words in FLAT


def test_five_moves_that_break_off_are_five() -> None:
    assert Pace().attempts == 5
    assert "breaks off five times in a row" in FLAT


@pytest.mark.parametrize("words", (*Transient, *OnFailure, *OnUnknown))
def test_every_word_that_pages_have_for_trouble_is_explained(words: str) -> None:
    assert re.search(rf"`(on_unknown: )?{words}`|{words} looks|`{words}`", FLAT)


def test_every_file_that_is_named_is_there() -> None:
    named = re.findall(r"`((?:bot|tests)/[\w/]+\.py)`", PAGE)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []
