"""Knowledge as files: runbooks, services and past incidents, checked as a whole.

`load` takes all or nothing. A folder with a mistake names every mistake with
its file and line, since half a set of runbooks at 3 a.m. is worse than an old
one: who starts the bot sees it, not who needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from bot.domain.actions import Action
from bot.domain.catalog import Catalog, PastIncident
from bot.domain.runbooks import Runbook
from bot.knowledge.action_checks import runbook_problems
from bot.knowledge.catalog_files import read_catalog, read_incident
from bot.knowledge.editors import last_editors
from bot.knowledge.imported_pages import is_imported, read_imported
from bot.knowledge.problems import KnowledgeError, Notes, Problem, Unparsable
from bot.knowledge.runbook_pages import RunbookPage, read_runbook

__all__ = ["Knowledge", "KnowledgeError", "Problem", "check_actions", "load"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What the folder holds. `lines` says, by runbook, where its actions are named."""

    runbooks: Mapping[str, Runbook] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=Catalog)
    incidents: tuple[PastIncident, ...] = ()
    lines: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def load(directory: Path) -> Knowledge:
    """Read `runbooks/**/*.md`, `services.toml` and `incidents/*.md` of a folder.

    Any of them may be missing. Files called README.md and those whose name
    begins with a dot are for people.

    Raises:
        KnowledgeError: with every problem of every file.
    """
    if not directory.is_dir():
        raise KnowledgeError([Problem(str(directory), 0, "is not a folder")])
    reading = _Reading(directory)
    catalog = reading.catalog()
    pages = reading.each("runbooks", _read_page)
    incidents = reading.each("incidents", read_incident)
    reading.cross_check(catalog, pages, incidents)
    if reading.problems:
        raise KnowledgeError(reading.problems)
    return Knowledge(
        runbooks=_with_editors(directory, pages),
        catalog=catalog,
        incidents=tuple(sorted(incidents, key=lambda i: (i.started_at, i.id))),
        lines={page.runbook.id: page.lines for page in pages},
    )


def _read_page(root: Path, path: Path, notes: Notes) -> RunbookPage | None:
    """Read one of our own pages, or one that was imported and is only for reading."""
    # A pipe would never tell how it begins; the reader of our own pages refuses it.
    if not path.is_file() or not is_imported(path):
        return read_runbook(root, path, notes)
    runbook = read_imported(root, path, notes)
    return RunbookPage(runbook, {}) if runbook else None


def _with_editors(root: Path, pages: Sequence[RunbookPage]) -> Mapping[str, Runbook]:
    runbooks = [page.runbook for page in pages]
    editors = last_editors(root, {runbook.path: runbook.digest for runbook in runbooks})
    return {r.id: replace(r, editor=editors.get(r.path, "")) for r in runbooks}


class _Reading:
    """One pass over a knowledge folder, and what it found wrong."""

    def __init__(self, root: Path) -> None:
        self.problems: list[Problem] = []
        self._root = root

    def catalog(self) -> Catalog:
        path = self._root / "services.toml"
        if not path.exists():
            return Catalog()
        return self._noting(path, partial(read_catalog, path)) or Catalog()

    def each(self, folder: str, read: Callable[[Path, Path, Notes], T | None]) -> list[T]:
        found: list[T] = []
        for path in sorted((self._root / folder).glob("**/*.md")):
            inside = path.relative_to(self._root)
            if path.name == "README.md" or any(part.startswith(".") for part in inside.parts):
                continue
            item = self._noting(path, partial(read, self._root, path))
            if item is not None:
                found.append(item)
        return found

    def _noting(self, path: Path, read: Callable[[Notes], T | None]) -> T | None:
        notes = Notes(path.relative_to(self._root).as_posix())
        try:
            return read(notes)
        except Unparsable as problem:
            notes.add(problem.line, problem.reason)
            return None
        finally:
            self.problems.extend(notes.problems)

    def cross_check(
        self, catalog: Catalog, pages: Sequence[RunbookPage], incidents: Sequence[PastIncident]
    ) -> None:
        """Check what files say about each other.

        What a broken file would have offered is unknown, so that nobody is
        blamed for naming it.
        """
        runbooks = [page.runbook for page in pages]
        broken = {problem.file.split("/")[0] for problem in self.problems}
        self._refuse_twins([(r.id, r.path) for r in runbooks])
        self._refuse_twins([(i.id, i.path) for i in incidents])
        if catalog.services and "services.toml" not in broken:
            self._check_services(catalog, runbooks, incidents)
        if "runbooks" not in broken:
            self._check_references({runbook.id for runbook in runbooks}, incidents)

    def _refuse_twins(self, items: Sequence[tuple[str, str]]) -> None:
        first: dict[str, str] = {}
        for id, path in items:
            if id in first:
                self._note(path, "id", f'the id "{id}" is taken by {first[id]}')
            first.setdefault(id, path)

    def _check_services(
        self, catalog: Catalog, runbooks: Sequence[Runbook], incidents: Sequence[PastIncident]
    ) -> None:
        named = [
            (name, r.path, "services")
            for r in runbooks
            for match in (r.match, *r.match.any)
            for name in match.services
        ]
        named += [(incident.service, incident.path, "service") for incident in incidents]
        for name, path, key in named:
            if name not in catalog.services:
                self._note(path, key, f'the service "{name}" is not in services.toml')

    def _check_references(self, known: set[str], incidents: Sequence[PastIncident]) -> None:
        for incident in incidents:
            if incident.runbook and incident.runbook not in known:
                self._note(incident.path, "runbook", f'there is no runbook "{incident.runbook}"')

    def _note(self, file: str, key: str, reason: str) -> None:
        """Note a problem on the first line of a file that has a key."""
        lines = (self._root / file).read_text(encoding="utf-8").split("\n")
        has = re.compile(rf"(^|[\s{{,]){key}:").search
        line = next((n for n, text in enumerate(lines, start=1) if has(text)), 1)
        self.problems.append(Problem(file, line, reason))


def check_actions(knowledge: Knowledge, references: Mapping[str, Action]) -> tuple[Problem, ...]:
    """Name every use of an action that is unknown or cannot work.

    Arguments have to fit the action's schema; where a parameter or a fact stands
    for a value only its type is checked. Checks, preconditions and verifications
    may use actions that read, and no others. What changes something needs a way
    back, or the word that there is none; it is tried again only where that is
    harmless.
    """
    return tuple(
        problem
        for runbook in knowledge.runbooks.values()
        for problem in runbook_problems(runbook, knowledge.lines.get(runbook.id, {}), references)
    )
