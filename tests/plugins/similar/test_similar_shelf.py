"""What is known of past incidents: all of them after a restart, the newest word, links in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from typing_extensions import override

from bot.domain.documents import Found, Query
from bot.domain.events import IncidentChanged
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.messages import Form, Link
from bot.domain.people import ChannelId
from bot.domain.timeline import TimelineEntry
from bot.plugin import PluginContext
from bot.ports import MessageRef, Posted
from bot.search.encoder import EncoderUnavailable
from bot.search.engine import HybridSearch
from bot.services.incidents import IncidentService
from bot.services.timelines import TimelineService
from plugins.similar import shelf as shelves
from plugins.similar.plugin import Similar, SimilarSettings
from plugins.similar.stories import KINDS
from plugins.similar.views import SHOW
from tests.fakes import NOON
from tests.incident_records import INCIDENT
from tests.plugins.similar.past import hit
from tests.stage import Stage, stage_in

COUNT = 250


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as stage:
        yield stage


def ended(number: int) -> Incident:
    return replace(
        INCIDENT, id=IncidentId(f"INC-{number}"), number=number, title=f"Outage zq{number}x",
        status=IncidentStatus.RESOLVED, groups=(), channel=None,
        declared_at=NOON - timedelta(days=1), milestones=(),
    )  # fmt: skip


async def keep(stage: Stage, *incidents: Incident) -> None:
    async with stage.database.transaction() as tx:
        for incident in incidents:
            await tx.incidents.save(incident)


def changed(incident: Incident, change: str = "changed") -> IncidentChanged:
    return IncidentChanged(id="e", at=NOON, change=change, incident=incident)


def of(context: PluginContext) -> Similar:
    return Similar(SimilarSettings(), context)


async def rest_of(plugin: Similar) -> None:
    """Wait until all pages are read."""
    rest = plugin._shelf._rest
    if rest is not None:
        await asyncio.wait((rest,))


@asynccontextmanager
async def started(stage: Stage, **changes: Any) -> AsyncIterator[Similar]:
    plugin = of(replace(stage.context, **changes))
    await plugin.start()
    try:
        yield plugin
    finally:
        await plugin.stop()


class Slow(IncidentService):
    """Reads a second page only when it may."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.database, stage.clock)
        self.may, self.asked = asyncio.Event(), asyncio.Event()
        self.failure: Exception | None = None

    @override
    async def ended(self, *, below: int | None = None, limit: int = 200) -> Sequence[Incident]:
        page = await super().ended(below=below, limit=limit)
        if below is not None:
            self.asked.set()
            await self.may.wait()
            if self.failure is not None:
                raise self.failure
        return page


class SlowTimelines(TimelineService):
    """Reads the timeline of the oldest incident only when it may."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.database, stage.clock)
        self.may, self.asked = asyncio.Event(), asyncio.Event()

    @override
    async def of(self, incident: Incident) -> Sequence[TimelineEntry]:
        if incident.id == "INC-1":
            self.asked.set()
            await self.may.wait()
        return await super().of(incident)


def no_encoder(cache_directory: Path) -> Any:
    raise EncoderUnavailable("none in this test")


async def test_all_ended_incidents_are_found_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    search = HybridSearch(no_encoder, tmp_path)
    async with started(stage, search=search) as plugin:
        await rest_of(plugin)
        for number in range(1, COUNT + 1):
            found = await search.find(Query(text=f"zq{number}x"), kinds=KINDS, limit=1)
            assert [hit.document.id for hit in found.hits] == [f"INC-{number}"]
    await search.stop()


@pytest.mark.parametrize("count", (0, 1, 19, 20, 21, 40, 41))
async def test_no_incident_is_lost_between_pages(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(shelves, "PAGE", 20)
    monkeypatch.setattr(shelves, "_AT_ONCE", 3)
    await keep(stage, *map(ended, range(1, count + 1)))
    async with started(stage) as plugin:
        await rest_of(plugin)
        assert len(plugin._shelf) == len(stage.search.documents) == count


async def test_the_start_waits_for_the_newest_only(stage: Stage) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    slow = Slow(stage)
    async with started(stage, incidents=slow) as plugin:
        await slow.asked.wait()
        assert set(stage.search.documents) == {f"INC-{n}" for n in range(COUNT - 199, COUNT + 1)}
        slow.may.set()
        await rest_of(plugin)
        assert len(stage.search.documents) == COUNT


async def test_a_bot_that_stops_reads_no_further(stage: Stage) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    slow = Slow(stage)
    async with started(stage, incidents=slow) as plugin:
        await slow.asked.wait()
    rest = plugin._shelf._rest
    assert rest is not None
    assert rest.cancelled()
    assert len(stage.search.documents) == 200


async def test_a_page_that_cannot_be_read_is_logged_and_ends_nothing(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    slow = Slow(stage)
    slow.failure = OSError("disk gone")
    slow.may.set()
    with caplog.at_level(logging.ERROR):
        async with started(stage, incidents=slow) as plugin:
            await rest_of(plugin)
            await asyncio.sleep(0)
            assert len(plugin._shelf) == 200
    (record,) = caplog.records
    assert "older incidents could not be read" in record.message
    assert record.exc_info is not None
    assert record.exc_info[1] is slow.failure


async def test_what_happens_while_pages_are_read_is_the_newer_word(stage: Stage) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    slow = Slow(stage)
    async with started(stage, incidents=slow) as plugin:
        await slow.asked.wait()
        again = replace(ended(7), status=IncidentStatus.INVESTIGATING)
        renamed = replace(ended(8), title="A better title")
        await keep(stage, again, renamed)
        await plugin.on_incident(changed(again))
        await plugin.on_incident(changed(renamed))
        slow.may.set()
        await rest_of(plugin)
        assert "INC-7" not in stage.search.documents
        assert plugin._shelf.get("INC-7") is None
        assert stage.search.documents["INC-8"].title == "A better title"


async def test_an_extended_known_error_changes_the_stories_of_all_its_incidents(
    stage: Stage,
) -> None:
    await keep(stage, *map(ended, range(1, 5)))
    known, by = stage.context.known_errors, stage.by
    first = await known.propose(
        "The lock", "A lock stays.", "", incident=IncidentId("INC-1"), by=by(stage.dana)
    )
    for number in (2, 3):
        await known.link(first.id, IncidentId(f"INC-{number}"), by=by(stage.dana))
    async with started(stage) as plugin:
        more = "Only on Mondays."
        await known.extend(first.id, cause=more, incident=IncidentId("INC-3"), by=by(stage.dana))
        await plugin.on_incident(changed(ended(3), "known error extended"))
        documents = stage.search.documents
        assert [more in documents[f"INC-{n}"].text for n in range(1, 5)] == [1, 1, 1, 0]
        await known.unlink(first.id, IncidentId("INC-2"), by=by(stage.dana))
        await plugin.on_incident(changed(ended(2), "known error unlinked"))
        assert [more in documents[f"INC-{n}"].text for n in range(1, 5)] == [1, 0, 1, 0]


async def test_a_cause_named_while_an_incident_is_being_read_reaches_it(
    stage: Stage,
) -> None:
    await keep(stage, *map(ended, range(1, COUNT + 1)))
    known, slow = stage.context.known_errors, SlowTimelines(stage)
    first = await known.propose(
        "The lock", "A lock stays.", "", incident=IncidentId("INC-1"), by=stage.by(stage.dana)
    )
    async with started(stage, timelines=slow) as plugin:
        await slow.asked.wait()
        await known.extend(
            first.id, cause="Always.", incident=IncidentId("INC-240"), by=stage.by(stage.dana)
        )
        await plugin.on_incident(changed(ended(240), "known error extended"))
        slow.may.set()
        await rest_of(plugin)
        assert "Always." in stage.search.documents["INC-1"].text
        assert "Always." in stage.search.documents["INC-240"].text


# Links.


class Chat:
    """Knows links, as slowly as told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hangs = False

    async def link(self, ref: MessageRef) -> str:
        self.asked.append(ref.id)
        if self.hangs:
            await asyncio.Event().wait()
        return f"https://chat.example/{ref.id}"


@pytest.fixture
async def linked(stage: Stage) -> tuple[Stage, Chat]:
    """Three ended incidents whose cards stand, and are found for an alert."""
    await keep(stage, *map(ended, range(1, 4)))
    async with stage.database.transaction() as tx:
        for number in range(1, 4):
            channel = ChannelId("C1")
            ref = MessageRef(channel=channel, id=f"m{number}")
            posted = Posted(key=f"incident:INC-{number}", channel=channel, ref=ref, digest="")
            await tx.posted.save(posted)
    stage.search.found = Found(hits=tuple(hit(f"INC-{n}") for n in range(1, 4)), confidence=0.9)
    return stage, Chat()


async def links_in_the_view(stage: Stage, plugin: Similar) -> list[str]:
    group = await stage.fire()
    form = await stage.press(plugin, SHOW, by=stage.dana, value=group.id)
    spans = [s for part in cast(Form, form).parts for s in getattr(part, "spans", ())]
    return [span.url for span in spans if isinstance(span, Link)]


async def test_a_link_is_asked_for_once(linked: tuple[Stage, Chat]) -> None:
    stage, chat = linked
    async with started(stage, chat=chat) as plugin:
        wanted = [f"https://chat.example/m{n}" for n in (1, 2, 3)]
        assert await links_in_the_view(stage, plugin) == wanted
        assert await links_in_the_view(stage, plugin) == wanted
    assert sorted(chat.asked) == ["m1", "m2", "m3"]


async def test_a_view_does_not_wait_for_links_that_do_not_come(
    linked: tuple[Stage, Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, chat = linked
    monkeypatch.setattr(shelves, "_PATIENCE", 0.01)
    chat.hangs = True
    async with started(stage, chat=chat) as plugin:
        assert await links_in_the_view(stage, plugin) == []
        assert sorted(chat.asked) == ["m1", "m2", "m3"]  # at once, not one after another
        chat.hangs = False
        assert len(await links_in_the_view(stage, plugin)) == 3


async def test_a_claim_never_asks_for_a_link_and_shows_one_that_is_known(
    linked: tuple[Stage, Chat],
) -> None:
    stage, chat = linked
    group = await stage.fire()
    async with started(stage, chat=chat) as plugin:
        chat.hangs = True
        (finding,) = await plugin.findings(group)
        assert (finding.value, finding.evidence[0].url) == ("INC-1", "")
        assert chat.asked == []
        chat.hangs = False
        await plugin.on_incident(changed(ended(1), "closed"))
        (finding,) = await plugin.findings(group)
        assert finding.evidence[0].url == "https://chat.example/m1"
        assert chat.asked == ["m1"]


async def test_links_are_remembered_up_to_a_bound(
    linked: tuple[Stage, Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, chat = linked
    monkeypatch.setattr(shelves, "_MOST_LINKS", 2)
    async with started(stage, chat=chat) as plugin:
        await links_in_the_view(stage, plugin)
        assert len(plugin._shelf.links._known) == 2
