"""When a checkpoint was: an authority's signed word for it (RFC 3161).

Only a hash leaves the house. The receipt is the token in DER, which `openssl ts`
and others verify; the authority itself remembers nothing that could be read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import httpx
from cryptography.x509 import Certificate, ObjectIdentifier
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from bot.ledger.anchors.posting import WITHIN, post
from bot.ports import AnchorFailed, Proof, SignedCheckpoint

_QUERY = "application/timestamp-query"
_REPLY = "application/timestamp-reply"
_SHA256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")


class TimestampAnchor:
    """Has checkpoints timestamped.

    With `roots`, the certificates that the authority's must lead to, an answer
    counts only where its signature holds; without any, only that it is about
    this checkpoint is checked, and its signature is for an auditor to verify.
    """

    def __init__(
        self,
        url: str,
        client: httpx.AsyncClient,
        *,
        roots: Sequence[Certificate] = (),
        within: float = WITHIN,
    ) -> None:
        self._url = url
        self._client = client
        self._roots = list(roots)
        self._within = within

    @property
    def name(self) -> str:
        """Return what the anchor is called in records."""
        return f"timestamp:{self._url}"

    async def keep(self, checkpoint: SignedCheckpoint, *, proof: Proof) -> bytes:
        """Return a timestamp token over the SHA-256 of the note.

        Raises:
            AnchorFailed: the authority did not give one that holds.
        """
        builder = TimestampRequestBuilder().data(checkpoint.note)
        request = builder.hash_algorithm(HashAlgorithm.SHA256).build()
        answer = await post(
            self._client, self._url, body=request.as_bytes(), kind=_QUERY, within=self._within
        )
        if answer.status != httpx.codes.OK or answer.kind != _REPLY:
            raise AnchorFailed(f"{self._url} answered {answer.words}")
        try:
            return self._token(answer.body, request, checkpoint.note)
        except (ValueError, VerificationError) as error:
            raise AnchorFailed(f"{self._url} gave no timestamp that holds: {error}") from error

    async def kept(self) -> Sequence[bytes]:
        """Return nothing: an authority remembers nothing."""
        return ()

    def _token(self, body: bytes, request: TimeStampRequest, note: bytes) -> bytes:
        response = decode_timestamp_response(body)
        if response.status != PKIStatus.GRANTED:
            raise ValueError(f"{PKIStatus(response.status).name.lower()} {response.status_string}")
        _check_subject(response, request, note)
        if self._roots:
            verifier = VerifierBuilder(roots=self._roots, nonce=request.nonce).build()
            verifier.verify_message(response, note)
        return response.time_stamp_token()


def _check_subject(response: TimeStampResponse, request: TimeStampRequest, note: bytes) -> None:
    info = response.tst_info
    imprint = info.message_imprint
    if imprint.hash_algorithm != _SHA256 or imprint.message != sha256(note).digest():
        raise ValueError("it is about something else")
    if info.nonce != request.nonce:
        raise ValueError("it answers another request")
