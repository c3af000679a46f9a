"""What the verification of evidence found, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

MOST_SHOWN = 50


class Kind(IntEnum):
    """How bad a finding is, as the exit status of the command says it.

    Incomplete is what would have to be there and is not, so that something
    cannot be checked: neither fine nor a proof of tampering.
    """

    TAMPERED = 1
    INCOMPLETE = 2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that does not hold, and the first entry it concerns.

    What is wrong with a checkpoint concerns the first entry that the one before
    it does not cover. `index` is None where it is about the bundle as a whole.
    """

    index: int | None
    file: str
    reason: str
    kind: Kind

    # `typing.override` came with Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        entry = "" if self.index is None else f"entry {self.index}: "
        file = f"{self.file}: " if self.file else ""
        word = "NOT OK" if self.kind is Kind.TAMPERED else "INCOMPLETE"
        return f"{word}: {entry}{file}{self.reason}"


def tampered(index: int | None, file: str, reason: str) -> Finding:
    """Return a finding of what was changed, forged, or taken away against the rules."""
    return Finding(index=index, file=file, reason=reason, kind=Kind.TAMPERED)


def incomplete(index: int | None, file: str, reason: str) -> Finding:
    """Return a finding of what cannot be checked with what is there."""
    return Finding(index=index, file=file, reason=reason, kind=Kind.INCOMPLETE)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result of verifying a bundle.

    `bodies` of the `entries` matched their hashes, `erased` were erased as the
    log itself tells, and the others are not in the bundle. `root` is that of the
    newest checkpoint, where one holds. `notes` are for people: nothing is wrong
    with what they say.
    """

    findings: tuple[Finding, ...]
    size: int = 0
    root: bytes | None = None
    origin: str = ""
    entries: int = 0
    checkpoints: int = 0
    bodies: int = 0
    erased: int = 0
    effects: int = 0
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return 0 where all is fine, 1 after tampering, 2 where something is missing."""
        return min((int(finding.kind) for finding in self.findings), default=0)

    @property
    def first(self) -> int | None:
        """Return the first entry that was tampered with, as far as one can be named."""
        named = [f.index for f in self.findings if f.kind is Kind.TAMPERED and f.index is not None]
        return min(named, default=None)

    @property
    def lines(self) -> Sequence[str]:
        """Return what to print: the findings, then what was checked.

        Whoever made the bundle may have chosen words in them, and they must not
        reach a terminal as anything but text.
        """
        return [_plain(line) for line in self._lines]

    @property
    def _lines(self) -> Sequence[str]:
        shown = [str(finding) for finding in self.findings[:MOST_SHOWN]]
        if len(self.findings) > MOST_SHOWN:
            shown.append(f"and {len(self.findings) - MOST_SHOWN} more findings")
        return [*shown, *self.notes, self._summary]

    @property
    def _summary(self) -> str:
        what = (
            f"{self.entries} of {self.size} entries under {self.checkpoints} checkpoints of "
            f"{self.origin}; {self.bodies} bodies match, {self.erased} are erased; "
            f"{self.effects} effects"
        )
        if self.exit_code == Kind.TAMPERED:
            first = "" if self.first is None else f"; the first bad entry is {self.first}"
            return f"NOT OK: {what}{first}"
        if self.exit_code == Kind.INCOMPLETE:
            return f"INCOMPLETE: {what}; nothing contradicts, but not all could be checked"
        return f"OK: {what}; root {self.root.hex() if self.root else ''}"


def _plain(line: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings, the worst kind first, each by its entry, and none twice."""
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(unique, key=lambda f: (f.kind, f.index is None, f.index or 0, f.file, f.reason))
    )
