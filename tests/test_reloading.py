"""Runbooks that are edited while the assistant runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bot import knowledge
from bot.domain.events import KnowledgeChanged
from bot.domain.runbooks import Runbook
from bot.reloading import KnowledgeWatch

PAGE = """---
format: runbook/v1
id: {id}
version: 1
title: {title}
owner: storage
reviewed: {{by: storage-oncall, at: 2026-11-02}}
match:
  alerts: [Full]
---

## Meaning

It is full.

## Impact

Nobody can write.

## Diagnosis

Look.

## Mitigation

Delete something.
"""


class Library:
    """A folder, what is in force of it, and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[KnowledgeChanged] = []
        self.loads = 0
        self.trouble: list[Exception] = []
        self.writes = 0
        self.write("one", "One")
        self.shelf = dict(knowledge.load(folder).runbooks)
        self.during_load: Callable[[], None] = lambda: None
        self.watch = KnowledgeWatch(
            folder, self.shelf, load=self._load, told=self._tell, every=3600
        )

    def write(self, name: str, title: str) -> None:
        path = self.folder / "runbooks" / "area" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(id=name, title=title), encoding="utf-8")
        self.writes += 1
        os.utime(path, ns=(self.writes * 10**9, self.writes * 10**9))

    def _load(self) -> Mapping[str, Runbook]:
        self.loads += 1
        found = knowledge.load(self.folder).runbooks
        self.during_load()
        return found

    async def _tell(self, event: KnowledgeChanged) -> None:
        if self.trouble:
            raise self.trouble.pop()
        self.told.append(event)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


async def test_an_untouched_folder_is_not_read_again(library: Library) -> None:
    assert await library.watch.look() is None
    assert library.loads == 0


async def test_an_edited_page_is_in_force_and_told_of(library: Library) -> None:
    library.write("one", "One, better")
    event = await library.watch.look()
    assert event == KnowledgeChanged(changed=("one",), removed=())
    assert library.told == [event]
    assert library.shelf["one"].title == "One, better"
    assert await library.watch.look() is None


async def test_pages_come_and_go(library: Library) -> None:
    library.write("two", "Two")
    (library.folder / "runbooks/area/one.md").unlink()
    event = await library.watch.look()
    assert event == KnowledgeChanged(changed=("two",), removed=("one",))
    assert set(library.shelf) == {"two"}


async def test_a_mistake_takes_no_runbook_away(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    path = library.folder / "runbooks/area/one.md"
    path.write_text("---\nformat: runbook/v1\nid: [\n", encoding="utf-8")
    assert await library.watch.look() is None
    assert library.shelf["one"].title == "One"
    assert "runbooks/area/one.md:" in caplog.text
    assert await library.watch.look() is None
    assert library.loads == 1, "the same mistake is not read again and again"
    library.write("one", "One, mended")
    assert await library.watch.look() is not None
    assert library.shelf["one"].title == "One, mended"


async def test_a_folder_that_changes_while_it_is_read_is_read_again(library: Library) -> None:
    library.write("one", "Half")
    library.during_load = lambda: library.write("one", "Whole")
    assert await library.watch.look() is None
    assert library.shelf["one"].title == "One"
    library.during_load = lambda: None
    assert await library.watch.look() is not None
    assert library.shelf["one"].title == "Whole"


async def test_a_page_that_is_only_touched_is_no_news(library: Library) -> None:
    library.write("one", "One")
    assert await library.watch.look() is None
    assert library.told == []


async def test_watching_ends_and_may_be_switched_off(library: Library) -> None:
    library.watch.start()
    await library.watch.stop()
    off = KnowledgeWatch(library.folder, library.shelf, load=dict, told=library._tell, every=0)
    off.start()
    await off.stop()


async def test_what_could_not_be_told_is_told_at_the_next_look(library: Library) -> None:
    library.trouble.append(ConnectionError("the database is locked"))
    library.write("one", "One, better")
    with pytest.raises(ConnectionError):
        await library.watch.look()
    assert library.told == []
    assert await library.watch.look() is None
    assert [event.changed for event in library.told] == [("one",)]
