"""Sign in with Slack: the workspace as an OpenID provider, as strict as it may be.

OpenID Connect Core 1.0 with PKCE (RFC 7636), at Slack's paths and with Slack's
claims and error names. Three things differ from Slack: the issuer is the
workspace's own address, PKCE is offered and then demanded, and every request must
carry state and nonce.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from bot.practice.records import InstalledApp, Json, Person
from bot.practice.state import State
from bot.practice.tokens import SigningKey, encoded

CODE_SECONDS = 60.0
TOKEN_SECONDS = 300.0  # as Slack's
SCOPES = ("openid", "profile", "email")
_VERIFIER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class SignInError(Exception):
    """Refuse a request with one of Slack's or OAuth's error names."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Client:
    """An app, as far as signing in is concerned."""

    id: str
    secret: str
    redirect_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """An authorization request that was found to be in order."""

    client: Client
    redirect_uri: str
    state: str
    nonce: str
    challenge: str | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """A code that was given out: for which wish, to whom, when."""

    wish: Wish
    person: Person
    at: float


class SignIn:
    """Lets people of a workspace sign in to apps.

    With `pkce` off it neither offers nor takes PKCE, as Slack itself. Codes
    live for a minute and work once.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.key = SigningKey()
        self.pkce = True
        self.faults: list[str] = []
        self._clients: dict[str, Client] = {}
        self._codes: dict[str, Granted] = {}

    def register(self, app: InstalledApp, *, redirect_urls: Sequence[str]) -> Client:
        """Give an app its client id and secret, and note where people may be sent back to."""
        number = int(hashlib.sha256(app.id.encode()).hexdigest(), 16)
        client = Client(
            id=f"{number % 10**10:010d}.{number // 10**10 % 10**12:012d}",
            secret=self.state.mint.secret(f"{app.id} client"),
            redirect_urls=tuple(redirect_urls),
        )
        self._clients[client.id] = client
        return client

    def metadata(self) -> Json:
        """Give the discovery document."""
        base = self.state.base_url
        document: Json = {
            "issuer": base,
            "authorization_endpoint": f"{base}/openid/connect/authorize",
            "token_endpoint": f"{base}/api/openid.connect.token",
            "jwks_uri": f"{base}/openid/connect/keys",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
        return document | ({"code_challenge_methods_supported": ["S256"]} if self.pkce else {})

    def humans(self) -> list[Person]:
        """List who can sign in: people of this workspace."""
        people = self.state.people.values()
        return [p for p in people if not (p.is_bot or p.deleted or p.team)]

    def wish(self, query: Mapping[str, str]) -> Wish:
        """Check an authorization request.

        Raises:
            SignInError: what is wrong; the browser is sent nowhere.
        """
        client = self._clients.get(query.get("client_id", ""))
        if client is None:
            raise self._refused("invalid_client_id")
        if query.get("redirect_uri") not in client.redirect_urls:
            raise self._refused("bad_redirect_uri")
        if query.get("response_type") != "code":
            raise self._refused("invalid_response_type")
        scopes = tuple(query.get("scope", "").split())
        if "openid" not in scopes or not {*scopes} <= {*SCOPES}:
            raise self._refused("invalid_scope")
        for name in ("state", "nonce"):
            if len(query.get(name, "")) < 22:  # 128 bits in base64url
                raise self._refused(f"missing_{name}")
        return Wish(
            client=client,
            redirect_uri=query["redirect_uri"],
            state=query["state"],
            nonce=query["nonce"],
            challenge=self._challenge(query),
            scopes=scopes,
        )

    def _challenge(self, query: Mapping[str, str]) -> str | None:
        challenge = query.get("code_challenge")
        if not self.pkce:
            if challenge is not None:
                raise self._refused("internal_error")  # what Slack says
            return None
        if query.get("code_challenge_method") != "S256" or not challenge or len(challenge) != 43:
            raise self._refused("invalid_code_challenge")
        return challenge

    def grant(self, wish: Wish, person: Person) -> str:
        """Give the address to send the browser back to, with a code for the person."""
        code = secrets.token_urlsafe(24)
        self._codes[code] = Granted(wish, person, self.state.clock())
        return _with(wish.redirect_uri, code=code, state=wish.state)

    def deny(self, wish: Wish) -> str:
        """Give the address to send the browser back to when somebody declines."""
        return _with(wish.redirect_uri, error="access_denied", state=wish.state)

    def exchange(self, form: Mapping[str, str], authorization: str | None) -> Json:
        """Exchange a code for an id token.

        A wrong request burns the code too: whoever has a code and not the rest stole it.

        Raises:
            SignInError: what is wrong.
        """
        client = self._authenticated(form, authorization)
        if form.get("grant_type") != "authorization_code":
            raise self._refused("invalid_grant_type")
        granted = self._codes.pop(form.get("code", ""), None)
        if granted is None or granted.wish.client != client:
            raise self._refused("invalid_code")
        if self.state.clock() - granted.at >= CODE_SECONDS:
            raise self._refused("code_expired")
        if form.get("redirect_uri") != granted.wish.redirect_uri:
            raise self._refused("bad_redirect_uri")
        self._check_verifier(granted.wish.challenge, form.get("code_verifier"))
        return self._answer(granted)

    def _answer(self, granted: Granted) -> Json:
        token = f"xoxp-{secrets.token_hex(16)}"
        half = hashlib.sha256(token.encode()).digest()[:16]
        claims = self.claims(granted.wish, granted.person) | {"at_hash": encoded(half)}
        return {
            "ok": True,
            "access_token": token,
            "token_type": "Bearer",
            "id_token": self.key.sign(claims),
        }

    def claims(self, wish: Wish, person: Person) -> Json:
        """Give what is said of somebody, in Slack's words."""
        now = int(self.state.clock())
        said: Json = {
            "iss": self.state.base_url,
            "sub": person.id,
            "aud": wish.client.id,
            "exp": now + int(TOKEN_SECONDS),
            "iat": now,
            "auth_time": now,
            "nonce": wish.nonce,
            "https://slack.com/team_id": self.state.id,
            "https://slack.com/user_id": person.id,
        }
        if "profile" in wish.scopes:
            said["name"] = person.real_name
        if "email" in wish.scopes:
            said |= {"email": person.email, "email_verified": True}
        return said

    def _authenticated(self, form: Mapping[str, str], authorization: str | None) -> Client:
        given = (form.get("client_id", ""), form.get("client_secret", ""))
        if authorization is not None:
            if "client_secret" in form:  # two ways at once (RFC 6749, section 2.3)
                raise self._refused("invalid_request")
            given = _basic(authorization)
        client = self._clients.get(given[0])
        if client is None:
            raise self._refused("invalid_client_id")
        if not hmac.compare_digest(given[1].encode(), client.secret.encode()):
            raise self._refused("bad_client_secret")
        return client

    def _check_verifier(self, challenge: str | None, verifier: str | None) -> None:
        if challenge is None:
            if verifier is not None:
                raise self._refused("internal_error")
            return
        if verifier is None or not 43 <= len(verifier) <= 128 or {*verifier} - _VERIFIER:
            raise self._refused("invalid_code_verifier")
        if encoded(hashlib.sha256(verifier.encode()).digest()) != challenge:
            raise self._refused("invalid_grant")

    def _refused(self, code: str) -> SignInError:
        self.faults.append(code)
        return SignInError(code)


def _basic(authorization: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode()
    except ValueError:
        return "", ""
    id, _, secret = text.partition(":")
    return id, secret


def _with(uri: str, **parameters: str) -> str:
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{urlencode(parameters)}"
