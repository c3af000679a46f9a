"""Emergencies in rows: used once whoever comes second, told to everybody, and looked back at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.alerts import Severity
from bot.domain.emergencies import BreakGlass, PreAuthorisation
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.people import Caller, Person, PersonId, Standing
from bot.domain.runs import Run, RunState
from bot.services.emergencies import EmergencyService
from bot.storage.sqlite import SqliteDatabase
from tests.domain.test_autonomy import lived
from tests.domain.test_emergencies import DANA, DANA_TOO, NOTE, PRIYA, WHY, page, standing
from tests.fakes import NOON, FakeClock
from tests.storage.opened import opened

INC = IncidentId("INC-1")
MARCUS = Person(id=PersonId("U3"), name="Marcus")
QUARTER = 15 * 60


class Stage:
    """A database with one grave incident, and the service of emergencies."""

    def __init__(self, database: SqliteDatabase, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.service = EmergencyService(database, clock)
        self.number = 0

    def caller(self, person: Person) -> Caller:
        self.number += 1
        return Caller(person=person, request=f"request-{self.number}")

    async def declare(self, **changes: Any) -> Incident:
        incident = Incident(
            id=INC,
            number=1,
            title="Checkout is down",
            severity=Severity.SEV1,
            status=IncidentStatus.INVESTIGATING,
            service="lamp",
            declared_by=DANA,
            declared_at=NOON,
        )
        incident = replace(incident, **changes)
        async with self.database.transaction() as tx:
            await tx.incidents.save(incident)
        return incident

    async def break_glass(self, by: Person = DANA, **changes: Any) -> BreakGlass:
        wish: dict[str, Any] = {
            "runbook": "light",
            "service": "lamp",
            "incident": INC,
            "typed": "light lamp",
            "reason": WHY,
            "by": self.caller(by),
        } | changes
        return await self.service.break_glass(wish.pop("runbook"), wish.pop("service"), **wish)

    async def ask(self, id: str, by: Person = DANA, **changes: Any) -> Run:
        """Store a run that is about to begin."""
        run = lived(id=id, state=RunState.APPROVED, begun=0, subject=f"group of {id}")
        run = replace(run, requester=by, incident=INC, **changes)
        async with self.database.transaction() as tx:
            await tx.runs.add(run, due_at=None)
        return run

    async def use(self, glass: BreakGlass, run: str) -> BreakGlass:
        async with self.database.transaction() as tx:
            return await self.service.use(tx, glass.id, run=run, at=self.clock.now())

    async def usable(
        self, by: Person = DANA, runbook: str = "light", service: str | None = "lamp"
    ) -> BreakGlass | None:
        async with self.database.reading() as view:
            return await self.service.usable(
                view, runbook=runbook, service=service, by=by, at=self.clock.now()
            )

    async def end(self, run: Run) -> None:
        async with self.database.transaction() as tx:
            await tx.runs.save(replace(run, state=RunState.SUCCEEDED), due_at=None)

    async def review(self, glass: BreakGlass, by: Person = PRIYA, note: str = NOTE) -> BreakGlass:
        return await self.service.review(glass.id, note=note, by=self.caller(by))

    async def propose(self, **changes: Any) -> PreAuthorisation:
        wish: dict[str, Any] = {
            "days": 30,
            "reason": WHY,
            "by": self.caller(DANA),
            "standing": standing(DANA, "lamps-oncall"),
            "team": "lamps",
        }
        return await self.service.authorise(page(), "lamp", **(wish | changes))

    async def confirm(
        self, id: str, by: Standing | None = None, editors: tuple[PersonId, ...] = ()
    ) -> PreAuthorisation:
        by = by or standing(PRIYA, "lamps")
        return await self.service.confirm(
            id, by=self.caller(by.person), standing=by, editors=editors
        )

    async def covering(
        self, digest: str = "0" * 64, service: str | None = "lamp", at: datetime | None = None
    ) -> PreAuthorisation | None:
        async with self.database.reading() as view:
            return await self.service.covering(
                view, runbook_digest=digest, service=service, at=at or self.clock.now()
            )

    async def entries(self) -> list[dict[str, Any]]:
        found = await self.database.archive.entries()
        return [json.loads(e.leaf) | {"body": json.loads(e.body or b"{}")} for e in found]

    async def told(self) -> list[tuple[str, str, str]]:
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.clock.now() + timedelta(days=1), limit=100)
        return [(q.happening.kind, q.happening.subject, q.happening.change) for q in due]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        stage = Stage(database, clock)
        await stage.declare()
        yield stage
        assert (await database.archive.verify()).ok


# Breaking the glass.


async def test_a_broken_glass_is_in_the_ledger_on_the_timeline_and_told(stage: Stage) -> None:
    glass = await stage.break_glass()
    (entry,) = await stage.entries()
    assert entry["type"] == "glass.broken"
    assert (entry["incident"], entry["idem_key"]) == (INC, glass.id)
    assert entry["actor_ref"] not in ("person:U1", "Dana")
    body = entry["body"]
    assert (body["actor"], body["runbook"], body["service"]) == ("person:U1", "light", "lamp")
    assert body["reason"] == WHY
    assert await stage.told() == [("governance", f"glass:{glass.id}", "broken")]
    async with stage.database.reading() as view:
        (told,) = await view.timeline.of([INC])
    assert told.sentence == f"Dana broke the glass for light lamp: {WHY}"


async def test_what_was_not_typed_breaks_nothing(stage: Stage) -> None:
    for typed in ("", "light", "light stove", "lamp light", "LIGHT\nLAMP"):
        with pytest.raises(Refused, match="type exactly: light lamp"):
            await stage.break_glass(typed=typed)
    assert await stage.service.all() == []
    assert await stage.entries() == []
    assert await stage.told() == []


async def test_a_run_on_no_service_has_a_glass_of_its_own(stage: Stage) -> None:
    for service in (None, "", "-"):
        glass = await stage.break_glass(service=service, typed="Light -")
        assert glass.service == ""
    assert await stage.usable(service=None)
    assert await stage.usable(service="lamp") is None


async def test_the_severity_counts_as_it_is_at_that_moment(stage: Stage) -> None:
    await stage.declare(severity=Severity.SEV3)
    with pytest.raises(Refused, match="sev1 or sev2"):
        await stage.break_glass()
    await stage.declare(severity=Severity.SEV2)
    assert (await stage.break_glass()).incident == INC


@pytest.mark.parametrize("status", (IncidentStatus.RESOLVED, IncidentStatus.CLOSED))
async def test_when_the_incident_is_over_there_is_no_emergency(
    stage: Stage, status: IncidentStatus
) -> None:
    await stage.declare(status=status)
    with pytest.raises(Refused, match="no emergency"):
        await stage.break_glass()


async def test_without_an_incident_there_is_no_emergency(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.break_glass(incident=IncidentId("INC-99"))


async def test_the_same_request_twice_breaks_one_glass(stage: Stage) -> None:
    caller = stage.caller(DANA)

    async def once() -> BreakGlass:
        return await stage.service.break_glass(
            "light", "lamp", incident=INC, typed="light lamp", reason=WHY, by=caller
        )

    await once()
    with pytest.raises(AlreadyDone):
        await once()
    assert len(await stage.service.all()) == 1
    assert len(await stage.told()) == 1


# Using it.


async def test_it_stands_in_for_its_person_and_its_target_only(stage: Stage) -> None:
    glass = await stage.break_glass()
    assert await stage.usable() == glass
    assert await stage.usable(DANA_TOO) == glass
    assert await stage.usable(PRIYA) is None
    assert await stage.usable(runbook="dark") is None
    assert await stage.usable(service="stove") is None
    assert await stage.usable(service=None) is None


async def test_it_expires_after_fifteen_minutes_to_the_second(stage: Stage) -> None:
    glass = await stage.break_glass()
    await stage.ask("r1")
    stage.clock.advance(seconds=QUARTER - 1)
    assert await stage.usable() == glass
    stage.clock.advance(seconds=1)
    assert await stage.usable() is None
    with pytest.raises(Refused, match="expired"):
        await stage.use(glass, "r1")
    stage.clock.advance(seconds=-1e-6)
    assert (await stage.use(glass, "r1")).run == "r1"


async def test_of_several_the_one_that_expires_first_is_used_first(stage: Stage) -> None:
    first = await stage.break_glass()
    stage.clock.advance(seconds=60)
    second = await stage.break_glass()
    assert await stage.usable() == first
    await stage.ask("r1")
    await stage.use(first, "r1")
    assert await stage.usable() == second


async def test_a_glass_is_used_once_and_that_is_told(stage: Stage) -> None:
    glass = await stage.break_glass()
    for id in ("r1", "r2"):
        await stage.ask(id)
    used = await stage.use(glass, "r1")
    assert (used.run, used.used_at) == ("r1", NOON)
    for run in ("r2", "r1"):
        with pytest.raises(Refused, match="used already"):
            await stage.use(glass, run)
    assert await stage.usable() is None
    assert [e["type"] for e in await stage.entries()] == ["glass.broken", "glass.used"]
    entry = (await stage.entries())[-1]
    assert (entry["idem_key"], entry["body"]["run"]) == (glass.id, "r1")
    assert (await stage.told())[-1] == ("governance", f"glass:{glass.id}", "used")


async def test_of_two_runs_that_begin_together_exactly_one_uses_it(stage: Stage) -> None:
    for number in range(20):
        glass = await stage.break_glass()
        runs = [f"r{number}-{n}" for n in range(4)]
        for run in runs:
            await stage.ask(run)
        ends = await asyncio.gather(*(stage.use(glass, r) for r in runs), return_exceptions=True)
        won = [end for end in ends if isinstance(end, BreakGlass)]
        lost = [end for end in ends if isinstance(end, Refused)]
        assert (len(won), len(lost)) == (1, 3)
        (kept,) = [g for g in await stage.service.all() if g.id == glass.id]
        assert kept == won[0]
    types = [e["type"] for e in await stage.entries()]
    assert types.count("glass.used") == types.count("glass.broken") == 20


async def test_a_beginning_that_breaks_off_leaves_the_glass_usable(stage: Stage) -> None:
    glass = await stage.break_glass()
    await stage.ask("r1")

    async def breaks_off() -> None:
        async with stage.database.transaction() as tx:
            await stage.service.use(tx, glass.id, run="r1", at=NOON)
            raise Refused("a freeze is about to begin")

    with pytest.raises(Refused, match="a freeze"):
        await breaks_off()
    assert await stage.usable() == glass
    assert [e["type"] for e in await stage.entries()] == ["glass.broken"]


async def test_a_run_that_the_glass_was_not_broken_for_does_not_use_it(stage: Stage) -> None:
    glass = await stage.break_glass()
    await stage.ask("other person", by=PRIYA)
    await stage.ask("other service", service="stove")
    await stage.ask("other page", runbook="dark")
    for run in ("other person", "other service", "other page"):
        with pytest.raises(Refused, match="something else"):
            await stage.use(glass, run)
    with pytest.raises(NotFound):
        await stage.use(glass, "unknown")
    with pytest.raises(NotFound):
        await stage.use(replace(glass, id="unknown"), "other person")
    assert await stage.usable() == glass


# Looking back.


async def test_somebody_else_reviews_it_when_its_run_is_over(stage: Stage) -> None:
    glass = await stage.break_glass()
    run = await stage.ask("r1")
    with pytest.raises(Refused, match="still be used"):
        await stage.review(glass)
    await stage.use(glass, "r1")
    with pytest.raises(Refused, match="still under way"):
        await stage.review(glass)
    await stage.end(run)
    for by in (DANA, DANA_TOO):
        with pytest.raises(Refused, match="Somebody else"):
            await stage.review(glass, by)
    reviewed = await stage.review(glass)
    assert (reviewed.reviewer, reviewed.review, reviewed.run) == (PRIYA, NOTE, "r1")
    with pytest.raises(Refused, match="already"):
        await stage.review(glass, MARCUS)
    last = (await stage.entries())[-1]
    assert (last["type"], last["idem_key"]) == ("glass.reviewed", glass.id)
    assert (last["body"]["actor"], last["body"]["reason"]) == ("person:U2", NOTE)
    assert await stage.service.open_reviews(stage.clock.now()) == []


async def test_an_overdue_review_blocks_that_human_being_and_nobody_else(stage: Stage) -> None:
    glass = await stage.break_glass(DANA)
    stage.clock.set(glass.review_by - timedelta(seconds=1))
    await stage.break_glass(DANA_TOO)
    stage.clock.set(glass.review_by)
    for by in (DANA, DANA_TOO):
        with pytest.raises(Refused, match="overdue"):
            await stage.break_glass(by)
    await stage.break_glass(PRIYA)
    await stage.review(glass, MARCUS)
    await stage.break_glass(DANA)


async def test_a_glass_broken_before_still_serves_when_a_review_becomes_overdue(
    stage: Stage,
) -> None:
    first = await stage.break_glass()
    stage.clock.set(first.review_by - timedelta(seconds=60))
    second = await stage.break_glass()
    stage.clock.set(first.review_by)
    await stage.ask("r1")
    assert (await stage.use(second, "r1")).run == "r1"


async def test_open_reviews_begin_with_what_is_overdue(stage: Stage) -> None:
    first = await stage.break_glass(DANA)
    stage.clock.advance(seconds=60)
    second = await stage.break_glass(PRIYA)
    stage.clock.set(first.review_by)
    third = await stage.break_glass(MARCUS)
    now = stage.clock.now()
    waiting = await stage.service.open_reviews(now)
    assert [g.id for g in waiting] == [first.id, second.id, third.id]
    assert [g.overdue(now) for g in waiting] == [True, True, False]
    assert [g.id for g in await stage.service.all()] == [third.id, second.id, first.id]
    await stage.review(first, PRIYA)
    assert [g.id for g in await stage.service.open_reviews(now)] == [second.id, third.id]


async def test_nothing_is_lost_over_a_restart(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as database:
        stage = Stage(database, clock)
        await stage.declare()
        glass = await stage.break_glass()
        proposal = await stage.propose()
        given = await stage.confirm(proposal.id)
    async with opened(tmp_path, clock) as database:
        stage = Stage(database, clock)
        assert await stage.usable() == glass
        assert await stage.covering() == given


# Standing authorisations.


async def test_two_people_give_an_authorisation_and_both_are_in_the_ledger(stage: Stage) -> None:
    proposal = await stage.propose()
    assert await stage.covering() is None
    given = await stage.confirm(proposal.id)
    assert await stage.covering() == given
    first, second = await stage.entries()
    assert (first["type"], second["type"]) == ("authorisation.proposed", "authorisation.given")
    assert first["idem_key"] == second["idem_key"] == proposal.id
    assert second["on_behalf_of"] == first["actor_ref"] != second["actor_ref"]
    assert second["body"]["expires_at"] == (NOON + timedelta(days=30)).isoformat()
    assert second["body"]["runbook_digest"] == "0" * 64
    subject = f"authorisation:{proposal.id}"
    assert await stage.told() == [
        ("governance", subject, "proposed"),
        ("governance", subject, "given"),
    ]


async def test_an_edited_page_another_service_and_another_time_are_not_covered(
    stage: Stage,
) -> None:
    given = await stage.confirm((await stage.propose()).id)
    assert await stage.covering("1" * 64) is None
    assert await stage.covering(service="stove") is None
    assert await stage.covering(service=None) is None
    assert await stage.covering(at=given.expires_at - timedelta(microseconds=1)) == given
    assert await stage.covering(at=given.expires_at) is None
    assert await stage.covering(at=NOON - timedelta(microseconds=1)) is None


async def test_the_proposer_the_editor_and_strangers_to_the_team_do_not_give_it(
    stage: Stage,
) -> None:
    proposal = await stage.propose()
    for by, editors in (
        (standing(DANA, "lamps"), ()),
        (standing(DANA_TOO, "lamps"), ()),
        (standing(PRIYA, "lamps"), (PRIYA.id,)),
        (standing(PRIYA, "web-oncall"), ()),
    ):
        with pytest.raises(Refused):
            await stage.confirm(proposal.id, by, editors)
    assert await stage.covering() is None
    assert [e["type"] for e in await stage.entries()] == ["authorisation.proposed"]


async def test_of_two_who_give_it_together_one_does(stage: Stage) -> None:
    proposal = await stage.propose()
    ends = await asyncio.gather(
        *(stage.confirm(proposal.id, standing(p, "lamps")) for p in (PRIYA, MARCUS)),
        return_exceptions=True,
    )
    assert sorted(type(end).__name__ for end in ends) == ["PreAuthorisation", "Refused"]
    assert len(await stage.entries()) == 2


async def test_anyone_of_the_workspace_revokes_it_at_once(stage: Stage) -> None:
    given = await stage.confirm((await stage.propose()).id)
    revoked = await stage.service.revoke(given.id, by=stage.caller(MARCUS))
    assert (revoked.revoked_by, revoked.revoked_at) == (MARCUS, NOON)
    assert await stage.covering() is None
    with pytest.raises(Refused, match="ended already"):
        await stage.service.revoke(given.id, by=stage.caller(MARCUS))
    assert (await stage.entries())[-1]["type"] == "authorisation.revoked"
    assert await stage.service.authorisations() == [revoked]


async def test_an_earlier_one_that_ended_does_not_hide_one_in_force(stage: Stage) -> None:
    first = await stage.confirm((await stage.propose(days=1)).id)
    stage.clock.advance(seconds=60)
    second = await stage.confirm((await stage.propose()).id)
    assert await stage.covering() == second
    await stage.service.revoke(second.id, by=stage.caller(PRIYA))
    assert await stage.covering() == first


async def test_what_is_not_known_is_said_to_be_so(stage: Stage) -> None:
    with pytest.raises(NotFound):
        await stage.confirm("unknown")
    with pytest.raises(NotFound):
        await stage.service.revoke("unknown", by=stage.caller(PRIYA))
    with pytest.raises(NotFound):
        await stage.service.review("unknown", note=NOTE, by=stage.caller(PRIYA))


async def test_who_may_not_propose_leaves_no_trace(stage: Stage) -> None:
    for by in (standing(DANA), standing(DANA, "web-oncall")):
        with pytest.raises(Refused, match="on call for lamps"):
            await stage.propose(standing=by)
    assert await stage.service.authorisations() == []
    assert await stage.entries() == []
