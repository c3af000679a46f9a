"""The workspace as whoever runs it sees it: fill it, install an app, act as somebody."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bot.practice.manifest import ManifestError, read_manifest
from bot.practice.people import Actor
from bot.practice.records import Channel, InstalledApp, Note, Person, Usergroup
from bot.practice.state import State

_COLORS = ("#9f69e7", "#4bbe2e", "#e7392d", "#3c989f", "#df3dc0", "#d58247", "#2b6cb0", "#a2a5dc")


class Workspace(State):
    """A local Slack workspace in memory.

    Filling it is silent: members and channels added here cause no messages and no events, as if
    they had always been there.
    """

    def __init__(self, name: str = "Practice", clock: Callable[[], float] = time.time) -> None:
        super().__init__(name, clock)

    def add_person(
        self, name: str, *, real_name: str = "", title: str = "", admin: bool = False
    ) -> Person:
        """Add a member; the id follows from the name."""
        if any(person.name == name for person in self.people.values()):
            raise ValueError(f"there is a person {name} already")
        person = Person(
            id=self.mint.named("U", name),
            name=name,
            real_name=real_name or name.title(),
            title=title,
            email=f"{name}@{self.domain}.example",
            color=_COLORS[len(self.people) % len(_COLORS)],
            is_admin=admin,
        )
        self.people[person.id] = person
        return person

    def add_guest(self, name: str, *, real_name: str = "", title: str = "") -> Person:
        """Add a guest, who sees only the channels they are added to."""
        person = self.add_person(name, real_name=real_name, title=title)
        person.is_restricted = True
        return person

    def add_stranger(
        self, name: str, *, workspace: str, real_name: str = "", title: str = ""
    ) -> Person:
        """Add somebody of another workspace, who shares channels with this one."""
        person = self.add_person(name, real_name=real_name, title=title)
        person.team = self.mint.named("T", workspace)
        return person

    def deactivate(self, name: str) -> Person:
        """Deactivate a member's account, which takes them out of all user groups."""
        person = self.find_person(name)
        person.deleted = True
        for group in self.usergroups.values():
            group.members = [member for member in group.members if member != person.id]
        return person

    def add_usergroup(self, handle: str, *, members: Sequence[str] = ()) -> Usergroup:
        """Add a group of people, named or by id."""
        ids = [self.find_person(member).id for member in members]
        group = Usergroup(self.mint.named("S", handle), handle, handle.replace("-", " "), ids)
        self.usergroups[group.id] = group
        return group

    def add_channel(
        self, name: str, *, members: Sequence[str] = (), topic: str = "", is_private: bool = False
    ) -> Channel:
        """Add a channel silently: nobody is told and no message appears."""
        ids = [self.find_person(member).id for member in members]
        kind = "group" if is_private else "channel"
        channel = self.open_channel(name, kind=kind, creator=ids[0] if ids else "", members=ids)
        if topic:
            channel.topic = Note(topic, channel.creator, self.mint.now())
        return channel

    def install(self, manifest: Mapping[str, Any]) -> InstalledApp:
        """Install an app from its manifest.

        Raises:
            ManifestError: Slack would refuse the manifest.
        """
        app = read_manifest(manifest, self.mint)
        taken = {c.command for other in self.apps.values() for c in other.commands}
        clash = taken & {c.command for c in app.commands}
        if app.id in self.apps or clash:
            raise ManifestError(f"{sorted(clash)[0] if clash else app.name}: installed already")
        handle = re.sub(r"[^a-z0-9]+", "", app.name.lower()) or "app"
        self.people[app.bot_user_id] = Person(
            id=app.bot_user_id,
            name=handle,
            real_name=app.name,
            title=app.description,
            email="",
            color=app.color,
            app_id=app.id,
            bot_id=app.bot_id,
        )
        self.apps[app.id] = app
        return app

    def rate_limit(self, method: str, per_second: float) -> None:
        """Switch on a rate limit; `chat.postMessage` and `chat.update` count per channel."""
        self.limits[method] = per_second

    def person(self, name: str) -> Actor:
        """Give somebody to act as, named or by id.

        Raises:
            KeyError: there is nobody by that name.
        """
        return Actor(self, self.find_person(name))
