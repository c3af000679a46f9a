"""A new page is whole from its first minute on, and every TODO in it is told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from bot.domain.actions import Action, ActionCall, ActionResult, Effect, Risk
from bot.domain.errors import Refused
from bot.knowledge import load
from bot.knowledge.advice import advice
from bot.knowledge.templates import new_page, place, write_new

TODAY = date(2026, 11, 21)


def written(root: Path, text: str, name: str = "new") -> Path:
    path = root / "runbooks" / "area" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("id", ("redis-memory-high", "on", "null", "123", "1e5", "a" * 63))
def test_a_new_page_can_be_read(tmp_path: Path, id: str) -> None:
    written(tmp_path, new_page(id, today=TODAY))
    book = load(tmp_path).runbooks[id]
    assert not book.executable
    assert set(book.sections) == {"Meaning", "Impact", "Diagnosis", "Mitigation"}


def test_every_todo_of_a_new_page_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, new_page("redis-memory-high", today=TODAY))
    told = advice(tmp_path, load(tmp_path).runbooks, today=TODAY)
    lines = path.read_text(encoding="utf-8").split("\n")
    expected = [n for n, line in enumerate(lines, start=1) if "TODO" in line or "todo-" in line]
    assert [problem.line for problem in told] == expected
    assert len(expected) > 8


@pytest.mark.parametrize("id", ("", "A", "a_b", "../up", "a b", "a" * 64, "-a", "a\n", "ä"))
def test_an_id_of_the_wrong_form_is_refused(id: str) -> None:
    with pytest.raises(Refused, match="cannot be a runbook's id"):
        new_page(id, today=TODAY)


@pytest.mark.parametrize("area", ("..", "a/b", "", "/tmp", "A"))
def test_an_area_that_leads_elsewhere_is_refused(tmp_path: Path, area: str) -> None:
    with pytest.raises(Refused, match="cannot be an area"):
        place(tmp_path, area=area, id="new")


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    path = written(tmp_path, "mine")
    with pytest.raises(Refused, match="is there already"):
        place(tmp_path, area="area", id="new")
    with pytest.raises(Refused, match="is there already"):
        write_new(path, "yours")
    assert path.read_text() == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "runbooks" / "area").mkdir(parents=True)
    (tmp_path / "runbooks" / "area" / "new.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused):
        place(tmp_path, area="area", id="new")


PAGE = """\
---
format: runbook/v1
id: full
version: 1
title: Full
owner: storage
reviewed: {by: storage, at: AT, max_age: 30d}
match:
  alerts: [Full]
params:
  used_one: {type: string, pattern: "[a-z]+"}
  unused: {type: integer}
diagnose:
  - id: judged
    title: Judged
    uses: redis.info@1
    with: {server: "${used_one}", field: used}
    expect: {below: 1}
  - id: not-judged
    title: Not judged
    uses: redis.info@1
    with: {server: a, field: uptime}
steps:
  - id: act
    title: Act
    uses: human.do@1
    with: {instruction: Do it.}
    commit_point: true
---

## Meaning

m

## Impact

i

## Diagnosis

d

## Mitigation

It acts. {#act}
"""


def reasons(root: Path, at: str) -> list[tuple[int, str]]:
    written(root, PAGE.replace("AT", at))
    return [(p.line, p.reason) for p in advice(root, load(root).runbooks, today=TODAY)]


def test_what_should_be_better_is_told_with_its_line(tmp_path: Path) -> None:
    told = reasons(tmp_path, "2026-11-20")
    assert [line for line, _ in told] == [12, 19, 23]
    assert '"unused" is never used' in told[0][1]
    assert 'nobody judges what the check "not-judged" finds' in told[1][1]
    assert "has steps and no cases" in told[2][1]


async def _never(call: ActionCall) -> ActionResult:
    raise AssertionError("nothing is called when pages are read")


def test_what_waits_too_long_to_begin_is_a_warning_at_its_step(tmp_path: Path) -> None:
    retry = "retry: {times: 9, after: [timeout], wait: 5s}"
    text = PAGE.replace("AT", "2026-11-20").replace("id: act", f"id: act\n    {retry}")
    path = written(tmp_path, text)
    act = Action(
        name="human.do", version=1, summary="Act.", effect=Effect.MUTATE, risk=Risk.R1,
        idempotent=True, arguments={}, handler=_never,
    )  # fmt: skip
    books = load(tmp_path).runbooks
    told = advice(tmp_path, books, today=TODAY, actions={"human.do@1": act})
    (found,) = (p for p in told if "the approval has expired" in p.reason)
    assert "id: act" in path.read_text(encoding="utf-8").split("\n")[found.line - 1]
    assert found not in advice(tmp_path, books, today=TODAY)


@pytest.mark.parametrize(
    ("at", "told"),
    (
        ("2026-11-20", None),
        ("2026-11-06", None),
        ("2026-11-05", "its review lapses on 2026-12-05"),
        ("2026-10-22", "its review lapses on 2026-11-21"),
        ("2026-10-21", "its review lapsed on 2026-11-20 and it is for reading only"),
    ),
)
def test_a_review_is_told_of_before_it_lapses(tmp_path: Path, at: str, told: str | None) -> None:
    found = [reason for line, reason in reasons(tmp_path, at) if line == 7]
    assert [reason.startswith(told or "") for reason in found] == ([True] if told else [])
