"""The verbs of `/incident`. Inside a war room they need no id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.errors import Refused
from bot.domain.incidents import Incident, IncidentStatus
from bot.domain.messages import Reply, note
from bot.plugin import Command, CommandRequest, PluginContext
from plugins.warroom import messages, words
from plugins.warroom.conduct import Conduct
from plugins.warroom.declaring import Declaring
from plugins.warroom.rooms import Rooms

ROOT = "/incident"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which incident is meant, and the words and the text that are not its id."""

    incident: Incident
    words: tuple[str, ...]
    text: str


class Verbs:
    """Understands what is typed and does it."""

    def __init__(
        self, context: PluginContext, *, rooms: Rooms, conduct: Conduct, declaring: Declaring
    ) -> None:
        self._context = context
        self._rooms = rooms
        self._conduct = conduct
        self._declaring = declaring

    def commands(self) -> Sequence[Command]:
        """Return the verbs, in the order of the help."""
        return (
            Command(
                root=ROOT,
                verb="declare",
                usage="[title]",
                summary="declare an incident",
                handler=self._declaring.command,
                aliases=("open", "new"),
            ),
            Command(
                root=ROOT,
                verb="list",
                usage="",
                summary="list the open incidents",
                handler=self._list,
            ),
            Command(
                root=ROOT,
                verb="status",
                usage="[INC-n] [status]",
                summary="show where an incident stands, or move it on",
                handler=self._status,
            ),
            Command(
                root=ROOT,
                verb="sev",
                usage="[INC-n] <1-4>",
                summary="change the severity",
                handler=self._severity,
                aliases=("severity",),
            ),
            Command(
                root=ROOT,
                verb="role",
                usage="[INC-n] <commander|scribe|communications>",
                summary="take a role",
                handler=self._role,
            ),
            Command(
                root=ROOT,
                verb="note",
                usage="[INC-n] <text>",
                summary="put a note on the timeline",
                handler=self._note,
            ),
            Command(
                root=ROOT,
                verb="timeline",
                usage="[INC-n]",
                summary="show what happened last",
                handler=self._timeline,
            ),
            Command(
                root=ROOT,
                verb="resolve",
                usage="[INC-n]",
                summary="say that users are no longer affected",
                handler=self._resolve,
            ),
            Command(
                root=ROOT,
                verb="close",
                usage="[INC-n]",
                summary="close a resolved incident for good",
                handler=self._close,
            ),
        )

    async def _list(self, request: CommandRequest) -> Reply:
        return messages.open_list(await self._context.incidents.open())

    async def _status(self, request: CommandRequest) -> Reply:
        asked = await self._asked(request)
        incident = asked.incident
        if not asked.words:
            return messages.standing(incident, await self._rooms.around(incident))
        wanted = words.status(asked.text)
        return await self._conduct.move(incident.id, wanted, by=request.caller)

    async def _severity(self, request: CommandRequest) -> Reply:
        asked = await self._asked(request)
        wanted = words.severity(asked.text)
        return await self._conduct.rate(asked.incident.id, wanted, by=request.caller)

    async def _role(self, request: CommandRequest) -> Reply:
        asked = await self._asked(request)
        if len(asked.words) > 1:
            raise Refused("People take roles themselves; name the role and nothing else.")
        wanted = words.role(asked.text)
        return await self._conduct.take(asked.incident.id, wanted, by=request.caller)

    async def _note(self, request: CommandRequest) -> Reply:
        """Record a note; in a war room even one that begins with another incident's id."""
        here = await self._context.incidents.of_channel(request.channel)
        asked = await self._asked(request) if here is None else None
        incident, text = (asked.incident, asked.text) if asked else (here, request.text)
        assert incident is not None  # noqa: S101  # one of the two is there
        await self._context.timelines.note(incident.id, text, by=request.caller)
        return note(f"Noted on the timeline of {incident.id}.")

    async def _timeline(self, request: CommandRequest) -> Reply:
        incident = (await self._asked(request)).incident
        return messages.story(incident, await self._context.timelines.of(incident))

    async def _resolve(self, request: CommandRequest) -> Reply:
        incident = (await self._asked(request)).incident
        return await self._conduct.move(incident.id, IncidentStatus.RESOLVED, by=request.caller)

    async def _close(self, request: CommandRequest) -> Reply:
        incident = (await self._asked(request)).incident
        return await self._conduct.move(incident.id, IncidentStatus.CLOSED, by=request.caller)

    async def _asked(self, request: CommandRequest) -> Asked:
        """Find out which incident is meant: the one named first, or the channel's own.

        Raises:
            Refused: none is named, and the channel is no war room.
        """
        named = words.incident_id(request.words[0]) if request.words else None
        if named is not None:
            incident = await self._context.incidents.get(named)
            rest = request.text.split(maxsplit=1)[1:]
            return Asked(incident=incident, words=request.words[1:], text="".join(rest))
        here = await self._context.incidents.of_channel(request.channel)
        if here is None:
            raise Refused(messages.which(await self._context.incidents.open()))
        return Asked(incident=here, words=request.words, text=request.text)
