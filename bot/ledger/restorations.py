"""A log that goes by a further name: whether it says that, and from what, it was restored.

Restoring a log continues it under a new name, `<name>/2` and so on, with an
entry that carries the newest checkpoint known of the former one. Without that
entry a rewritten log could pass for a restored one, and an anchor that knows
better would be of no use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.domain.checkpoints import BadCheckpoint, Checkpoint, read_checkpoint
from bot.ledger.chains import same_log
from bot.ledger.findings import Finding, incomplete, tampered
from bot.ledger.histories import Fields

RESTORED = "log.restored"


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """The entry of a restoration: the name since then, and the last that was known before."""

    index: int
    origin: str
    before: Checkpoint | None


def restoration(index: int, body: Fields) -> Restoration:
    """Read the entry of a restoration."""
    said = body.get("prev_checkpoint")
    try:
        before = read_checkpoint(said.encode()) if isinstance(said, str) else None
    except BadCheckpoint:
        before = None
    return Restoration(index=index, origin=str(body.get("origin")), before=before)


def check_restored(
    origin: str,
    restorations: Sequence[Restoration],
    told: Mapping[str, bytes],
    *,
    names: Sequence[str],
    whole: bool,
) -> Iterator[Finding]:
    """Hold the log's name, and checkpoints of its former names, against its restorations.

    `names` are those of the keys that the auditor trusts, `told` the notes that
    anchors show, by where they stand.
    """
    known = {found.origin: found for found in restorations}
    if origin not in names and origin not in known:
        reason = f"the log goes by the name {origin}, and no entry tells that it was restored"
        yield tampered(0, "", reason) if whole else incomplete(None, "", reason)
    former = [found.before for found in restorations if found.before is not None]
    for file, note in told.items():
        try:
            said = read_checkpoint(note)
        except BadCheckpoint:
            continue  # which is said where notes are opened
        if said.origin == origin or not same_log(said.origin, origin):
            continue
        yield from _against(
            file, said, [c for c in former if c.origin == said.origin], restorations
        )


def _against(
    file: str,
    said: Checkpoint,
    former: Sequence[Checkpoint],
    restorations: Sequence[Restoration],
) -> Iterator[Finding]:
    last = max(former, key=lambda c: c.size, default=None)
    if last is None:
        yield incomplete(None, file, f"it is of {said.origin}, which no restoration tells of")
        return
    index = next((r.index for r in restorations if r.before == last), None)
    if said.size > last.size:
        reason = f"it knows {said.size} entries before the restoration, which tells of {last.size}"
        yield tampered(index, file, reason)
    elif said.size == last.size and said.root != last.root:
        yield tampered(index, file, "it is not the checkpoint that the restoration tells of")
