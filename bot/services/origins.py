"""What a log is called and which keys it signs with: written down, signed, passed on.

The name is the origin of its checkpoints and changes when the log is restored;
the keys are public ones. Both stand in the database for those who read it, and
nothing here is believed by a comparison: see `bot.services.agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from bot.domain.checkpoints import Checkpoint
from bot.domain.errors import Refused
from bot.domain.ledger import Entry
from bot.domain.notes import Signature, SignedNote, VerifierKey
from bot.ports import Transaction
from bot.services.agreement import Names

_ORIGIN = "origin"
_KEY = "key:"


class Signer(Protocol):
    """Whatever can sign a log's checkpoints. It may block: it is called in a thread."""

    @property
    def verifier(self) -> VerifierKey:
        """Return the key that verifies what this signs."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of a message."""
        ...


def named(signer: Signer, origin: str) -> VerifierKey:
    """Return a signer's key under the name of the log, which a restoration changes."""
    return VerifierKey(name=origin, public=signer.verifier.public)


def signed(checkpoint: Checkpoint, signers: Sequence[Signer]) -> bytes:
    """Return the note of a checkpoint with the signature of each signer."""
    text, lines = checkpoint.text(), []
    for signer in signers:
        key = named(signer, checkpoint.origin)
        lines.append(Signature(name=key.name, key_id=key.id, signature=signer.sign(text.encode())))
    return SignedNote(text=text, signatures=tuple(lines)).write()


def filed_under(anchor: str, origin: str, *, base: str) -> str:
    """Return the name receipts of an anchor have: sizes begin again with each origin."""
    return anchor if origin == base else f"{anchor} {origin}"


async def origin_in(view: Transaction) -> str | None:
    """Return the origin in force; None before the first start."""
    return await view.keys.get(_ORIGIN)


async def keys_in(view: Transaction) -> list[str]:
    """Return every verifier key that was ever put into force, the newest last."""
    return [key for name, key in (await view.keys.all()).items() if name.startswith(_KEY)]


async def save_key(tx: Transaction, key: VerifierKey) -> None:
    """Record a verifier key, unless it is recorded."""
    known = await keys_in(tx)
    if str(key) not in known:
        await tx.keys.save(f"{_KEY}{len(known) + 1:06}", str(key))


async def adopt(tx: Transaction, base: str) -> None:
    """Write down at the first start what the log is called.

    Raises:
        Refused: the database belongs to a log of another name.
    """
    origin = await origin_in(tx)
    if origin is None:
        await tx.keys.save(_ORIGIN, base)
    elif Names(base=base, origin=origin).generation_of(origin) is None:
        raise Refused(f"The database is the log {origin}, and not {base}.")


async def record_rotation(
    tx: Transaction, old: VerifierKey, new: VerifierKey, *, by: str, at: datetime
) -> None:
    """Write down that a key follows another."""
    await save_key(tx, old)
    await save_key(tx, new)
    await tx.ledger.append(
        Entry(
            type="key.rotate",
            actor=by,
            at=at,
            idem_key=new.id.hex(),
            body={"old": str(old), "new": str(new)},
        )
    )


async def record_restoration(
    tx: Transaction, key: VerifierKey, *, last: bytes | None, reason: str, by: str, at: datetime
) -> None:
    """Put the origin that a key is named after into force; `last` is the newest note before."""
    await tx.keys.save(_ORIGIN, key.name)
    await save_key(tx, key)
    await tx.ledger.append(
        Entry(
            type="log.restored",
            actor=by,
            at=at,
            idem_key=sha256(last).hexdigest() if last else None,
            body={
                "origin": key.name,
                "prev_checkpoint": last.decode() if last else None,
                "reason": reason,
            },
        )
    )
