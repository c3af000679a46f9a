"""Checkpoints, proofs and requests, against published ones and every fault in their form."""

from __future__ import annotations

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import merkle, notes
from bot.domain.checkpoints import (
    MAX_HASHES,
    MAX_SIZE,
    BadCheckpoint,
    Checkpoint,
    LogProof,
    WitnessRequest,
    open_checkpoint,
    parse_consistency,
    parse_size,
    parse_witness_request,
    read_checkpoint,
    witness_request,
    write_consistency,
)
from bot.domain.notes import BadNote, Unverified, VerifierKey, open_note, sign
from bot.ledger.signing import verify_ed25519

ROOT = b64encode(bytes(range(32))).decode()
ORIGIN = "tocsin.example/log"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
KEY = VerifierKey(name=ORIGIN, public=PRIVATE.public_key().public_bytes_raw())

# Two tree heads of Go's public checksum database; the root and the signature of
# the first are those of the example in the tlog-checkpoint specification.
GO_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
GO_HEADS = (
    (
        20852163,
        "go.sum database tree\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGz"
        "Gku9nTo+zyWE+xeMcTOAYQ8=\n",
    ),
    (
        49189689,
        "go.sum database tree\n49189689\nftjbAOzaupaIvaPo/G+Dk63nxOZ2s1OPOKIaPtXs7S4=\n\n"
        "— sum.golang.org Az3grlKZssqRoMNPpZfKt0TphbbcF+pzXqElURJKRNFKfaUAgqeI5k2AORH0QAhg/ebR"
        "wyIqD/OqP4oLtLnNumvOBAM=\n",
    ),
)

# The example request and answer of the tlog-witness specification.
REQUEST = """\
old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
"""  # noqa: E501 - as published
ANSWER = (
    "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrd"
    "k3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n"
    "— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3"
    "HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n"
)


def signed(text: str) -> bytes:
    return sign(text, key=KEY, signature=PRIVATE.sign(text.encode())).write()


def checkpoint(size: int = 9, root: bytes = bytes(32)) -> bytes:
    return signed(Checkpoint(origin=ORIGIN, size=size, root=root).text())


@pytest.mark.parametrize(("size", "data"), GO_HEADS)
def test_a_published_tree_head_is_read_verified_and_written_as_it_was(size: int, data: str) -> None:
    note, signers = open_note(data.encode(), [VerifierKey.parse(GO_KEY)], verify_ed25519)
    head = Checkpoint.parse(note.text)
    assert (head.origin, head.size, len(signers)) == ("go.sum database tree", size, 1)
    assert head.text() == note.text


def test_the_published_request_to_a_witness_is_written_as_it_was_read() -> None:
    request = parse_witness_request(REQUEST.encode())
    assert (request.old, len(request.proof)) == (20852014, 4)
    assert read_checkpoint(request.checkpoint).size == 20852163
    again = witness_request(request.old, request.proof, request.checkpoint)
    assert again == REQUEST.encode()


def test_the_published_answer_of_a_witness_is_read() -> None:
    names = [line.name for line in notes.parse_signatures(ANSWER.encode())]
    assert names == ["witness.example/w1", "witness.example/w2"]


class TestCheckpoints:
    def test_the_text_is_three_lines(self) -> None:
        text = Checkpoint(origin=ORIGIN, size=0, root=merkle.EMPTY_ROOT).text()
        assert text == f"{ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"

    def test_extension_lines_are_kept(self) -> None:
        text = f"{ORIGIN}\n7\n{ROOT}\nTimestamp: 1\n— é\n"
        assert Checkpoint.parse(text).extensions == ("Timestamp: 1", "— é")
        assert Checkpoint.parse(text).text() == text

    @pytest.mark.parametrize("size", (0, 1, 2**53, 2**53 + 1, MAX_SIZE))
    def test_sizes_up_to_the_largest_are_read(self, size: int) -> None:
        assert Checkpoint.parse(f"{ORIGIN}\n{size}\n{ROOT}\n").size == size

    @pytest.mark.parametrize(
        "size", ("", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "1_000", "٣", "NaN")
    )
    def test_a_size_that_is_not_a_plain_decimal_is_refused(self, size: str) -> None:
        with pytest.raises(BadCheckpoint):
            Checkpoint.parse(f"{ORIGIN}\n{size}\n{ROOT}\n")

    @pytest.mark.parametrize("size", (MAX_SIZE + 1, 2**64, 10**400))
    def test_a_size_beyond_the_largest_is_refused(self, size: int) -> None:
        with pytest.raises(BadCheckpoint, match="size"):
            Checkpoint.parse(f"{ORIGIN}\n{size}\n{ROOT}\n")

    @pytest.mark.parametrize(
        ("text", "reason"),
        (
            ("", "newline"),
            ("\n", "line 1 of the checkpoint is empty"),
            (f"{ORIGIN}\n7\n{ROOT}", "newline"),
            (f"{ORIGIN}\n7\n", "at least 3 lines, not 2"),
            (f"\n7\n{ROOT}\n", "line 1 of the checkpoint is empty"),
            (f"{ORIGIN}\n\n{ROOT}\n", "line 2 of the checkpoint is empty"),
            (f"{ORIGIN}\n7\n{ROOT}\n\n", "line 4 of the checkpoint is empty"),
            (f"{ORIGIN}\n7\n{ROOT}\n\nmore\n", "line 4 of the checkpoint is empty"),
            (f"{ORIGIN}\r\n7\r\n{ROOT}\r\n", r"line 1 of the checkpoint holds .*\\r"),
            (f"{ORIGIN}\n7\n{ROOT}\nmore\r\n", r"line 4 .*\\r"),
            (f"a\tb\n7\n{ROOT}\n", "line 1"),
            (f"\ud800\n7\n{ROOT}\n", "line 1"),
            (f"{ORIGIN}\n7\n{ROOT[:-1]}\n", "root is not base64"),
            (f"{ORIGIN}\n7\n{ROOT} \n", "root is not base64"),
            (f"{ORIGIN}\n7\n{ROOT[:-2]}9=\n", "only right form"),
            (f"{ORIGIN}\n7\n{b64encode(bytes(31)).decode()}\n", "31 bytes instead of 32"),
            (f"{ORIGIN}\n7\n{b64encode(bytes(33)).decode()}\n", "33 bytes instead of 32"),
            (f"{ORIGIN}\n7\n{bytes(32).hex()}\n", "48 bytes instead of 32"),
        ),
    )
    def test_a_fault_in_the_form_is_refused_with_its_reason(self, text: str, reason: str) -> None:
        with pytest.raises(BadCheckpoint, match=reason):
            Checkpoint.parse(text)

    @pytest.mark.parametrize(
        "wrong",
        (
            {"origin": ""},
            {"origin": "a\nb"},
            {"size": -1},
            {"size": MAX_SIZE + 1},
            {"root": b""},
            {"extensions": ("",)},
            {"extensions": ("a\nb",)},
        ),
    )
    def test_what_could_not_be_written_cannot_be_made(self, wrong: dict[str, object]) -> None:
        fields: dict[str, object] = {"origin": ORIGIN, "size": 7, "root": bytes(32)}
        with pytest.raises(BadCheckpoint):
            Checkpoint(**{**fields, **wrong})  # type: ignore[arg-type]

    @given(
        st.text(st.characters(codec="utf-8", min_codepoint=0x20), min_size=1),
        st.integers(0, MAX_SIZE),
        st.binary(min_size=32, max_size=32),
    )
    def test_every_checkpoint_is_read_as_it_was_written(
        self, origin: str, size: int, root: bytes
    ) -> None:
        made = Checkpoint(origin=origin, size=size, root=root)
        assert Checkpoint.parse(made.text()) == made
        assert read_checkpoint(signed(made.text())) == made

    @given(st.lists(st.text("a0 1\n+/=é", max_size=50), min_size=1, max_size=5).map("\n".join))
    def test_whatever_is_read_is_written_as_the_same_text(self, text: str) -> None:
        for candidate in (text, f"{ORIGIN}\n7\n{ROOT}\n{text}"):
            try:
                read = Checkpoint.parse(candidate)
            except BadCheckpoint:
                continue
            assert read.text() == candidate


class TestTrust:
    def test_a_checkpoint_signed_by_the_log_opens(self) -> None:
        opened, signers = open_checkpoint(checkpoint(), [KEY], verify_ed25519)
        assert (opened.size, signers) == (9, (KEY,))

    def test_the_signature_of_a_witness_alone_does_not_make_a_checkpoint(self) -> None:
        witness = VerifierKey(name=ORIGIN, public=KEY.public, algorithm=notes.COSIGNATURE)
        text = Checkpoint(origin=ORIGIN, size=9, root=bytes(32)).text()
        by = PRIVATE.sign(notes.cosignature_message(text, 5))
        data = sign(text, key=witness, signature=(5).to_bytes(8, "big") + by).write()
        with pytest.raises(Unverified, match="no trusted key of"):
            open_checkpoint(data, [KEY, witness], verify_ed25519)

    def test_a_log_cannot_sign_in_the_name_of_another(self) -> None:
        data = signed(Checkpoint(origin="other.example/log", size=9, root=bytes(32)).text())
        with pytest.raises(Unverified, match="no trusted key of other"):
            open_checkpoint(data, [KEY], verify_ed25519)

    def test_a_signed_text_that_is_no_checkpoint_is_refused(self) -> None:
        with pytest.raises(BadCheckpoint):
            open_checkpoint(signed("good morning\n"), [KEY], verify_ed25519)

    def test_every_flipped_bit_of_a_signed_checkpoint_is_refused(self) -> None:
        data = checkpoint()
        for index in range(len(data)):
            for bit in range(8):
                bent = bytearray(data)
                bent[index] ^= 1 << bit
                with pytest.raises((BadNote, BadCheckpoint)):
                    open_checkpoint(bytes(bent), [KEY], verify_ed25519)

    def test_every_cut_of_a_signed_checkpoint_is_refused(self) -> None:
        data = checkpoint()
        for end in range(len(data)):
            with pytest.raises((BadNote, BadCheckpoint)):
                open_checkpoint(data[:end], [KEY], verify_ed25519)

    @pytest.mark.parametrize("more", (b"\n", b" ", b"x", b"\r\n", b"x\n", b"\n\n", b"\x00"))
    def test_anything_after_a_signed_checkpoint_is_refused(self, more: bytes) -> None:
        with pytest.raises((BadNote, BadCheckpoint)):
            open_checkpoint(checkpoint() + more, [KEY], verify_ed25519)


_HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_HASHES).map(tuple)


class TestProofs:
    def test_a_proof_of_a_real_log_verifies_after_the_journey(self) -> None:
        leaves = [merkle.leaf_hash(bytes([number])) for number in range(11)]
        nodes: dict[tuple[int, int], bytes] = {}
        frontier = merkle.Frontier()
        for leaf in leaves:
            frontier, new = frontier.append(leaf)
            nodes.update({(level, index): each for level, index, each in new})
        for index, leaf in enumerate(leaves):
            hashes = merkle.inclusion_proof(index, 11, node=lambda *place: nodes[place])
            note = checkpoint(11, frontier.root())
            read = LogProof.parse(LogProof(index=index, hashes=hashes, checkpoint=note).write())
            head, _ = open_checkpoint(read.checkpoint, [KEY], verify_ed25519)
            assert merkle.verify_inclusion(
                leaf, index=read.index, size=head.size, root=head.root, proof=read.hashes
            )

    def test_the_file_is_as_specified(self) -> None:
        made = LogProof(index=3, hashes=(b"a" * 32,), checkpoint=checkpoint(), extra=b"hi")
        line = b64encode(b"a" * 32)
        assert made.write() == (
            b"c2sp.org/tlog-proof@v1\nextra aGk=\nindex 3\n" + line + b"\n\n" + checkpoint()
        )

    @given(st.integers(0, MAX_SIZE - 1), _HASHES, st.none() | st.binary())
    def test_every_proof_is_read_as_it_was_written(
        self, index: int, hashes: tuple[bytes, ...], extra: bytes | None
    ) -> None:
        note = checkpoint(MAX_SIZE)
        made = LogProof(index=index, hashes=hashes, checkpoint=note, extra=extra)
        assert LogProof.parse(made.write()) == made

    @given(st.data())
    def test_whatever_is_read_is_written_as_the_same_bytes(self, data: st.DataObject) -> None:
        whole = LogProof(index=3, hashes=(b"a" * 32,), checkpoint=checkpoint(), extra=b"").write()
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 5)))
        bent = whole[:start] + data.draw(st.binary(max_size=5)) + whole[end:]
        try:
            read = LogProof.parse(bent)
        except BadCheckpoint:
            return
        assert read.write() == bent

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        (
            ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2", "first line"),
            ("c2sp.org/tlog-proof@v1\n", "", "first line"),
            ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n", r"\\r"),
            ("c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\n\n", "index"),
            ("index 3\n", "", "index"),
            ("index 3", "index 03", "leading zeros"),
            ("index 3", "index -3", "leading zeros"),
            ("index 3", "index  3", "leading zeros"),
            ("index 3", "index 3 ", "leading zeros"),
            ("index 3", "Index 3", "index"),
            ("index 3", "index 9", "9 entries has none with the index 9"),
            ("index 3\n", "index 3\nextra aGk=\n", "hash 1 is not base64"),
            ("index 3\n", "extra aGk=\nindex 3\n", "index"),
            ("extra aGk=", "extra aGk", "extra is not base64"),
            ("extra aGk=", "extra aGl=", "only right form"),
            ("extra aGk=", "extra", "index"),
            ("\n\ntocsin", "\n\n\ntocsin", "signed note|empty"),
            ("\n\ntocsin", "\ntocsin", "."),
            ("index 3\n", "index 3\nYQ==\n", "hash 1 has 1 bytes"),
            ("index 3\n", f"index 3\n{ROOT}\n{ROOT} \n", "hash 2 is not base64"),
        ),
    )
    def test_a_fault_in_the_form_is_refused_with_its_reason(
        self, old: str, new: str, reason: str
    ) -> None:
        made = LogProof(index=3, hashes=(b"a" * 32,), checkpoint=checkpoint(), extra=b"hi")
        text = made.write().decode()
        assert text.count(old) == 1
        with pytest.raises(BadCheckpoint, match=reason):
            LogProof.parse(text.replace(old, new).encode())

    @pytest.mark.parametrize("more", (b"\n", b"x", b"x\n", b"\r\n"))
    def test_anything_after_the_checkpoint_is_refused(self, more: bytes) -> None:
        whole = LogProof(index=3, hashes=(), checkpoint=checkpoint()).write()
        with pytest.raises(BadCheckpoint):
            LogProof.parse(whole + more)

    def test_a_missing_final_newline_is_refused(self) -> None:
        whole = LogProof(index=3, hashes=(), checkpoint=checkpoint()).write()
        with pytest.raises(BadCheckpoint, match="newline"):
            LogProof.parse(whole[:-1])

    def test_more_hashes_than_any_tree_needs_are_refused(self) -> None:
        with pytest.raises(BadCheckpoint, match="at most 63"):
            LogProof(index=3, hashes=(bytes(32),) * 64, checkpoint=checkpoint())
        whole = LogProof(index=3, hashes=(bytes(32),) * 63, checkpoint=checkpoint()).write()
        line = b64encode(bytes(32)) + b"\n"
        with pytest.raises(BadCheckpoint, match="at most 63"):
            LogProof.parse(whole.replace(b"index 3\n", b"index 3\n" + line))

    def test_too_much_extra_is_refused(self) -> None:
        with pytest.raises(BadCheckpoint, match="extra"):
            LogProof(index=3, hashes=(), checkpoint=checkpoint(), extra=bytes(65_537))


class TestConsistency:
    @given(_HASHES)
    def test_every_proof_is_read_as_it_was_written(self, hashes: tuple[bytes, ...]) -> None:
        assert parse_consistency(write_consistency(hashes)) == hashes

    def test_no_hash_is_an_empty_file(self) -> None:
        assert write_consistency(()) == b""
        assert parse_consistency(b"") == ()

    @pytest.mark.parametrize(
        ("data", "reason"),
        (
            (ROOT.encode(), "newline"),
            (f"{ROOT}\r\n".encode(), r"\\r"),
            (b"\n", "empty"),
            (f"{ROOT}\n\n".encode(), "line 2 of the proof is empty"),
            (f"\n{ROOT}\n".encode(), "line 1 of the proof is empty"),
            (f"{ROOT}\n{ROOT}x\n".encode(), "hash 2 is not base64"),
            (f" {ROOT}\n".encode(), "hash 1 is not base64"),
            (b"YQ==\n", "1 bytes instead of 32"),
            (f"{ROOT}\n".encode() * 64, "at most 63"),
            (b"\xff\n", "not UTF-8 at byte 0"),
            (b"A" * 1_000_001, "at most 1000000"),
        ),
    )
    def test_a_fault_in_the_form_is_refused_with_its_reason(self, data: bytes, reason: str) -> None:
        with pytest.raises(BadCheckpoint, match=reason):
            parse_consistency(data)

    @pytest.mark.parametrize("hashes", ((b"short",), (bytes(32),) * 64))
    def test_what_cannot_be_a_proof_is_not_written(self, hashes: tuple[bytes, ...]) -> None:
        with pytest.raises(BadCheckpoint):
            write_consistency(hashes)


class TestWitnesses:
    @given(st.integers(0, MAX_SIZE), _HASHES)
    def test_every_request_is_read_as_it_was_written(
        self, old: int, proof: tuple[bytes, ...]
    ) -> None:
        data = witness_request(old, proof, checkpoint())
        made = WitnessRequest(old=old, proof=proof, checkpoint=checkpoint())
        assert parse_witness_request(data) == made

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        (
            ("old 5\n", "", "old size"),
            ("old 5", "old 05", "leading zeros"),
            ("old 5", "old", "old size"),
            ("old 5", "old 5\r", r"\\r"),
            ("old 5\n", "old 5\n\n", "."),
            ("old 5\n", f"old 5\n{ROOT[:-1]}\n", "hash 1"),
            ("\n\ntocsin", "\ntocsin", "."),
        ),
    )
    def test_a_fault_in_the_form_is_refused_with_its_reason(
        self, old: str, new: str, reason: str
    ) -> None:
        text = witness_request(5, (b"a" * 32,), checkpoint()).decode()
        assert text.count(old) == 1
        with pytest.raises(BadCheckpoint, match=reason):
            parse_witness_request(text.replace(old, new).encode())

    def test_a_request_about_no_checkpoint_is_refused(self) -> None:
        with pytest.raises(BadCheckpoint):
            witness_request(5, (), b"good morning\n")

    def test_the_size_a_witness_saw_last_is_read(self) -> None:
        assert parse_size(b"20852014\n") == 20852014

    @pytest.mark.parametrize("data", (b"", b"7", b"07\n", b"7\r\n", b"7\n7\n", b"\n", b"\xff\n"))
    def test_any_other_answer_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadCheckpoint):
            parse_size(data)
