"""Places that remember checkpoints: what they keep, what they refuse, what they survive."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
import pytest
from typing_extensions import override

from bot.domain.checkpoints import parse_witness_request
from bot.domain.notes import parse_signatures
from bot.domain.people import ChannelId, Person, PersonId
from bot.ledger.anchors.chat import ChatAnchor, _message
from bot.ledger.anchors.paragraphs import notes_in
from bot.ledger.anchors.timestamps import TimestampAnchor
from bot.ledger.anchors.witnesses import WitnessAnchor
from bot.ledger.signing import verify_ed25519
from bot.ports import AnchorFailed, MessageRef, Said, SignedCheckpoint
from bot.slack.blocks import render
from bot.slack.escape import readable
from tests.fakes import NOON, FakeChat, FakeClock
from tests.ledger.growing import LOG, OTHER, Log
from tests.ledger.outside import Authority, Witness, authority, serving
from tests.services.sealing import ORIGIN, key


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
