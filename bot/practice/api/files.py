"""files.*: the external upload in three steps, and what there is."""

import mimetypes

from bot.practice.api.call import Call, Methods, invalid
from bot.practice.errors import SlackError
from bot.practice.posting import Draft, post
from bot.practice.records import Channel, Json, StoredFile
from bot.practice.shapes import file_json

MOST_BYTES = 50 * 1024 * 1024


def get_upload_url(call: Call) -> Json:
    """Announce a file and get the address to send it to."""
    name = call.required("filename")
    size = call.number("length", 0, most=10**12)
    if size <= 0:
        raise invalid("missing required field: length")
    if size > MOST_BYTES:
        raise SlackError("file_upload_size_restricted")
    file = StoredFile(
        id=call.state.mint.next("F"),
        name=name,
        title=name,
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        size=size,
        user=call.app.bot_user_id,
        created=call.state.mint.now(),
        upload_key=call.state.mint.next("K"),
    )
    call.state.files[file.id] = file
    url = f"{call.state.base_url}/upload/v1/{file.id}/{file.upload_key}"
    return {"upload_url": url, "file_id": file.id}


def complete_upload(call: Call) -> Json:
    """Finish uploads, and share the files if channels are named."""
    entries = call.arguments.get("files")
    if not isinstance(entries, list) or not entries:
        raise invalid("missing required field: files")
    uploaded = [_uploaded(call, entry) for entry in entries]
    wanted = call.names("channels") or call.names("channel_id")
    channels = [_channel(call, channel_id) for channel_id in wanted]
    for file, entry in zip(uploaded, entries, strict=True):
        file.title = str(entry.get("title") or file.title)
        file.completed = True
    for channel in channels:
        _share(call, channel, uploaded)
    return {"files": [file_json(call.state, file) for file in uploaded]}


def _uploaded(call: Call, entry: object) -> StoredFile:
    file = call.state.files.get(str(entry.get("id"))) if isinstance(entry, dict) else None
    if file is None or file.content is None or file.completed:
        raise SlackError("file_not_found")
    return file


def _channel(call: Call, channel_id: str) -> Channel:
    channel = call.state.channels.get(channel_id)
    if channel is None or not call.state.may_see(call.app.bot_user_id, channel):
        raise SlackError("channel_not_found")
    if call.app.bot_user_id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _share(call: Call, channel: Channel, files: list[StoredFile]) -> None:
    draft = Draft(
        text=call.text("initial_comment"),
        thread_ts=call.text("thread_ts") or None,
        subtype="file_share",
        files=[file.id for file in files],
        extra={"upload": True},
    )
    post(call.state, channel, call.bot, draft)


def info(call: Call) -> Json:
    """Show a file."""
    return {"file": file_json(call.state, _file(call)), "comments": []}


def remove(call: Call) -> Json:
    """Delete one of the app's files."""
    file = _file(call)
    if file.user != call.app.bot_user_id:
        raise SlackError("cant_delete_file")
    file.content = None
    del call.state.files[file.id]
    for channel in call.state.channels.values():
        for message in channel.messages.values():
            message.files = [entry for entry in message.files if entry != file.id]
    return {}


def _file(call: Call) -> StoredFile:
    file = call.state.files.get(call.required("file"))
    if file is None:
        raise SlackError("file_not_found")
    return file


METHODS: Methods = {
    "files.getUploadURLExternal": get_upload_url,
    "files.completeUploadExternal": complete_upload,
    "files.info": info,
    "files.delete": remove,
}
