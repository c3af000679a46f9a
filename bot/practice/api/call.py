"""One call of a Web API method: its arguments, its app, and what it may touch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.practice.errors import SlackError
from bot.practice.records import Channel, InstalledApp, Json, Message, Person
from bot.practice.scopes import CONVERSATION_SCOPES, METHOD_SCOPES
from bot.practice.state import State

_TRUE = frozenset({"true", "1", "True"})


def invalid(message: str) -> SlackError:
    """Make the refusal of an argument, in Slack's wording."""
    messages = [f"[ERROR] {message}"]
    return SlackError("invalid_arguments", response_metadata={"messages": messages})


@dataclass(frozen=True, slots=True)
class Call:
    """One call; arguments are as on the wire, JSON already decoded."""

    method: str
    state: State
    app: InstalledApp
    arguments: Json

    @property
    def bot(self) -> Person:
        """Give the app's bot user."""
        return self.state.people[self.app.bot_user_id]

    def has(self, name: str) -> bool:
        """Say whether an argument was given."""
        return self.arguments.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Give a text, or the default where it is missing.

        Raises:
            SlackError: it is not a text.
        """
        value = self.arguments.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise invalid(f"must be a string [json-pointer:/{name}]")
        return str(value)

    def required(self, name: str) -> str:
        """Give a text that has to be there.

        Raises:
            SlackError: it is missing or empty.
        """
        value = self.text(name)
        if not value:
            raise invalid(f"missing required field: {name}")
        return value

    def flag(self, name: str) -> bool:
        """Give a boolean, false where it is missing."""
        value = self.arguments.get(name)
        return value is True or str(value) in _TRUE

    def number(self, name: str, default: int, *, most: int) -> int:
        """Give a whole number from 1 to `most`.

        Raises:
            SlackError: `invalid_limit` if it is none.
        """
        value = self.arguments.get(name)
        if value in (None, "", 0, "0"):
            return default
        try:
            number = int(str(value))
        except ValueError:
            raise SlackError("invalid_limit") from None
        if not 1 <= number <= most:
            raise SlackError("invalid_limit")
        return number

    def names(self, name: str) -> list[str]:
        """Give a list sent as JSON or separated by commas."""
        value = self.arguments.get(name) or []
        parts = value if isinstance(value, list) else str(value).split(",")
        return [str(part).strip() for part in parts if str(part).strip()]

    def need(self, *scopes: str) -> None:
        """Ask for one of several scopes.

        Raises:
            SlackError: `missing_scope`.
        """
        if scopes and not set(scopes) & set(self.app.scopes):
            provided = ",".join(self.app.scopes)
            raise SlackError("missing_scope", needed=scopes[0], provided=provided)

    def need_for(self, kind: str) -> None:
        """Ask for the scope this method needs for one kind of conversation.

        Raises:
            SlackError: `missing_scope`, or the method knows no such conversations.
        """
        kinds = CONVERSATION_SCOPES.get(self.method)
        if kinds is None:
            return
        if kind not in kinds:
            raise SlackError("method_not_supported_for_channel_type")
        self.need(*kinds[kind])

    def check_scope(self) -> None:
        """Ask for what this method needs whatever it is called with.

        Raises:
            SlackError: `missing_scope`.
        """
        self.need(*METHOD_SCOPES.get(self.method, ()))
        kinds = CONVERSATION_SCOPES.get(self.method)
        if kinds is not None:
            self.need(*(scope for scopes in kinds.values() for scope in scopes))

    def channel(self, name: str = "channel") -> Channel:
        """Give the conversation an argument names by id.

        Private ones the bot is not in do not exist for it.

        Raises:
            SlackError: `channel_not_found` or `missing_scope`.
        """
        channel = self.state.channels.get(self.required(name))
        if channel is None or not self.state.may_see(self.app.bot_user_id, channel):
            raise SlackError("channel_not_found")
        self.need_for(channel.kind)
        return channel

    def joined_channel(self, name: str = "channel") -> Channel:
        """Give a conversation the bot is in.

        Raises:
            SlackError: `channel_not_found`, `not_in_channel` or `missing_scope`.
        """
        channel = self.channel(name)
        if self.app.bot_user_id not in channel.members:
            raise SlackError("not_in_channel")
        return channel

    def open_channel(self, name: str = "channel") -> Channel:
        """Give a conversation the bot is in and that is not archived.

        Raises:
            SlackError: as above, or `is_archived`.
        """
        channel = self.joined_channel(name)
        if channel.is_archived:
            raise SlackError("is_archived")
        return channel

    def message(self, channel: Channel, ts: str) -> Message:
        """Give a message of a channel.

        Raises:
            SlackError: `message_not_found`.
        """
        message = channel.messages.get(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def person(self, user_id: str) -> Person:
        """Give a member.

        Raises:
            SlackError: `user_not_found`.
        """
        person = self.state.people.get(user_id)
        if person is None:
            raise SlackError("user_not_found")
        return person


Method = Callable[[Call], Json]
Methods = Mapping[str, Method]
