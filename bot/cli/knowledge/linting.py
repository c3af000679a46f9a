"""`tocsin knowledge lint`: every mistake in the pages, with its line and how to mend it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import Config
from bot.cli.knowledge.offered import offered

if TYPE_CHECKING:
    from bot.knowledge import Knowledge, Problem

Folder = Annotated[Path, typer.Argument(help="the knowledge folder")]


class Format(StrEnum):
    """How findings are written: for people, for programs, for GitHub's annotations."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


@dataclass(frozen=True)
class _Linted:
    """What was found in a folder; `known` is None where its pages cannot be used."""

    folder: Path
    known: Knowledge | None
    errors: Sequence[Problem]
    warnings: Sequence[Problem]


def lint(
    directory: Folder = Path("knowledge"),
    format: Annotated[Format, typer.Option(help="text, json or github")] = Format.TEXT,
    config: Config = None,
) -> None:
    """Check runbooks, services and past incidents; every mistake with its file and line."""
    linted = _lint(directory, config)
    match format:
        case Format.JSON:
            print(json.dumps(_as_json(linted), indent=2, ensure_ascii=False))
        case Format.GITHUB:
            _print_annotations(linted)
        case Format.TEXT:
            _print_text(linted)
    if linted.errors:
        raise typer.Exit(1)


def check(directory: Folder = Path("knowledge"), config: Config = None) -> None:
    """Do what `lint` does, under the name it had first."""
    lint(directory, Format.TEXT, config)


def _lint(directory: Path, config: Path | None) -> _Linted:
    from bot.knowledge import KnowledgeError, check_actions, load  # noqa: PLC0415
    from bot.knowledge.advice import advice  # noqa: PLC0415

    try:
        known = load(directory)
    except KnowledgeError as error:
        return _Linted(directory, None, error.problems, ())
    actions = offered(config).actions
    errors = sorted(check_actions(known, actions))
    today = datetime.now(UTC).date()
    warnings = advice(directory, known.runbooks, today=today, actions=actions)
    return _Linted(directory, known, errors, warnings)


def _print_text(linted: _Linted) -> None:
    for problem in linted.warnings:
        print(f"{_where(linted, problem)}: warning: {problem.reason}")
    for problem in linted.errors:
        print(f"{_where(linted, problem)}: {problem.reason}", file=sys.stderr)
    if linted.errors:
        print(f"{_count(linted.errors, 'problem')} in {linted.folder}", file=sys.stderr)
        return
    known = linted.known
    if known is not None:
        services = len(known.catalog.services)
        print(
            f"{len(known.runbooks)} runbooks, {services} services, {len(known.incidents)} incidents"
        )
    if linted.warnings:
        print(_count(linted.warnings, "warning"))
    print("OK")


def _count(items: Sequence[object], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _where(linted: _Linted, problem: Problem) -> str:
    path = "".join(c if c.isprintable() else "?" for c in _path(linted, problem))
    return f"{path}:{problem.line}" if problem.line else path


def _path(linted: _Linted, problem: Problem) -> str:
    """Return the file as it is reached from here; the folder itself is named as it was given."""
    if problem.file == str(linted.folder):
        return problem.file
    path = (linted.folder / problem.file).as_posix()
    return path.encode("utf-8", "replace").decode()  # a name may be no text at all


def _as_json(linted: _Linted) -> dict[str, object]:
    return {
        "ok": not linted.errors,
        "errors": [_entry(linted, p) for p in linted.errors],
        "warnings": [_entry(linted, p) for p in linted.warnings],
    }


def _entry(linted: _Linted, problem: Problem) -> dict[str, object]:
    return {"file": _path(linted, problem), "line": problem.line, "reason": problem.reason}


def _print_annotations(linted: _Linted) -> None:
    """Write workflow commands as GitHub documents them ("Workflow commands", `::error`)."""
    for level, problems in (("error", linted.errors), ("warning", linted.warnings)):
        for problem in problems:
            place = f"file={_property(_path(linted, problem))},line={max(1, problem.line)}"
            print(f"::{level} {place}::{_data(problem.reason)}")


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
