"""Erasing people from the ledger: complete, provable, and held up by a legal hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bot.domain.errors import Refused
from bot.domain.ledger import Entry
from bot.ledger.subjects import SubjectKeys
from bot.services.privacy import PrivacyService
from bot.storage.sqlite import SqliteDatabase
from tests.fakes import NOON, FakeClock
from tests.services.sealing import running, sealed, sql
from tests.storage.opened import execute

ANA, BEN, OFFICER = "person:U1", "person:U2", "person:U9"


@dataclass
class Records:
    database: SqliteDatabase
    service: PrivacyService
    keys: SubjectKeys

    async def add(
        self, actor: str = ANA, *, about: tuple[str, ...] = (), incident: str = "INC-1"
    ) -> None:
        async with self.database.transaction() as tx:
            await tx.ledger.append(
                Entry(
                    type="chat.said",
                    actor=actor,
                    at=NOON,
                    incident=incident,
                    body={"text": f"{actor} said something"},
                    about=about,
                )
            )

    async def bodies(self) -> list[bool]:
        """Say of each entry whether its body can be read."""
        return [entry.body is not None for entry in await self.database.archive.entries()]

    async def ok(self) -> bool:
        verdict = await self.database.archive.verify()
        return verdict.ok and not verdict.hidden


class Crash(BaseException):
    """The process ends here."""


class Dying(SubjectKeys):
    """Keys of a process that ends right before one is destroyed, or right after."""

    dies = ""

    @override
    def erase(self, reference: str) -> bool:
        if self.dies == "before":
            raise Crash
        erased = super().erase(reference)
        if self.dies == "after":
            raise Crash
        return erased


@asynccontextmanager
async def records(folder: Path, keys: SubjectKeys | None = None) -> AsyncIterator[Records]:
    keys = keys or SubjectKeys(folder / "keys")
    database = SqliteDatabase(folder / "tocsin.db", FakeClock(), keys)
    database.open()
    service = PrivacyService(database, FakeClock(), keys, archive=database.archive)
    try:
        yield Records(database=database, service=service, keys=keys)
    finally:
        await database.close()


class TestErasing:
    async def test_every_body_that_tells_of_a_person_is_gone(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.add(BEN)
            await kept.add(BEN, about=(ANA,))
            assert await kept.service.erase(ANA, "they asked", by=OFFICER) == 2
            assert await kept.bodies() == [False, True, False, True]
            assert await kept.ok()

    async def test_the_leaves_stay_and_so_does_the_root(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.add(BEN)
            archive = kept.database.archive
            before = (await archive.root(2), [e.leaf for e in await archive.entries()])
            await kept.service.erase(ANA, "they asked", by=OFFICER)
            after = (await archive.root(2), [e.leaf for e in await archive.entries(before=2)])
            assert before == after

    async def test_the_entry_of_it_names_entries_and_nobody(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.service.erase(ANA, "they asked", by=OFFICER)
            entry = await kept.database.archive.entry(1)
            assert b'"type":"privacy.erased"' in entry.leaf
            assert b'"outcome":"1"' in entry.leaf
            told = entry.leaf + (entry.body or b"")
            assert b'"entries":[0]' in told
            assert b"they asked" in told
            assert b"U1" not in told
            assert b"U9" not in told
            assert entry.subjects == ()

    async def test_whoever_asked_for_an_erasure_can_be_erased_too(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.service.erase(ANA, "they asked", by=OFFICER)
            await kept.add(OFFICER)
            await kept.service.erase(OFFICER, "they left", by=BEN)
            assert await kept.ok()

    async def test_what_comes_later_stands_under_another_pseudonym(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            before = kept.keys.pseudonym(ANA)
            await kept.service.erase(ANA, "they asked", by=OFFICER)
            assert kept.keys.pseudonym(ANA) != before

    async def test_nobody_else_of_a_similar_name_is_erased(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add("person:U11")
            await kept.add("person:XU1")
            assert await kept.service.erase(ANA, "they asked", by=OFFICER) == 0
            assert await kept.bodies() == [True, True, True]

    @pytest.mark.parametrize("subject", ("bot", "all", "", "INC-1", "installation", "person:a b"))
    async def test_only_people_are_erased(self, tmp_path: Path, subject: str) -> None:
        async with records(tmp_path) as kept:
            with pytest.raises(Refused, match="Only people"):
                await kept.service.erase(subject, "a mistake", by=OFFICER)

    async def test_thousands_of_entries_are_told_of_in_several(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            async with kept.database.transaction() as tx:
                for _ in range(9000):
                    await tx.ledger.append(Entry(type="chat.said", actor=ANA, at=NOON))
            assert await kept.service.erase(ANA, "they asked", by=OFFICER) == 9000
            assert await kept.database.archive.size() == 9003
            assert await kept.ok()

    async def test_entries_on_their_way_during_an_erasure_are_erased(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await asyncio.gather(
                *(kept.add(ANA) for _ in range(10)),
                kept.service.erase(ANA, "they asked", by=OFFICER),
                *(kept.add(BEN) for _ in range(10)),
            )
            assert await kept.ok()
            async with kept.database.reading() as view:
                assert await view.ledger.telling_of(ANA) == []

    async def test_checkpoints_still_agree_afterwards(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10, 20])
        async with running(tmp_path) as ledger:
            keys = SubjectKeys(tmp_path / "keys")
            service = PrivacyService(
                ledger.database, ledger.clock, keys, archive=ledger.database.archive
            )
            assert await service.erase("person:U1", "they asked", by=OFFICER) == 20
            assert await ledger.service.compare() == []
            await ledger.service.ensure_covered(21)


class TestCrashes:
    @pytest.mark.parametrize("dies", ("before", "after"))
    async def test_an_erasure_is_completed_after_a_crash(self, tmp_path: Path, dies: str) -> None:
        keys = Dying(tmp_path / "keys")
        async with records(tmp_path, keys) as kept:
            await kept.add(ANA)
            before = kept.keys.pseudonym(ANA)
            keys.dies = dies
            with pytest.raises(Crash):
                await kept.service.erase(ANA, "they asked", by=OFFICER)
        async with records(tmp_path) as kept:
            assert await kept.service.finish_pending() == 1
            assert await kept.service.finish_pending() == 0
            assert kept.keys.pseudonym(ANA) != before
            assert await kept.bodies() == [False, True]
            assert await kept.ok()

    async def test_a_failed_commit_destroys_no_key(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)

            async def full() -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr(kept.database._writer, "commit", full)
            with pytest.raises(OSError, match="No space"):
                await kept.service.erase(ANA, "they asked", by=OFFICER)
            monkeypatch.undo()
            assert await kept.bodies() == [True]
            assert await kept.service.finish_pending() == 0


class TestLegalHolds:
    @pytest.mark.parametrize("subject", (ANA, "INC-1", "all"))
    async def test_nothing_under_a_hold_is_erased(self, tmp_path: Path, subject: str) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.service.hold(subject, "case 42", by=OFFICER)
            with pytest.raises(Refused, match="case 42"):
                await kept.service.erase(ANA, "they asked", by=OFFICER)
            assert all(await kept.bodies())
            await kept.service.release_hold(subject, "case closed", by=OFFICER)
            assert await kept.service.holds() == []
            assert await kept.service.erase(ANA, "they asked", by=OFFICER) >= 1
            assert await kept.ok()

    async def test_a_hold_on_something_else_is_no_obstacle(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA, incident="INC-1")
            await kept.add(BEN, incident="INC-2")
            await kept.service.hold("INC-2", "case 42", by=OFFICER)
            await kept.service.hold(BEN, "case 43", by=OFFICER)
            assert await kept.service.erase(ANA, "they asked", by=OFFICER) == 1

    async def test_one_of_two_holds_lifted_leaves_the_other(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            await kept.service.hold(ANA, "case 42", by=OFFICER)
            await kept.service.hold("INC-1", "case 43", by=OFFICER)
            await kept.service.release_hold(ANA, "case closed", by=OFFICER)
            with pytest.raises(Refused, match="case 43"):
                await kept.service.erase(ANA, "they asked", by=OFFICER)

    async def test_holds_are_placed_and_lifted_once_and_with_a_reason(self, tmp_path: Path) -> None:
        async with records(tmp_path) as kept:
            with pytest.raises(Refused, match="no legal hold"):
                await kept.service.release_hold(ANA, "none", by=OFFICER)
            with pytest.raises(Refused, match="reason"):
                await kept.service.hold(ANA, " ", by=OFFICER)
            await kept.service.hold(ANA, "case 42", by=OFFICER)
            with pytest.raises(Refused, match="already"):
                await kept.service.hold(ANA, "case 42", by=OFFICER)
            leaves = [entry.leaf for entry in await kept.database.archive.entries()]
            assert [b'"type":"hold.placed"' in leaf for leaf in leaves] == [True]

    async def test_a_hold_placed_beside_an_erasure_comes_before_or_after_it(
        self, tmp_path: Path
    ) -> None:
        async with records(tmp_path) as kept:
            await kept.add(ANA)
            done = await asyncio.gather(
                kept.service.hold("INC-1", "case 42", by=OFFICER),
                kept.service.erase(ANA, "they asked", by=OFFICER),
                return_exceptions=True,
            )
            refused = isinstance(done[1], Refused)
            assert (await kept.bodies())[0] is refused
            assert refused


PEOPLE = (ANA, BEN, "person:U3")


class TestAnyHistory:
    @settings(deadline=None, max_examples=30)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("add", "add", "add", "erase", "hold", "lift")),
                st.sampled_from(PEOPLE),
                st.sets(st.sampled_from(PEOPLE), max_size=2),
            ),
            max_size=12,
        )
    )
    def test_what_is_held_stays_what_is_erased_is_gone_and_all_verifies(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        steps: list[tuple[str, str, Collection[str]]],
    ) -> None:
        asyncio.run(self.live(tmp_path_factory.mktemp("records"), steps))

    async def live(self, folder: Path, steps: list[tuple[str, str, Collection[str]]]) -> None:
        async with records(folder) as kept:
            held: set[str] = set()
            for step, person, about in steps:
                if step == "add":
                    await kept.add(person, about=tuple(about))
                elif step == "erase" and person in held:
                    with pytest.raises(Refused):
                        await kept.service.erase(person, "they asked", by=OFFICER)
                elif step == "erase":
                    await kept.service.erase(person, "they asked", by=OFFICER)
                    async with kept.database.reading() as view:
                        assert await view.ledger.telling_of(person) == []
                elif step == "hold" and person not in held:
                    await kept.service.hold(person, "a case", by=OFFICER)
                    held.add(person)
                elif step == "lift" and person in held:
                    await kept.service.release_hold(person, "closed", by=OFFICER)
                    held.remove(person)
                assert await kept.ok()


async def test_erased_bytes_leave_the_file_where_sqlite_overwrites_what_it_frees(
    tmp_path: Path,
) -> None:
    """Without `secure_delete` the subjects' names would stand in free pages."""
    name = "person:VERYFINDABLE"
    async with records(tmp_path) as kept:
        await kept.add(name)
        async with kept.database.transaction() as tx:
            await execute(tx, "PRAGMA secure_delete=ON")
        await kept.service.erase(name, "they asked", by=OFFICER)
    sql(tmp_path, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"VERYFINDABLE" not in (tmp_path / "tocsin.db").read_bytes()
