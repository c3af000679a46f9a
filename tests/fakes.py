"""In-memory ports that behave: a clock that stands still and a chat platform without a network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from bot.domain.documents import Acceptances, Dependencies, Document, Found, Hit, Query
from bot.domain.freezes import CalendarFault, Window, Windows
from bot.domain.messages import Message
from bot.domain.people import ChannelId, Person, PersonId
from bot.ports import ChatError, MessageRef, ModelUnavailable, Said

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the moment it was set to."""
        return self._now

    def set(self, now: datetime) -> None:
        """Set the clock to a moment."""
        self._now = now

    def advance(self, *, seconds: float) -> datetime:
        """Let time pass, and return the new moment."""
        self._now += timedelta(seconds=seconds)
        return self._now


@dataclass
class FakeCalendars:
    """Implements `bot.ports.Calendars` with the windows it is given."""

    windows: list[Window] = field(default_factory=list)
    faults: list[CalendarFault] = field(default_factory=list)
    digest: str = "calendars"

    def at(self, moment: datetime) -> Windows:
        """Return what is in force."""
        active = tuple(w for w in self.windows if w.during(moment))
        return Windows(active=active, faults=tuple(self.faults), digest=self.digest)

    def between(self, start: datetime, end: datetime) -> Sequence[Window]:
        """Return the windows that touch a time."""
        return [w for w in self.windows if w.starts_at < end and start < w.ends_at]

    def files(self) -> Mapping[str, bytes]:
        """Return no files."""
        return {}


@dataclass
class FakePost:
    """A message of ours; `shown` is everything it has shown, the latest last."""

    ref: MessageRef
    key: str
    shown: list[Message]
    thread: MessageRef | None = None
    pins: int = 0

    @property
    def message(self) -> Message:
        """Return what it shows now."""
        return self.shown[-1]


@dataclass
class FakeChannel:
    """A channel; `topics` is every topic it has had, the latest last."""

    id: ChannelId
    name: str
    ours: bool
    topics: list[str] = field(default_factory=list)
    members: list[PersonId] = field(default_factory=list)

    @property
    def topic(self) -> str:
        """Return its present topic."""
        return self.topics[-1] if self.topics else ""


class FakeChat:
    """Implements `bot.ports.Chat` in memory and keeps everything it was told.

    `fail` makes the next calls of a method raise `ChatError`.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self._clock = clock or FakeClock()
        self._number = 0
        self._failures: dict[str, list[str]] = {}
        self.people: dict[PersonId, Person] = {}
        self.user_groups: dict[str, list[PersonId]] = {}
        self.addresses: dict[str, PersonId] = {}
        self.channels: dict[ChannelId, FakeChannel] = {}
        self.posts: list[FakePost] = []
        self.whispers: list[tuple[ChannelId, PersonId, Message]] = []
        self.reactions: list[tuple[MessageRef, str]] = []
        self.messages: dict[MessageRef, Said] = {}
        self.calls: list[str] = []

    # What a test sets up and looks at.

    def add_person(self, id: str, name: str) -> Person:
        """Let a person be a member of the workspace."""
        person = Person(id=PersonId(id), name=name)
        self.people[person.id] = person
        return person

    def add_channel(self, name: str, *members: Person) -> ChannelId:
        """Let a channel exist that is not ours."""
        return self._new_channel(name, ours=False, members=[p.id for p in members]).id

    def say(self, channel: ChannelId, person: Person, text: str) -> MessageRef:
        """Let a person write a message."""
        ref = self._new_ref(channel)
        self.messages[ref] = Said(
            ref=ref, person=person, text=text, at=self._clock.now(), link=_link(ref)
        )
        return ref

    def fail(self, method: str, error: str, *, times: int = 1) -> None:
        """Let the next calls of a method fail."""
        self._failures.setdefault(method, []).extend([error] * times)

    def post_of(self, key: str) -> FakePost:
        """Return the one message with a key; several would be a fault."""
        found = [post for post in self.posts if post.key == key]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} messages with the key {key}")
        return found[0]

    def channel_named(self, name: str) -> FakeChannel:
        """Return a channel by its name."""
        return next(channel for channel in self.channels.values() if channel.name == name)

    # The port.

    async def post(
        self, channel: ChannelId, message: Message, *, key: str, thread: MessageRef | None = None
    ) -> MessageRef:
        """Post a message."""
        self._called("post")
        self._known(channel)
        ref = self._new_ref(channel)
        self.posts.append(FakePost(ref=ref, key=key, shown=[message], thread=thread))
        return ref

    async def find(self, channel: ChannelId, key: str) -> MessageRef | None:
        """Return our message with this key."""
        self._called("find")
        self._known(channel)
        found = (p.ref for p in self.posts if p.key == key and p.ref.channel == channel)
        return next(found, None)

    async def update(self, ref: MessageRef, message: Message, *, key: str) -> None:
        """Replace a message of ours."""
        self._called("update")
        self._ours(ref).shown.append(message)

    async def whisper(self, channel: ChannelId, person: PersonId, message: Message) -> None:
        """Show a message to one person only."""
        self._called("whisper")
        self._known(channel)
        self.whispers.append((channel, person, message))

    async def direct(self, person: PersonId) -> ChannelId:
        """Return the direct channel with a person."""
        self._called("direct")
        if person not in self.people:
            raise ChatError("user_not_found")
        name = f"direct-{person}"
        for channel in self.channels.values():
            if channel.name == name:
                return channel.id
        return self._new_channel(name, ours=False, members=[person]).id

    async def create_channel(self, name: str, *, topic: str) -> ChannelId:
        """Create a public channel, or return ours of that name."""
        self._called("create_channel")
        for channel in self.channels.values():
            if channel.name == name and not channel.ours:
                raise ChatError("name_taken")
        ours = [channel for channel in self.channels.values() if channel.name == name]
        channel = ours[0] if ours else self._new_channel(name, ours=True, members=[])
        channel.topics.append(topic)
        return channel.id

    async def set_topic(self, channel: ChannelId, topic: str) -> None:
        """Set a channel's topic."""
        self._called("set_topic")
        self._known(channel).topics.append(topic)

    async def invite(self, channel: ChannelId, people: Collection[PersonId]) -> None:
        """Invite people; unknown ones and those who are in are skipped."""
        self._called("invite")
        members = self._known(channel).members
        members += [p for p in dict.fromkeys(people) if p in self.people and p not in members]

    async def pin(self, ref: MessageRef) -> None:
        """Pin a message of ours."""
        self._called("pin")
        self._ours(ref).pins += 1

    async def react(self, ref: MessageRef, name: str) -> None:
        """Add a reaction; one that is there stays."""
        self._called("react")
        self._known(ref.channel)
        if (ref, name) not in self.reactions:
            self.reactions.append((ref, name))

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""
        self._called("person")
        if id not in self.people:
            raise ChatError("user_not_found", id)
        return self.people[id]

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are now."""
        self._called("member")
        if id not in self.people:
            raise ChatError("user_not_found")
        return self.people[id]

    async def with_address(self, email: str) -> PersonId | None:
        """Return whose e-mail address this is, or None."""
        self._called("with_address")
        return self.addresses.get(email)

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the user groups a person belongs to."""
        self._called("groups_of")
        return frozenset(g for g, members in self.user_groups.items() if person in members)

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group; nobody for an unknown one."""
        self._called("members_of")
        return tuple(self.user_groups.get(group, ()))

    async def said(self, ref: MessageRef) -> Said | None:
        """Return a message as it was written."""
        self._called("said")
        return self.messages.get(ref)

    async def link(self, ref: MessageRef) -> str:
        """Return a permanent link to a message."""
        self._called("link")
        return _link(ref)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if waiting := self._failures.get(method):
            raise ChatError(waiting.pop(0))

    def _known(self, channel: ChannelId) -> FakeChannel:
        if channel not in self.channels:
            raise ChatError("channel_not_found", channel)
        return self.channels[channel]

    def _ours(self, ref: MessageRef) -> FakePost:
        for post in self.posts:
            if post.ref == ref:
                return post
        raise ChatError("message_not_found")

    def _new_channel(self, name: str, *, ours: bool, members: list[PersonId]) -> FakeChannel:
        id = ChannelId(f"C{len(self.channels) + 1:03}")
        self.channels[id] = FakeChannel(id=id, name=name, ours=ours, members=members)
        return self.channels[id]

    def _new_ref(self, channel: ChannelId) -> MessageRef:
        self._number += 1
        stamp = f"{int(self._clock.now().timestamp())}.{self._number:06}"
        return MessageRef(channel=channel, id=stamp)


def _link(ref: MessageRef) -> str:
    return f"https://chat.example/archives/{ref.channel}/p{ref.id.replace('.', '')}"


class FakeSearch:
    """Finds what it was told to find, and remembers what it was given and asked."""

    def __init__(self, hits: Sequence[Hit] = (), *, found: Found | None = None) -> None:
        self.found = found or Found(hits=tuple(hits), model="fake")
        self.documents: dict[str, Document] = {}
        self.dependencies: Dependencies = {}
        self.acceptances: Acceptances = {}
        self.asked: list[Query] = []
        self.dense_ready = True

    async def put(self, documents: Sequence[Document]) -> None:
        """Keep documents."""
        self.documents.update((document.id, document) for document in documents)

    async def remove(self, ids: Sequence[str]) -> None:
        """Forget documents."""
        for id in ids:
            self.documents.pop(id, None)

    async def place(self, dependencies: Dependencies) -> None:
        """Keep which services need which."""
        self.dependencies = dependencies

    async def accept(self, acceptances: Acceptances) -> None:
        """Keep how people judged documents."""
        self.acceptances = acceptances

    async def find(
        self,
        query: Query,
        *,
        kinds: Collection[str],
        limit: int,
        before: datetime | None = None,
        services: Collection[str] | None = None,
        without: Collection[str] = (),
    ) -> Found:
        """Return the hits that the filters let through."""
        self.asked.append(query)
        let_through = [
            hit
            for hit in self.found.hits
            if hit.document.kind in kinds
            and hit.document.id not in without
            and (services is None or set(services) & set(hit.document.services))
            and _earlier(hit.document, before)
        ]
        return replace(self.found, hits=tuple(let_through[:limit]))


def _earlier(document: Document, before: datetime | None) -> bool:
    return before is None or document.created_at is None or document.created_at < before


class FakeModel:
    """A language model that writes what it was told to write, or is not there."""

    name = "fake"

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.prompts: list[str] = []

    async def write(self, prompt: str) -> str:
        """Write, if there is something to write."""
        self.prompts.append(prompt)
        if self.text is None:
            raise ModelUnavailable("there is none")
        return self.text


class FakePrompts:
    """Renders a prompt as its name and its variables."""

    def render(self, name: str, variables: object) -> str:
        """Return the name and the variables."""
        return f"{name}: {variables}"

    def digest(self, name: str) -> str:
        """Return the name."""
        return name
