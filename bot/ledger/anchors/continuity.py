"""What two checkpoints of one log owe each other: the smaller is the start of the larger."""

from __future__ import annotations

from bot.domain.checkpoints import Checkpoint
from bot.domain.merkle import verify_consistency
from bot.ports import AnchorFailed, Proof, SignedCheckpoint


async def check_continuity(held: Checkpoint, offered: SignedCheckpoint, *, proof: Proof) -> None:
    """Hold a checkpoint that is offered against the one that is kept.

    Two processes may offer theirs in either order, so a smaller one is fine
    where the log can prove that the kept one came of it; a log that was cut
    short cannot. Nobody is believed: the proof must lead to both roots.

    Raises:
        AnchorFailed: they are not of one log.
    """
    known, new = (held.size, held.root), (offered.size, offered.root)
    (old_size, old_root), (new_size, new_root) = min(known, new), max(known, new)
    try:
        hashes = () if old_size == new_size else await proof(old_size, new_size)
    except ValueError:
        raise AnchorFailed(
            f"it holds {held.size} entries, and the log with {offered.size} cannot prove "
            "that it is the same one"
        ) from None
    continuous = verify_consistency(
        old=old_size, old_root=old_root, new=new_size, new_root=new_root, proof=hashes
    )
    if not continuous:
        raise AnchorFailed(
            f"what it holds of {held.size} entries contradicts what is offered of {offered.size}"
        )
