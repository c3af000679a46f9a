"""What a workspace consists of: plain mutable records, no behaviour beyond small questions.

JSON in Slack's own shapes (blocks, attachments, view bodies) stays JSON: the workspace keeps what
an app sent and does not reinterpret it.
"""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Person:
    """A member of the workspace: a human, or the bot user of an app.

    A restricted member is a guest, an ultra-restricted one a guest of a single
    channel. `team` is another workspace that somebody comes from by a shared
    channel (Slack Connect); empty, it is this one.
    """

    id: str
    name: str
    real_name: str
    title: str
    email: str
    color: str
    is_admin: bool = False
    app_id: str | None = None
    bot_id: str | None = None
    deleted: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    team: str = ""

    @property
    def is_outsider(self) -> bool:
        """Say whether somebody sees only the channels they were added to."""
        return self.is_restricted or bool(self.team)

    @property
    def is_bot(self) -> bool:
        """Say whether this is the bot user of an app."""
        return self.app_id is not None

    @property
    def initials(self) -> str:
        """Give up to two letters for an avatar."""
        words = self.real_name.split() or [self.name]
        return "".join(word[0] for word in words[:2]).upper()


@dataclass(slots=True)
class Usergroup:
    """A named group of people that can be mentioned at once."""

    id: str
    handle: str
    name: str
    members: list[str]


@dataclass(slots=True)
class Note:
    """A channel's topic or purpose, with who set it and when."""

    value: str = ""
    creator: str = ""
    last_set: int = 0


@dataclass(slots=True)
class Message:
    """One message; `ephemeral_to` names the only person who sees it."""

    ts: str
    channel: str
    user: str | None
    text: str = ""
    blocks: list[Json] | None = None
    attachments: list[Json] | None = None
    thread_ts: str | None = None
    subtype: str | None = None
    bot_id: str | None = None
    app_id: str | None = None
    username: str | None = None
    icons: Json | None = None
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited: Json | None = None
    metadata: Json | None = None
    files: list[str] = field(default_factory=list)
    ephemeral_to: str | None = None
    extra: Json = field(default_factory=dict)

    @property
    def is_reply(self) -> bool:
        """Say whether the message stands in a thread below another one."""
        return self.thread_ts is not None and self.thread_ts != self.ts

    @property
    def is_listed(self) -> bool:
        """Say whether the channel itself shows the message, rather than only its thread."""
        return not self.is_reply or self.subtype == "thread_broadcast"


@dataclass(slots=True)
class Bookmark:
    """A link at the top of a channel."""

    id: str
    channel: str
    title: str
    link: str
    emoji: str
    created: int


@dataclass(slots=True)
class Channel:
    """A conversation of any kind; `kind` is Slack's `channel_type`."""

    id: str
    name: str
    kind: str
    created: int
    creator: str
    members: list[str] = field(default_factory=list)
    topic: Note = field(default_factory=Note)
    purpose: Note = field(default_factory=Note)
    is_archived: bool = False
    messages: dict[str, Message] = field(default_factory=dict)
    pins: list[tuple[str, str, int]] = field(default_factory=list)
    bookmarks: list[Bookmark] = field(default_factory=list)
    last_read: dict[str, str] = field(default_factory=dict)
    previous_names: list[str] = field(default_factory=list)

    @property
    def is_public(self) -> bool:
        """Say whether anybody in the workspace may look in."""
        return self.kind == "channel"

    @property
    def is_direct(self) -> bool:
        """Say whether this is a direct message, of two people or of several."""
        return self.kind in ("im", "mpim")

    def pinned(self, ts: str) -> bool:
        """Say whether the message is pinned here."""
        return any(pin[0] == ts for pin in self.pins)

    def replies(self, root_ts: str) -> list[Message]:
        """List a thread's replies, oldest first."""
        return [m for m in self.messages.values() if m.thread_ts == root_ts and m.is_reply]


@dataclass(slots=True)
class View:
    """A modal or an App Home; `body` is what the app sent, with ids filled in."""

    id: str
    app_id: str
    bot_id: str
    user_id: str
    body: Json
    hash: str
    root_view_id: str
    previous_view_id: str | None = None
    values: Json = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Give Slack's view type: modal or home."""
        return str(self.body["type"])

    @property
    def blocks(self) -> list[Json]:
        """Give the view's blocks."""
        blocks: list[Json] = self.body["blocks"]
        return blocks


@dataclass(slots=True)
class StoredFile:
    """A file an app announced, and its content once that was uploaded."""

    id: str
    name: str
    title: str
    mimetype: str
    size: int
    user: str
    created: int
    upload_key: str
    content: bytes | None = None
    channels: list[str] = field(default_factory=list)
    completed: bool = False


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command an app registered in its manifest."""

    command: str
    description: str
    usage_hint: str
    should_escape: bool


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A shortcut an app registered; `kind` is `global` or `message`."""

    callback_id: str
    name: str
    description: str
    kind: str


@dataclass(frozen=True, slots=True)
class InstalledApp:
    """An app as the workspace knows it after installation."""

    id: str
    name: str
    description: str
    color: str
    bot_user_id: str
    bot_id: str
    bot_token: str
    app_token: str
    signing_secret: str
    verification_token: str
    scopes: tuple[str, ...]
    commands: tuple[SlashCommand, ...]
    shortcuts: tuple[Shortcut, ...]
    events: frozenset[str]
    interactive: bool
    socket_mode: bool
    home_tab: bool
    messages_tab: bool


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call an app made, as it arrived, and what it was answered.

    `method` is the Web API method, or `response_url` for a message sent to a response URL.
    Arguments are decoded where the wire carries JSON, numbers or booleans as text.
    """

    method: str
    arguments: Json
    response: Json
    at: float
    app_id: str | None = None


@dataclass(slots=True)
class Envelope:
    """One delivery to an app and what came back."""

    envelope_id: str
    app_id: str
    type: str
    payload: Json
    accepts_response_payload: bool
    sent_at: float
    retry_attempt: int = 0
    retry_reason: str = ""
    acked_at: float | None = None
    response: Json | None = None
