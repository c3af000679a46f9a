"""Signing in and out: the browser's way to the provider and back.

    GET  /pages/login           a page with one link
    GET  /pages/login/start     -> the provider, with state, nonce and PKCE challenge
    GET  /pages/login/callback  <- the provider, with a code; -> where people wanted to go
    POST /pages/logout

The state is bound to the browser by a signed cookie of ten minutes, so that
nobody can be signed in as somebody else by a link (login CSRF, RFC 6749 10.12).
"""

from __future__ import annotations

import hmac
import logging
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from bot.domain.errors import Refused
from bot.domain.people import PersonId
from bot.web.answers import Notice, Speaker, redirect
from bot.web.cookies import ATTEMPT_AGE, SESSION_AGE, Cookies, local_path
from bot.web.oidc import OidcSettings, ProviderUnavailable
from bot.web.provider import Provider
from bot.web.rendering import Link
from bot.web.visitors import Visitors

log = logging.getLogger(__name__)

HOME = "/pages/"
# What a provider may say instead of a code, that is its own trouble (RFC 6749, 4.1.2.1).
_TROUBLE = {"server_error", "temporarily_unavailable"}


class Login:
    """Answers the four routes, and says who is signed in."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        provider: Provider,
        cookies: Cookies,
        visitors: Visitors,
        speaker: Speaker,
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._cookies = cookies
        self._visitors = visitors
        self._speaker = speaker
        # The prefix makes browsers refuse the cookie from other hosts (RFC 6265bis, 4.1.3).
        prefix = "__Host-" if settings.secure else ""
        self._session_cookie = f"{prefix}tocsin-session"
        self._attempt_cookie = f"{prefix}tocsin-login"

    def signed_in(self, request: Request) -> PersonId | None:
        """Return who is signed in, by the session's cookie alone."""
        return self._cookies.session(request.cookies.get(self._session_cookie))

    def ask(self, request: Request) -> Response:
        """Send somebody who is not signed in to the page where they can, and back after it."""
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return redirect(f"{HOME}login?next={quote(local_path(wanted, default=HOME), safe='/')}")

    async def page(self, request: Request) -> Response:
        """Offer to sign in, at the address the provider will send people back to."""
        return self._speaker.say(
            Notice(
                status=200,
                title="Please sign in",
                text="These pages show what the assistant did, and on whose authority.",
                link=self._start(local_path(request.query_params.get("next", ""), default=HOME)),
            )
        )

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider."""
        next = local_path(request.query_params.get("next", ""), default=HOME)
        attempt, sealed = self._cookies.begin(next)
        answer = redirect(await self._provider.authorization_url(attempt))
        age = int(ATTEMPT_AGE.total_seconds())
        self._set(answer, self._attempt_cookie, sealed, seconds=age)
        return answer

    async def callback(self, request: Request) -> Response:
        """Take the browser back, and let in whom the provider vouches for.

        Raises:
            Refused: they may open no page.
            ProviderUnavailable: the provider cannot be asked.
        """
        sealed = request.cookies.get(self._attempt_cookie)
        attempt = self._cookies.attempt(sealed)
        query = request.query_params
        if attempt is None or not _same(query.get("state", ""), attempt.state):
            return self._again("This sign-in was not begun here, or too long ago.")
        if "code" not in query:
            return self._declined(query.get("error", ""))
        try:
            person = PersonId(await self._provider.identify(query["code"], attempt))
        except Refused as refusal:
            return self._again(refusal.reason)
        self._visitors.forget(person)
        await self._visitors.visitor(person)
        answer = redirect(attempt.next)
        age = int(SESSION_AGE.total_seconds())
        self._set(answer, self._session_cookie, self._cookies.seal_session(person), seconds=age)
        self._drop(answer, self._attempt_cookie)
        log.info("sign-in: %s", person)
        return answer

    async def logout(self, request: Request) -> Response:
        """Sign out in this browser; only our own pages may ask for it.

        Raises:
            Refused: another site asks.
        """
        if not self._from_here(request):
            raise Refused("Only these pages themselves can sign you out.")
        notice = Notice(
            status=200,
            title="Signed out",
            text="You are signed out in this browser.",
            link=self._start(HOME),
        )
        answer = self._speaker.say(notice)
        self._drop(answer, self._session_cookie)
        return answer

    def _declined(self, error: str) -> Response:
        log.warning("sign-in: the provider sent back %.40r instead of a code", error)
        if error in _TROUBLE:
            raise ProviderUnavailable(error)
        return self._again("The sign-in was cancelled, or the provider did not allow it.")

    def _again(self, reason: str) -> Response:
        answer = self._speaker.say(
            Notice(status=403, title="Not signed in", text=reason, link=self._start(HOME))
        )
        self._drop(answer, self._attempt_cookie)
        return answer

    def _start(self, next: str) -> Link:
        # The whole address: a cookie set under another name of this host would be missing later.
        url = f"{self._settings.origin}{HOME}login/start?next={quote(next, safe='/')}"
        return Link(title="Sign in", url=url)

    def _from_here(self, request: Request) -> bool:
        """Say whether a form of ours was sent.

        Browsers tell by `Sec-Fetch-Site`. By plain http to another machine they
        do not, and pages without referrers then have the origin "null"; the
        session's cookie, which no other site's form brings along, decides.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        origin = request.headers.get("origin")
        if origin == "null":
            return self.signed_in(request) is not None
        return origin == self._settings.origin

    def _set(self, answer: Response, name: str, value: str, *, seconds: int) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=seconds,
            path="/",
            secure=self._settings.secure,
            httponly=True,
            samesite="lax",
        )

    def _drop(self, answer: Response, name: str) -> None:
        answer.delete_cookie(
            name, path="/", secure=self._settings.secure, httponly=True, samesite="lax"
        )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())
