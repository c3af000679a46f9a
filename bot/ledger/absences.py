"""Accounting for the bodies that are not in a bundle, and for the entries that should be."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bot.ledger.findings import Finding, incomplete, tampered
from bot.ledger.manifests import ABSENCES, Manifest


def check_gaps(manifest: Manifest, there: Collection[int]) -> Iterator[Finding]:
    """Hold that the listed entries are there, and none is missing behind the start."""
    entries = manifest.entries
    for index in sorted(set(there) ^ set(entries)):
        yield tampered(index, f"leaves/{index}", "entries and leaves do not agree")
    if entries and entries[-1] >= manifest.size:
        yield tampered(manifest.size, "", "there are entries beyond the newest checkpoint")
    expected = manifest.start
    if expected is None:
        return
    for index in entries:
        expected += index == expected
    if expected < manifest.size:
        yield tampered(expected, f"leaves/{expected}", "the entry is missing")


def check_absent(
    manifest: Manifest, there: Collection[int], told: Collection[int]
) -> Iterator[Finding]:
    """Account for every body that is not there; `told` are those that erasures tell of."""
    listed: set[int] = set()
    for why in ABSENCES:
        those = set(manifest.absent.get(why, ()))
        for index in sorted(those & listed | (those - set(manifest.entries))):
            yield tampered(index, "manifest.json", f"the body is {why} and something else")
        listed |= those
    for index in sorted(set(manifest.entries) - set(there) - listed):
        yield tampered(index, f"bodies/{index}", "the body was removed, and nothing tells why")
    for index in sorted(set(there) & listed | (set(there) - set(manifest.entries))):
        yield tampered(index, f"bodies/{index}", "there is a body where there should be none")
    for index in sorted(set(manifest.absent.get("erased", ())) - set(told)):
        reason = "the body was removed, and no entry of an erasure tells of it"
        yield tampered(index, f"bodies/{index}", reason)
    yield from _unseen(manifest)


def _unseen(manifest: Manifest) -> Iterator[Finding]:
    """Return one finding for all bodies that exist and cannot be looked at."""
    for why in ("hidden", "redacted"):
        those = manifest.absent.get(why, ())
        if those:
            reason = f"{len(those)} bodies are {why}, so they cannot be checked"
            yield incomplete(those[0], f"bodies/{those[0]}", reason)
