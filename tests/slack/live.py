"""The adapter against the practice workspace, over real connections on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from bot.domain.events import MessagePosted
from bot.domain.messages import Message, Reply, note
from bot.domain.people import Person
from bot.plugin import Command, CommandRequest, Interaction, InteractionRequest, Shortcut
from bot.practice.people import Actor
from bot.practice.records import InstalledApp
from bot.practice.records import Message as Posted
from bot.practice.server import PracticeServer
from bot.practice.workspace import Workspace
from bot.settings import SlackSection
from bot.slack.app import SlackAdapter
from bot.slack.handlers import SlackHandlers
from bot.slack.manifest import manifest


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Heard:
    """What the handlers were called with, and what they are to answer."""

    commands: list[CommandRequest] = field(default_factory=list)
    interactions: list[InteractionRequest] = field(default_factory=list)
    messages: list[MessagePosted] = field(default_factory=list)
    homes: list[Person] = field(default_factory=list)
    answer: Callable[[InteractionRequest], Any] = lambda request: None

    async def command(self, request: CommandRequest) -> Reply:
        self.commands.append(request)
        return note(f"Noted: {request.text}")

    async def interaction(self, request: InteractionRequest) -> Reply:
        self.interactions.append(request)
        answer = self.answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        reply: Reply = answer
        return reply

    async def message(self, event: MessagePosted) -> None:
        self.messages.append(event)

    async def home(self, person: Person) -> Sequence[Message]:
        self.homes.append(person)
        return [note(f"Hello {person.name}, visit {len(self.homes)}")]

    def handlers(self) -> SlackHandlers:
        names = ("alerts.acknowledge", "incident.declare", "runs.approve")
        interactions = {n: Interaction(name=n, handler=self.interaction) for n in names}
        interactions["incident.note"] = Interaction(
            name="incident.note",
            handler=self.interaction,
            shortcut=Shortcut(title="Add to the timeline", on_message=True),
        )
        interactions["incident.new"] = Interaction(
            name="incident.new",
            handler=self.interaction,
            shortcut=Shortcut(title="Declare an incident", on_message=False),
        )
        note_command = Command(
            root="/incident",
            verb="note",
            usage="<text>",
            summary="Adds a note.",
            handler=self.command,
        )
        return SlackHandlers(
            commands=[note_command],
            interactions=interactions,
            on_message=self.message,
            home=self.home,
        )


@dataclass
class Live:
    workspace: Workspace
    server: PracticeServer
    app: InstalledApp
    adapter: SlackAdapter
    heard: Heard

    @property
    def dana(self) -> Actor:
        return self.workspace.person("dana")

    @property
    def alerts(self) -> Any:
        return self.workspace.channel("alerts").id

    def posted(self, channel: str = "alerts") -> list[Posted]:
        """Return the app's own messages in a channel."""
        return [
            message
            for message in self.workspace.messages(channel)
            if message.user == self.app.bot_user_id and message.subtype != "channel_join"
        ]

    def calls(self, method: str) -> list[dict[str, Any]]:
        return [call.arguments for call in self.workspace.calls if call.method == method]

    def whispers(self, actor: Actor, channel: str = "alerts") -> list[Posted]:
        return [message for message in actor.sees(channel) if message.ephemeral_to == actor.id]


def settings(server: PracticeServer, app: InstalledApp, mode: Any = "socket") -> SlackSection:
    return SlackSection(
        mode=mode,
        api_url=server.api_url,
        bot_token=SecretStr(app.bot_token),
        app_token=SecretStr(app.app_token),
        signing_secret=SecretStr(app.signing_secret),
    )


def furnish(mode: Any = "socket", url: str | None = None) -> tuple[Workspace, InstalledApp, Heard]:
    workspace, heard = Workspace(), Heard()
    for name, real in (("dana", "Dana Ito"), ("sam", "Sam Reed"), ("kim", "Kim Vale")):
        workspace.add_person(name, real_name=real)
    app = workspace.install(manifest(heard.handlers(), mode, url))
    workspace.add_channel("alerts", members=["dana", "sam", app.bot_user_id])
    workspace.add_channel("general", members=["dana", "sam", "kim"])
    workspace.add_usergroup("payments-oncall", members=["dana"])
    return workspace, app, heard


@asynccontextmanager
async def living() -> AsyncIterator[Live]:
    workspace, app, heard = furnish()
    async with PracticeServer(workspace) as server:
        adapter = SlackAdapter(settings(server, app), WallClock())
        await adapter.start()
        await adapter.listen(heard.handlers())
        await until(lambda: bool(server.socket_mode.connections))
        try:
            yield Live(workspace, server, app, adapter, heard)
        finally:
            await adapter.stop()


async def until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    """Wait until something holds; fail after a while."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.01)
