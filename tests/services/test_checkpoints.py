"""What is signed, what is kept elsewhere, and what a rewritten database is caught by."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.checkpoints import open_checkpoint, read_checkpoint
from bot.domain.errors import Refused
from bot.domain.notes import VerifierKey, sign
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.anchors.paragraphs import notes_in, written
from bot.ledger.signing import verify_ed25519
from bot.ports import Anchor
from bot.services import checkpoints
from tests.fakes import FakeClock
from tests.services.sealing import (
    ORIGIN,
    Broken,
    Ledger,
    Memory,
    backup,
    cut,
    key,
    let_go,
    reasons_in,
    running,
    sealed,
    signatures,
    sql,
)
from tests.storage.opened import until


class TestSealing:
    async def test_a_checkpoint_is_the_signed_root_of_the_tree(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            await ledger.append(5)
            checkpoint = await ledger.service.seal("a test")
            said, signers = open_checkpoint(checkpoint.note, [key().verifier], verify_ed25519)
            assert (said.origin, said.size) == (ORIGIN, 5)
            assert said.root == await ledger.database.archive.root(5) == checkpoint.root
            assert signers == (key().verifier,)

    async def test_nothing_new_is_signed_while_the_log_has_not_grown(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            await ledger.append(5)
            first = await ledger.service.seal("a test")
            ledger.clock.advance(seconds=5)
            assert await ledger.service.seal("again") == first
            async with ledger.database.reading() as view:
                assert len(await view.checkpoints.all()) == 1

    async def test_even_an_empty_log_can_be_sealed(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            assert (await ledger.service.seal("a test")).size == 0
            await ledger.append(3)
            await ledger.service.ensure_covered(3)
        assert await reasons_in(tmp_path) == []

    async def test_concurrent_seals_and_appends_leave_one_line_of_checkpoints(
        self, tmp_path: Path
    ) -> None:
        async with running(tmp_path) as ledger:

            async def both(number: int) -> None:
                await ledger.append(2, start=number)
                await ledger.service.seal(f"a test {number}")

            await asyncio.gather(*map(both, range(20)))
            await ledger.service.ensure_covered(40)
            await ledger.anchored()
            assert await ledger.service.compare() == []
        notes = notes_in((tmp_path / "anchor").read_bytes())
        sizes = [read_checkpoint(note).size for note in notes]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == 40

    async def test_a_clock_that_is_set_back_does_not_hide_the_newest(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            for days in (0, 1, -1, 1, -2):
                ledger.clock.set(FakeClock().now() + timedelta(days=days))
                await ledger.append(3)
                grown = await ledger.service.seal("a test")
                assert grown.size == await ledger.database.archive.size()
                assert (await ledger.service.state()).newest == grown
                assert await ledger.service.seal("again") == grown


class TestSealingByItself:
    async def test_it_seals_after_so_many_entries(self, tmp_path: Path) -> None:
        anchor = Memory()
        async with running(tmp_path, anchors=[anchor], every_entries=8) as ledger:
            await ledger.append(7)
            await asyncio.sleep(0.1)
            assert anchor.sizes == []
            await ledger.append(1)
            await until(lambda: anchor.sizes == [8])

    async def test_it_seals_after_so_much_time_whatever_the_clock_says(
        self, tmp_path: Path
    ) -> None:
        anchor = Memory()
        async with running(tmp_path, anchors=[anchor], every_seconds=0.2) as ledger:
            ledger.clock.advance(seconds=-86_400)
            await ledger.append(1)
            await asyncio.sleep(0.05)
            assert anchor.sizes == []
            await until(lambda: anchor.sizes == [1])

    async def test_entries_that_a_crash_left_unsealed_are_sealed_after_the_start(
        self, tmp_path: Path
    ) -> None:
        async with running(tmp_path, anchors=[]) as ledger:
            await ledger.append(3)
        anchor = Memory()
        async with running(tmp_path, anchors=[anchor], every_seconds=0.05):
            await until(lambda: anchor.sizes == [3])

    async def test_sealing_goes_on_after_the_key_has_failed(self, tmp_path: Path) -> None:
        signer, anchor = Broken(), Memory()
        async with running(tmp_path, anchors=[anchor], signer=signer, every_entries=1) as ledger:
            await ledger.append(1)
            await until(lambda: signer.asked > 2)
            state = await ledger.service.state()
            assert "the key service is down" in (state.error or "")
            assert state.fault is None
            with pytest.raises(Refused, match="nothing was run"):
                await ledger.service.ensure_covered()
            signer.works = True
            await until(lambda: anchor.sizes[-1:] == [1])
            assert (await ledger.service.state()).error is None


class TestAnchoring:
    async def test_a_failing_anchor_holds_up_neither_seals_nor_the_other(
        self, tmp_path: Path
    ) -> None:
        good, bad = Memory("good"), Memory("bad")
        bad.failing = "the disk is gone"
        async with running(tmp_path, anchors=[bad, good], every_entries=2) as ledger:
            for size in (2, 4, 6):
                await ledger.append(2)
                await until(lambda size=size: good.sizes[-1:] == [size])  # type: ignore[misc]
            await until(lambda: ledger.service._keepers[1].state.size == 6)
            [first, second] = (await ledger.service.state()).anchors
            assert (first.name, first.size, first.error) == ("bad", None, "the disk is gone")
            assert (second.name, second.size, second.error) == ("good", 6, None)
            await ledger.service.ensure_covered(6)
            bad.failing = None
            await ledger.anchored()
            assert bad.sizes == [6]  # only the newest is caught up
            assert (await ledger.service.state()).anchors[0].error is None

    async def test_a_slow_anchor_holds_up_nothing(self, tmp_path: Path) -> None:
        slow, quick = Memory("slow"), Memory("quick")
        slow.slow = 60
        async with running(tmp_path, anchors=[slow, quick]) as ledger:
            await ledger.append(1)
            await ledger.service.ensure_covered(1)
            assert quick.sizes == [1]

    async def test_what_a_crash_kept_from_the_anchor_reaches_it_after_the_start(
        self, tmp_path: Path
    ) -> None:
        anchor = Memory()
        anchor.failing = "the crash"
        async with running(tmp_path, anchors=[anchor]) as ledger:
            await ledger.append(4)
            await ledger.service.seal("stored, and never anchored")
        anchor.failing = None
        async with running(tmp_path, anchors=[anchor]):
            await until(lambda: anchor.sizes == [4])

    async def test_a_receipt_is_kept_with_the_anchors_name(self, tmp_path: Path) -> None:
        async with running(tmp_path, anchors=[Memory()]) as ledger:
            await ledger.append(4)
            await ledger.service.ensure_covered(4)
            async with ledger.database.reading() as view:
                [receipt] = await view.checkpoints.receipts()
            assert (receipt.anchor, receipt.size, receipt.receipt) == ("memory", 4, b"kept")


class TestEnsuringThatAnIntentIsCovered:
    async def test_without_anchors_a_seal_is_enough(self, tmp_path: Path) -> None:
        async with running(tmp_path, anchors=[]) as ledger:
            await ledger.append(3)
            await ledger.service.ensure_covered(3)
            assert (await ledger.service.state()).sealed_size == 3

    async def test_it_refuses_while_no_anchor_holds_it(self, tmp_path: Path) -> None:
        anchor = Memory()
        anchor.failing = "the network is gone"
        async with running(tmp_path, anchors=[anchor], within=0.3) as ledger:
            await ledger.append(1)
            with pytest.raises(Refused) as refused:
                await ledger.service.ensure_covered(1)
            assert refused.value.reason == (
                "The record could not be sealed outside of the database; nothing was run."
            )
            anchor.failing = None
            await ledger.service.ensure_covered(1)

    async def test_an_anchor_that_holds_an_earlier_checkpoint_does_not_count(
        self, tmp_path: Path
    ) -> None:
        anchor = Memory()
        async with running(tmp_path, anchors=[anchor], within=0.3) as ledger:
            await ledger.append(1)
            await ledger.service.ensure_covered(1)
            anchor.failing = "the network is gone"
            await ledger.append(1)
            with pytest.raises(Refused):
                await ledger.service.ensure_covered(2)

    async def test_it_refuses_a_size_the_ledger_does_not_have(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            await ledger.append(1)
            with pytest.raises(Refused):
                await ledger.service.ensure_covered(2)

    async def test_many_at_once_are_all_covered(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:

            async def effect(number: int) -> None:
                await ledger.append(1, start=number)
                await ledger.service.ensure_covered(await ledger.database.archive.size())

            await asyncio.gather(*map(effect, range(30)))

    async def test_it_does_not_wait_for_the_pause_after_a_failure(self, tmp_path: Path) -> None:
        anchor = Memory()
        anchor.failing = "the network is gone"
        async with running(tmp_path, anchors=[anchor]) as ledger:
            [keeper] = ledger.service._keepers
            keeper._pace = replace(keeper._pace, first_retry=600, longest_retry=600)
            await ledger.append(1)
            await ledger.service.seal("a test")
            await until(lambda: keeper.state.error is not None)
            anchor.failing = None
            await ledger.service.ensure_covered(1)


Attack = Callable[[Path], Awaitable[None]]


async def tail_cut_off(folder: Path) -> None:
    cut(folder, 12)


async def tail_cut_off_behind_the_last_seal_but_one(folder: Path) -> None:
    cut(folder, 19)


async def tail_cut_off_and_grown_again(folder: Path) -> None:
    cut(folder, 12)
    await rewritten_in(folder, [20, 30])


async def everything_deleted(folder: Path) -> None:
    let_go(folder)
    (folder / "tocsin.db").unlink()


async def rewritten_with_the_real_key(folder: Path) -> None:
    await everything_deleted(folder)
    await rewritten_in(folder, [10, 20])


async def rewritten_with_the_real_key_and_longer(folder: Path) -> None:
    await everything_deleted(folder)
    await rewritten_in(folder, [33])


async def restored_in_secret(folder: Path) -> None:
    """Rewrite history with the real key, and pretend that it was restored."""
    await everything_deleted(folder)
    await rewritten_in(folder, [20])
    sql(folder, f"UPDATE keyed SET data = '\"{ORIGIN}/2\"' WHERE key = 'origin'")
    async with running(folder, anchors=[]) as ledger:
        ledger.service._fault, ledger.service._origin = None, f"{ORIGIN}/2"
        await ledger.service.seal("pretended")


async def a_checkpoints_root_changed(folder: Path) -> None:
    sql(folder, "UPDATE checkpoints SET root = zeroblob(32) WHERE size = 10")


async def a_checkpoints_note_changed(folder: Path) -> None:
    sql(
        folder,
        "UPDATE checkpoints SET"
        " note = CAST(replace(CAST(note AS TEXT), char(10)||'10'||char(10), '\n11\n') AS BLOB)",
    )


async def a_checkpoints_note_no_bytes(folder: Path) -> None:
    sql(folder, "UPDATE checkpoints SET note = CAST(note AS TEXT)")


async def a_checkpoints_time_no_time(folder: Path) -> None:
    sql(folder, "UPDATE checkpoints SET at = 'yesterday'")


async def a_checkpoint_replaced_by_another(folder: Path) -> None:
    sql(
        folder,
        "UPDATE checkpoints SET note = (SELECT note FROM checkpoints WHERE size = 20)"
        " WHERE size = 10",
    )


async def a_node_changed(folder: Path) -> None:
    sql(folder, "UPDATE ledger_nodes SET hash = zeroblob(32) WHERE level = 3 AND position = 0")


async def a_node_deleted(folder: Path) -> None:
    sql(folder, "DELETE FROM ledger_nodes WHERE level = 4 AND position = 0")


async def the_anchor_changed(folder: Path) -> None:
    data = (folder / "anchor").read_bytes()
    (folder / "anchor").write_bytes(data.replace(b"\n10\n", b"\n11\n"))


async def the_anchor_deleted(folder: Path) -> None:
    (folder / "anchor").unlink()


async def the_anchor_cut_short(folder: Path) -> None:
    notes = notes_in((folder / "anchor").read_bytes())
    (folder / "anchor").write_bytes(b"".join(map(written, notes[:-1])))


async def a_key_smuggled_in(folder: Path) -> None:
    """Rewrite history and anchor without the real key; the database names the forger's."""
    await everything_deleted(folder)
    (folder / "anchor").unlink()
    await sealed(folder, [10, 20], start=50, signer=key(66))
    sql(
        folder,
        f"UPDATE keyed SET key = 'key:000002', data = '\"{key(66).verifier}\"'"
        " WHERE key LIKE 'key:%'",
    )
    sql(
        folder,
        "INSERT INTO keyed (kind, key, data) VALUES ('verifier-key', 'key:000001',"
        f" '\"{key().verifier}\"')",
    )


async def another_log_in_the_anchor(folder: Path) -> None:
    stranger = VerifierKey(name="other.example/log", public=key().verifier.public)
    text = f"{stranger.name}\n1\n{'A' * 43}=\n"
    note = sign(text, key=stranger, signature=key().sign(text.encode())).write()
    with (folder / "anchor").open("ab") as file:
        file.write(written(note))


async def rewritten_in(folder: Path, sizes: Sequence[int]) -> None:
    """Make another history with the real key, out of the anchor's sight."""
    async with running(folder, anchors=[]) as ledger:
        for size in sizes:
            await ledger.append(size - await ledger.database.archive.size(), start=1000)
            await ledger.service.seal("forged")


ATTACKS: dict[Attack, str] = {
    tail_cut_off: "the database has only 12",
    tail_cut_off_behind_the_last_seal_but_one: "the database has only 19",
    tail_cut_off_and_grown_again: "another root for 20 entries",
    everything_deleted: "the database has only 0",
    rewritten_with_the_real_key: "another root for 10 entries",
    rewritten_with_the_real_key_and_longer: "another root for 10 entries",
    restored_in_secret: "restored as tocsin.example/log/2, which no anchor knows",
    a_checkpoints_root_changed: "whose note says something else",
    a_checkpoints_note_changed: "cannot be trusted",
    a_checkpoints_note_no_bytes: "cannot be read",
    a_checkpoints_time_no_time: "cannot be read",
    a_checkpoint_replaced_by_another: "whose note says something else",
    a_node_changed: "another root for 10 entries",
    a_node_deleted: "another root for 20 entries",
    the_anchor_changed: "cannot be trusted",
    the_anchor_deleted: "has confirmed 20 entries and now holds only 0",
    the_anchor_cut_short: "has confirmed 20 entries and now holds only 10",
    a_key_smuggled_in: "cannot be trusted",
    another_log_in_the_anchor: "another log, other.example/log",
}


class TestComparing:
    @pytest.mark.parametrize("attack", ATTACKS)
    async def test_every_attack_is_found_at_the_start(self, attack: Attack, tmp_path: Path) -> None:
        await sealed(tmp_path, [10, 20])
        await attack(tmp_path)
        anchor = (tmp_path / "anchor").read_bytes() if (tmp_path / "anchor").exists() else b""
        async with running(tmp_path) as ledger:
            reasons = await ledger.service.compare()
            assert ATTACKS[attack] in " ".join(reasons)
            assert ledger.service.fault == reasons[0]
            if attack is not a_checkpoints_time_no_time:
                assert (await ledger.service.state()).fault == reasons[0]
            with contextlib.suppress(ValueError):  # a tree without its nodes cannot grow
                await ledger.append(1)
            with pytest.raises(Refused, match="contradicted"):
                await ledger.service.seal("over a contradiction")
            with pytest.raises(Refused, match="nothing was run"):
                await ledger.service.ensure_covered()
        now = (tmp_path / "anchor").read_bytes() if (tmp_path / "anchor").exists() else b""
        assert now == anchor  # nothing was anchored over it

    async def test_an_old_backup_is_found(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        backup(tmp_path, tmp_path / "old")
        await sealed(tmp_path, [20])
        backup(tmp_path / "old", tmp_path)
        [reason] = await reasons_in(tmp_path)
        assert "holds a checkpoint of 20 entries, and the database has only 10" in reason
        assert "old copy" in reason

    async def test_an_old_backup_that_was_written_to_is_found(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        backup(tmp_path, tmp_path / "old")
        await sealed(tmp_path, [20])
        backup(tmp_path / "old", tmp_path)
        await tail_cut_off(tmp_path)
        async with running(tmp_path, anchors=[]) as ledger:
            await ledger.append(30, start=77)
            await ledger.service.seal("elsewhere")
        assert "another root for 20 entries" in " ".join(await reasons_in(tmp_path))

    async def test_a_database_that_shrinks_under_a_running_bot_is_found(
        self, tmp_path: Path
    ) -> None:
        async with running(tmp_path) as ledger:
            await ledger.append(10)
            await ledger.service.ensure_covered(10)
            cut(tmp_path, 4)
            with pytest.raises(Refused, match="10 entries were sealed"):
                await ledger.service.seal("a test")
            assert "has only 4" in (ledger.service.fault or "")

    async def test_an_anchor_that_refuses_a_forgery_makes_it_a_fault(self, tmp_path: Path) -> None:
        """Two copies of one database go on beside each other with one anchor."""
        await sealed(tmp_path, [10])
        backup(tmp_path, tmp_path / "twin")
        shared = FileAnchor(tmp_path / "anchor")
        async with running(tmp_path / "twin", anchors=[shared]) as twin:
            await sealed(tmp_path, [20])
            await twin.append(15, start=500)
            await twin.service.seal("a test")
            await until(lambda: twin.service.fault is not None)
            assert "another root for 20 entries" in (twin.service.fault or "")

    async def test_an_anchor_that_cannot_be_read_contradicts_nothing_and_shows(
        self, tmp_path: Path
    ) -> None:
        anchor = Memory()
        anchor.unreadable = anchor.failing = "the network is gone"
        async with running(tmp_path, anchors=[anchor]) as ledger:
            assert ledger.service.fault is None
            [state] = (await ledger.service.state()).anchors
            assert state.error == "the network is gone"

    async def test_a_new_anchor_takes_nothing_amiss(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10, 20])
        other = FileAnchor(tmp_path / "other")
        async with running(tmp_path, anchors=[FileAnchor(tmp_path / "anchor"), other]) as ledger:
            assert ledger.service.fault is None
            await ledger.anchored()
        assert await reasons_in(tmp_path, anchors=[other]) == []

    async def test_many_old_checkpoints_are_compared_behind_the_start(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoints, "_AT_START", 2)
        await sealed(tmp_path, [10, 20, 30, 40])
        async with running(tmp_path) as ledger:
            assert ledger.service._thorough is not None
            await ledger.service._thorough
            assert ledger.service.fault is None
        await the_anchor_changed(tmp_path)
        async with running(tmp_path) as ledger:
            await until(lambda: ledger.service.fault is not None)
            assert "cannot be trusted" in (ledger.service.fault or "")

    async def test_the_newest_alone_tells_a_rewritten_history(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(checkpoints, "_AT_START", 1)
        await sealed(tmp_path, [10, 20, 30, 40])
        cut(tmp_path, 5)
        async with running(tmp_path) as ledger:
            assert "has only 5" in (ledger.service.fault or "")

    async def test_the_log_of_another_name_is_not_taken_over(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        with pytest.raises(Refused, match=f"the log {ORIGIN}, and not other.example/log"):
            await reasons_in(tmp_path, origin="other.example/log")


class TestHonestHistories:
    @settings(deadline=None, max_examples=25)
    @given(st.data())
    def test_no_honest_history_raises_an_alarm(self, data: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(self.live(Path(folder), data))

    async def live(self, folder: Path, data: st.DataObject) -> None:
        signer, clock, chat = key(1), FakeClock(), Memory()
        for life in range(data.draw(st.integers(1, 4), label="lives")):
            anchors: list[Anchor] = [FileAnchor(folder / "anchor"), chat]
            chat.failing = data.draw(st.sampled_from((None, "it is away")), label="chat")
            clock.advance(seconds=data.draw(st.integers(-86_400, 86_400), label="jump"))
            async with (
                running(folder, anchors=anchors, signer=signer, clock=clock) as ledger,
                running(folder, anchors=anchors, signer=signer, clock=clock) as twin,
            ):
                assert ledger.service.fault is None
                for step in data.draw(st.lists(STEPS, max_size=6), label="steps"):
                    await taken(step, ledger, twin)
                assert (ledger.service.fault, twin.service.fault) == (None, None)
                assert await twin.service.compare() == []
                if data.draw(st.booleans(), label="rotate"):
                    signer = key(life + 2)
                    await ledger.append(1)
                    assert len(signatures((await ledger.service.rotate(signer)).note)) == 2
                assert await ledger.service.compare() == []
                assert await twin.service.compare() == []


STEPS = st.sampled_from(("append", "append", "seal", "twin", "cover", "erase"))


async def taken(step: str, ledger: Ledger, twin: Ledger) -> None:
    if step == "append":
        await ledger.append(5)
    elif step == "seal":
        await ledger.service.seal("a test")
    elif step == "cover":
        await ledger.service.ensure_covered()
    elif step == "twin":
        await asyncio.gather(ledger.service.seal("one"), twin.service.seal("two"))
    else:
        async with ledger.database.transaction() as tx:
            await tx.ledger.erase(await tx.ledger.telling_of("person:U1"))
