"""The state of a workspace and the questions asked of it; no input or output happens here.

What happens in it (posting, joining, pinning) is told in `posting`, `membership` and
`annotations`, which both the Web API and the people use.
"""

import re
from collections.abc import Callable, Sequence

from bot.practice.audience import Audience
from bot.practice.delivery import Delivery, Nowhere
from bot.practice.errors import SlackError
from bot.practice.grants import Grants
from bot.practice.ids import Mint
from bot.practice.records import (
    ApiCall,
    Channel,
    Envelope,
    InstalledApp,
    Message,
    Person,
    StoredFile,
    Usergroup,
    View,
)

_NAME = re.compile(r"[^\W_][\w\-]*$")


class State:
    """Everything a workspace holds.

    `calls` and `envelopes` record all traffic with apps, `faults` what apps answered that Slack
    would not have taken. `repeat` is how many times each envelope is sent (1 unless a test wants
    duplicates).
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.clock = clock
        self.mint = Mint(clock)
        self.id = self.mint.named("T", name)
        self.domain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "practice"
        self.base_url = "http://practice.invalid"
        self.people: dict[str, Person] = {}
        self.usergroups: dict[str, Usergroup] = {}
        self.channels: dict[str, Channel] = {}
        self.apps: dict[str, InstalledApp] = {}
        self.files: dict[str, StoredFile] = {}
        self.ephemerals: dict[tuple[str, str], Message] = {}
        self.modals: dict[str, list[View]] = {}
        self.homes: dict[tuple[str, str], View] = {}
        self.calls: list[ApiCall] = []
        self.envelopes: list[Envelope] = []
        self.faults: list[str] = []
        self.limits: dict[str, float] = {}
        self.repeat = 1
        self.audience = Audience()
        self.grants = Grants(self.mint)
        self.delivery: Delivery = Nowhere()

    def open_channel(
        self, name: str, *, kind: str, creator: str, members: Sequence[str]
    ) -> Channel:
        """Create the record of a conversation.

        Raises:
            SlackError: the name is taken or not a channel name.
        """
        if kind in ("channel", "group"):
            self.check_channel_name(name)
        seed = name if kind in ("channel", "group") else f"{kind}:{','.join(sorted(members))}"
        prefix = {"im": "D", "mpim": "G"}.get(kind, "C")
        channel = Channel(
            id=self.mint.named(prefix, seed),
            name=name,
            kind=kind,
            created=self.mint.now(),
            creator=creator,
            members=list(dict.fromkeys(members)),
        )
        if channel.id in self.channels:  # a renamed channel keeps the id its first name gave it
            channel.id = self.mint.next(prefix)
        self.channels[channel.id] = channel
        return channel

    def check_channel_name(self, name: str) -> None:
        """Refuse a channel name Slack would refuse.

        Raises:
            SlackError: `invalid_name…` or `name_taken`.
        """
        if not name:
            raise SlackError("invalid_name_required")
        if len(name) > 80:
            raise SlackError("invalid_name_maxlength")
        if name != name.lower() or not _NAME.match(name):
            raise SlackError("invalid_name_specials")
        if any(c.name == name for c in self.channels.values() if not c.is_direct):
            raise SlackError("name_taken")

    def direct_channel(self, *user_ids: str) -> Channel:
        """Find or open the direct message between people."""
        wanted = set(user_ids)
        for channel in self.channels.values():
            if channel.is_direct and set(channel.members) == wanted:
                return channel
        kind = "im" if len(wanted) <= 2 else "mpim"
        names = "--".join(self.people[user_id].name for user_id in user_ids)
        name = f"mpdm-{names}-1" if kind == "mpim" else ""
        members = list(user_ids)
        return self.open_channel(name, kind=kind, creator=members[0], members=members)

    def find_person(self, name: str) -> Person:
        """Find a member by id, name or `@name`.

        Raises:
            KeyError: there is nobody by that name.
        """
        if name in self.people:
            return self.people[name]
        wanted = name.removeprefix("@")
        for person in self.people.values():
            if person.name == wanted:
                return person
        raise KeyError(f"nobody is called {name}")

    def channel(self, name: str) -> Channel:
        """Find a channel by id, name or `#name`.

        Raises:
            KeyError: there is no such channel.
        """
        if name in self.channels:
            return self.channels[name]
        wanted = name.removeprefix("#")
        for channel in self.channels.values():
            if channel.name == wanted and not channel.is_direct:
                return channel
        raise KeyError(f"there is no channel {name}")

    def messages(self, channel: str) -> list[Message]:
        """List a channel's messages with its thread replies, oldest first."""
        return list(self.channel(channel).messages.values())

    def find_message(self, channel_id: str, ts: str) -> Message | None:
        """Find a message, ephemeral ones included."""
        channel = self.channels.get(channel_id)
        found = channel.messages.get(ts) if channel else None
        return found or self.ephemerals.get((channel_id, ts))

    def find_view(self, view_id: str) -> View | None:
        """Find an open modal or a published App Home by id."""
        views = [view for stack in self.modals.values() for view in stack]
        views += self.homes.values()
        return next((view for view in views if view.id == view_id), None)

    def may_see(self, user_id: str, channel: Channel) -> bool:
        """Say whether somebody may look into a channel."""
        if user_id in channel.members:
            return True
        person = self.people.get(user_id)
        return channel.is_public and not (person is not None and person.is_outsider)
