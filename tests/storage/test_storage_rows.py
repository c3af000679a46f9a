from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bot.domain.alerts import GroupId
from bot.domain.deliveries import Delivery, DeliveryState
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import NotFound, Stale
from bot.domain.events import Happening
from bot.domain.incidents import IncidentId, IncidentStatus, Milestone, MilestoneKind, reach
from bot.domain.people import ChannelId
from bot.domain.runs import RunId
from bot.domain.switches import Halt
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import MessageRef, Posted, SignedCheckpoint
from tests import incident_records as records
from tests.fakes import NOON
from tests.storage.conftest import Opening
from tests.storage.stores import Store

EAST = timezone(timedelta(hours=9))


async def test_times_come_back_in_utc_whatever_zone_they_had(store: Store) -> None:
    there = datetime(2026, 11, 20, 21, 0, tzinfo=EAST)
    delivery = Delivery(id="d", source="s", received_at=there, body=b"\0\xff", headers={"a": "é"})
    group = replace(records.GROUP, first_seen=there)
    async with store.transaction() as tx:
        await tx.deliveries.add(delivery)
        await tx.groups.save(group)
        await tx.timeline.add(TimelineEntry(subject="x", at=there, kind=TimelineKind.NOTE, text=""))
        await tx.switches.pull(Halt(by="person:U1", at=there, reason="drill"))
    async with store.reading() as view:
        found = await view.deliveries.get("d")
        [told] = await view.timeline.of(["x"])
        [halt] = await view.switches.pulled()
        seen = (await view.groups.get(group.id)).first_seen
    assert found == replace(delivery, received_at=NOON)
    assert halt is not None
    assert seen == NOON
    for at in (found.received_at, told.at, halt.at):
        assert at == NOON
        assert at.utcoffset() == timedelta()


async def test_groups_come_back_as_they_were(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.groups.save(records.GROUP)
    async with store.reading() as view:
        assert await view.groups.get(records.GROUP.id) == records.GROUP
        latest = await view.groups.latest(records.GROUP.source, records.GROUP.group_key)
        assert latest == records.GROUP
        assert await view.groups.latest("elsewhere", records.GROUP.group_key) is None
        with pytest.raises(NotFound):
            await view.groups.get(GroupId("nothing"))


async def test_the_newest_story_of_a_key_is_the_latest(store: Store) -> None:
    async with store.transaction() as tx:
        for hours in (0, 2, 1):
            at = NOON + timedelta(hours=hours)
            await tx.groups.save(replace(records.GROUP, id=GroupId(f"g{hours}"), first_seen=at))
    async with store.reading() as view:
        latest = await view.groups.latest(records.GROUP.source, records.GROUP.group_key)
    assert latest is not None
    assert latest.id == "g2"


async def test_deliveries_are_found_by_what_became_of_them(store: Store) -> None:
    async with store.transaction() as tx:
        for number in range(3):
            at = NOON - timedelta(minutes=number)
            await tx.deliveries.add(
                Delivery(id=f"d{number}", source="s", received_at=at, body=b"", headers={})
            )
        await tx.deliveries.mark("d1", DeliveryState.QUARANTINED, "why")
    async with store.reading() as view:
        assert [d.id for d in await view.deliveries.find(DeliveryState.TAKEN)] == ["d2", "d0"]
        [kept] = await view.deliveries.find(DeliveryState.QUARANTINED)
        assert (kept.id, kept.reason) == ("d1", "why")
        with pytest.raises(NotFound, match="no delivery d9"):
            await view.deliveries.get("d9")


async def test_a_milestone_is_never_changed(store: Store) -> None:
    before = replace(records.INCIDENT, milestones=())
    first = Milestone(kind=MilestoneKind.DETECTED, at=NOON, by="system")
    forged = replace(first, at=NOON - timedelta(hours=1), by="person:U9")
    async with store.transaction() as tx:
        await tx.incidents.save(reach(before, first))
    async with store.transaction() as tx:
        await tx.incidents.save(reach(before, forged))
        await tx.incidents.save(before)
    async with store.reading() as view:
        assert (await view.incidents.get(before.id)).milestones == (first,)


async def test_incidents_are_found_by_room_and_by_being_open(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.incidents.next_number() == 1
        for number in (1, 2):
            incident = replace(
                records.INCIDENT,
                id=IncidentId(f"INC-{number}"),
                number=number,
                channel=ChannelId(f"C{number}"),
            )
            await tx.incidents.save(incident)
        assert await tx.incidents.next_number() == 3
    async with store.reading() as view:
        found = await view.incidents.of_channel(ChannelId("C2"))
        assert found is not None
        assert found.id == "INC-2"
        assert await view.incidents.of_channel(ChannelId("C9")) is None
        assert [i.number for i in await view.incidents.recent()] == [2, 1]
        assert [i.id for i in await view.incidents.open()] == [
            i.id for i in await view.incidents.recent() if i.status.open
        ]


async def test_ended_incidents_are_read_in_pages_with_their_milestones(store: Store) -> None:
    moved = Milestone(kind=MilestoneKind.DETECTED, at=NOON, by="system")
    async with store.transaction() as tx:
        for number in range(1, 8):
            ended = IncidentStatus.CLOSED if number == 6 else IncidentStatus.RESOLVED
            status = IncidentStatus.MONITORING if number in (3, 5) else ended
            at = replace(moved, at=NOON + timedelta(minutes=number))
            later = replace(moved, kind=MilestoneKind.RESOLVED, at=NOON + timedelta(days=number))
            incident = replace(
                records.INCIDENT, id=IncidentId(f"INC-{number}"), number=number,
                channel=None, status=status, milestones=(later, at),
            )  # fmt: skip
            await tx.incidents.save(incident)
    async with store.reading() as view:
        pages = [await view.incidents.ended(limit=3)]
        for _ in range(2):
            pages.append(await view.incidents.ended(below=pages[-1][-1].number, limit=3))
        one_by_one = [await view.incidents.get(i.id) for page in pages for i in page]
    assert [[i.number for i in page] for page in pages] == [[7, 6, 4], [2, 1], []]
    assert [i for page in pages for i in page] == one_by_one
    assert [m.at for m in one_by_one[-1].milestones] == [
        NOON + timedelta(minutes=1), NOON + timedelta(days=1),
    ]  # fmt: skip


async def test_one_origin_is_on_a_timeline_once(store: Store) -> None:
    entry = TimelineEntry(
        subject="INC-1", at=NOON, kind=TimelineKind.PIN, text="look", origin="slack:C1:1.2"
    )
    async with store.transaction() as tx:
        assert await tx.timeline.add(entry) is True
        assert await tx.timeline.add(replace(entry, text="again")) is False
        assert await tx.timeline.add(replace(entry, subject="INC-2")) is True
        plain = replace(entry, origin="", text="plain", at=NOON - timedelta(minutes=1))
        assert await tx.timeline.add(plain) is True
        assert await tx.timeline.add(plain) is True
    async with store.reading() as view:
        told = await view.timeline.of(["INC-1"])
    assert [e.text for e in told] == ["plain", "plain", "look"]
    assert told[-1] == entry


async def test_messages_are_found_by_key_and_by_place(store: Store) -> None:
    channel = ChannelId("C1")
    begun = Posted(key="k", channel=channel, ref=None, digest="begun")
    ref = MessageRef(channel=channel, id="1.2")
    async with store.transaction() as tx:
        await tx.posted.save(begun)
        assert await tx.posted.get("k") == begun
        await tx.posted.save(replace(begun, ref=ref, digest="d"))
    async with store.reading() as view:
        assert await view.posted.get("k") == replace(begun, ref=ref, digest="d")
        assert await view.posted.get("other") is None


async def test_the_kill_switch_is_pulled_and_released(store: Store) -> None:
    halt = Halt(by="person:U1", at=NOON, reason="drill")
    async with store.transaction() as tx:
        assert await tx.switches.pulled() == []
        await tx.switches.pull(halt)
        await tx.switches.pull(replace(halt, reason="again"))
        assert await tx.switches.pulled() == [replace(halt, reason="again")]
        await tx.switches.release("global")
        assert await tx.switches.pulled() == []
        assert await tx.switches.epoch() == 3


async def test_events_are_due_in_their_order_until_done(store: Store) -> None:
    happening = Happening(kind="alert", subject="g", change="opened", at=NOON)
    async with store.transaction() as tx:
        for number in range(4):
            await tx.outbox.add(replace(happening, subject=f"g{number}"))
    async with store.transaction() as tx:
        due = await tx.outbox.due(now=NOON, limit=10)
        assert [q.happening.subject for q in due] == ["g0", "g1", "g2", "g3"]
        later = NOON + timedelta(seconds=2)
        await tx.outbox.done(due[0].id)
        await tx.outbox.retry(due[1].id, heard={"b", "a"}, due_at=later, reason="r" * 900)
        await tx.outbox.retry(due[2].id, heard=(), due_at=None, reason="given up")
    async with store.reading() as view:
        now = await view.outbox.due(now=NOON, limit=10)
        then = await view.outbox.due(now=NOON + timedelta(days=1), limit=10)
        assert await view.outbox.due(now=NOON - timedelta(seconds=1), limit=10) == []
        assert len(await view.outbox.due(now=later, limit=1)) == 1
    assert [q.happening.subject for q in now] == ["g3"]
    assert [(q.happening.subject, q.heard, q.attempts) for q in then] == [
        ("g1", frozenset({"a", "b"}), 1),
        ("g3", frozenset(), 0),
    ]


# Runs.


async def test_a_run_is_claimed_by_one_of_many_workers_on_two_databases(
    open_store: Opening,
) -> None:
    async with open_store() as one, open_store() as other:
        async with one.transaction() as tx:
            await tx.runs.add(records.RUN, due_at=NOON)

        async def claim(store: Store, worker: str) -> bool:
            async with store.transaction() as tx:
                return await tx.runs.claim(now=NOON, lease=15, worker=worker) is not None

        work = [claim(database, f"w{n}") for n in range(20) for database in (one, other)]
        assert sum(await asyncio.gather(*work)) == 1


async def test_a_run_is_claimed_again_only_after_its_lease(store: Store) -> None:
    run = records.RUN
    async with store.transaction() as tx:
        await tx.runs.add(run, due_at=NOON)
        assert await tx.runs.claim(now=NOON - timedelta(seconds=1), lease=15, worker="a") is None
        first = await tx.runs.claim(now=NOON, lease=15, worker="a")
        assert first is not None
        assert first.run == run
        soon = NOON + timedelta(seconds=14)
        assert await tx.runs.claim(now=soon, lease=15, worker="b") is None
        assert await tx.runs.extend(run.id, fence=first.fence, until=soon + timedelta(seconds=15))
        late = NOON + timedelta(seconds=16)
        assert await tx.runs.claim(now=late, lease=15, worker="b") is None
        second = await tx.runs.claim(now=late + timedelta(seconds=14), lease=15, worker="b")
    assert second is not None
    assert second.fence > first.fence
    async with store.transaction() as tx:
        with pytest.raises(Stale):
            await tx.runs.save(run, due_at=NOON, fence=first.fence)
        with pytest.raises(Stale):
            await tx.runs.keep(run, fence=first.fence)
        assert not await tx.runs.extend(run.id, fence=first.fence, until=late)
        await tx.runs.keep(replace(run, reason="held"), fence=second.fence)
        assert await tx.runs.claim(now=late, lease=15, worker="c") is None
        await tx.runs.save(replace(run, reason="let go"), due_at=late, fence=second.fence)
        assert not await tx.runs.extend(run.id, fence=second.fence, until=late)
        third = await tx.runs.claim(now=late, lease=15, worker="c")
    assert third is not None
    assert third.run.reason == "let go"


async def test_a_run_without_a_time_waits_for_someone_to_wake_it(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.runs.add(records.RUN, due_at=None)
        far = NOON + timedelta(days=900)
        assert await tx.runs.claim(now=far, lease=1, worker="a") is None
        await tx.runs.save(records.RUN, due_at=NOON)
        assert await tx.runs.claim(now=NOON, lease=1, worker="a") is not None
        with pytest.raises(NotFound):
            await tx.runs.get(RunId("nothing"))


async def test_a_slot_is_taken_once_on_two_databases(open_store: Opening) -> None:
    async with open_store() as one, open_store() as other:

        async def take(store: Store) -> bool:
            async with store.transaction() as tx:
                return await tx.slots.take("job", NOON.astimezone(UTC).isoformat())

        results = await asyncio.gather(*(take(d) for _ in range(10) for d in (one, other)))
        assert sum(results) == 1


# What governs.


async def test_checkpoints_and_receipts_come_back_in_their_order(store: Store) -> None:
    def checkpoint(size: int, origin: str = "log") -> SignedCheckpoint:
        at = NOON + timedelta(seconds=min(size, 99))
        return SignedCheckpoint(origin=origin, size=size, root=b"\0\xff", note=b"n\n", at=at)

    async with store.transaction() as tx:
        for size in (2**40, 1, 7):
            await tx.checkpoints.add(checkpoint(size))
        await tx.checkpoints.add(replace(checkpoint(7), note=b"forged"))
        await tx.checkpoints.add(checkpoint(3, "other"))
        await tx.checkpoints.anchored("file", size=7, receipt=b"\x01", at=NOON)
        await tx.checkpoints.anchored("file", size=7, receipt=b"\x02", at=NOON)
    async with store.reading() as view:
        assert [c.size for c in await view.checkpoints.all()] == [1, 3, 7, 2**40]
        assert await view.checkpoints.newest("log") == checkpoint(2**40)
        assert await view.checkpoints.newest("nothing") is None
        [receipt] = await view.checkpoints.receipts()
        assert (receipt.anchor, receipt.size, receipt.receipt) == ("file", 7, b"\x01")


async def test_small_records_are_kept_by_kind_and_key(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.reservations.add("b", "first")
        assert not await tx.reservations.add("b", "second")
        await tx.reservations.save("A", "upper")
        await tx.reservations.save("a", "lower")
        await tx.reservations.save("a", "again")
        await tx.keys.save("a", "of another kind")
        await tx.keys.remove("b")
    async with store.reading() as view:
        assert await view.reservations.all() == {"A": "upper", "a": "again", "b": "first"}
        assert await view.reservations.get("B") is None


async def test_effects_are_found_since_they_were_intended(store: Store) -> None:
    intent = EffectRecord(
        key="r:one", run=RunId("r"), uses="lamp.on@1", arguments={"n": 1.5, "é": None},
        state=EffectState.INTENDED, intended_at=NOON,
    )  # fmt: skip
    done = replace(intent, state=EffectState.SUCCEEDED, ended_at=NOON, summary="done", value=0.1)
    async with store.transaction() as tx:
        await tx.effects.save(replace(intent, key="r:two", intended_at=NOON + timedelta(hours=1)))
        await tx.effects.save(intent)
        await tx.effects.save(done)
        assert await tx.effects.get("r:one") == done
        found = await tx.effects.since(NOON - timedelta(microseconds=1))
        assert [e.key for e in found] == ["r:one", "r:two"]
        assert [e.key for e in await tx.effects.since(NOON)] == ["r:two"]


async def test_a_run_that_is_claimed_passes_over_those_that_are_held(store: Store) -> None:
    runs = [replace(records.RUN, id=RunId(f"run{n}")) for n in range(4)]
    async with store.transaction() as tx:
        for n, run in enumerate(runs):
            await tx.runs.add(run, due_at=NOON - timedelta(seconds=n))
        claimed = []
        for held in ({runs[3].id}, {runs[3].id, runs[2].id, runs[0].id}):
            claim = await tx.runs.claim(now=NOON, lease=5, worker="w", but=held)
            assert claim is not None
            claimed.append(claim.run.id)
    assert claimed == ["run2", "run1"]


async def test_a_plan_that_was_changed_in_the_store_is_another(store: Store) -> None:
    """Plans are taken up again while they are equal; an edit behind our back must show."""
    assert records.RUN.plan is not None
    async with store.transaction() as tx:
        await tx.runs.add(records.RUN, due_at=None)
    async with store.reading() as view:
        first = (await view.runs.get(records.RUN.id)).plan
        assert (await view.runs.get(records.RUN.id)).plan is first
    async with store.transaction() as tx:
        changed = replace(records.RUN.plan, policy_digest="f" * 64)
        await tx.runs.save(replace(records.RUN, plan=changed), due_at=None)
    async with store.reading() as view:
        plan = (await view.runs.get(records.RUN.id)).plan
    assert plan == changed
    assert plan is not None
    assert plan.digest == changed.digest != records.RUN.plan.digest
