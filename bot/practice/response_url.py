"""Messages apps send to a response URL, and the answers inside acknowledgements of commands."""

from bot.practice.errors import SlackError
from bot.practice.grants import ResponseUrl
from bot.practice.posting import Draft, delete, edit, post, post_ephemeral
from bot.practice.records import ApiCall, Json, Message
from bot.practice.state import State
from bot.practice.strict import check_message


def answer_url(state: State, key: str, body: Json) -> None:
    """Do what a message to a response URL asks for, and record it like a Web API call.

    Raises:
        SlackError: the URL is used up, or Slack would not take the message.
    """
    app_id: str | None = None
    response: Json = {"ok": True}
    try:
        url = state.grants.redeem_url(key)
        app_id = url.app.id
        apply_answer(state, url, body)
    except SlackError as refused:
        response = refused.answer()
        raise
    finally:
        state.calls.append(ApiCall("response_url", body, response, state.clock(), app_id))


def apply_answer(state: State, url: ResponseUrl, body: Json) -> None:
    """Post, replace or delete as the body says; by default a new ephemeral message.

    Raises:
        SlackError: Slack would not take the message.
    """
    original = state.find_message(url.channel_id, url.message_ts or "")
    if _true(body.get("delete_original")):
        if original is not None:
            delete(state, original)
        return
    draft = read_draft(body)
    if _true(body.get("replace_original")) and original is not None:
        edit(state, original, draft)
        return
    send(state, url, draft, response_type=str(body.get("response_type") or "ephemeral"))


def send(state: State, url: ResponseUrl, draft: Draft, *, response_type: str) -> Message:
    """Post an answer for everybody (`in_channel`) or for the asking person only.

    Raises:
        SlackError: the thread does not exist.
    """
    channel = state.channels[url.channel_id]
    bot = state.people[url.app.bot_user_id]
    if response_type == "in_channel":
        return post(state, channel, bot, draft)
    return post_ephemeral(state, channel, bot, draft=draft, to=url.user_id)


def read_draft(body: Json) -> Draft:
    """Read a message an app sends outside the Web API.

    Raises:
        SlackError: Slack would not take it.
    """
    text = body.get("text") or ""
    blocks, attachments = body.get("blocks"), body.get("attachments")
    check_message(str(text), blocks, attachments)
    thread_ts = body.get("thread_ts")
    return Draft(
        text=str(text),
        blocks=blocks,
        attachments=attachments,
        thread_ts=str(thread_ts) if thread_ts else None,
        metadata=body.get("metadata"),
    )


def _true(value: object) -> bool:
    return value in (True, "true", "1", 1)
