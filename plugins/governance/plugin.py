"""The plugin: what it offers and hears, and who of its parts does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from bot.domain.actions import Action
from bot.domain.events import GovernanceChanged
from bot.domain.messages import Message
from bot.domain.people import Person
from bot.plugin import Command, Interaction, Page, Plugin, PluginContext, PluginSettings
from plugins.governance import glass, notices, screens, switches
from plugins.governance.adopting import Adopting
from plugins.governance.announcing import Announcing
from plugins.governance.authorising import Authorising
from plugins.governance.emergencies import Emergencies
from plugins.governance.halting import Halting
from plugins.governance.home import Home
from plugins.governance.links import Links
from plugins.governance.looking import Looking
from plugins.governance.pages import Pages
from plugins.governance.trust import Trust

ROOT = "/incident"


class GovernanceSettings(PluginSettings):
    """`url` is the root address of this bot's web pages, for links to them; empty: no links."""

    url: str = Field(default="", pattern=r"^(https?://[^/]+.*)?$")


class Governance(Plugin[GovernanceSettings]):
    """Shows what governs effects, and lets people stop, trust, look back and change it."""

    name: ClassVar[str] = "governance"
    Settings: ClassVar[type[PluginSettings]] = GovernanceSettings

    def __init__(self, settings: GovernanceSettings, context: PluginContext) -> None:
        super().__init__(settings, context)
        links = Links(settings.url)
        self._halting = Halting(context)
        self._emergencies = Emergencies(context)
        self._authorising = Authorising(context)
        self._looking = Looking(context, links)
        self._trust = Trust(context, links)
        self._announcing = Announcing(context)
        self._home = Home(context)

    @override
    def commands(self) -> Sequence[Command]:
        return (
            *self._halting.commands(ROOT),
            *self._looking.commands(ROOT),
            *self._trust.commands(ROOT),
            *self._emergencies.commands(ROOT),
            *self._authorising.commands(ROOT),
        )

    @override
    def interactions(self) -> Sequence[Interaction]:
        return (
            Interaction(name=switches.RELEASE, handler=self._halting.release),
            Interaction(name=glass.BREAK, handler=self._emergencies.broken),
            Interaction(name=glass.REVIEW, handler=self._emergencies.review),
            Interaction(name=glass.REVIEWED, handler=self._emergencies.reviewed),
            Interaction(name=notices.GIVE, handler=self._authorising.give),
            Interaction(name=notices.REVOKE, handler=self._authorising.revoke),
            Interaction(name=screens.CHANGE_POLICY, handler=self._looking.change_policy),
        )

    @override
    def actions(self) -> Sequence[Action]:
        return Adopting(self.context).all()

    @override
    def pages(self) -> Sequence[Page]:
        return Pages(self.context).all()

    @override
    async def home_section(self, viewer: Person) -> Message:
        return await self._home.section(viewer)

    @override
    async def on_governance(self, event: GovernanceChanged) -> None:
        await self._announcing.hear(event)
