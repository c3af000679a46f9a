"""Known errors on the real database: one for each cause, linked once, told and on the record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.alerts import Change
from bot.domain.documents import Kind, Outcome
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.incidents import IncidentId, IncidentStatus
from bot.domain.known_errors import (
    TEXT_LENGTH,
    TITLE_LENGTH,
    KnownError,
    KnownErrorState,
    TitleTaken,
    Unusable,
    is_named,
    with_named,
)
from bot.domain.people import BOT, Caller, Person, PersonId
from bot.services.known_errors import KnownErrorService
from tests.fakes import FakeClock
from tests.incident_records import GROUP, INCIDENT, SIMILAR
from tests.storage.opened import opened
from tests.storage.stores import Store, connected, postgres

DANA = Person(id=PersonId("U1"), name="Dana")
OUTSIDERS = (
    Person(id=PersonId("U7"), name="a guest", guest=True),
    Person(id=PersonId("U8"), name="a stranger", stranger=True),
    Person(id=PersonId("U9"), name="who has left", active=False),
)
ONE, TWO, THREE = (IncidentId(f"INC-{number}") for number in (1, 2, 3))
TITLE = "The order worker hangs"
CAUSE = "A lock is not let go when the payment provider times out."
WORKAROUND = "Restart the worker."


class Desk:
    """The service among three incidents, of which the first has an alert group."""

    def __init__(self, database: Store, clock: FakeClock) -> None:
        self.database, self.clock = database, clock
        self.service = KnownErrorService(database, clock)
        self.requests = 0

    async def furnish(self) -> None:
        async with self.database.transaction() as tx:
            await tx.groups.save(replace(GROUP, findings=(SIMILAR,)))
            await tx.incidents.save(INCIDENT)
            for number in (2, 3):
                other = replace(INCIDENT, id=IncidentId(f"INC-{number}"), number=number, groups=())
                await tx.incidents.save(replace(other, service=f"service-{number}"))

    def by(self, person: Person = DANA) -> Caller:
        self.requests += 1
        return Caller(person=person, request=f"r{self.requests}")

    async def propose(self, title: str = TITLE, incident: IncidentId = ONE) -> KnownError:
        return await self.service.propose(
            title, CAUSE, WORKAROUND, services=["shop"], incident=incident, by=self.by()
        )

    async def told(self, incident: IncidentId = ONE) -> list[str]:
        async with self.database.reading() as view:
            return [entry.sentence for entry in await view.timeline.of([incident])]

    async def happenings(self) -> list[tuple[str, str]]:
        async with self.database.reading() as view:
            due = await view.outbox.due(now=self.clock.now(), limit=999)
        return [(queued.happening.subject, queued.happening.change) for queued in due]

    async def entries(self) -> list[tuple[dict[str, object], dict[str, object]]]:
        """Return the headers and bodies of the ledger."""
        sealed = await self.database.archive.entries(before=None, limit=999, newest_first=False)
        return [(json.loads(row.leaf), json.loads(row.body or b"{}")) for row in sealed]

    async def types(self) -> list[object]:
        return [header["type"] for header, _ in await self.entries()]

    async def notes(self) -> list[str]:
        async with self.database.reading() as view:
            group = await view.groups.get(GROUP.id)
        return [finding.claim for finding in group.findings]


@asynccontextmanager
async def desk_in(folder: Path) -> AsyncIterator[Desk]:
    clock = FakeClock()
    async with opened(folder, clock) as database:
        desk = Desk(database, clock)
        await desk.furnish()
        yield desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk_in(tmp_path) as desk:
        yield desk


async def test_a_new_cause_is_kept_told_and_recorded(desk: Desk) -> None:
    known = await desk.propose("  The order\nworker  hangs ")
    assert (known.id, known.title, known.cause) == ("KE-1", TITLE, CAUSE)
    assert known.services == ("shop", "checkout")
    assert (known.incidents, known.by, known.version) == ((ONE,), "person:U1", 1)
    assert await desk.service.get("KE-1") == known
    assert await desk.told() == [
        "Dana named the cause: new known error KE-1 “The order worker hangs”"
    ]
    assert ("INC-1", "known error proposed") in await desk.happenings()
    ((header, body),) = await desk.entries()
    assert (header["type"], header["incident"]) == ("known_error.proposed", "INC-1")
    assert "U1" not in json.dumps(header)
    assert (body["known_error"], body["cause"], body["workaround"]) == ("KE-1", CAUSE, WORKAROUND)
    assert (await desk.database.archive.verify()).ok


async def test_the_same_request_proposes_once(desk: Desk) -> None:
    caller = desk.by()
    await desk.service.propose(TITLE, CAUSE, "", incident=ONE, by=caller)
    with pytest.raises(AlreadyDone):
        await desk.service.propose("Another", CAUSE, "", incident=ONE, by=caller)
    assert len(await desk.service.all()) == 1
    assert len(await desk.entries()) == 1


@pytest.mark.parametrize(
    ("written", "field", "reason"),
    (
        (("", "c", ""), "title", "The title is empty"),
        (("  … !? ", "c", ""), "title", "The title is empty"),
        (("t" * (TITLE_LENGTH + 1), "c", ""), "title", "121 characters; 120 are the most"),
        (("t", " \n ", "w"), "cause", "The cause is empty"),
        (("t", "c" * (TEXT_LENGTH + 1), ""), "cause", "3,001 characters; 3,000 are the most"),
        (("t", "c", "w" * (TEXT_LENGTH + 1)), "workaround", "The workaround has 3,001"),
    ),
)
async def test_what_cannot_be_kept_is_refused_by_its_field(
    desk: Desk, written: tuple[str, str, str], field: str, reason: str
) -> None:
    with pytest.raises(Unusable, match=reason) as refused:
        await desk.service.propose(*written, incident=ONE, by=desk.by())
    assert refused.value.field == field
    assert await desk.service.all() == []
    assert await desk.entries() == []


async def test_a_title_is_given_once_however_it_is_written(desk: Desk) -> None:
    known = await desk.propose()
    for again in (
        "the ORDER worker hangs!",
        "The  order-worker hangs",
        "\uff34he order worker hangs",
    ):
        with pytest.raises(TitleTaken, match="KE-1 has this title already") as refused:
            await desk.propose(again, TWO)
        assert (refused.value.known, refused.value.field) == (known, "title")
    assert await desk.types() == ["known_error.proposed"]
    assert await desk.told(TWO) == []


async def test_an_unknown_incident_or_known_error_changes_nothing(desk: Desk) -> None:
    nowhere = IncidentId("INC-99")
    with pytest.raises(NotFound, match="INC-99"):
        await desk.propose(incident=nowhere)
    await desk.propose()
    with pytest.raises(NotFound, match="INC-99"):
        await desk.service.link("KE-1", nowhere, by=desk.by())
    for act in (desk.service.link, desk.service.unlink):
        with pytest.raises(NotFound, match="KE-7"):
            await act("KE-7", ONE, by=desk.by())
    with pytest.raises(NotFound, match="KE-7"):
        await desk.service.fix("KE-7", by=desk.by())
    with pytest.raises(NotFound, match="KE-7"):
        await desk.service.get("KE-7")
    assert await desk.types() == ["known_error.proposed"]


async def test_linking_twice_is_one_link_and_one_entry(desk: Desk) -> None:
    await desk.propose()
    once = await desk.service.link("KE-1", TWO, by=desk.by())
    twice = await desk.service.link("KE-1", TWO, by=desk.by())
    assert once == twice == await desk.service.get("KE-1")
    assert (once.incidents, once.version) == ((ONE, TWO), 2)
    assert once.services == ("shop", "checkout", "service-2")
    assert await desk.types() == ["known_error.proposed", "known_error.linked"]
    assert await desk.told(TWO) == [
        "Dana named the cause: known error KE-1 “The order worker hangs”"
    ]


async def test_an_extension_adds_and_takes_nothing_away(desk: Desk) -> None:
    await desk.propose()
    known = await desk.service.extend(
        "KE-1", cause="Seen with provider B, too.", workaround="", incident=TWO, by=desk.by()
    )
    assert known.cause == f"{CAUSE}\n\nSeen with provider B, too."
    assert (known.workaround, known.incidents, known.version) == (WORKAROUND, (ONE, TWO), 2)
    assert await desk.types() == ["known_error.proposed", "known_error.extended"]
    assert (await desk.told(TWO))[0].endswith("hangs”, and added to it")
    again = await desk.service.extend(
        "KE-1",
        cause=CAUSE.replace(" ", "\n"),
        workaround="Restart\tthe worker. ",
        incident=TWO,
        by=desk.by(),
    )
    assert again == known


async def test_an_extension_that_is_part_of_the_opposite_is_kept(desk: Desk) -> None:
    text = "First drain the node.\n\nDo not restart the pod."
    await desk.service.propose(TITLE, CAUSE, text, incident=ONE, by=desk.by())
    for more in ("restart the pod.", "node.\n\nDo not restart"):
        known = await desk.service.extend("KE-1", workaround=more, incident=ONE, by=desk.by())
        text = f"{text}\n\n{more}"
        assert known.workaround == text


async def test_paragraphs_in_another_order_say_something_else(desk: Desk) -> None:
    text = "Drain it.\n\nRestart it.\n\nWatch it."
    await desk.service.propose(TITLE, CAUSE, text, incident=ONE, by=desk.by())
    for again in ("Restart it.", "Drain it.\n \n\nRestart\nit.", "Watch it.", text, " \n"):
        known = await desk.service.extend("KE-1", workaround=again, incident=ONE, by=desk.by())
        assert known.workaround == text
    turned = "Restart it.\n\nDrain it."
    known = await desk.service.extend("KE-1", workaround=turned, incident=ONE, by=desk.by())
    assert known.workaround == f"{text}\n\n{turned}"


async def test_a_workaround_can_be_found_later(desk: Desk) -> None:
    known = await desk.service.propose(TITLE, CAUSE, " ", incident=ONE, by=desk.by())
    assert known.document.outcome is Outcome.UNKNOWN
    assert "no workaround is known yet" in known.line
    later = await desk.service.extend("KE-1", workaround=WORKAROUND, incident=ONE, by=desk.by())
    assert (later.workaround, later.document.outcome) == (WORKAROUND, Outcome.WORKED)
    assert (later.document.kind, later.document.id) == (Kind.KNOWN_ERROR, "KE-1")


async def test_an_extension_that_makes_it_too_long_is_refused_whole(desk: Desk) -> None:
    known = await desk.propose()
    with pytest.raises(Unusable, match="The workaround has") as refused:
        await desk.service.extend(
            "KE-1", cause="New.", workaround="w" * TEXT_LENGTH, incident=TWO, by=desk.by()
        )
    assert refused.value.field == "workaround"
    assert await desk.service.get("KE-1") == known


async def test_a_link_can_be_taken_back_once(desk: Desk) -> None:
    await desk.propose()
    await desk.service.link("KE-1", TWO, by=desk.by())
    known = await desk.service.unlink("KE-1", ONE, by=desk.by())
    assert known.incidents == (TWO,)
    assert await desk.service.of(ONE) == []
    assert await desk.service.of(TWO) == [known]
    assert (await desk.told())[-1].startswith("Dana took back that the cause was known error KE-1")
    with pytest.raises(Refused, match="INC-1 is not linked to KE-1"):
        await desk.service.unlink("KE-1", ONE, by=desk.by())
    assert (await desk.types())[-1] == "known_error.unlinked"


async def test_a_fixed_cause_that_strikes_again_is_open_again_and_says_so(desk: Desk) -> None:
    await desk.propose()
    fixed = await desk.service.fix("KE-1", by=desk.by())
    assert fixed.state is KnownErrorState.FIXED
    assert "thought to be fixed" in fixed.line
    with pytest.raises(Refused, match="fixed already"):
        await desk.service.fix("KE-1", by=desk.by())
    assert await desk.service.link("KE-1", ONE, by=desk.by()) == fixed  # no new strike
    again = await desk.service.link("KE-1", TWO, by=desk.by())
    assert again.state is KnownErrorState.OPEN
    assert (await desk.told(TWO))[-1].endswith("it was thought to be fixed and is open again")
    header, body = (await desk.entries())[-1]
    assert (header["type"], body["reopened"]) == ("known_error.linked", True)
    assert "reopened" not in (await desk.entries())[0][1]


async def test_a_fix_is_told_only_where_the_story_is_not_over(desk: Desk) -> None:
    await desk.propose()
    await desk.service.link("KE-1", TWO, by=desk.by())
    async with desk.database.transaction() as tx:
        closed = replace(await tx.incidents.get(TWO), status=IncidentStatus.CLOSED)
        await tx.incidents.save(closed)
    await desk.service.fix("KE-1", by=desk.by())
    assert (await desk.told())[-1].endswith("is fixed for good")
    assert len(await desk.told(TWO)) == 1
    assert (await desk.types()).count("known_error.fixed") == 1


async def test_the_alerts_cards_name_the_cause_for_as_long_as_it_is_linked(desk: Desk) -> None:
    await desk.propose()
    assert await desk.notes() == [
        "KE-1, The order worker hangs: Restart the worker.",
        SIMILAR.claim,
    ]
    assert (GROUP.id, Change.ASSESSED) in await desk.happenings()
    await desk.service.fix("KE-1", by=desk.by())
    assert "KE-1, thought to be fixed" in (await desk.notes())[0]
    await desk.service.unlink("KE-1", ONE, by=desk.by())
    assert await desk.notes() == [SIMILAR.claim]


async def test_what_the_search_found_outlives_what_people_name_and_take_back(desk: Desk) -> None:
    found = Finding(kind=FindingKind.KNOWN_ERROR, claim="KE-9, found", value="KE-9", plugin="p")
    async with desk.database.transaction() as tx:
        await tx.groups.save(replace(await tx.groups.get(GROUP.id), findings=(found, SIMILAR)))
    known = await desk.propose()
    assert await desk.notes() == [known.line, found.claim, SIMILAR.claim]
    await desk.service.unlink("KE-1", ONE, by=desk.by())
    assert await desk.notes() == [found.claim, SIMILAR.claim]


def test_only_what_people_named_is_named_whatever_it_says() -> None:
    said = Evidence(kind="known error", ref="KE-1", label="named by people")
    found = Finding(kind=FindingKind.KNOWN_ERROR, claim="c", value="KE-1", evidence=(said,))
    assert not is_named(found)
    assert with_named([found, SIMILAR], None) == (found, SIMILAR)


async def test_an_alert_group_that_is_gone_holds_nothing_up(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        await tx.incidents.save(replace(INCIDENT, groups=("g-gone", "g1")))
    await desk.propose()
    assert len(await desk.notes()) == 2


async def test_bots_name_no_causes(desk: Desk) -> None:
    await desk.propose()
    service = desk.service
    with pytest.raises(Refused, match="Only people"):
        await service.propose("Another", CAUSE, "", incident=TWO, by=desk.by(BOT))
    for act in (service.link, service.unlink):
        with pytest.raises(Refused, match="Only people"):
            await act("KE-1", TWO, by=desk.by(BOT))
    with pytest.raises(Refused, match="Only people"):
        await service.extend("KE-1", workaround="w", incident=TWO, by=desk.by(BOT))
    with pytest.raises(Refused, match="Only people"):
        await service.fix("KE-1", by=desk.by(BOT))
    assert await desk.types() == ["known_error.proposed"]


async def _tried(desk: Desk, person: Person) -> None:
    """Try to change something as a person; each attempt has to be refused."""
    service = desk.service
    members = "Only full members of this workspace say what the cause was"
    with pytest.raises(Refused, match=members):
        await service.propose("Another", CAUSE, "", incident=TWO, by=desk.by(person))
    for act in (service.link, service.unlink):
        with pytest.raises(Refused, match=members):
            await act("KE-1", ONE, by=desk.by(person))
    with pytest.raises(Refused, match=members):
        await service.extend("KE-1", workaround="w", incident=TWO, by=desk.by(person))
    with pytest.raises(Refused, match=members):
        await service.fix("KE-1", by=desk.by(person))


@pytest.mark.parametrize("who", OUTSIDERS, ids=lambda who: who.name)
async def test_guests_strangers_and_who_has_left_name_no_causes(desk: Desk, who: Person) -> None:
    known = await desk.propose()
    await _tried(desk, who)
    assert await desk.service.all() == [known]
    assert await desk.types() == ["known_error.proposed"]


async def test_what_struck_last_comes_first_with_how_often(desk: Desk) -> None:
    await desk.propose()
    await desk.propose("Certificates expire", TWO)
    await desk.service.link("KE-1", THREE, by=desk.by())
    async with desk.database.transaction() as tx:
        three = replace(await tx.incidents.get(THREE), declared_at=desk.clock.now())
        await tx.incidents.save(three)
    struck = await desk.service.struck()
    assert [(s.known.id, s.times) for s in struck] == [("KE-1", 2), ("KE-2", 1)]
    assert struck[0].last == desk.clock.now()
    assert [i.id for i in await desk.service.incidents("KE-1")] == [THREE, ONE]


async def test_two_who_propose_at_once_get_an_id_each(desk: Desk) -> None:
    known = await asyncio.gather(*(desk.propose(f"Cause {n}", TWO) for n in range(12)))
    assert sorted(k.number for k in known) == list(range(1, 13))
    assert [k.number for k in await desk.service.all()] == list(range(1, 13))  # not 1, 10, 11, 2
    assert len(await desk.service.of(TWO)) == 12


async def test_two_who_propose_the_same_at_once_make_one_and_the_other_is_told(desk: Desk) -> None:
    outcomes = await asyncio.gather(
        desk.propose(), desk.propose(incident=TWO), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["KnownError", "TitleTaken"]
    assert len(await desk.service.all()) == 1


async def test_links_made_at_once_are_all_kept(desk: Desk) -> None:
    await desk.propose()
    await asyncio.gather(
        *(desk.service.link("KE-1", id, by=desk.by()) for id in (TWO, THREE, ONE, TWO, THREE))
    )
    known = await desk.service.get("KE-1")
    assert sorted(known.incidents) == [ONE, TWO, THREE]
    assert (await desk.types()).count("known_error.linked") == 2


async def test_letters_that_no_store_takes_are_left_out(desk: Desk) -> None:
    known = await desk.service.propose(
        "A\x00B\x1b[31m", "one\r\n\x00two\tthree", "\x07", incident=ONE, by=desk.by()
    )
    assert (known.title, known.cause, known.workaround) == ("A B [31m", "one\ntwo\tthree", "")


async def test_two_bots_on_one_server_lose_nothing_either(tmp_path: Path) -> None:
    with postgres(tmp_path) as server:
        url, keys, clock = server.migrated(), tmp_path / "keys", FakeClock()
        async with connected(url, keys, clock) as one, connected(url, keys, clock) as other:
            desks = [Desk(one, clock), Desk(other, clock)]
            desks[1].requests = 1000
            await desks[0].furnish()
            await asyncio.gather(*(desks[n % 2].propose(f"Cause\x00 {n}", TWO) for n in range(8)))
            await asyncio.gather(
                *(desks[n % 2].service.link("KE-1", ONE, by=desks[n % 2].by()) for n in range(4))
            )
            known = await desks[1].service.all()
            assert [k.number for k in known] == list(range(1, 9))
            assert known[0].incidents == (TWO, ONE)
            assert (await desks[0].types()).count("known_error.linked") == 1
            assert (await one.archive.verify()).ok


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(("propose", "link", "extend", "unlink", "fix")),
        st.integers(1, 4),
        st.sampled_from((ONE, TWO, THREE)),
        st.booleans(),
    ),
    max_size=14,
)


class Model:
    """What must be true of known errors: a set of links each, and whether it is open."""

    def __init__(self) -> None:
        self.links: dict[str, set[str]] = {}
        self.open: dict[str, bool] = {}
        self.entries = 0

    def apply(self, move: str, number: int, incident: str) -> bool:
        """Do a move, and say whether it may be done."""
        id = f"KE-{number}"
        if move == "propose":
            return self._propose(incident)
        links = self.links.get(id)
        if links is None or (move == "unlink" and incident not in links):
            return False
        if move == "fix":
            changed, self.open[id] = self.open[id], False
            self.entries += changed
            return changed
        if move == "unlink":
            links.remove(incident)
            self.entries += 1
            return True
        if incident not in links:
            self.open[id] = True
        self.entries += incident not in links or move == "extend"
        links.add(incident)
        return True

    def _propose(self, incident: str) -> bool:
        id = f"KE-{len(self.links) + 1}"
        self.links[id], self.open[id] = {incident}, True
        self.entries += 1
        return True


async def _do(desk: Desk, move: str, number: int, incident: IncidentId, *, step: int) -> Caller:
    service, id, by = desk.service, f"KE-{number}", desk.by()
    match move:
        case "propose":
            await service.propose(f"Cause {step}", CAUSE, "", incident=incident, by=by)
        case "link":
            await service.link(id, incident, by=by)
        case "extend":
            await service.extend(id, workaround=f"Try {step}.", incident=incident, by=by)
        case "unlink":
            await service.unlink(id, incident, by=by)
        case _:
            await service.fix(id, by=by)
    return by


async def _played(desk: Desk, moves: list[tuple[str, int, IncidentId, bool]]) -> None:
    model = Model()
    for step, (move, number, incident, repeated) in enumerate(moves):
        allowed = model.apply(move, number, incident)
        if not allowed:
            with pytest.raises(Refused):
                await _do(desk, move, number, incident, step=step)
            continue
        by = await _do(desk, move, number, incident, step=step)
        if repeated:
            with pytest.raises(AlreadyDone):
                await desk.service.propose("Again", CAUSE, "", incident=incident, by=by)
    known = await desk.service.all()
    assert {k.id: set(k.incidents) for k in known} == model.links
    assert all(len(k.incidents) == len(set(k.incidents)) for k in known)
    assert {k.id: k.open for k in known} == model.open
    assert sum(k.version for k in known) == model.entries == len(await desk.types())
    assert (await desk.database.archive.verify()).ok


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(moves=_MOVES)
def test_links_are_a_set_never_lost_and_the_ledger_has_every_change(
    moves: list[tuple[str, int, IncidentId, bool]],
) -> None:
    async def play() -> None:
        with TemporaryDirectory() as folder:
            async with desk_in(Path(folder)) as desk:
                await _played(desk, moves)

    asyncio.run(play())
