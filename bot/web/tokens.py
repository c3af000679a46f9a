"""What an id token proves: signed by the provider, for us, now, for this sign-in, about whom.

OpenID Connect Core 1.0, section 3.1.3.7. authlib and joserfc check; what is
demanded stands here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from bot.domain.errors import Refused
from bot.web.cookies import Attempt
from bot.web.oidc import OidcSettings, ProviderUnavailable

log = logging.getLogger(__name__)

SIGNATURES = ("RS256", "PS256", "ES256")  # never "none", never a secret both sides know
LEEWAY = 60  # seconds by which the provider's clock may differ


class UnknownKey(Exception):
    """The token names a key that the provider has not shown us yet."""


def verified(text: str, keys: Mapping[str, Any]) -> jwt.Token:
    """Verify a token's signature by the provider's keys (a JWK set).

    Raises:
        UnknownKey: the provider may have changed its keys.
        Refused: it is no token, or not signed by one of the keys.
        ProviderUnavailable: the keys themselves cannot be read.
    """
    try:
        return jwt.decode(text, _key_set(keys), SIGNATURES)
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from None
    except (JoseError, ValueError) as error:
        raise unproven(error) from None


def check(
    token: jwt.Token,
    settings: OidcSettings,
    *,
    attempt: Attempt,
    access_token: str,
    now: datetime,
) -> None:
    """Check that a token was made by the provider, for us, now, and for this sign-in.

    Raises:
        Refused: it was not.
    """
    claims = CodeIDToken(
        token.claims,
        token.header,
        {
            "iss": {"essential": True, "value": settings.issuer},
            "aud": {"essential": True, "value": settings.client_id},
        },
        {
            "nonce": attempt.nonce,
            "client_id": settings.client_id,
            "access_token": access_token,
        },
    )
    try:
        claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
    except JoseError as error:
        raise unproven(error) from None


def user_of(claims: Mapping[str, Any], settings: OidcSettings) -> str:
    """Return the id by which the chat platform knows the person.

    Raises:
        Refused: they belong elsewhere, or the claim is missing or no id.
    """
    for name, value in settings.required.items():
        if claims.get(name) != value:
            log.warning("sign-in: %s is %.80r", name, claims.get(name))
            raise Refused("This account belongs to another organisation.")
    user = claims.get(settings.user_claim)
    if not isinstance(user, str) or not 0 < len(user) <= 100 or not user.isprintable():
        log.warning("sign-in: the claim %s is missing or no id", settings.user_claim)
        raise Refused("The provider did not say who you are in the chat.")
    return user


def unproven(error: Exception) -> Refused:
    """Return the refusal of a token; why is logged, since it is nothing a person can mend."""
    log.warning("sign-in: the token proves nothing: %s", error)
    return Refused("The provider's answer could not be verified; please sign in again.")


def _key_set(value: Mapping[str, Any]) -> KeySet:
    try:
        return KeySet.import_key_set({"keys": value["keys"]})
    except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProviderUnavailable(f"its keys cannot be read: {error!r}") from None
