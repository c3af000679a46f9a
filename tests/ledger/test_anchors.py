"""Places that remember checkpoints: what they keep, what they refuse, what they survive."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from bot.domain.checkpoints import Checkpoint, parse_witness_request, read_checkpoint
from bot.domain.merkle import Frontier, consistency_proof, leaf_hash, root_at
from bot.domain.notes import parse_signatures
from bot.domain.people import ChannelId, Person, PersonId
from bot.ledger.anchors.chat import ChatAnchor, _message
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.anchors.paragraphs import mending, newest_in, notes_in, written
from bot.ledger.anchors.timestamps import TimestampAnchor
from bot.ledger.anchors.witnesses import WitnessAnchor
from bot.ledger.signing import verify_ed25519
from bot.ports import AnchorFailed, MessageRef, Said, SignedCheckpoint
from bot.services.origins import signed
from bot.slack.blocks import render
from bot.slack.escape import readable
from tests.fakes import NOON, FakeChat, FakeClock
from tests.ledger.outside import Authority, Witness, authority, serving
from tests.services.sealing import ORIGIN, key


class Log:
    """A log in memory that can forget its end and go on differently."""

    def __init__(self, size: int = 0, *, leaves: str = "leaf", origin: str = ORIGIN) -> None:
        self.origin = origin
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.frontier = Frontier()
        self.grow(size, leaves)

    def grow(self, count: int, leaves: str = "leaf") -> Log:
        for _ in range(count):
            leaf = leaf_hash(f"{leaves} {self.frontier.size}".encode())
            self.frontier, new = self.frontier.append(leaf)
            self.nodes.update({(level, at): h for level, at, h in new})
        return self

    def node(self, level: int, at: int) -> bytes:
        if (level, at) not in self.nodes:
            raise ValueError("there is no such node")
        return self.nodes[level, at]

    async def proof(self, old: int, new: int) -> Sequence[bytes]:
        return consistency_proof(old, new, node=self.node)

    def at(self, size: int, *seeds: int) -> SignedCheckpoint:
        root = root_at(size, self.node)
        checkpoint = Checkpoint(origin=self.origin, size=size, root=root)
        note = signed(checkpoint, [key(seed) for seed in seeds or (1,)])
        return SignedCheckpoint(origin=self.origin, size=size, root=root, note=note, at=NOON)


LOG = Log(100)
OTHER = Log(100, leaves="other")


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


class Slackish(FakeChat):
    """A chat that shows our own messages by their summary, as Slack does."""

    @override
    async def said(self, ref: MessageRef) -> Said | None:
        self._called("said")
        for post in self.posts:
            if post.ref == ref:
                text = post.message.summary[:600]
                person = Person(id=PersonId("B1"), name="Tocsin", bot=True)
                return Said(ref=ref, person=person, text=text, at=NOON, link="")
        return None


class TestChatAnchor:
    def chat(self) -> tuple[Slackish, ChannelId, FakeClock]:
        clock = FakeClock()
        chat = Slackish(clock)
        return chat, chat.add_channel("ledger"), clock

    async def test_one_message_a_day_shows_the_newest(self) -> None:
        chat, channel, clock = self.chat()
        anchor = ChatAnchor(chat, channel, clock=clock)
        for size in (3, 10, 20):
            receipt = await anchor.keep(LOG.at(size), proof=LOG.proof)
        [post] = chat.posts
        assert receipt == post.ref.id.encode()
        assert len(post.shown) == 3
        assert await anchor.kept() == [LOG.at(20).note]
        clock.advance(seconds=86_400)
        await anchor.keep(LOG.at(30), proof=LOG.proof)
        assert len(chat.posts) == 2
        assert await anchor.kept() == [LOG.at(30).note]

    async def test_after_a_start_it_goes_on_with_the_days_message(self) -> None:
        chat, channel, clock = self.chat()
        await ChatAnchor(chat, channel, clock=clock).keep(LOG.at(3), proof=LOG.proof)
        await ChatAnchor(chat, channel, clock=clock).keep(LOG.at(9), proof=LOG.proof)
        assert len(chat.posts) == 1

    async def test_it_refuses_what_does_not_continue_what_is_shown(self) -> None:
        chat, channel, clock = self.chat()
        await ChatAnchor(chat, channel, clock=clock).keep(LOG.at(50), proof=LOG.proof)
        clock.advance(seconds=2 * 86_400)
        anchor = ChatAnchor(chat, channel, clock=clock)
        assert await anchor.kept() == [LOG.at(50).note]
        with pytest.raises(AnchorFailed, match="contradicts"):
            await anchor.keep(OTHER.at(60), proof=OTHER.proof)
        assert len(chat.posts) == 1

    async def test_a_restored_log_stands_beside_the_first(self) -> None:
        chat, channel, clock = self.chat()
        anchor = ChatAnchor(chat, channel, clock=clock)
        second = Log(30, leaves="restored", origin=f"{ORIGIN}/2")
        await anchor.keep(LOG.at(50), proof=LOG.proof)
        await anchor.keep(second.at(7), proof=second.proof)
        assert len(chat.posts) == 1
        assert await anchor.kept() == [LOG.at(50).note, second.at(7).note]

    def test_a_note_comes_back_from_slack_as_it_was(self) -> None:
        """What Slack stores of a message is its text, with what is markup escaped."""
        log = Log(40, origin="tocsin.eu-west.example.com/acme/ledger/12")
        for checkpoint in (log.at(40), log.at(40, 1, 2)):
            drawn = str(render(_message([checkpoint.note], checkpoint), now=NOON)["text"])
            # Slack makes links of what looks like one, and drops newlines at the end.
            stored = drawn.strip().replace(
                "eu-west.example.com", "<http://e.com|eu-west.example.com>"
            )
            assert checkpoint.note in notes_in(readable(stored, {}).encode() + b"\n\n")

    async def test_an_origin_that_a_chat_would_change_is_refused(self) -> None:
        chat, channel, clock = self.chat()
        for origin in ("a.example/~log", "a.example:main:", "a.example/*", "a.example/<log>", "_a"):
            log = Log(3, origin=origin)
            with pytest.raises(AnchorFailed, match="cannot be shown"):
                await ChatAnchor(chat, channel, clock=clock).keep(log.at(3), proof=log.proof)
        assert chat.posts == []

    async def test_a_closed_channel_is_an_anchor_that_fails(self) -> None:
        chat, channel, clock = self.chat()
        anchor = ChatAnchor(chat, channel, clock=clock)
        chat.fail("find", "is_archived")
        with pytest.raises(AnchorFailed, match="is_archived"):
            await anchor.kept()
        chat.fail("post", "not_in_channel")
        with pytest.raises(AnchorFailed, match="not_in_channel"):
            await anchor.keep(LOG.at(3), proof=LOG.proof)
        await anchor.keep(LOG.at(3), proof=LOG.proof)

    async def test_what_people_write_there_does_not_matter(self) -> None:
        chat, channel, clock = self.chat()
        person = chat.add_person("U1", "Ana")
        chat.say(channel, person, LOG.at(90).note.decode())
        assert await ChatAnchor(chat, channel, clock=clock).kept() == []

    async def test_a_clock_that_jumps_by_a_day_costs_no_more_than_a_message(self) -> None:
        chat, channel, clock = self.chat()
        anchor = ChatAnchor(chat, channel, clock=clock)
        for days, size in ((0, 3), (1, 10), (0, 20), (-1, 30), (0, 40)):
            clock.set(NOON + timedelta(days=days))
            await anchor.keep(LOG.at(size), proof=LOG.proof)
        assert len(chat.posts) == 3
        assert await anchor.kept() == [LOG.at(40).note]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
def witness() -> Iterator[Witness]:
    witness = Witness(log=key().verifier)
    with serving(witness):
        yield witness


class TestWitnessAnchor:
    def anchor(self, witness: Witness, client: httpx.AsyncClient) -> WitnessAnchor:
        return WitnessAnchor(f"{witness.url}/w", witness.key, client=client, within=1)

    async def test_the_receipt_is_a_cosignature_that_holds(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        anchor = self.anchor(witness, client)
        for size in (3, 3, 20, 64):
            checkpoint = LOG.at(size)
            receipt = await anchor.keep(checkpoint, proof=LOG.proof)
            [line] = parse_signatures(receipt)
            text = checkpoint.note.decode().split("\n\n")[0] + "\n"
            assert witness.key.accepts(text, line.signature, verify=verify_ed25519)
        assert witness.size == 64
        assert [parse_witness_request(each).old for each in witness.asked] == [0, 3, 3, 20]
        assert await anchor.kept() == ()

    async def test_after_a_start_it_asks_again_from_the_witnesss_size(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        await self.anchor(witness, client).keep(LOG.at(20), proof=LOG.proof)
        await self.anchor(witness, client).keep(LOG.at(33), proof=LOG.proof)
        assert [parse_witness_request(each).old for each in witness.asked] == [0, 0, 20]

    async def test_a_rewritten_log_gets_no_cosignature(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        anchor = self.anchor(witness, client)
        await anchor.keep(LOG.at(20), proof=LOG.proof)
        for log, size, reason in (
            (OTHER, 33, "422"),
            (OTHER, 20, "409 another root"),
            (Log(10), 10, "has seen 20 entries, more than the 10"),
            (Log(10).grow(30, "differently"), 40, "422"),
        ):
            with pytest.raises(AnchorFailed, match=reason):
                await anchor.keep(log.at(size), proof=log.proof)
        assert witness.size == 20

    async def test_an_unknown_key_or_log_is_refused(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        anchor = self.anchor(witness, client)
        with pytest.raises(AnchorFailed, match="403"):
            await anchor.keep(LOG.at(3, 2), proof=LOG.proof)
        stranger = Log(5, origin="other.example/log")
        with pytest.raises(AnchorFailed, match="404"):
            await anchor.keep(stranger.at(3), proof=stranger.proof)

    @pytest.mark.parametrize(
        ("reply", "reason"),
        (
            ((200, "text/plain", b""), "no signature"),
            ((200, "text/plain", b"fine\n"), "no signature"),
            ((200, "text/plain", "— w ".encode() + b"A" * 99), "no signature"),
            ((200, "text/plain", b"x" * 70_000), "more than 65536 bytes"),
            ((409, "text/x.tlog.size", b"020\n"), "leading zeros"),
            ((409, "text/x.tlog.size", b"20"), "newline"),
            ((409, "text/x.tlog.size", b"1\n"), "409"),
            ((409, "text/plain", b"20\n"), "409"),
            ((302, "text/plain", b""), "302"),
            ((307, "text/plain", b""), "307"),
            ((500, "text/plain", b"oh\nno"), "500 oh no"),
        ),
    )
    async def test_odd_answers_are_failures_and_redirects_are_not_followed(
        self,
        witness: Witness,
        client: httpx.AsyncClient,
        reply: tuple[int, str, bytes],
        reason: str,
    ) -> None:
        witness.reply = reply
        client.follow_redirects = True
        with pytest.raises(AnchorFailed, match=reason):
            await self.anchor(witness, client).keep(LOG.at(30), proof=LOG.proof)
        assert len(witness.asked) <= 4

    async def test_a_cosignature_by_another_key_or_over_another_tree_does_not_count(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        anchor = self.anchor(witness, client)
        witness.reply = (200, "text/plain", Witness(seed=b"x" * 32).cosigned(text_of(LOG.at(30))))
        with pytest.raises(AnchorFailed, match="another key"):
            await anchor.keep(LOG.at(30), proof=LOG.proof)
        witness.reply = (200, "text/plain", witness.cosigned(text_of(LOG.at(29))))
        with pytest.raises(AnchorFailed, match="does not hold"):
            await anchor.keep(LOG.at(30), proof=LOG.proof)

    async def test_other_keys_lines_beside_the_trusted_one_do_not_matter(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        ours, text = witness.cosigned(text_of(LOG.at(30))), text_of(LOG.at(30))
        witness.reply = (200, "text/plain", Witness(seed=b"x" * 32).cosigned(text) + ours)
        assert await self.anchor(witness, client).keep(LOG.at(30), proof=LOG.proof) == ours

    async def test_a_witness_that_is_slow_or_away_is_a_failure(
        self, witness: Witness, client: httpx.AsyncClient
    ) -> None:
        witness.delay = 5
        with pytest.raises(AnchorFailed, match="did not answer within 1 s"):
            await self.anchor(witness, client).keep(LOG.at(3), proof=LOG.proof)
        away = WitnessAnchor("http://127.0.0.1:9/w", witness.key, client=client)
        with pytest.raises(AnchorFailed, match="cannot be asked"):
            await away.keep(LOG.at(3), proof=LOG.proof)
        nowhere = WitnessAnchor("http://[/w", witness.key, client=client)
        with pytest.raises(AnchorFailed, match="cannot be asked"):
            await nowhere.keep(LOG.at(3), proof=LOG.proof)


def text_of(checkpoint: SignedCheckpoint) -> str:
    return checkpoint.note.decode().split("\n\n")[0] + "\n"


@pytest.fixture(scope="module")
def tsa() -> Iterator[Authority]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to be the authority")
    with authority() as made:
        yield made


class TestTimestampAnchor:
    @pytest.fixture(autouse=True)
    def as_usual(self, tsa: Authority) -> None:
        tsa.reply, tsa.delay = None, 0

    def anchor(self, tsa: Authority, client: httpx.AsyncClient) -> TimestampAnchor:
        return TimestampAnchor(tsa.url, client, roots=[tsa.root], within=2)

    async def test_the_receipt_is_a_token_that_openssl_verifies(
        self, tsa: Authority, client: httpx.AsyncClient
    ) -> None:
        token = await self.anchor(tsa, client).keep(LOG.at(30), proof=LOG.proof)
        assert tsa.verifies(token, LOG.at(30).note)
        assert not tsa.verifies(token, LOG.at(31).note)
        assert await self.anchor(tsa, client).kept() == ()

    async def test_without_certificates_it_is_checked_what_the_token_is_about(
        self, tsa: Authority, client: httpx.AsyncClient
    ) -> None:
        anchor = TimestampAnchor(tsa.url, client)
        assert tsa.verifies(await anchor.keep(LOG.at(30), proof=LOG.proof), LOG.at(30).note)
        tsa.reply = tsa.answer("/", tsa.asked[-1])
        with pytest.raises(AnchorFailed, match="another request"):
            await anchor.keep(LOG.at(30), proof=LOG.proof)
        with pytest.raises(AnchorFailed, match="something else"):
            await anchor.keep(LOG.at(31), proof=LOG.proof)

    async def test_an_authority_that_is_not_trusted_does_not_count(
        self, tsa: Authority, client: httpx.AsyncClient
    ) -> None:
        with authority() as other:
            anchor = TimestampAnchor(other.url, client, roots=[tsa.root])
            with pytest.raises(AnchorFailed, match="no timestamp that holds"):
                await anchor.keep(LOG.at(30), proof=LOG.proof)

    @pytest.mark.parametrize(
        "reply",
        (
            (200, "application/timestamp-reply", b""),
            (200, "application/timestamp-reply", b"\x30\x03\x02\x01\x02"),
            (200, "application/timestamp-reply", b"\x30\x05\x30\x03\x02\x01\x02"),
            (200, "application/timestamp-reply", b"\x30\x05\x30\x03\x02\x01\x00"),
            (200, "application/timestamp-reply", b"\x30\x05\x30\x03\x02\x01\x63"),
            (200, "application/timestamp-reply", b"\xff" * 500),
            (200, "text/html", b"<html>"),
            (302, "text/plain", b""),
            (503, "text/plain", b"later"),
        ),
    )
    async def test_odd_answers_are_failures(
        self, tsa: Authority, client: httpx.AsyncClient, reply: tuple[int, str, bytes]
    ) -> None:
        tsa.reply = reply
        for anchor in (self.anchor(tsa, client), TimestampAnchor(tsa.url, client)):
            with pytest.raises(AnchorFailed):
                await anchor.keep(LOG.at(30), proof=LOG.proof)

    async def test_a_token_with_any_byte_changed_is_refused_or_says_the_same(
        self, tsa: Authority, client: httpx.AsyncClient
    ) -> None:
        anchor = self.anchor(tsa, client)
        for step in range(0, 1500, 151):
            tsa.reply = None
            changed = Changing(tsa, step)
            with serving(changed):
                anchor = TimestampAnchor(changed.url, client, roots=[tsa.root])
                try:
                    token = await anchor.keep(LOG.at(30), proof=LOG.proof)
                except AnchorFailed:
                    continue
            assert tsa.verifies(token, LOG.at(30).note)


class Changing(Witness):
    """An authority behind somebody who changes one byte of each answer."""

    def __init__(self, tsa: Authority, place: int) -> None:
        super().__init__()
        self.tsa, self.place = tsa, place

    @override
    def answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        status, kind, answer = self.tsa.answer(path, body)
        place = self.place % len(answer)
        return status, kind, answer[:place] + bytes([answer[place] ^ 1]) + answer[place + 1 :]
