"""A log that changes its key or its name, and one whose process is killed or not alone."""

from __future__ import annotations

import asyncio
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from bot.domain.checkpoints import Checkpoint, open_checkpoint, read_checkpoint
from bot.domain.errors import Refused
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.anchors.paragraphs import notes_in
from bot.ledger.signing import verify_ed25519
from bot.services.agreement import Names, trusted
from bot.services.origins import signed
from tests.services.sealing import (
    ORIGIN,
    Broken,
    Memory,
    backup,
    cut,
    key,
    reasons_in,
    running,
    sealed,
    signatures,
    sql,
)
from tests.storage.opened import until

ROOT = Path(__file__).resolve().parents[2]


class TestRotating:
    async def test_both_keys_sign_one_checkpoint_over_the_entry(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            await ledger.append(3)
            await ledger.service.seal("a test")
            checkpoint = await ledger.service.rotate(key(2), by="person:U1")
            assert checkpoint.size == 4
            for verifier in (key(1).verifier, key(2).verifier):
                said, _ = open_checkpoint(checkpoint.note, [verifier], verify_ed25519)
                assert said.size == 4
            [entry] = await ledger.database.archive.entries(start=3)
            assert b'"type":"key.rotate"' in entry.leaf
            assert key(2).verifier.id.hex().encode() in entry.leaf
            assert await ledger.service.vkeys() == [str(key(1).verifier), str(key(2).verifier)]
            await ledger.append(1)
            last = await ledger.service.seal("a test")
            assert [line.key_id for line in signatures(last.note)] == [key(2).verifier.id]
            await ledger.anchored()
        assert await reasons_in(tmp_path, signer=key(2)) == []

    async def test_three_keys_in_a_row_are_followed_back(self, tmp_path: Path) -> None:
        for life in (1, 2, 3):
            async with running(tmp_path, signer=key(life)) as ledger:
                assert ledger.service.fault is None
                await ledger.append(2)
                await ledger.service.rotate(key(life + 1))
                await ledger.service.ensure_covered()
        assert await reasons_in(tmp_path, signer=key(4)) == []

    async def test_a_key_that_was_exchanged_without_rotating_is_found(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        assert "no trusted key" in (await reasons_in(tmp_path, signer=key(2)))[0]
        assert await reasons_in(tmp_path, signer=key(1)) == []

    async def test_rotating_to_the_same_key_is_refused(self, tmp_path: Path) -> None:
        async with running(tmp_path) as ledger:
            with pytest.raises(Refused, match="in use already"):
                await ledger.service.rotate(key(1))

    async def test_a_rotation_that_broke_off_is_repeated(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        broken = Broken(key=key(2))
        async with running(tmp_path) as ledger:
            with pytest.raises(ConnectionError):
                await ledger.service.rotate(broken)
            await ledger.append(1)
            await ledger.service.ensure_covered()
        assert await reasons_in(tmp_path) == []
        async with running(tmp_path) as ledger:
            await ledger.service.rotate(key(2))
            await ledger.service.ensure_covered()
        assert await reasons_in(tmp_path, signer=key(2)) == []

    def test_a_key_is_trusted_only_where_a_trusted_one_leads_to_it(self) -> None:
        publics = [key(n).verifier.public for n in (1, 2, 3, 66)]
        text = f"{ORIGIN}\n1\n{'A' * 43}=\n"

        def note(*seeds: int) -> bytes:
            return signed(Checkpoint.parse(text), [key(seed) for seed in seeds])

        def found(*notes: bytes) -> frozenset[bytes]:
            return trusted(publics[0], publics, notes=notes, verify=verify_ed25519)

        assert found(note(2), note(66)) == {publics[0]}
        assert found(note(1, 2), note(2, 3), note(66)) == set(publics[:3])
        assert found(note(2, 3)) == {publics[0]}
        forged = note(1, 66).replace(note(1).splitlines()[-1], note(2).splitlines()[-1])
        assert found(forged) == {publics[0]}


class TestRestoring:
    async def test_it_goes_on_under_a_new_origin_that_names_what_was_before(
        self, tmp_path: Path
    ) -> None:
        await sealed(tmp_path, [10, 20])
        lost = notes_in((tmp_path / "anchor").read_bytes())[-1]
        cut(tmp_path, 12)
        async with running(tmp_path) as ledger:
            checkpoint = await ledger.service.restore("the disk died", by="person:U1")
            assert checkpoint.origin == f"{ORIGIN}/2"
            assert ledger.service.fault is None
            [entry] = await ledger.database.archive.entries(start=12)
            assert b'"type":"log.restored"' in entry.leaf
            assert sha256(lost).hexdigest().encode() in entry.leaf
            assert lost.decode().encode() in (entry.body or b"").replace(b"\\n", b"\n")
            await ledger.append(50)
            await ledger.service.ensure_covered()
        assert await reasons_in(tmp_path) == []
        assert notes_in((tmp_path / "anchor").read_bytes())[-1] == lost
        later = notes_in((tmp_path / "anchor.2").read_bytes())
        assert {read_checkpoint(note).origin for note in later} == {f"{ORIGIN}/2"}

    async def test_it_is_refused_where_nothing_contradicts_the_ledger(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        async with running(tmp_path) as ledger:
            with pytest.raises(Refused, match="nothing to restore"):
                await ledger.service.restore("just so", by="person:U1")

    async def test_the_database_of_before_a_restoration_is_found(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10, 20])
        backup(tmp_path, tmp_path / "old")
        cut(tmp_path, 12)
        async with running(tmp_path) as ledger:
            await ledger.service.restore("the disk died", by="system")
        backup(tmp_path / "old", tmp_path)
        assert "before it was restored" in " ".join(await reasons_in(tmp_path))
        async with running(tmp_path) as ledger:
            again = await ledger.service.restore("once more", by="system")
            assert again.origin == f"{ORIGIN}/3"
        assert await reasons_in(tmp_path) == []

    async def test_a_restored_log_is_guarded_like_the_first(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10, 20])
        cut(tmp_path, 12)
        async with running(tmp_path) as ledger:
            await ledger.service.restore("the disk died", by="system")
            await ledger.append(20)
            await ledger.service.ensure_covered()
        cut(tmp_path, 25)
        assert "the database has only 25" in " ".join(await reasons_in(tmp_path))
        (tmp_path / "anchor.2").unlink()
        assert "13 entries and now holds only 0" in " ".join(await reasons_in(tmp_path))
        sql(tmp_path, "DELETE FROM anchor_receipts")
        assert "no anchor knows" in " ".join(await reasons_in(tmp_path))

    async def test_it_is_repeated_where_the_new_origin_could_not_be_anchored(
        self, tmp_path: Path
    ) -> None:
        anchor = Memory()
        async with running(tmp_path, anchors=[anchor]) as ledger:
            await ledger.append(10)
            await ledger.service.ensure_covered(10)
        cut(tmp_path, 5)
        anchor.failing = "the network is gone"
        async with running(tmp_path, anchors=[anchor], within=0.2) as ledger:
            with pytest.raises(Refused, match="restore it again"):
                await ledger.service.restore("the disk died", by="system")
            assert ledger.service.fault is not None
        anchor.failing = None
        async with running(tmp_path, anchors=[anchor]) as ledger:
            assert "no anchor knows" in (ledger.service.fault or "")
            assert (await ledger.service.restore("again", by="system")).origin == f"{ORIGIN}/3"
        assert await reasons_in(tmp_path, anchors=[anchor]) == []

    async def test_an_anchor_that_missed_the_restoration_is_no_contradiction(
        self, tmp_path: Path
    ) -> None:
        chat, anchors = Memory(), [FileAnchor(tmp_path / "anchor")]
        async with running(tmp_path, anchors=[*anchors, chat]) as ledger:
            await ledger.append(20)
            await ledger.service.seal("a test")
            await ledger.anchored()
        cut(tmp_path, 12)
        chat.failing = "the network is gone"
        async with running(tmp_path, anchors=[*anchors, chat]) as ledger:
            await ledger.service.restore("the disk died", by="system")
            keeper = ledger.service._keepers[1]
            await until(lambda: keeper.state.error is not None)
            await asyncio.sleep(0.1)
            assert ledger.service.fault is None
        async with running(tmp_path, anchors=[*anchors, chat]) as ledger:
            assert ledger.service.fault is None

    async def test_a_lost_key_is_a_reason_to_restore(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [10])
        async with running(tmp_path, signer=key(9)) as ledger:
            assert (await ledger.service.restore("the key is lost", by="system")).size == 11
        assert await reasons_in(tmp_path, signer=key(9)) == []

    def test_origins_count_up_and_those_of_others_are_told_apart(self) -> None:
        names = Names(base=ORIGIN, origin=f"{ORIGIN}/7")
        assert names.generation == 7
        assert names.generation_of(ORIGIN) == 1
        assert names.generation_of(f"{ORIGIN}/2") == 2
        for other in (f"{ORIGIN}/1", f"{ORIGIN}/02", f"{ORIGIN}/x", f"{ORIGIN}2", "other/2", "/2"):
            assert names.generation_of(other) is None


SEALER = """
import asyncio, sys
from pathlib import Path
from tests.services.sealing import running

async def main():
    async with running(Path(sys.argv[1]), every_entries=4) as ledger:
        for number in range(25):
            await ledger.append(2, start=number)
            await ledger.service.ensure_covered()
        assert ledger.service.fault is None, ledger.service.fault

asyncio.run(main())
"""


ENDLESS = """
import asyncio, sys
from pathlib import Path
from tests.services.sealing import running

async def main():
    async with running(Path(sys.argv[1]), every_entries=3) as ledger:
        assert ledger.service.fault is None, ledger.service.fault
        print("running", flush=True)
        for number in range(100_000):
            await ledger.append(2, start=number)
            if number % 3 == 0:
                await ledger.service.ensure_covered()
                print(await ledger.database.archive.size(), flush=True)

asyncio.run(main())
"""


class TestKilling:
    async def test_a_process_that_is_killed_leaves_no_contradiction(self, tmp_path: Path) -> None:
        command = (sys.executable, "-c", ENDLESS, str(tmp_path))
        for seconds in (0.05, 0.21, 0.4):
            process = await asyncio.create_subprocess_exec(
                *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"running\n"
            await asyncio.sleep(seconds)
            process.kill()
            told = (await process.stdout.read()).split()
            await process.wait()
            async with running(tmp_path) as ledger:
                assert ledger.service.fault is None
                assert (await ledger.database.archive.verify()).ok
                # What was covered is in the ledger and in the anchor.
                assert await ledger.database.archive.size() >= int(told[-1] if told else 0)
                notes = await FileAnchor(tmp_path / "anchor").kept()
                held = max((read_checkpoint(note).size for note in notes), default=0)
                assert held >= int(told[-1] if told else 0)


class TestTwoProcesses:
    async def test_they_seal_and_anchor_one_database_without_an_alarm(self, tmp_path: Path) -> None:
        await sealed(tmp_path, [1])
        command = (sys.executable, "-c", SEALER, str(tmp_path))
        processes = [await asyncio.create_subprocess_exec(*command, cwd=ROOT) for _ in range(2)]
        assert [await process.wait() for process in processes] == [0, 0]
        async with running(tmp_path) as ledger:
            assert await ledger.service.compare() == []
            assert (await ledger.service.seal("a test")).size == 101
            assert (await ledger.database.archive.verify()).ok
