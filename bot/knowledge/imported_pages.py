"""Pages of other people's libraries: `imported/v1`, read and never run.

Such a page is somebody else's text, byte for byte, under a front matter of ours
that `tocsin knowledge import` wrote: which alerts it is for, where it came from,
and a seal by which a later import sees whether people have edited it since. Its
body does not have to keep the form of our own pages; what stands under the
field's four headings is found where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from unicodedata import category
from unicodedata import name as unicode_name

from bot.domain.runbooks import SECTIONS, Match, Review, Runbook
from bot.knowledge.fields import SLUG, Fields
from bot.knowledge.pages import LARGEST
from bot.knowledge.problems import Notes, Unparsable
from bot.knowledge.strict_yaml import parse

FORMAT = "imported/v1"
MAX_AGE_DAYS = 180
# A generated front matter is some hundred bytes; so much is looked through for its end.
_LONGEST_FRONT = 16 * 1024
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl"})

_MARK = f"---\nformat: {FORMAT}\n".encode()
_SEAL = re.compile(rb"^seal: [0-9a-f]{64}\n", re.MULTILINE)
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+([^#\n]{1,80}?)[ \t]*#*[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NAMED = {name.casefold(): name for name in SECTIONS}
_REFERENCE = re.compile(r"\{\{[<%][ \t]*(?:rel)?ref[ \t]+\"([^\"{}\n]{1,300})\"[ \t]*[>%]\}\}")
_SHORTCODE = re.compile(r"\{\{[<%][^{}\n]{0,300}[>%]\}\}")


def is_imported(path: Path) -> bool:
    """Say whether a file begins as an imported page does; a file that cannot be read does not."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MARK)) == _MARK
    except OSError:
        return False


def read_imported(root: Path, path: Path, notes: Notes) -> Runbook | None:
    """Read one imported page; None if its front matter has problems, which are in `notes` then.

    Raises:
        Unparsable: the file is too broken to look for more.
    """
    raw = _bytes(path)
    front, body = split(raw)
    found = hidden(body)
    if found is not None:
        line = front.count("\n") + 2 + found[0]
        raise Unparsable(line, f"has the invisible character {found[1]}")
    fields = Fields(parse(front, first_line=2), notes)
    fields.text("format")
    fields.text("seal", default="")
    at = _origin(fields)
    runbook = Runbook(
        id=fields.text("id", form=SLUG),
        version=1,
        title=fields.text("title", longest=120),
        owner=fields.text("owner", form=SLUG),
        review=_review(fields, at),
        match=_match(fields),
        parameters=(),
        approval={},
        diagnose=(),
        steps=(),
        sections=sections_of(body),
        path=path.relative_to(root).as_posix(),
        digest=sha256(raw).hexdigest(),
    )
    fields.finish()
    return runbook if notes.clean else None


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Unparsable(1, "is not a regular file")
        if path.stat().st_size > LARGEST + _LONGEST_FRONT:
            raise Unparsable(1, f"is larger than {LARGEST // 1024} KiB")
        return path.read_bytes()
    except OSError as problem:
        raise Unparsable(1, f"cannot be read: {problem.strerror}") from None


def split(raw: bytes) -> tuple[str, str]:
    """Return the front matter and the body of a page with ours on top.

    Raises:
        Unparsable: there is no front matter, it is not closed, or it is not UTF-8.
    """
    if not raw.startswith(b"---\n"):
        raise Unparsable(1, "does not begin with front matter (a line of ---)")
    end = raw.find(b"\n---\n", 0, _LONGEST_FRONT)
    if end < 0:
        raise Unparsable(1, "the front matter is not closed by a line of ---")
    try:
        return raw[4 : end + 1].decode(), raw[end + 5 :].decode().replace("\r\n", "\n")
    except UnicodeDecodeError as problem:
        line = problem.object.count(b"\n", 0, problem.start) + 1
        raise Unparsable(line, "is not UTF-8") from None


def hidden(text: str) -> tuple[int, str] | None:
    """Return the line and name of the first character that shows text other than it is.

    These are control characters and those that turn or join text without being
    seen (Unicode's categories Cc, Cf, Co, Cs, Zl); odd spaces are none of them.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if line.isprintable():
            continue
        for character in line.removesuffix("\r"):
            if character != "\t" and category(character) in _HIDDEN:
                name = unicode_name(character, "a control character")
                return number, f"U+{ord(character):04X} ({name})"
    return None


def _origin(fields: Fields) -> date:
    part = fields.table("imported")
    if part is None:
        return date.min
    part.text("from", longest=500)
    part.text("sha256")
    at = part.day("at")
    part.finish()
    return at


def _review(fields: Fields, at: date) -> Review:
    """Read who vouches for the page; without a word nobody does, but it was fresh once."""
    part = fields.table("reviewed", required=False)
    if part is None:
        return Review(by="", at=at, max_age_days=MAX_AGE_DAYS)
    days = part.seconds("max_age", default=MAX_AGE_DAYS * 86400, most=3650 * 86400) / 86400
    review = Review(by=part.text("by"), at=part.day("at"), max_age_days=max(1, int(days)))
    part.finish()
    return review


def _match(fields: Fields) -> Match:
    part = fields.table("match")
    if part is None:
        return Match()
    labels = part.table("labels", required=False)
    match = Match(
        alerts=part.texts("alerts"),
        labels={key: labels.text(key) for key in part.nodes("labels")} if labels else {},
        services=part.texts("services"),
        tags=part.texts("tags"),
    )
    part.finish()
    return match


def seal(page: bytes) -> str:
    """Return what a page's seal has to be: SHA-256 (hex) of everything but the seal's own line."""
    front, mark, body = page.partition(b"\n---\n")
    return sha256(_SEAL.sub(b"", front + b"\n", count=1) + mark[1:] + body).hexdigest()


def sealed(page: bytes) -> bool:
    """Say whether a page is still as an import left it."""
    found = _SEAL.search(page.partition(b"\n---\n")[0] + b"\n")
    return found is not None and found[0][6:-1].decode() == seal(page)


def sections_of(body: str) -> Mapping[str, str]:
    """Return what stands under each of the field's four headings, wherever they are.

    Text before the first of them belongs to Meaning; a page without any of them
    is a diagnosis. Other headings belong to the section they stand in. Shortcodes
    of a site generator are for its pages and left out, but for what they refer to.
    """
    found: dict[str, list[str]] = {}
    for name, line in _assigned(body):
        found.setdefault(name, []).append(line)
    if list(found) == [""]:
        found = {"Diagnosis": found[""]}
    elif "" in found:
        found["Meaning"] = [*found.pop(""), "", *found.get("Meaning", [])]
    texts = {name: shown("\n".join(found.get(name, ()))) for name in SECTIONS}
    return {name: text for name, text in texts.items() if text}


def _assigned(body: str) -> Iterator[tuple[str, str]]:
    """Yield every line with the section it belongs to; before the first one that is empty."""
    current, fence = "", ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if mark:
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
        heading = None if fence else _HEADING.fullmatch(line)
        name = _NAMED.get(heading[1].strip().casefold()) if heading else None
        if name is None:
            yield current, line
        else:
            current = name
            yield current, ""


def named_sections(body: str) -> Sequence[str]:
    """Return which of the field's headings a page has, in the order of the field."""
    there = {name for name, _ in _assigned(body)}
    return [name for name in SECTIONS if name in there]


def shown(text: str) -> str:
    """Return Markdown as people should see it: without shortcodes."""
    return _SHORTCODE.sub("", _REFERENCE.sub(r"\1", text)).strip()
