"""Checkpoints in a file: what it keeps, what it refuses, what it survives."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.checkpoints import read_checkpoint
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.anchors.paragraphs import mending, newest_in, notes_in, written
from bot.ports import AnchorFailed
from tests.ledger.growing import LOG, OTHER, Log
from tests.services.sealing import ORIGIN


class TestFileFormat:
    def test_it_is_the_notes_with_an_empty_line_after_each(self) -> None:
        notes = [LOG.at(3).note, LOG.at(7, 1, 2).note, LOG.at(9).note]
        data = b"".join(map(written, notes))
        assert data == b"\n".join([*notes, b""])
        assert notes_in(data) == notes
        assert newest_in(data) == notes[-1]
        assert mending(data) == b""

    @settings(max_examples=200)
    @given(
        st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=4),
        st.data(),
    )
    def test_torn_anywhere_nothing_before_or_after_is_lost(
        self, sizes: list[tuple[int, bool]], data: st.DataObject
    ) -> None:
        notes = [LOG.at(size, *((1, 2) if double else (1,))).note for size, double in sizes]
        whole = b"".join(map(written, notes))
        cut = data.draw(st.integers(0, len(whole)))
        ends = [len(b"".join(map(written, notes[: n + 1]))) for n in range(len(notes))]
        kept = [note for note, end in zip(notes, ends, strict=True) if end <= cut]
        torn = whole[:cut]
        assert notes_in(torn) == kept
        later = LOG.at(100).note
        mended = torn + mending(torn) + written(later)
        assert notes_in(mended) == [*kept, later]
        assert newest_in(mended) == (later if kept or "\u2014 ".encode() in torn else None)
        # The mending itself may be torn, again and again.
        again = mended[: data.draw(st.integers(cut, len(mended)))]
        whole_again = [later] if again == mended else []
        mended_again = again + mending(again) + written(later)
        assert notes_in(mended_again) == [*kept, *whole_again, later]

    def test_what_is_no_note_is_shown_rather_than_passed_over(self) -> None:
        note = LOG.at(3).note
        text, signatures = note.split(b"\n\n")
        assert notes_in(text + b"\n\n" + written(note)) == [text, note]
        assert notes_in(signatures + b"\n" + written(note))[0].endswith(signatures)


class TestFileAnchor:
    async def test_it_keeps_every_checkpoint_once(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        assert await anchor.kept() == []
        for size in (3, 3, 10, 64):
            assert await anchor.keep(LOG.at(size), proof=LOG.proof) == b""
        notes = [LOG.at(size).note for size in (3, 10, 64)]
        assert await anchor.kept() == notes
        assert await FileAnchor(tmp_path / "anchor").kept() == notes

    async def test_a_second_signature_over_the_same_tree_is_kept_as_well(
        self, tmp_path: Path
    ) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(3), proof=LOG.proof)
        await anchor.keep(LOG.at(3, 1, 2), proof=LOG.proof)
        assert await anchor.kept() == [LOG.at(3).note, LOG.at(3, 1, 2).note]

    @pytest.mark.parametrize(
        ("log", "size", "reason"),
        (
            (OTHER, 50, "contradicts what is offered of 50"),
            (OTHER, 60, "contradicts"),
            (OTHER, 40, "contradicts"),
            (Log(40), 40, "cannot prove"),
            (Log(40).grow(30, "differently"), 70, "contradicts"),
            (Log(40).grow(10, "differently"), 50, "contradicts"),
        ),
    )
    async def test_it_refuses_what_does_not_continue_it(
        self, tmp_path: Path, log: Log, size: int, reason: str
    ) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(50), proof=LOG.proof)
        with pytest.raises(AnchorFailed, match=reason):
            await anchor.keep(log.at(size), proof=log.proof)
        assert await anchor.kept() == [LOG.at(50).note]

    async def test_it_refuses_a_wrong_proof(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(50), proof=LOG.proof)
        with pytest.raises(AnchorFailed, match="contradicts"):
            await anchor.keep(LOG.at(60), proof=OTHER.proof)

    async def test_an_older_checkpoint_of_the_same_log_is_covered_already(
        self, tmp_path: Path
    ) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(50), proof=LOG.proof)
        await anchor.keep(LOG.at(40), proof=LOG.proof)
        assert await anchor.kept() == [LOG.at(50).note]

    async def test_another_process_may_be_faster(self, tmp_path: Path) -> None:
        anchor, other = FileAnchor(tmp_path / "anchor"), FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(50), proof=LOG.proof)

        async def proof(old: int, new: int) -> Sequence[bytes]:
            await other.keep(LOG.at(70), proof=LOG.proof)
            return await LOG.proof(old, new)

        await anchor.keep(LOG.at(60), proof=proof)
        assert await anchor.kept() == [LOG.at(50).note, LOG.at(70).note]

    async def test_a_torn_record_is_mended_by_the_next(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(3), proof=LOG.proof)
        with (tmp_path / "anchor").open("ab") as file:
            file.write(LOG.at(10).note[:40])
        assert await anchor.kept() == [LOG.at(3).note]
        await anchor.keep(LOG.at(12), proof=LOG.proof)
        assert await anchor.kept() == [LOG.at(3).note, LOG.at(12).note]

    async def test_a_restored_log_gets_a_file_of_its_own(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        second = Log(30, leaves="restored", origin=f"{ORIGIN}/2")
        third = Log(20, leaves="again", origin=f"{ORIGIN}/3")
        for log, size in ((LOG, 50), (second, 10), (third, 5), (second, 20), (LOG, 60), (third, 6)):
            await anchor.keep(log.at(size), proof=log.proof)
        assert sorted(os.listdir(tmp_path)) == ["anchor", "anchor.2", "anchor.3"]
        sizes = [
            (read_checkpoint(n).origin[-2:], read_checkpoint(n).size) for n in await anchor.kept()
        ]
        assert sizes == [("og", 50), ("og", 60), ("/2", 10), ("/2", 20), ("/3", 5), ("/3", 6)]

    async def test_it_goes_on_beside_a_first_file_that_is_gone(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        second = Log(30, leaves="restored", origin=f"{ORIGIN}/2")
        await anchor.keep(LOG.at(50), proof=LOG.proof)
        await anchor.keep(second.at(10), proof=second.proof)
        (tmp_path / "anchor").unlink()
        await anchor.keep(second.at(20), proof=second.proof)
        assert await anchor.kept() == [second.at(10).note, second.at(20).note]
        other = Log(30, leaves="forged", origin=f"{ORIGIN}/2")
        with pytest.raises(AnchorFailed, match="contradicts"):
            await anchor.keep(other.at(25), proof=other.proof)

    async def test_a_long_file_is_not_read_whole_to_append(self, tmp_path: Path) -> None:
        path = tmp_path / "anchor"
        path.write_bytes(written(LOG.at(3).note) * 2000)
        anchor = FileAnchor(path)
        await anchor.keep(LOG.at(4), proof=LOG.proof)
        assert (await anchor.kept())[-1] == LOG.at(4).note

    async def test_a_missing_folder_is_not_made_up(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "not mounted" / "anchor")
        with pytest.raises(AnchorFailed, match="No such file or directory"):
            await anchor.keep(LOG.at(3), proof=LOG.proof)
        assert not (tmp_path / "not mounted").exists()

    async def test_what_is_no_file_is_refused_and_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "folder").mkdir()
        for name in ("pipe", "folder"):
            with pytest.raises(AnchorFailed):
                await asyncio.wait_for(
                    FileAnchor(tmp_path / name).keep(LOG.at(3), proof=LOG.proof), 5
                )
            with pytest.raises(AnchorFailed):
                await asyncio.wait_for(FileAnchor(tmp_path / name).kept(), 5)

    async def test_a_full_disk_is_reported_and_nothing_is_confirmed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(3), proof=LOG.proof)
        write, left = os.write, [100]

        def full(file: int, data: bytes) -> int:
            room, left[0] = left[0], 0
            if not room:
                raise OSError(28, "No space left on device")
            return write(file, data[:room])

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(AnchorFailed, match="No space left"):
            await anchor.keep(LOG.at(10), proof=LOG.proof)
        monkeypatch.undo()
        assert await anchor.kept() == [LOG.at(3).note]
        await anchor.keep(LOG.at(10), proof=LOG.proof)
        assert await anchor.kept() == [LOG.at(3).note, LOG.at(10).note]

    async def test_a_damaged_newest_note_is_named(self, tmp_path: Path) -> None:
        anchor = FileAnchor(tmp_path / "anchor")
        await anchor.keep(LOG.at(3), proof=LOG.proof)
        await anchor.keep(LOG.at(4), proof=LOG.proof)
        data = (tmp_path / "anchor").read_bytes()
        (tmp_path / "anchor").write_bytes(data.replace(b"\n4\n", b"\n04\n"))
        with pytest.raises(AnchorFailed, match="damaged"):
            await anchor.keep(LOG.at(5), proof=LOG.proof)

    def test_processes_take_turns(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = [(str(tmp_path / "anchor"), start) for start in (1, 2)]
        processes = [context.Process(target=keep_many, args=each) for each in arguments]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        notes = asyncio.run(FileAnchor(tmp_path / "anchor").kept())
        sizes = [read_checkpoint(note).size for note in notes]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == 99


def keep_many(path: str, start: int) -> None:
    async def run() -> None:
        for size in range(start, 100, 2):
            await FileAnchor(Path(path)).keep(LOG.at(size), proof=LOG.proof)

    asyncio.run(run())
