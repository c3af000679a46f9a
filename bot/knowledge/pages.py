"""Markdown files with YAML front matter: reading them, their headings and their anchors.

Only what the format needs of Markdown is understood: fenced code, `##`
headings and `{#anchor}` at the end of a line. Everything else is the reader's.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bot.knowledge.problems import Notes, Unparsable
from bot.knowledge.strict_yaml import Node, parse

LARGEST = 256 * 1024

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_ANCHOR = re.compile(r"(.*?)[ \t]*\{#([^{}\s]+)\}[ \t]*")


@dataclass(frozen=True)
class Line:
    """One line of a page's body. `level` is 1 to 6 for a heading, else 0."""

    number: int
    text: str
    code: bool = False
    level: int = 0
    heading: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Page:
    """A file taken apart: its front matter, its body, and the digest of its bytes."""

    front: Node
    lines: tuple[Line, ...]
    digest: str


def read_text(path: Path) -> tuple[str, str]:
    """Return a file's text with Unix line ends, and the SHA-256 of its bytes.

    Characters that nobody sees are refused: they turn what a person reads in a
    query or a command into something else.

    Raises:
        Unparsable: it is no regular file, too large, not UTF-8, or has such
            characters.
    """
    try:
        size = path.stat()
        if not stat.S_ISREG(size.st_mode):
            raise Unparsable(1, "is not a regular file")
        if size.st_size > LARGEST:
            raise Unparsable(1, f"is larger than {LARGEST // 1024} KiB; split it")
        raw = path.read_bytes()
    except OSError as problem:
        raise Unparsable(1, f"cannot be read: {problem.strerror}") from None
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        line = raw.count(b"\n", 0, problem.start) + 1
        raise Unparsable(
            line, f"is not UTF-8 (byte {raw[problem.start]:#04x}); save it so"
        ) from None
    _refuse_invisible(text)
    return text, sha256(raw).hexdigest()


def _refuse_invisible(text: str) -> None:
    if text.replace("\n", "").replace("\t", "").isprintable():
        return
    at = next(i for i, c in enumerate(text) if not c.isprintable() and c not in "\n\t")
    name = unicodedata.name(text[at], "a control character")
    line = text.count("\n", 0, at) + 1
    raise Unparsable(
        line, f"has the invisible character U+{ord(text[at]):04X} ({name}); take it out"
    )


def read_page(path: Path) -> Page:
    """Read a file that begins with front matter between two lines of `---`.

    Raises:
        Unparsable: the file or its front matter is broken.
    """
    text, digest = read_text(path)
    lines = text.removesuffix("\n").split("\n")
    if lines[0].rstrip() != "---":
        raise Unparsable(1, "does not begin with front matter (a line of ---)")
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if end is None:
        raise Unparsable(1, "the front matter is not closed by a line of ---")
    _refuse_second(lines, end + 1)
    front = parse("\n".join(lines[1:end]) + "\n", first_line=2)
    return Page(front, _body(lines[end + 1 :], first_line=end + 2), digest)


def _refuse_second(lines: Sequence[str], after: int) -> None:
    """Refuse a body that begins like another page: nobody would know which one counts."""
    first = next((i for i, line in enumerate(lines[after:], after) if line.strip()), None)
    if first is not None and lines[first].rstrip() == "---":
        raise Unparsable(first + 1, "a second front matter begins here; one file is one page")


def _body(texts: Sequence[str], *, first_line: int) -> tuple[Line, ...]:
    lines: list[Line] = []
    fence, opened = "", first_line
    for number, text in enumerate(texts, first_line):
        mark = _FENCE.fullmatch(text)
        if fence:
            lines.append(Line(number, text, code=True))
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark:
            fence, opened = mark[1], number
            lines.append(Line(number, text, code=True))
        else:
            lines.append(_line(number, text))
    if fence:
        raise Unparsable(opened, f"the code block opened here by {fence} is never closed")
    return tuple(lines)


def _line(number: int, text: str) -> Line:
    found = _ANCHOR.fullmatch(text)
    shown, anchor = (found[1], found[2]) if found else (text, "")
    heading = _HEADING.fullmatch(shown)
    if heading is None:
        return Line(number, shown, anchor=anchor)
    return Line(
        number, shown, level=len(heading[1]), heading=(heading[2] or "").strip(), anchor=anchor
    )


def sections(page: Page, headings: Sequence[str], notes: Notes) -> Mapping[str, tuple[Line, ...]]:
    """Cut the body at its `##` headings: exactly these, once each, in this order."""
    found: dict[str, list[Line]] = {}
    current: list[Line] | None = None
    before = ""
    for line in page.lines:
        if line.level == 2:
            current = _open(line, found, headings, notes)
            continue
        _refuse_line(line, before, notes, inside=current is not None)
        before = "" if line.code else line.text
        if current is not None:
            current.append(line)
    _check_headings(page, found, headings, notes)
    return {name: tuple(lines) for name, lines in found.items()}


def _open(
    line: Line, found: dict[str, list[Line]], headings: Sequence[str], notes: Notes
) -> list[Line]:
    if line.heading not in headings:
        notes.add(line.number, f'the heading "{line.heading}" is not one of {_listed(headings)}')
        return []
    if line.heading in found:
        notes.add(line.number, f'the heading "{line.heading}" appears twice')
        return []
    due = headings[len(found)]
    later = headings[headings.index(line.heading) :]
    if line.heading != due and any(name in found for name in later):
        notes.add(
            line.number, f'"{line.heading}" is out of order; the order is {_listed(headings)}'
        )
    return found.setdefault(line.heading, [])


def _refuse_line(line: Line, before: str, notes: Notes, *, inside: bool) -> None:
    if line.code:
        return
    if line.level == 1:
        notes.add(line.number, "a # heading has no place here; the title is in the front matter")
    elif _UNDERLINE.fullmatch(line.text) and before.strip():
        notes.add(line.number, "an underlined heading; write it with ## or leave an empty line")
    elif line.text.strip() and not inside:
        notes.add(line.number, "text before the first heading")


def _check_headings(
    page: Page, found: Mapping[str, Sequence[Line]], headings: Sequence[str], notes: Notes
) -> None:
    end = page.lines[-1].number if page.lines else page.front.line
    for name in headings:
        if name not in found:
            notes.add(end, f'the heading "## {name}" is missing')
        elif not any(line.text.strip() for line in found[name]):
            number = found[name][0].number - 1 if found[name] else end
            notes.add(number, f'nothing stands under the heading "{name}"')


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def markdown(lines: Sequence[Line]) -> str:
    """Return the text of lines as Markdown, without the anchors."""
    return "\n".join(line.text for line in lines).strip()


def explanations(lines: Sequence[Line], notes: Notes) -> Mapping[str, tuple[int, str]]:
    """Return, by anchor, its line and the text that explains it.

    Under a heading that is the text up to the next heading or the next anchor;
    for a paragraph it is the paragraph.
    """
    found: dict[str, tuple[int, str]] = {}
    for index, line in enumerate(lines):
        if not line.anchor:
            continue
        if line.anchor in found:
            notes.add(line.number, f"the anchor {{#{line.anchor}}} appears twice")
            continue
        text = _under(lines, index) if line.level else _around(lines, index)
        found[line.anchor] = (line.number, markdown(text))
        if not found[line.anchor][1]:
            notes.add(line.number, f"nothing explains the anchor {{#{line.anchor}}}")
    return found


def _under(lines: Sequence[Line], index: int) -> Sequence[Line]:
    for end in range(index + 1, len(lines)):
        if lines[end].level or lines[end].anchor:
            return lines[index + 1 : end]
    return lines[index + 1 :]


def _around(lines: Sequence[Line], index: int) -> Sequence[Line]:
    start = index
    while start > 0 and _continues(lines[start - 1]):
        start -= 1
    return lines[start : index + 1]


def _continues(line: Line) -> bool:
    return bool(line.text.strip()) and not line.code and not line.level and not line.anchor
