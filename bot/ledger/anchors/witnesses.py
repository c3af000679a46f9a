"""A witness: somebody else who checks that each checkpoint continues the last.

C2SP tlog-witness, `add-checkpoint`. The witness verifies the log's signature and
the consistency proof by itself, remembers the newest checkpoint, and cosigns it
together with the time. What is asked of it never shrinks, so a log that was cut
short or rewritten gets no cosignature any more.
"""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from bot.domain.checkpoints import BadCheckpoint, parse_size, witness_request
from bot.domain.notes import BadNote, SignedNote, VerifierKey, parse_signatures
from bot.ledger.anchors.posting import WITHIN, Answer, post
from bot.ledger.signing import verify_ed25519
from bot.ports import AnchorFailed, Proof, SignedCheckpoint

_KIND = "text/plain; charset=utf-8"
_SIZE = "text/x.tlog.size"
_TRIES = 4  # another process may bring the witness further between two of them


class WitnessAnchor:
    """Has checkpoints cosigned by the witness with a key, under its submission prefix.

    The receipt is the cosignature's line. A witness tells nobody what it has
    seen but its size, so that nothing can be read back from it.
    """

    def __init__(
        self, url: str, key: VerifierKey, *, client: httpx.AsyncClient, within: float = WITHIN
    ) -> None:
        self._url = f"{url.rstrip('/')}/add-checkpoint"
        self._key = key
        self._client = client
        self._within = within
        self._seen: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Return what the anchor is called in records."""
        return f"witness:{self._key.name}"

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Return the witness's cosignature of a checkpoint.

        Raises:
            AnchorFailed: it did not cosign, or not with the key that is trusted.
        """
        old = self._seen.get(checkpoint.origin, 0)
        for _ in range(_TRIES):
            answer = await self._asked(checkpoint, min(old, checkpoint.size), proof)
            if answer.status == httpx.codes.OK:
                line = self._cosignature(checkpoint, answer.body)
                self._seen[checkpoint.origin] = checkpoint.size
                return line
            if answer.status != httpx.codes.CONFLICT or answer.kind != _SIZE:
                break
            old = self._size_seen(checkpoint, answer)
        raise AnchorFailed(f"{self._url} answered {answer.words}")

    async def kept(self) -> Sequence[bytes]:
        """Return nothing: a witness shows nothing."""
        return ()

    async def _asked(self, checkpoint: SignedCheckpoint, old: int, proof: Proof) -> Answer:
        hashes = await proof(old, checkpoint.size) if old else ()
        body = witness_request(old, hashes, checkpoint.note)
        return await post(self._client, self._url, body=body, kind=_KIND, within=self._within)

    def _size_seen(self, checkpoint: SignedCheckpoint, answer: Answer) -> int:
        try:
            seen = parse_size(answer.body)
        except BadCheckpoint as error:
            raise AnchorFailed(f"{self._url} answered 409, and {error}") from None
        if seen > checkpoint.size:
            raise AnchorFailed(
                f"{self._key.name} has seen {seen} entries, more than the {checkpoint.size} offered"
            )
        return seen

    def _cosignature(self, checkpoint: SignedCheckpoint, body: bytes) -> bytes:
        """Return the line of the trusted key; those of others do not matter."""
        text = SignedNote.parse(checkpoint.note).text
        try:
            lines = parse_signatures(body)
        except BadNote as error:
            raise AnchorFailed(f"{self._url} answered with no signature: {error}") from None
        ours = [
            line for line in lines if (line.name, line.key_id) == (self._key.name, self._key.id)
        ]
        for line in ours:
            if self._key.accepts(text, line.signature, verify=verify_ed25519):
                return line.line.encode()
        reason = "does not hold" if ours else "is by another key"
        raise AnchorFailed(f"the cosignature from {self._url} {reason}")
