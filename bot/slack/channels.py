"""Channels: made, found, filled with people."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from bot.domain.people import ChannelId, PersonId
from bot.ports import ChatError
from bot.slack import limits
from bot.slack.api import Api, Uncertain

log = logging.getLogger(__name__)

_UNFIT = re.compile(r"[^\w-]+")
_SKIPPED = frozenset(
    {
        "already_in_channel",
        "cant_invite",
        "cant_invite_self",
        "user_is_restricted",
        "user_is_ultra_restricted",
        "user_not_found",
        "users_not_found",
        "user_disabled",
        "no_user",
        "failed_for_some_users",
    }
)
_FOR_NOBODY = frozenset(
    {
        "channel_not_found",
        "is_archived",
        "missing_scope",
        "not_authed",
        "not_in_channel",
        "ratelimited",
        "token_revoked",
    }
)
"""Refusals that are not about the person."""


class Channels:
    """Creates and finds channels, and brings people in."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, name: str) -> ChannelId:
        """Create a public channel, or return the one of that name we created before.

        Raises:
            ChatError: `name_taken` where the channel of that name is not ours.
        """
        fit = channel_name(name)
        try:
            answer = await self._api.call("conversations.create", name=fit)
        except ChatError as error:
            if error.error != "name_taken" and not isinstance(error, Uncertain):
                raise
            return await self._ours(fit, error)
        return ChannelId(answer["channel"]["id"])

    async def named(self, name: str) -> ChannelId | None:
        """Return a channel by its name, joining it if it is public; None if there is none."""
        async for channel in self._all():
            if channel.get("name") != name.removeprefix("#") or channel.get("is_archived"):
                continue
            if not channel.get("is_member") and not channel.get("is_private"):
                await self._api.call("conversations.join", channel=channel["id"])
            return ChannelId(channel["id"])
        return None

    async def direct(self, person: PersonId) -> ChannelId:
        """Return the direct conversation with a person."""
        answer = await self._api.call("conversations.open", users=person)
        return ChannelId(answer["channel"]["id"])

    async def invite(self, channel: ChannelId, people: Collection[PersonId]) -> None:
        """Invite people one by one, so that one who cannot come keeps nobody else out.

        Raises:
            ChatError: the channel is closed to us, or Slack is out of order.
        """
        for person in dict.fromkeys(people):
            if person == self._api.identity.user:
                continue
            try:
                await self._api.call_inside("conversations.invite", channel=channel, users=person)
            except ChatError as error:
                if isinstance(error, Uncertain) or error.error in _FOR_NOBODY:
                    raise
                if error.error not in _SKIPPED:
                    log.warning("%s could not be invited to %s: %s", person, channel, error)

    async def _ours(self, name: str, error: ChatError) -> ChannelId:
        async for channel in self._all():
            mine = channel.get("creator") == self._api.identity.user
            if channel.get("name") == name and mine and not channel.get("is_archived"):
                return ChannelId(channel["id"])
        raise error

    async def _all(self) -> AsyncIterator[Mapping[str, Any]]:
        cursor = None
        while True:
            answer = await self._api.call(
                "conversations.list",
                types="public_channel,private_channel",
                exclude_archived=True,
                limit=200,
                cursor=cursor,
            )
            for channel in answer.get("channels", ()):
                yield channel
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return


def channel_name(name: str) -> str:
    """Make a name that Slack takes for a channel: lower case, no spaces, not too long."""
    return _UNFIT.sub("-", name.lower()).strip("-")[: limits.CHANNEL_NAME] or "channel"
