"""chat.*: messages of an app."""

from bot.practice.api.call import Call, Methods
from bot.practice.errors import SlackError
from bot.practice.posting import Draft, delete, edit, post, post_ephemeral
from bot.practice.records import Channel, Json, Message
from bot.practice.shapes import message_json
from bot.practice.strict import check_message


def _content(call: Call) -> Draft:
    blocks, attachments = call.arguments.get("blocks"), call.arguments.get("attachments")
    if blocks is not None and not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    text = call.text("text")
    check_message(text, blocks, attachments)
    thread_ts = call.text("thread_ts") or None
    broadcast = thread_ts is not None and call.flag("reply_broadcast")
    return Draft(
        text=text,
        blocks=blocks,
        attachments=attachments,
        thread_ts=thread_ts,
        subtype="thread_broadcast" if broadcast else None,
        metadata=_metadata(call),
        username=_customized(call, "username"),
        icons=_icons(call),
    )


def _metadata(call: Call) -> Json | None:
    metadata = call.arguments.get("metadata")
    if metadata in (None, ""):
        return None
    if not isinstance(metadata, dict):
        raise SlackError("invalid_metadata_format")
    if not metadata:
        return {}
    kind, payload = metadata.get("event_type"), metadata.get("event_payload")
    if not isinstance(kind, str) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_schema")
    return metadata


def _customized(call: Call, name: str) -> str | None:
    if not call.text(name):
        return None
    call.need("chat:write.customize")
    return call.text(name)


def _icons(call: Call) -> Json | None:
    emoji, url = _customized(call, "icon_emoji"), _customized(call, "icon_url")
    if emoji:
        return {"emoji": emoji}
    return {"image_48": url} if url else None


def _destination(call: Call) -> Channel:
    """Find where to post: a channel by id or name, or the direct message with a user."""
    wanted = call.required("channel")
    if wanted in call.state.people:
        return call.state.direct_channel(call.app.bot_user_id, wanted)
    try:
        channel = call.state.channel(wanted)
    except KeyError:
        raise SlackError("channel_not_found") from None
    if call.app.bot_user_id not in channel.members:
        if not channel.is_public:
            raise SlackError("channel_not_found")
        if "chat:write.public" not in call.app.scopes:
            raise SlackError("not_in_channel")
    if channel.is_archived:
        raise SlackError("is_archived")
    return channel


def _with_metadata(call: Call, message: Message) -> Json:
    shown = message_json(call.state, message)
    return shown | ({"metadata": message.metadata} if message.metadata else {})


def post_message(call: Call) -> Json:
    """Post a message."""
    channel = _destination(call)
    message = post(call.state, channel, call.bot, _content(call))
    return {"channel": channel.id, "ts": message.ts, "message": _with_metadata(call, message)}


def post_to_one(call: Call) -> Json:
    """Show a message to one member of a channel only."""
    channel = _destination(call)
    user = call.required("user")
    if user not in call.state.people or user not in channel.members:
        raise SlackError("user_not_in_channel")
    message = post_ephemeral(call.state, channel, call.bot, draft=_content(call), to=user)
    return {"message_ts": message.ts}


def _own(call: Call, *, refusal: str) -> tuple[Channel, Message]:
    channel = call.state.channels.get(call.required("channel"))
    if channel is None or not call.state.may_see(call.app.bot_user_id, channel):
        raise SlackError("channel_not_found")
    message = call.message(channel, call.required("ts"))
    if message.app_id != call.app.id:
        raise SlackError(refusal)
    if channel.is_archived:
        raise SlackError("is_archived")
    return channel, message


def update(call: Call) -> Json:
    """Change one of the app's own messages."""
    channel, message = _own(call, refusal="cant_update_message")
    blocks = call.arguments.get("blocks")
    if blocks is not None and not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    attachments, text = call.arguments.get("attachments"), call.text("text")
    if blocks is None and attachments is None and not text and not call.has("metadata"):
        raise SlackError("no_text")
    kept_blocks = None if text else message.blocks
    check_message(
        text if text or blocks is not None else message.text,
        kept_blocks if blocks is None else blocks,
        message.attachments if attachments is None else attachments,
    )
    draft = Draft(text=text, blocks=blocks, attachments=attachments, metadata=_metadata(call))
    edit(call.state, message, draft)
    shown = _with_metadata(call, message)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": shown}


def remove(call: Call) -> Json:
    """Delete one of the app's own messages."""
    channel, message = _own(call, refusal="cant_delete_message")
    delete(call.state, message)
    return {"channel": channel.id, "ts": message.ts}


def permalink(call: Call) -> Json:
    """Give the address of a message."""
    channel = call.channel()
    message = call.message(channel, call.required("message_ts"))
    link = f"{call.state.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"channel": channel.id, "permalink": link}


METHODS: Methods = {
    "chat.postMessage": post_message,
    "chat.postEphemeral": post_to_one,
    "chat.update": update,
    "chat.delete": remove,
    "chat.getPermalink": permalink,
}
