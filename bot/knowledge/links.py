"""Links in pages: which of them lead nowhere.

Links within the folder are looked up as files and headings, which needs no
network. Links to other sites are only collected here; who wants them asked asks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bot.knowledge.problems import Problem

MOST_LINKS = 5000
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CODE = re.compile(r"(`+)(?:(?!\1).){0,500}?\1")
_INLINE = re.compile(r"\]\([ \t]*<?([^()\s<>]{1,1000}(?:\([^()\s]{0,200}\)[^()\s<>]{0,200})?)>?")
_DEFINED = re.compile(r" {0,3}\[[^\]\n]{1,200}\]:[ \t]+<?([^\s<>]{1,1000})>?")
_AUTOMATIC = re.compile(r"<(https?://[^\s<>]{1,1000})>")
_REFERENCE = re.compile(r"\{\{[<%][ \t]*(?:rel)?ref[ \t]+\"([^\"{}\n]{1,300})\"[ \t]*[>%]\}\}")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.{1,300}?)[ \t]*#*[ \t]*")
_NAMED = re.compile(r"(.*?)[ \t]*\{#([^{}\s]+)\}[ \t]*")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link as it stands in a page."""

    file: str
    line: int
    target: str

    @property
    def outside(self) -> bool:
        """Say whether it leads to another site."""
        return self.target.startswith(("http://", "https://"))


def links_in(root: Path, file: str) -> Iterator[Link]:
    """Yield every link of a page, but for those in code."""
    fence = ""
    text = (root / file).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        if fence or mark:
            continue
        prose = _CODE.sub("", _REFERENCE.sub(r"\1", line))
        for found in (*_INLINE.findall(prose), *_AUTOMATIC.findall(prose)):
            yield Link(file=file, line=number, target=found)
        defined = _DEFINED.match(prose)
        if defined:
            yield Link(file=file, line=number, target=defined[1])


def dead_links(root: Path, files: Sequence[str]) -> Sequence[Problem]:
    """Return the links within the folder that lead nowhere, each with its place."""
    found: list[Problem] = []
    for file in files:
        for link in links_in(root, file):
            reason = None if link.outside else _fault(root, link)
            if reason is not None:
                found.append(Problem(file, link.line, f"{link.target}: {reason}"))
    return found


def _fault(root: Path, link: Link) -> str | None:
    """Say why a link within the folder is dead; None for one that is not, or is no address."""
    try:
        parts = urlsplit(link.target)
    except ValueError:
        return "is no address"
    if parts.scheme or parts.netloc:
        return None  # mailto: and the like
    page = root / link.file
    try:
        target = page if not parts.path else _leads_to(root, page, unquote(parts.path))
        if target is None or not target.exists():
            return "there is no such file"
    except OSError as error:  # a name that is too long, for instance
        return f"cannot be looked up: {error.strerror}"
    if parts.fragment and target.is_file() and target.suffix == ".md":
        anchor = unquote(parts.fragment).casefold()
        if anchor not in _anchors(target):
            return f'{"this page" if target == page else "that page"} has no heading "#{anchor}"'
    return None


def _leads_to(root: Path, page: Path, path: str) -> Path | None:
    """Return what a path means, relative to its page or from the root of the folder."""
    if "\0" in path:
        return None
    target = root / path.lstrip("/") if path.startswith("/") else page.parent / path
    bare = target.name and not target.suffix and not target.is_dir()
    return target.with_name(f"{target.name}.md") if bare else target


def _anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page: those it names, and those that GitHub makes of headings."""
    found: dict[str, int] = {}
    names: set[str] = set()
    text = page.read_text(encoding="utf-8", errors="replace")
    for line in text.split("\n"):
        named = _NAMED.fullmatch(line)
        if named:
            names.add(named[2].casefold())
        heading = _HEADING.fullmatch(named[1] if named else line)
        if heading:
            slug = _slug(heading[1])
            count = found.get(slug, 0)
            found[slug] = count + 1
            names.add(f"{slug}-{count}" if count else slug)
    return frozenset(names)


def _slug(heading: str) -> str:
    """Return a heading's anchor as GitHub makes it: lower case, hyphens, no punctuation."""
    kept = (
        c for c in heading.casefold() if c in " -_" or unicodedata.category(c)[0] in ("L", "N", "M")
    )
    return "".join(kept).strip().replace(" ", "-")


def outside(root: Path, files: Sequence[str]) -> Mapping[str, Sequence[Link]]:
    """Return every address on another site, with the links that lead to it."""
    found: dict[str, list[Link]] = {}
    for file in files:
        for link in links_in(root, file):
            if link.outside and len(found) < MOST_LINKS:
                found.setdefault(link.target, []).append(link)
    return found
