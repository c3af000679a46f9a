"""The kill switch that needs nothing but a file: it works with the chat platform down.

`tocsin halt` writes it, and so may anything else that can create a file. Its
being there is what counts. Whatever keeps that from being found out counts as
pulled too: when in doubt, it stops.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from bot.domain.switches import GLOBAL, Halt

LONGEST_REASON = 500
NO_REASON = "no reason given"
UNREADABLE = "its reason cannot be read"
UNKNOWN = datetime(1970, 1, 1, tzinfo=UTC)  # where the file does not say when it was made

_MOST_BYTES = 4 * LONGEST_REASON + 3


class HaltFile:
    """Looks whether the file is there, each time it is called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self) -> Halt | None:
        """Return the pulled switch, or None where there is certainly no file.

        A link to nowhere, a folder or anything else of that name is a file here.
        """
        by = f"the file {tidy(str(self.path))}"
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            reason = f"nobody can say whether it is there: {type(error).__name__}"
            return Halt(scope=GLOBAL, by=by, at=UNKNOWN, reason=reason)
        return Halt(scope=GLOBAL, by=by, at=_moment(found.st_mtime), reason=self._reason())

    def _reason(self) -> str:
        try:
            return tidy(self._beginning().decode("utf-8", "replace")) or NO_REASON
        except OSError:
            return UNREADABLE

    def _beginning(self) -> bytes:
        """Read the first bytes of a regular file, and never wait for a pipe of that name."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(f"{self.path} is not a regular file")
            return os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)


def tidy(text: str) -> str:
    """Return foreign text as one line that the record can hold and people can read."""
    whole = text.encode("utf-8", "replace").decode()
    shown = "".join(c if c.isprintable() else " " for c in whole)
    return " ".join(shown.split())[:LONGEST_REASON].rstrip()


def _moment(timestamp: float) -> datetime:
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return UNKNOWN
