"""What a Slack client does to typed text before it becomes a message."""

import re

from bot.practice.records import Channel
from bot.practice.state import State

_TOKEN = re.compile(r"<(?:[@#!][^<>\s]+|https?://[^<>\s]+)>")
_MENTION = re.compile(r"(?<![\w@#<])([@#])([\w.\-]*\w)")
_LINK = re.compile(r"https?://[^\s<>]*[^\s<>.,;:!?)'\"]")
_EVERYBODY = {"here": "<!here>", "channel": "<!channel>", "everyone": "<!everyone>"}


def escape(text: str) -> str:
    """Escape the three characters Slack's markup reserves."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def encode(state: State, text: str) -> str:
    """Turn typed text into message text.

    `@name` and `#channel` become mentions, addresses become links, everything else is escaped.
    Mentions already in Slack's form stay.
    """
    parts = []
    position = 0
    for token in _TOKEN.finditer(text):
        parts += [_encode_plain(state, text[position : token.start()]), token.group()]
        position = token.end()
    return "".join([*parts, _encode_plain(state, text[position:])])


def _encode_plain(state: State, text: str) -> str:
    parts = []
    position = 0
    for link in _LINK.finditer(text):
        parts += [_mentions(state, text[position : link.start()]), f"<{escape(link.group())}>"]
        position = link.end()
    return "".join([*parts, _mentions(state, text[position:])])


def _mentions(state: State, text: str) -> str:
    return _MENTION.sub(lambda found: mention(state, found[1], found[2]), escape(text))


def mention(state: State, sign: str, name: str) -> str:
    """Give the markup for `@name` or `#name`, or the words themselves if nobody is meant."""
    if sign == "#":
        channel = _channel(state, name)
        return f"<#{channel.id}|{channel.name}>" if channel else f"#{name}"
    if name in _EVERYBODY:
        return _EVERYBODY[name]
    for person in state.people.values():
        if person.name == name:
            return f"<@{person.id}>"
    for group in state.usergroups.values():
        if group.handle == name:
            return f"<!subteam^{group.id}|@{name}>"
    return f"@{name}"


def encode_command(state: State, text: str) -> str:
    """Turn the text after a slash command into what an app with `should_escape` is sent.

    Mentions arrive as `<@U…|name>` and `<#C…|name>`, unlike in messages.
    """

    def expand(found: re.Match[str]) -> str:
        sign, name = found[1], found[2]
        for person in state.people.values():
            if sign == "@" and person.name == name:
                return f"<@{person.id}|{name}>"
        return mention(state, sign, name)

    return _MENTION.sub(expand, escape(text))


def _channel(state: State, name: str) -> Channel | None:
    for channel in state.channels.values():
        if channel.name == name and not channel.is_direct:
            return channel
    return None
