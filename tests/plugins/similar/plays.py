"""The known errors on a stage, with incidents in their channels and accounts of causes."""

from __future__ import annotations

from typing import Any, cast

from bot.domain.alerts import GroupId, Severity
from bot.domain.documents import Because, Found, Hit, Reason
from bot.domain.known_errors import KnownError
from bot.domain.messages import Form, Reply, SelectField
from bot.domain.people import ChannelId
from plugins.similar.known import KnownErrors
from tests.incident_records import RUN
from tests.stage import Stage

LOCK = {
    "title": "The order worker hangs",
    "cause": "A lock stays taken when the payment provider times out.",
    "workaround": "Restart the worker.",
}
CERTIFICATE = {
    "title": "Certificates expire unseen",
    "cause": "Nobody is told before the gateway certificate runs out.",
    "workaround": "",
}
LIKE_LOCK = {
    "title": "Worker stuck on payments",
    "cause": "When the payment provider times out, the worker keeps its lock.",
    "workaround": "Kill the connection.",
}


class Play:
    """The known errors on a stage, with two incidents in their channels."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.known = KnownErrors(stage.context)
        self.dana = stage.dana

    @property
    def plugin(self) -> Any:
        return cast(Any, self.known)

    async def incident(self, title: str = "Orders fail", *, group: GroupId | None = None) -> str:
        incidents = self.stage.context.incidents
        made = await incidents.declare(
            title, Severity.SEV2, service="checkout", by=self.stage.by(self.dana), group=group
        )
        await incidents.open_room(made.id, ChannelId(f"C-{made.id}"))
        return made.id

    async def submit(self, name: str, incident: str, **answers: str) -> Reply:
        return await self.stage.press(
            self.plugin, name, by=self.dana, value=incident, answers=answers
        )

    async def press(self, name: str, value: str) -> Reply:
        return await self.stage.press(self.plugin, name, by=self.dana, value=value)

    async def type(self, text: str, channel: str = "C-INC-1") -> Reply:
        return await self.stage.type(self.plugin, text, by=self.dana, channel=ChannelId(channel))

    async def records(self) -> list[KnownError]:
        return list(await self.stage.context.known_errors.all())

    def finds(self, id: str, confidence: float | None) -> None:
        """Let the search find a known error it was given, as sure as that."""
        document = self.stage.search.documents[id]
        reason = Reason(because=Because.NAME, text="same alert name")
        hit = Hit(
            document=document, score=1, lexical=9, dense=0.8, matched=(), passage="",
            reasons=(reason,),
        )  # fmt: skip
        self.stage.search.found = Found(hits=(hit,), confidence=confidence, model="ranker-1")


def field(reply: Reply, name: str) -> Any:
    assert isinstance(reply, Form)
    return next(one for one in reply.fields if one.name == name)


def options(reply: Reply, name: str) -> list[str]:
    found = field(reply, name)
    assert isinstance(found, SelectField)
    return [option.value for option in found.options]


def known(number: int, title: str, cause: str) -> KnownError:
    return KnownError(
        id=f"KE-{number}", title=title, cause=cause, workaround="", services=(), incidents=(),
        by="person:U1", at=RUN.created_at,
    )  # fmt: skip
