"""Messages: posted, changed, deleted, shown to one person only."""

import copy
from dataclasses import dataclass, field

from bot.practice.errors import SlackError
from bot.practice.events import emit_change, emit_message
from bot.practice.ids import Mint
from bot.practice.page_json import publish_channel, publish_message, publish_removal
from bot.practice.records import Channel, Json, Message, Person
from bot.practice.shapes import message_json
from bot.practice.state import State


@dataclass(frozen=True, slots=True)
class Draft:
    """What a message is to say, before it has an author and a time."""

    text: str = ""
    blocks: list[Json] | None = None
    attachments: list[Json] | None = None
    thread_ts: str | None = None
    subtype: str | None = None
    metadata: Json | None = None
    username: str | None = None
    icons: Json | None = None
    files: list[str] = field(default_factory=list)
    extra: Json = field(default_factory=dict)


def post(state: State, channel: Channel, author: Person, draft: Draft) -> Message:
    """Put a message into a channel and tell apps and pages of it.

    Raises:
        SlackError: the thread does not exist.
    """
    _check_thread(channel, draft.thread_ts)
    message = _make(state, channel, author, draft)
    channel.messages[message.ts] = message
    channel.last_read[author.id] = message.ts
    for file_id in message.files:
        state.files[file_id].channels.append(channel.id)
    publish_message(state, message)
    if message.is_reply and message.thread_ts is not None:
        publish_message(state, channel.messages[message.thread_ts])
    publish_channel(state, channel)
    emit_message(state, message)
    return message


def post_ephemeral(
    state: State, channel: Channel, author: Person, *, draft: Draft, to: str
) -> Message:
    """Show a message to one person only; no app hears of it."""
    message = _make(state, channel, author, draft)
    message.ephemeral_to = to
    state.ephemerals[(channel.id, message.ts)] = message
    publish_message(state, message)
    return message


def post_system(
    state: State, channel: Channel, person: Person, *, subtype: str, text: str, **extra: object
) -> Message:
    """Put the line into a channel by which Slack itself tells of a change."""
    draft = Draft(text=text, subtype=subtype, extra={"system": True, **extra})
    message = _make(state, channel, person, draft)
    message.bot_id = message.app_id = None
    channel.messages[message.ts] = message
    channel.last_read[person.id] = message.ts
    publish_message(state, message)
    publish_channel(state, channel)
    emit_message(state, message)
    return message


def edit(state: State, message: Message, draft: Draft) -> None:
    """Replace what a message says.

    Text without blocks takes the blocks away, blocks without attachments keep the attachments;
    both as chat.update documents it. Slack shows "edited" for text only, not for blocks.
    """
    previous = message_json(state, message)
    if draft.blocks is not None:
        message.blocks = fill_block_ids(state.mint, draft.blocks) or None
    elif draft.text:
        message.blocks = None
    if draft.attachments is not None:
        message.attachments = _attachments(state.mint, draft.attachments)
    if draft.text or draft.blocks is not None:
        message.text = draft.text
    if draft.metadata is not None:
        message.metadata = draft.metadata or None
    if not message.blocks and not message.attachments and message.user is not None:
        message.edited = {"user": message.user, "ts": state.mint.ts()}
    publish_message(state, message)
    if message.ephemeral_to is None:
        emit_change(state, message, subtype="message_changed", previous=previous)


def delete(state: State, message: Message) -> None:
    """Take a message away, with its pin; a thread's replies stay."""
    state.ephemerals.pop((message.channel, message.ts), None)
    publish_removal(state, message)
    if message.ephemeral_to is not None:
        return
    previous = message_json(state, message)
    channel = state.channels[message.channel]
    del channel.messages[message.ts]
    channel.pins = [pin for pin in channel.pins if pin[0] != message.ts]
    root = channel.messages.get(message.thread_ts or "")
    if root is not None:
        publish_message(state, root)
    publish_channel(state, channel)
    emit_change(state, message, subtype="message_deleted", previous=previous)


def _check_thread(channel: Channel, thread_ts: str | None) -> None:
    if thread_ts is None:
        return
    root = channel.messages.get(thread_ts)
    if root is None:
        raise SlackError("thread_not_found")
    if root.is_reply:
        raise SlackError("cannot_reply_to_message")


def _make(state: State, channel: Channel, author: Person, draft: Draft) -> Message:
    custom = author.is_bot and draft.username is not None
    return Message(
        ts=state.mint.ts(),
        channel=channel.id,
        user=None if custom else author.id,
        text=draft.text,
        blocks=fill_block_ids(state.mint, draft.blocks or []) or None,
        attachments=_attachments(state.mint, draft.attachments or []),
        thread_ts=draft.thread_ts,
        subtype="bot_message" if custom else draft.subtype,
        bot_id=author.bot_id,
        app_id=author.app_id,
        username=draft.username,
        icons=draft.icons,
        metadata=draft.metadata,
        files=list(draft.files),
        extra=dict(draft.extra),
    )


def _attachments(mint: Mint, attachments: list[Json]) -> list[Json] | None:
    kept = []
    for number, attachment in enumerate(attachments, start=1):
        entry = copy.deepcopy(attachment) | {"id": number}
        entry["blocks"] = fill_block_ids(mint, entry.get("blocks") or [])
        entry.setdefault("fallback", entry.get("text") or "[no preview available]")
        entry["color"] = str(entry.get("color", "")).removeprefix("#")
        kept.append({key: value for key, value in entry.items() if value not in ("", [], None)})
    return kept or None


def fill_block_ids(mint: Mint, blocks: list[Json]) -> list[Json]:
    """Copy blocks, giving those without one a `block_id` and elements an `action_id`.

    Text objects come back with the defaults Slack spells out.
    """
    filled = copy.deepcopy(blocks)
    for block in filled:
        block.setdefault("block_id", mint.short())
        for element in _interactive(block):
            element.setdefault("action_id", mint.short())
        _spell_out(block)
    return filled


def _interactive(block: Json) -> list[Json]:
    if block["type"] in ("context", "rich_text", "table"):
        return []
    candidates = [block.get("accessory"), block.get("element"), *block.get("elements", ())]
    return [e for e in candidates if isinstance(e, dict) and e.get("type") != "image"]


def _spell_out(node: object) -> None:
    if isinstance(node, list):
        for item in node:
            _spell_out(item)
    elif isinstance(node, dict):
        if node.get("type") == "plain_text":
            node.setdefault("emoji", True)
        elif node.get("type") == "mrkdwn":
            node.setdefault("verbatim", False)
        for value in node.values():
            _spell_out(value)
