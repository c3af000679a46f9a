"""Id tokens of the practice workspace: signed with RS256, by nothing but `cryptography`.

On purpose not the library that an app would verify with: two readings of JWS
(RFC 7515) and JWK (RFC 7517) have to agree.
"""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from bot.practice.records import Json


def encoded(data: bytes) -> str:
    """Give base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An RSA key, made when it is first needed: that takes some 50 ms."""

    def __init__(self) -> None:
        self._made: RSAPrivateKey | None = None

    @property
    def _key(self) -> RSAPrivateKey:
        if self._made is None:
            self._made = generate_private_key(public_exponent=65537, key_size=2048)
        return self._made

    @property
    def public(self) -> Json:
        """Give the public key as a JWK; its id is its thumbprint (RFC 7638)."""
        numbers = self._key.public_key().public_numbers()
        need = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
        thumb = hashlib.sha256(json.dumps(need, separators=(",", ":")).encode()).digest()
        return {**need, "alg": "RS256", "use": "sig", "kid": encoded(thumb)}

    def sign(self, claims: Json, *, header: Json | None = None) -> str:
        """Give a signed token; `header` replaces what a test wants to be wrong."""
        named = {"alg": "RS256", "typ": "JWT", "kid": self.public["kid"], **(header or {})}
        parts = [encoded(json.dumps(part).encode()) for part in (named, claims)]
        signed = self._key.sign(".".join(parts).encode(), PKCS1v15(), SHA256())
        return ".".join([*parts, encoded(signed)])


def _number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))
