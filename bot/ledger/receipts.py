"""What can be said of an anchor's receipt without asking the anchor."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from bot.domain.notes import COSIGNATURE, BadNote, SignedNote, VerifierKey, Verify, parse_signatures

_WITNESS, _TIMESTAMP = "witness:", "timestamp:"


def check_receipt(
    anchor: str, receipt: bytes, note: bytes, *, keys: Sequence[VerifierKey], verify: Verify
) -> str | None:
    """Return why a receipt cannot be for a checkpoint, or None.

    A witness's cosignature is verified where its key is among the trusted ones.
    Of a timestamp only that it is about this note: whose it is, `openssl ts
    -verify -token_in` tells, with the authority's certificates. Others are ids
    at places that have to be asked.
    """
    if anchor.startswith(_TIMESTAMP):
        about = sha256(note).digest() in receipt
        return None if about else "the timestamp is about something else"
    if not anchor.startswith(_WITNESS):
        return None
    try:
        text, lines = SignedNote.parse(note).text, parse_signatures(receipt)
    except BadNote as error:
        return str(error)
    known = {(key.name, key.id): key for key in keys if key.algorithm == COSIGNATURE}
    for line in lines:
        key = known.get((line.name, line.key_id))
        if key is not None and not key.accepts(text, line.signature, verify=verify):
            return f"the cosignature of {line.name} does not hold"
    return None
