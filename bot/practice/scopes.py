"""Which OAuth scope each event and each Web API method asks for.

A method maps to the scopes of which one suffices. Methods on conversations map per kind of
conversation, because Slack asks `channels:…` for public channels, `groups:…` for private ones,
`im:…` and `mpim:…` for direct messages.
"""

from collections.abc import Mapping

KINDS = ("channel", "group", "im", "mpim")

EVENT_SCOPES: Mapping[str, tuple[str, ...]] = {
    "message.channels": ("channels:history",),
    "message.groups": ("groups:history",),
    "message.im": ("im:history",),
    "message.mpim": ("mpim:history",),
    "app_mention": ("app_mentions:read",),
    "member_joined_channel": ("channels:read", "groups:read"),
    "member_left_channel": ("channels:read", "groups:read"),
    "reaction_added": ("reactions:read",),
    "reaction_removed": ("reactions:read",),
    "pin_added": ("pins:read",),
    "pin_removed": ("pins:read",),
    "channel_created": ("channels:read",),
    "channel_rename": ("channels:read",),
    "channel_archive": ("channels:read",),
    "channel_unarchive": ("channels:read",),
    "channel_left": ("channels:read",),
    "group_rename": ("groups:read",),
    "group_archive": ("groups:read",),
    "group_unarchive": ("groups:read",),
    "group_left": ("groups:read",),
    "app_home_opened": (),
    "app_uninstalled": (),
    "tokens_revoked": (),
    "team_join": ("users:read",),
    "user_change": ("users:read",),
    "file_shared": ("files:read",),
    "subteam_updated": ("usergroups:read",),
    "subteam_created": ("usergroups:read",),
    "emoji_changed": ("emoji:read",),
    "im_created": ("im:read",),
}

MESSAGE_EVENTS: Mapping[str, str] = {
    "channel": "message.channels",
    "group": "message.groups",
    "im": "message.im",
    "mpim": "message.mpim",
}

_READ = {
    kind: (f"{area}:read",)
    for kind, area in zip(KINDS, ("channels", "groups", "im", "mpim"), strict=True)
}
_HISTORY = {kind: (scope.replace("read", "history"),) for kind, (scope,) in _READ.items()}
_MANAGE = {
    "channel": ("channels:manage",),
    "group": ("groups:write",),
    "im": ("im:write",),
    "mpim": ("mpim:write",),
}
_INVITE = {
    "channel": ("channels:manage", "channels:write.invites"),
    "group": ("groups:write", "groups:write.invites"),
}
_TOPIC = {
    "channel": ("channels:manage", "channels:write.topic"),
    "group": ("groups:write", "groups:write.topic"),
    "im": ("im:write", "im:write.topic"),
    "mpim": ("mpim:write", "mpim:write.topic"),
}

METHOD_SCOPES: Mapping[str, tuple[str, ...]] = {
    "bots.info": ("users:read",),
    "team.info": ("team:read",),
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "conversations.join": ("channels:join",),
    "users.info": ("users:read",),
    "users.list": ("users:read",),
    "users.getPresence": ("users:read",),
    "users.lookupByEmail": ("users:read.email",),
    "users.profile.get": ("users.profile:read",),
    "usergroups.list": ("usergroups:read",),
    "usergroups.users.list": ("usergroups:read",),
    "reactions.add": ("reactions:write",),
    "reactions.remove": ("reactions:write",),
    "reactions.get": ("reactions:read",),
    "pins.add": ("pins:write",),
    "pins.remove": ("pins:write",),
    "pins.list": ("pins:read",),
    "bookmarks.add": ("bookmarks:write",),
    "bookmarks.edit": ("bookmarks:write",),
    "bookmarks.remove": ("bookmarks:write",),
    "bookmarks.list": ("bookmarks:read",),
    "files.getUploadURLExternal": ("files:write",),
    "files.completeUploadExternal": ("files:write",),
    "files.delete": ("files:write",),
    "files.info": ("files:read",),
    "emoji.list": ("emoji:read",),
}

CONVERSATION_SCOPES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "conversations.create": _MANAGE,
    "conversations.info": _READ,
    "conversations.list": _READ,
    "users.conversations": _READ,
    "conversations.members": _READ,
    "conversations.history": _HISTORY,
    "conversations.replies": _HISTORY,
    "conversations.leave": _MANAGE,
    "conversations.invite": _INVITE,
    "conversations.kick": _MANAGE,
    "conversations.setTopic": _TOPIC,
    "conversations.setPurpose": _TOPIC,
    "conversations.rename": _MANAGE,
    "conversations.archive": _MANAGE,
    "conversations.unarchive": _MANAGE,
    "conversations.open": _MANAGE,
    "conversations.mark": _MANAGE,
}

OTHER_SCOPES = frozenset(
    {
        "commands", "chat:write.public", "chat:write.customize", "team:read", "files:read",
        "files:write", "im:write", "mpim:write", "channels:join", "users:write", "links:read",
        "links:write", "usergroups:write", "metadata.message:read", "canvases:read",
        "canvases:write", "reminders:read", "reminders:write", "dnd:read", "incoming-webhook",
        "assistant:write", "calls:read", "calls:write", "workflow.steps:execute",
    }
)  # fmt: skip


def known_scopes() -> frozenset[str]:
    """List every bot scope the workspace knows of."""
    tables = [*EVENT_SCOPES.values(), *METHOD_SCOPES.values()]
    tables += [scopes for kinds in CONVERSATION_SCOPES.values() for scopes in kinds.values()]
    return OTHER_SCOPES | {scope for scopes in tables for scope in scopes}
