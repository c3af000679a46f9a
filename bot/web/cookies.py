"""What the browser keeps for us: who is signed in, and which sign-in is under way.

Cookies are signed, not encrypted: they hold nothing that their owner may not
read. Each kind has a salt of its own, so that one is never taken for another.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from bot.domain.people import PersonId
from bot.ports import Clock

SESSION_AGE = timedelta(hours=8)
ATTEMPT_AGE = timedelta(minutes=10)
_SKEW = timedelta(seconds=60)  # replicas' clocks may differ by so much
_MOST = 2_000  # characters; what is longer was not made here
_KEY_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A sign-in under way: what must come back with the browser, and where it then goes.

    `nonce` and `verifier` are derived from the state with the secret, and so
    never leave this side before they are due.
    """

    state: str
    nonce: str
    verifier: str
    next: str


class Cookies:
    """Seals and opens the two cookies.

    A session ends at a fixed age whatever is done in it; whether the person may
    still enter is asked anew on each request, elsewhere.
    """

    def __init__(self, secret: bytes, clock: Clock) -> None:
        if len(secret) < _KEY_BYTES:
            raise ValueError(f"the secret of the sessions is shorter than {_KEY_BYTES} bytes")
        self._secret = secret
        self._clock = clock

    def seal_session(self, person: PersonId) -> str:
        """Return the session of somebody who has just signed in."""
        return self._seal("session", {"person": person})

    def session(self, text: str | None) -> PersonId | None:
        """Return who is signed in; None for a missing, forged or old session."""
        content = self._open("session", text, SESSION_AGE)
        return PersonId(content["person"]) if content else None

    def begin(self, next: str) -> tuple[Attempt, str]:
        """Begin a sign-in; return it with its sealed form."""
        state = secrets.token_urlsafe(32)
        return self._attempt(state, next), self._seal("attempt", {"state": state, "next": next})

    def attempt(self, text: str | None) -> Attempt | None:
        """Return the sign-in under way; None for a missing, forged or old one."""
        content = self._open("attempt", text, ATTEMPT_AGE)
        return self._attempt(content["state"], content["next"]) if content else None

    def _attempt(self, state: str, next: str) -> Attempt:
        return Attempt(
            state=state,
            nonce=self._derived("nonce", state),
            verifier=self._derived("verifier", state),
            next=next,
        )

    def _derived(self, purpose: str, state: str) -> str:
        digest = hmac.digest(self._secret, f"tocsin {purpose} {state}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def _seal(self, kind: str, content: dict[str, str]) -> str:
        at = int(self._clock.now().timestamp())
        return str(self._serializer(kind).dumps({**content, "at": at}))

    def _open(self, kind: str, text: str | None, age: timedelta) -> dict[str, Any] | None:
        if not text or len(text) > _MOST:
            return None
        try:
            content: dict[str, Any] = self._serializer(kind).loads(text)
        except BadData:
            return None
        since = self._clock.now() - datetime.fromtimestamp(content["at"], UTC)
        return content if -_SKEW <= since < age else None

    def _serializer(self, kind: str) -> URLSafeSerializer:
        return URLSafeSerializer(
            self._secret,
            salt=f"tocsin.{kind}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )


def local_path(text: str, *, default: str) -> str:
    """Return a path of this site as it is, and the default for everything else.

    Browsers drop control characters, read `\\` as `/`, and take `//host` for an
    address elsewhere (WHATWG URL); so only plain printable ASCII below `default`
    is let through.
    """
    plain = text.isascii() and text.isprintable() and not {"\\", " "} & {*text}
    if not plain or len(text) > 1_000 or not text.startswith(default):
        return default
    return text
