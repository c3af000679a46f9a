"""HTTP mode: the same payloads as signed requests to an app's own URL.

The signature is Slack's `v0`: HMAC-SHA256 with the app's signing secret over
`v0:<timestamp>:<body>`.
"""

import hashlib
import hmac
import json
from urllib.parse import urlencode

import aiohttp
from typing_extensions import override

from bot.practice.courier import RETRY_DELAYS, Courier
from bot.practice.errors import NotAcknowledged
from bot.practice.records import Envelope, InstalledApp, Json
from bot.practice.state import State


def sign(secret: str, *, timestamp: str, body: str) -> str:
    """Give the value of `X-Slack-Signature`."""
    base = f"v0:{timestamp}:{body}".encode()
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class HttpMode(Courier):
    """Deliver payloads as HTTP requests to one URL; `session` belongs to the server."""

    def __init__(
        self,
        state: State,
        url: str,
        *,
        session: aiohttp.ClientSession,
        retry_delays: tuple[float, ...] = RETRY_DELAYS,
    ) -> None:
        super().__init__(state, retry_delays=retry_delays)
        self._url = url
        self._session = session

    @override
    async def carry(self, app: InstalledApp, envelope: Envelope) -> Json | None:
        self.state.envelopes.append(envelope)
        answers = [await self._post(app, envelope) for _ in range(max(1, self.state.repeat))]
        envelope.acked_at = self.state.clock()
        envelope.response = answers[0]
        return answers[0]

    async def _post(self, app: InstalledApp, envelope: Envelope) -> Json | None:
        body, content_type = _body(envelope)
        timestamp = str(int(self.state.clock()))
        headers = {
            "Content-Type": content_type,
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(app.signing_secret, timestamp=timestamp, body=body),
        }
        if envelope.retry_attempt:
            headers["X-Slack-Retry-Num"] = str(envelope.retry_attempt)
            headers["X-Slack-Retry-Reason"] = f"http_{envelope.retry_reason}"
        timeout = aiohttp.ClientTimeout(total=self.acknowledge_seconds)
        try:
            async with self._session.post(
                self._url, data=body.encode(), headers=headers, timeout=timeout
            ) as response:
                return _answer(response.status, await response.text())
        except TimeoutError:
            raise NotAcknowledged("operation_timeout") from None
        except aiohttp.ClientError:
            raise NotAcknowledged("dispatch_failed") from None


def _body(envelope: Envelope) -> tuple[str, str]:
    if envelope.type == "events_api":
        return json.dumps(envelope.payload), "application/json"
    form = envelope.payload
    if envelope.type == "interactive":
        form = {"payload": json.dumps(envelope.payload)}
    return urlencode(form), "application/x-www-form-urlencoded"


def _answer(status: int, text: str) -> Json | None:
    if status != 200:
        raise NotAcknowledged("dispatch_failed")
    if not text.strip():
        return None
    try:
        answer = json.loads(text)
    except ValueError:
        return {"text": text}
    return answer if isinstance(answer, dict) else {"text": text}
