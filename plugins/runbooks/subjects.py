"""What a runbook is asked for: an alert group, an incident, or just a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.documents import Query
from bot.domain.errors import NotFound
from bot.domain.incidents import Incident, IncidentId
from bot.domain.people import ChannelId
from bot.domain.relevance import query_of
from bot.plugin import PluginContext
from plugins.runbooks.suggestions import shared_labels

CHANNEL = "channel:"
_INCIDENT = "INC-"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is known of the subject. `query` is what to search runbooks for."""

    id: str
    query: Query | None = None
    service: str | None = None
    incident: str | None = None
    group: AlertGroup | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


async def subject_of(context: PluginContext, id: str) -> Subject:
    """Look a subject up by its id.

    Raises:
        NotFound: there is no such group or incident (any more).
    """
    if id.startswith(CHANNEL):
        return Subject(id=id)
    if id.startswith(_INCIDENT):
        return await _of_incident(context, await context.incidents.get(IncidentId(id)))
    return of_group(await context.alerts.get(GroupId(id)))


async def subject_in(context: PluginContext, channel: ChannelId) -> Subject:
    """Return what a channel is about: its incident, or else nothing but the channel."""
    incident = await context.incidents.of_channel(channel)
    if incident is None:
        return Subject(id=f"{CHANNEL}{channel}")
    return await _of_incident(context, incident)


def of_group(group: AlertGroup) -> Subject:
    """Return an alert group as a subject."""
    return Subject(
        id=group.id,
        query=query_of(group),
        service=group.service,
        incident=group.incident,
        group=group,
        labels=shared_labels(group),
    )


async def _of_incident(context: PluginContext, incident: Incident) -> Subject:
    """Take the first alert group of an incident along, since its labels fill parameters."""
    group = await _first_group(context, incident)
    services = (incident.service,) if incident.service else ()
    told = Query(text=" ".join((incident.title, *services)), services=services)
    return Subject(
        id=incident.id,
        query=query_of(group) if group else told,
        service=incident.service or None,
        incident=incident.id,
        group=group,
        labels=shared_labels(group) if group else {"service": incident.service},
    )


async def _first_group(context: PluginContext, incident: Incident) -> AlertGroup | None:
    for id in incident.groups:
        try:
            return await context.alerts.get(GroupId(id))
        except NotFound:
            continue
    return None
