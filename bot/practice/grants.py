"""What an app may do because a person just did something: trigger ids and response URLs."""

from dataclasses import dataclass

from bot.practice.errors import SlackError
from bot.practice.ids import Mint
from bot.practice.records import InstalledApp

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS = 30 * 60.0
RESPONSE_URL_USES = 5


@dataclass(slots=True)
class Trigger:
    """Permission to open one view for one person, soon."""

    user_id: str
    app_id: str
    view_id: str | None
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """Permission to answer where a person did something, a few times."""

    app: InstalledApp
    user_id: str
    channel_id: str
    thread_ts: str | None
    message_ts: str | None
    expires_at: float
    uses: int = 0


class Grants:
    """Hand out and redeem trigger ids and response URLs."""

    def __init__(self, mint: Mint) -> None:
        self._mint = mint
        self._triggers: dict[str, Trigger] = {}
        self._urls: dict[str, ResponseUrl] = {}

    def trigger(self, app: InstalledApp, user_id: str, *, view_id: str | None = None) -> str:
        """Give a new trigger id; `view_id` is the open modal it was pressed in, if any."""
        key = self._mint.next("K")
        trigger_id = f"{self._mint.now()}.{len(self._triggers) + 1}.{key.lower()}"
        expires = self._mint.clock() + TRIGGER_SECONDS
        self._triggers[trigger_id] = Trigger(user_id, app.id, view_id, expires)
        return trigger_id

    def redeem_trigger(self, app: InstalledApp, trigger_id: str) -> Trigger:
        """Use up a trigger id.

        Raises:
            SlackError: it is unknown, used already, or older than three seconds.
        """
        trigger = self._triggers.get(trigger_id)
        if trigger is None or trigger.app_id != app.id:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if self._mint.clock() > trigger.expires_at:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def response_url(
        self,
        app: InstalledApp,
        user_id: str,
        *,
        channel_id: str,
        thread_ts: str | None = None,
        message_ts: str | None = None,
    ) -> str:
        """Give the path of a new response URL."""
        key = self._mint.next("R").lower()
        expires = self._mint.clock() + RESPONSE_URL_SECONDS
        self._urls[key] = ResponseUrl(app, user_id, channel_id, thread_ts, message_ts, expires)
        return f"/response/{key}"

    def redeem_url(self, key: str) -> ResponseUrl:
        """Use a response URL once more.

        Raises:
            SlackError: it is unknown, 30 minutes old, or was used five times.
        """
        url = self._urls.get(key)
        if url is None:
            raise SlackError("invalid_url")
        if self._mint.clock() > url.expires_at:
            raise SlackError("expired_url")
        if url.uses >= RESPONSE_URL_USES:
            raise SlackError("used_url")
        url.uses += 1
        return url
