"""Import libraries of runbooks as they are published: one Markdown page for each alert.

The form is that of prometheus-operator/runbooks: the file is called like the
alert, and so is the page's `title`; the text stands under Meaning, Impact,
Diagnosis and Mitigation. A page's own front matter is a site generator's and is
only ever searched for its title by lines: nothing in it is parsed, let alone
followed. The text below it is taken byte for byte, under the front matter that
`imported_pages` describes; file names stay, so that links between pages do too.

A second import renews what nobody has touched. A page that people have edited is
theirs from then on: it is kept, and said so.
"""

from __future__ import annotations

import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from bot.knowledge.fields import SLUG
from bot.knowledge.imported_pages import FORMAT, hidden, is_imported, named_sections, seal, sealed
from bot.knowledge.pages import LARGEST

MOST_PAGES = 5000
_NOT_PAGES = frozenset({"readme", "_index", "index", "contributing", "changelog", "license"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,99}")
_HUMPS = re.compile(r"[A-Za-z0-9]*[a-z0-9][A-Z][A-Za-z0-9_]*")
_PART = re.compile(r"\w[\w. -]{0,119}")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_TITLE = re.compile(r"title[ \t]*[:=][ \t]*(.{1,200})")
_SOURCE = re.compile(r"sha256: ([0-9a-f]{64})\}")
_ID = re.compile(r"^id:[ \t]*\"?([a-z0-9-]+)", re.MULTILINE)


class Became(StrEnum):
    """What an import made of a page."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class PageImport:
    """What became of one page. `reason` says why where it is not what was asked for."""

    source: str
    became: Became
    reason: str = ""
    id: str = ""


class _Refusal(Exception):
    """A page that cannot be taken, with the reason."""


@dataclass(frozen=True, kw_only=True)
class _Foreign:
    """A page of somebody else, understood as far as needed."""

    id: str
    title: str
    alerts: tuple[str, ...]
    body: bytes
    digest: str
    note: str


def import_pages(
    source: Path, into: Path, *, owner: str, today: date, taken: Mapping[str, str]
) -> Sequence[PageImport]:
    """Take over every Markdown page of a folder, and say what became of each.

    `taken` are ids that pages elsewhere have, with their paths. Nothing outside
    of `into` is written, and links are not followed.

    Raises:
        ValueError: the owner has no fitting form, or there are too many pages.
    """
    if SLUG.fullmatch(owner) is None:
        raise ValueError(f'--owner: "{owner}" is not a team such as platform-oncall')
    ids = dict(taken)
    return [_one(path, source, into, owner=owner, today=today, ids=ids) for path in _pages(source)]


def _pages(source: Path) -> Sequence[Path]:
    found: list[Path] = []
    for folder, below, names in os.walk(source):  # does not follow links
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(folder, n) for n in names if n.lower().endswith((".md", ".markdown"))]
        if len(found) > MOST_PAGES:
            raise ValueError(f"{source}: has more than {MOST_PAGES} pages; import its parts")
    return sorted(found)


def _one(
    path: Path, source: Path, into: Path, *, owner: str, today: date, ids: dict[str, str]
) -> PageImport:
    name = _printable(path.relative_to(source).as_posix())
    if path.stem.lower() in _NOT_PAGES or path.name.startswith("."):
        return PageImport(source=name, became=Became.SKIPPED, reason="is no page for an alert")
    try:
        page = _understood(path, source)
        first = ids.setdefault(page.id, name)
        if first != name:
            raise _Refusal(f'the id "{page.id}" is taken by {first}')
        target = into / path.relative_to(source).with_suffix(".md")
        made = _written(page, name, owner=owner, today=today)
        became, reason = _settled(page, target, made, into)
    except _Refusal as no:
        return PageImport(source=name, became=Became.REFUSED, reason=str(no))
    except OSError as problem:
        reason = f"cannot be read or written: {problem.strerror}"
        return PageImport(source=name, became=Became.REFUSED, reason=reason)
    return PageImport(source=name, became=became, reason=reason, id=page.id)


def _printable(text: str) -> str:
    """Return a name as a terminal and a file can hold it."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _understood(path: Path, source: Path) -> _Foreign:
    for part in path.relative_to(source).parts:
        if _PART.fullmatch(part) is None:
            raise _Refusal("its name has characters that a file of ours may not have")
    raw = _read(path)
    title, body = _divided(raw)
    text = _checked(body)
    alerts = _alerts(title, path.stem)
    headings = named_sections(text)
    if not alerts or not (headings or any(_HUMPS.fullmatch(a) for a in alerts)):
        raise _Refusal(f'neither its title nor its name ("{path.stem}") is that of an alert')
    return _Foreign(
        id=slug(alerts[0]),
        title=title or path.stem,
        alerts=alerts,
        body=body,
        digest=sha256(raw).hexdigest(),
        note=_remark(text, headings),
    )


def _read(path: Path) -> bytes:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _Refusal("is not a regular file; links are not followed")
    if status.st_size > LARGEST:
        raise _Refusal(f"is larger than {LARGEST // 1024} KiB")
    return path.read_bytes()


def _divided(raw: bytes) -> tuple[str, bytes]:
    """Return the title and the text of a page, whose own front matter may be YAML or TOML."""
    start = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
    fence = raw[start : start + 3]
    opened = re.compile(rb"(---|\+\+\+)[ \t]*\r?\n").match(raw, start)
    if opened is None:
        return "", raw[start:]
    closing = re.compile(rb"^" + re.escape(fence) + rb"[ \t]*(\r?\n|\Z)", re.MULTILINE)
    closed = closing.search(raw, opened.end())
    if closed is None:
        raise _Refusal("its front matter is not closed")
    return _title(raw[opened.end() : closed.start()]), raw[closed.end() :]


def _title(front: bytes) -> str:
    for line in front.decode("utf-8", "replace").split("\n"):
        found = _TITLE.fullmatch(line.rstrip())
        if found:
            title = found[1].strip().strip("\"'").strip()
            return title if title.isprintable() and len(title) <= 120 else ""
    return ""


def _checked(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as problem:
        line = body.count(b"\n", 0, problem.start) + 1
        raise _Refusal(f"is not UTF-8 (line {line} of its text)") from None
    if not text.strip():
        raise _Refusal("nothing stands in it")
    found = hidden(text)
    if found is not None:
        raise _Refusal(f"line {found[0]} of its text has the invisible character {found[1]}")
    return text.replace("\r\n", "\n")


def _alerts(title: str, stem: str) -> tuple[str, ...]:
    named = [name for name in (title, stem) if _NAME.fullmatch(name)]
    return tuple(dict.fromkeys(named))


def _remark(text: str, headings: Sequence[str]) -> str:
    if not headings:
        return "has none of the field's headings; all of it is taken for a diagnosis"
    odd = any(unicodedata.category(c) == "Zs" and c != " " for c in text)
    return "has no-break spaces, which break commands that are copied" if odd else ""


def slug(alert: str) -> str:
    """Return a runbook's id for an alert: `KubePodNotReady` becomes `kube-pod-not-ready`."""
    made = "-".join(word.lower() for word in _WORDS.findall(alert))
    if len(made) <= 63:
        return made
    return f"{made[:54].rstrip('-')}-{sha256(alert.encode()).hexdigest()[:8]}"


def _written(page: _Foreign, name: str, *, owner: str, today: date) -> bytes:
    """Return the whole file: our front matter with its seal, and the text as it came."""
    alerts = ", ".join(json.dumps(alert) for alert in page.alerts)
    source = json.dumps(name, ensure_ascii=False)
    lines = (
        "---",
        f"format: {FORMAT}",
        f'id: "{page.id}"',
        f"title: {json.dumps(page.title, ensure_ascii=False)}",
        f'owner: "{owner}"',
        "match:",
        f"  alerts: [{alerts}]",
        f"imported: {{from: {source}, at: {today.isoformat()}, sha256: {page.digest}}}",
    )
    front = "\n".join(lines).encode() + b"\n"
    unsealed = front + b"---\n" + page.body
    return front + f"seal: {seal(unsealed)}\n---\n".encode() + page.body


def _settled(page: _Foreign, target: Path, made: bytes, into: Path) -> tuple[Became, str]:
    """Write a page where that is right, and say what was done and why."""
    if into.resolve() not in target.parent.resolve().parents and target.parent != into:
        raise _Refusal("its folder is a link that leads elsewhere")
    if not target.exists() and not target.is_symlink():
        _write(target, made)
        return Became.ADDED, page.note
    if target.is_symlink() or not is_imported(target):
        return Became.KEPT, "there is a page of your own by this name"
    there = target.read_bytes()
    known = _SOURCE.search(there[:4096].decode("utf-8", "replace"))
    same = known is not None and known[1] == page.digest
    if not sealed(there):
        news = "" if same else "; what it was made from has changed since"
        return Became.KEPT, f"people have edited it here{news}"
    if same:
        return Became.UNCHANGED, ""
    _write(target, made)
    return Became.UPDATED, page.note


def _write(target: Path, content: bytes) -> None:
    """Put a file into its place whole: whoever reads meanwhile sees the old one or the new."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.importing")
    beside.write_bytes(content)
    os.replace(beside, target)


def ids_elsewhere(into: Path) -> Mapping[str, str]:
    """Return the ids of the pages around a folder of imported ones, with their paths."""
    top = next((f for f in (into, *into.parents) if f.name == "runbooks"), None)
    if top is None:
        return {}
    return dict(_ids(top, but=into))


def _ids(top: Path, *, but: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(top.glob("**/*.md")):
        if but in path.parents or not path.is_file():
            continue
        with path.open("rb") as file:
            found = _ID.search(file.read(4096).decode("utf-8", "replace"))
        if found:
            yield found[1], path.relative_to(top.parent).as_posix()
