"""What a browser is answered, and the one place where a failing page becomes words.

Pages load nothing from elsewhere, run no scripts, are framed by nobody, kept by
no cache, and tell no other site where the reader came from.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bot.domain.errors import NotFound, Refused
from bot.plugin import Download
from bot.ports import ChatError
from bot.web.oidc import ProviderUnavailable
from bot.web.rendering import Frame, Link, Renderer

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; charset=[\w-]+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A page that only says something."""

    status: int
    title: str
    text: str
    link: Link | None = None


def html(content: bytes, *, status: int = 200) -> Response:
    """Return a page."""
    return Response(
        content, status_code=status, headers=_HEADERS, media_type="text/html; charset=utf-8"
    )


def redirect(url: str) -> Response:
    """Send the browser elsewhere, by GET."""
    return RedirectResponse(url, status_code=303, headers=_HEADERS)


def download(file: Download) -> Response:
    """Return a file to keep, never to show: its name and type may be anybody's words."""
    plain = re.sub(r"[^\w.+-]+", "-", file.name, flags=re.ASCII).strip("-.") or "download"
    whole = quote(file.name.encode("utf-8", "replace"), safe="")
    known = _MEDIA_TYPE.fullmatch(file.media_type)
    headers = {
        **_HEADERS,
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}",
        "Content-Type": file.media_type if known else "application/octet-stream",
    }
    return Response(file.content, headers=headers)


class Speaker:
    """Says what went wrong, in the frame."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def say(self, notice: Notice) -> Response:
        """Return a notice as a page."""
        frame = Frame(title=notice.title, style=self._renderer.style)
        data = {"text": notice.text, "link": notice.link}
        return html(self._renderer.own("notice.html", frame, data), status=notice.status)

    def _refuse(self, status: int, title: str, refusal: Refused) -> Response:
        back = Link(title="All pages", url="/pages/")
        return self.say(Notice(status=status, title=title, text=refusal.reason, link=back))

    def guarded(self, handler: Handler, *, name: str) -> Handler:
        """Wrap a handler, so that whatever it raises becomes a page.

        What was not foreseen is logged with its traceback under a short
        reference that the person is shown.
        """

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except NotFound as missing:
                return self._refuse(404, "Not found", missing)
            except Refused as refusal:
                return self._refuse(403, "This cannot be shown", refusal)
            except ProviderUnavailable as error:
                log.warning("sign-in: the provider cannot be used: %s", error)
                return self.say(_NO_PROVIDER)
            except ChatError as error:
                log.warning("%s: the chat cannot be asked: %s", name, error)
                return self.say(_NO_CHAT)
            except Exception:  # The last line of defence: a person waits for a page.
                reference = secrets.token_hex(2)
                log.exception("the page %.200r failed (ref %s)", request.url.path, reference)
                text = f"Something went wrong (ref {reference})."
                return self.say(Notice(status=500, title="Something went wrong", text=text))

        return answer


_NO_PROVIDER = Notice(
    status=503,
    title="Sign-in is not available",
    text="The sign-in provider cannot be reached at the moment; please try again in a minute.",
)
_NO_CHAT = Notice(
    status=503,
    title="Not available",
    text="The chat cannot be asked who may see this at the moment; please try again in a minute.",
)
