"""The other two kinds of files: `services.toml` and the pages of past incidents."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from bot.domain.alerts import Severity
from bot.domain.catalog import Catalog, PastIncident, Service
from bot.knowledge.fields import SLUG, Fields
from bot.knowledge.pages import markdown, read_page, read_text, sections
from bot.knowledge.problems import Notes, Unparsable
from bot.knowledge.strict_yaml import Node, Scalar

CATALOG_FORMAT = "services/v1"
INCIDENT_FORMAT = "incident/v1"
INCIDENT_SECTIONS = ("Summary", "Cause", "Resolution")

_CHANNEL = re.compile(r"#[a-z0-9_-]{1,80}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_LINE = re.compile(r"at line (\d+)")
_YEAR = 366 * 24 * 60


def read_catalog(path: Path, notes: Notes) -> Catalog:
    """Read the catalog of services; a cycle of dependencies is a problem named in full.

    Raises:
        Unparsable: the file is not TOML.
    """
    text, _ = read_text(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = _LINE.search(str(problem))
        line = int(found[1]) if found else text.count("\n") + 1
        raise Unparsable(line, f"not readable as TOML: {problem}") from None
    except RecursionError:
        raise Unparsable(1, "not readable as TOML: nested too deeply") from None
    front = Fields(_Lines(text).node(data, ()), notes)
    if front.text("format") not in ("", CATALOG_FORMAT):
        front.note("format", f"should be {CATALOG_FORMAT}")
    parts = front.named_tables("services")
    catalog = Catalog(services={name: _service(name, part) for name, part in parts.items()})
    front.finish()
    _check_dependencies(catalog, parts)
    return catalog


def _service(name: str, part: Fields) -> Service:
    channel = part.text("channel", default="", form=_CHANNEL)
    service = Service(
        name=name,
        team=part.text("team", form=SLUG),
        description=part.text("description"),
        tier=part.whole("tier", most=4),
        depends_on=part.texts("depends_on"),
        channel=channel or None,
    )
    part.finish()
    if SLUG.fullmatch(name) is None:
        part.note("name", f'"{name}" is not a name like postgres-main')
    return service


def _check_dependencies(catalog: Catalog, parts: Mapping[str, Fields]) -> None:
    for service in catalog.services.values():
        for other in service.depends_on:
            if other not in catalog.services:
                parts[service.name].note("depends_on", f'names the unknown service "{other}"')
    cycle = catalog.cycle()
    if cycle:
        parts[cycle[0]].note("depends_on", f"goes round in a circle: {' → '.join(cycle)}")


class _Lines:
    """Finds the lines of TOML's tables and keys, which its parser does not tell."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.split("\n"), start=1):
            stripped = line.strip()
            if stripped.startswith("["):
                table = _keys(stripped.strip("[]").split("]")[0])
                self._lines.setdefault(table, number)
            elif "=" in stripped and not stripped.startswith("#"):
                self._lines.setdefault((*table, *_keys(stripped.split("=")[0])), number)

    def node(self, value: object, path: tuple[str, ...]) -> Node:
        """Return a parsed value with lines; a part without its own has its parent's."""
        line = next(
            (self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), 1
        )
        if isinstance(value, dict):
            return Node({key: self.node(part, (*path, key)) for key, part in value.items()}, line)
        if isinstance(value, list):
            return Node([self.node(part, path) for part in value], line)
        return Node(_scalar(value), line)


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, bool | int | float | str) else str(value)


def read_incident(root: Path, path: Path, notes: Notes) -> PastIncident | None:
    """Read the page of a past incident; None if it has problems, which are in `notes` then.

    Raises:
        Unparsable: the file is too broken to look for more.
    """
    page = read_page(path)
    front = Fields(page.front, notes)
    if front.text("format") not in ("", INCIDENT_FORMAT):
        front.note("format", f"should be {INCIDENT_FORMAT}")
    body = {n: markdown(part) for n, part in sections(page, INCIDENT_SECTIONS, notes).items()}
    incident = PastIncident(
        id=front.text("id", form=_NAME),
        title=front.text("title", longest=120),
        service=front.text("service", form=SLUG),
        severity=front.choice("severity", Severity).value,
        started_at=front.moment("started_at"),
        resolved_after_minutes=front.whole("resolved_after_minutes", most=_YEAR),
        summary=body.get("Summary", ""),
        cause=body.get("Cause", ""),
        resolution=body.get("Resolution", ""),
        runbook=front.text("runbook", default="", form=SLUG) or None,
        example=front.flag("example", default=False),
        path=path.relative_to(root).as_posix(),
    )
    front.finish()
    return incident if notes.clean else None
