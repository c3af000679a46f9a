"""The JSON in which Slack shows its objects: people, channels, messages, files, views."""

from bot.practice.records import (
    Bookmark,
    Channel,
    InstalledApp,
    Json,
    Message,
    Note,
    Person,
    StoredFile,
    Usergroup,
    View,
)
from bot.practice.state import State


def user_json(state: State, person: Person) -> Json:
    """Show a member as users.info does, without the email address (another scope).

    Of a deactivated account Slack shows little more than the profile.
    """
    team = person.team or state.id
    profile: Json = {
        "real_name": person.real_name,
        "real_name_normalized": person.real_name,
        "display_name": person.name,
        "display_name_normalized": person.name,
        "title": person.title,
        "first_name": person.real_name.split(" ")[0],
        "last_name": person.real_name.partition(" ")[2],
        "status_text": "",
        "status_emoji": "",
        "phone": "",
        "skype": "",
        "avatar_hash": "g" + person.id[-11:].lower(),
        "team": team,
    }
    if person.is_bot:
        profile |= {"bot_id": person.bot_id, "api_app_id": person.app_id}
    shown: Json = {
        "id": person.id,
        "team_id": team,
        "name": person.name,
        "deleted": person.deleted,
        "profile": profile,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": 0,
    }
    if person.deleted:
        return shown
    return shown | {
        "color": person.color.removeprefix("#"),
        "real_name": person.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "is_admin": person.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": person.is_restricted,
        "is_ultra_restricted": person.is_ultra_restricted,
    }


def usergroup_json(state: State, group: Usergroup) -> Json:
    """Show a user group as usergroups.list does."""
    return {
        "id": group.id,
        "team_id": state.id,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "description": "",
        "is_external": False,
        "date_create": 0,
        "date_update": 0,
        "date_delete": 0,
        "users": group.members,
        "user_count": len(group.members),
    }


def _note_json(note: Note) -> Json:
    return {"value": note.value, "creator": note.creator, "last_set": note.last_set}


def channel_json(state: State, channel: Channel, *, viewer: str) -> Json:
    """Show a conversation as conversations.info does to `viewer`."""
    shown: Json = {
        "id": channel.id,
        "created": channel.created,
        "creator": channel.creator,
        "is_archived": channel.is_archived,
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_private": channel.kind != "channel",
        "is_org_shared": False,
        "context_team_id": state.id,
        "updated": channel.created * 1000,
    }
    if channel.kind == "im":
        others = [member for member in channel.members if member != viewer]
        return shown | {"user": others[0] if others else viewer, "is_open": True}
    others = other_teams(state, channel)
    return shown | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_general": channel.name == "general",
        "unlinked": 0,
        "is_shared": bool(others),
        "is_ext_shared": bool(others),
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "shared_team_ids": [state.id, *others],
        "is_member": viewer in channel.members,
        "topic": _note_json(channel.topic),
        "purpose": _note_json(channel.purpose),
        "previous_names": channel.previous_names,
    }


def other_teams(state: State, channel: Channel) -> list[str]:
    """List the other workspaces that share a channel."""
    people = (state.people[member] for member in channel.members if member in state.people)
    return sorted({person.team for person in people if person.team})


def bot_profile(state: State, app: InstalledApp) -> Json:
    """Show the app behind a bot message."""
    return {
        "id": app.bot_id,
        "app_id": app.id,
        "name": app.name,
        "icons": {},
        "deleted": False,
        "updated": 0,
        "team_id": state.id,
    }


def message_json(state: State, message: Message) -> Json:
    """Show a message as it appears in events and payloads, without its metadata."""
    shown: Json = {"type": "message", "ts": message.ts, "text": message.text}
    if message.user is not None:
        shown["user"] = message.user
    if message.subtype is not None:
        shown["subtype"] = message.subtype
    if message.bot_id is not None and message.app_id is not None:
        shown |= {"bot_id": message.bot_id, "app_id": message.app_id}
        shown["bot_profile"] = bot_profile(state, state.apps[message.app_id])
    if not message.extra.get("system"):
        shown["team"] = state.id
    optional = {
        "username": message.username,
        "icons": message.icons,
        "blocks": message.blocks,
        "attachments": message.attachments,
        "thread_ts": message.thread_ts,
        "edited": message.edited,
    }
    shown |= {key: value for key, value in optional.items() if value}
    shown |= {key: value for key, value in message.extra.items() if key != "system"}
    if message.files:
        shown["files"] = [file_json(state, state.files[file_id]) for file_id in message.files]
    return shown | _threading(state, message)


def history_json(state: State, message: Message) -> Json:
    """Show a message as conversations.history does: with reactions and pins."""
    shown = message_json(state, message)
    if message.reactions:
        shown["reactions"] = reactions_json(message)
    channel = state.channels[message.channel]
    if channel.pinned(message.ts):
        shown["pinned_to"] = [channel.id]
    return shown


def _threading(state: State, message: Message) -> Json:
    channel = state.channels[message.channel]
    if message.is_reply and message.thread_ts in channel.messages:
        return {"parent_user_id": channel.messages[message.thread_ts].user}
    replies = channel.replies(message.ts)
    if not replies or message.ephemeral_to is not None:
        return {}
    users = list(dict.fromkeys(reply.user or reply.bot_id or "" for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
        "reply_users": users[:5],
        "is_locked": False,
        "subscribed": False,
    }


def reactions_json(message: Message) -> list[Json]:
    """Show a message's reactions."""
    return [
        {"name": name, "users": list(users), "count": len(users)}
        for name, users in message.reactions.items()
    ]


def file_json(state: State, file: StoredFile) -> Json:
    """Show a file as files.info does."""
    path = f"{state.base_url}/files-pri/{state.id}-{file.id}"
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": file.mimetype,
        "filetype": file.name.rpartition(".")[2] or "binary",
        "pretty_type": "File",
        "user": file.user,
        "user_team": state.id,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "is_public": bool(file.channels),
        "url_private": f"{path}/{file.name}",
        "url_private_download": f"{path}/download/{file.name}",
        "permalink": f"{state.base_url}/files/{file.user}/{file.id}/{file.name}",
        "channels": [c for c in file.channels if state.channels[c].kind == "channel"],
        "groups": [c for c in file.channels if state.channels[c].kind == "group"],
        "ims": [c for c in file.channels if state.channels[c].is_direct],
    }


def bookmark_json(bookmark: Bookmark) -> Json:
    """Show a bookmark as bookmarks.list does."""
    return {
        "id": bookmark.id,
        "channel_id": bookmark.channel,
        "title": bookmark.title,
        "link": bookmark.link,
        "emoji": bookmark.emoji,
        "icon_url": None,
        "type": "link",
        "entity_id": None,
        "date_created": bookmark.created,
        "date_updated": 0,
        "rank": "",
        "last_updated_by_user_id": "",
        "last_updated_by_team_id": "",
        "shortcut_id": None,
        "app_id": None,
    }


def view_json(state: State, view: View) -> Json:
    """Show a view as views.open answers it and as interaction payloads carry it."""
    return {
        "id": view.id,
        "team_id": state.id,
        "type": view.kind,
        "blocks": view.blocks,
        "private_metadata": view.body.get("private_metadata", ""),
        "callback_id": view.body.get("callback_id", ""),
        "state": {"values": view.values},
        "hash": view.hash,
        "title": view.body.get("title", {"type": "plain_text", "text": "View Title"}),
        "clear_on_close": bool(view.body.get("clear_on_close", False)),
        "notify_on_close": bool(view.body.get("notify_on_close", False)),
        "close": view.body.get("close"),
        "submit": view.body.get("submit"),
        "previous_view_id": view.previous_view_id,
        "root_view_id": view.root_view_id,
        "app_id": view.app_id,
        "external_id": view.body.get("external_id", ""),
        "app_installed_team_id": state.id,
        "bot_id": view.bot_id,
    }
