"""Who changed a page last, as git knows them.

Whoever wrote a plan's page does not approve the plan. The repository is data
from others, so git is asked once, for trees and commits only, without any
configuration but the repository's own and with what that one could start
switched off: hooks, pagers, monitors, signature programs, external diffs,
fetches. What git cannot tell within five seconds stays unknown.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

PATIENCE = 5.0  # seconds
MOST_COMMITS = 5000
LONGEST_ADDRESS = 254

_MARK = b"\x01"
_SETTINGS = (
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "diff.orderFile=/dev/null",
    "gpg.program=false",
    "log.showRoot=true",
    "protocol.allow=never",
)
_LOG = (
    "log",
    "-z",
    "--raw",
    "--no-abbrev",
    "--no-color",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-show-signature",
    "--diff-merges=combined",
    "--no-relative",  # a merge's changes would be named from the top all the same
    "--encoding=UTF-8",
    f"--max-count={MOST_COMMITS}",
    "--format=%x01%ae",
)
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": os.devnull,
    "LC_ALL": "C",
    "PATH": os.defpath,
}


def last_editors(root: Path, pages: Mapping[str, str]) -> Mapping[str, str]:
    """Return the e-mail address of the last author of each page.

    `pages` maps a path in the folder to the SHA-256 (hex) of the bytes that were
    read. A page is only in the result where the newest commit with that very
    content is known: not without git or a repository, and not while the page
    has changes that are not committed.
    """
    top = next((f for f in _upwards(root) if (f / ".git").exists()), None)
    if not pages or top is None:
        return {}
    found: dict[str, str] = {}
    contents = {_inside(top, root / path): _names(root / path, pages[path]) for path in pages}
    for author, path, blob in _changes(_history(root)):
        if path not in found and blob in contents.get(path, ()):
            found[path] = author
    authors = {path: found.get(_inside(top, root / path), "") for path in pages}
    return {path: author for path, author in authors.items() if _is_address(author)}


def _upwards(root: Path) -> Iterator[Path]:
    folder = root.resolve()
    yield from (folder, *folder.parents)


def _inside(top: Path, path: Path) -> str:
    """Return a page's path as git writes it."""
    return os.path.relpath(path.parent.resolve() / path.name, top)


def _names(page: Path, digest: str) -> tuple[str, ...]:
    """Return how git names a page's content, unless it changed since it was read.

    By SHA-1, or by SHA-256 in newer repositories.
    """
    try:
        content = page.read_bytes()
    except OSError:
        return ()
    if hashlib.sha256(content).hexdigest() != digest:
        return ()
    whole = b"blob %d\0" % len(content) + content
    old = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    return (old, hashlib.sha256(whole).hexdigest())


def _history(root: Path) -> bytes:
    git = shutil.which("git")
    if git is None:
        return b""
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = [git, "--no-pager", "--literal-pathspecs", *settings, *_LOG, "--", "runbooks"]
    try:
        told = subprocess.run(  # noqa: S603  # fixed words; no shell
            command,
            cwd=root,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return told.stdout if told.returncode == 0 else b""


def _changes(history: bytes) -> Iterator[tuple[str, str, str]]:
    """Yield author, path and the content's new name for each change, newest first.

    A commit is a mark with its author; each change in it is a word of modes and
    names, the last but one of which is new, and then the path. (A merge's
    change has one colon, mode and name more for each further parent.)
    """
    author = ""
    words = iter(history.split(b"\0"))
    for raw in words:
        word = raw.lstrip(b"\n")
        if word.startswith(_MARK):
            author = word[1:].decode("utf-8", "replace").strip()
        elif word.startswith(b":"):
            path = next(words, b"").decode("utf-8", "surrogateescape")
            yield author, path, word.split()[-2].decode("ascii", "replace")


def _is_address(text: str) -> bool:
    return "@" in text and text.isprintable() and len(text) <= LONGEST_ADDRESS
