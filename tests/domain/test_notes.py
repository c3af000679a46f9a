"""Signed notes against published ones, and against every way to bend them."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import notes
from bot.domain.notes import (
    BadNote,
    BadVerifierKey,
    Signature,
    SignedNote,
    Unverified,
    VerifierKey,
    open_note,
    sign,
)

# From the tests and the documentation of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdng"
    "otpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWL"
    "ox33WWd1RvMc+QQ=\n"
)

# The example of the signed-note specification.
SPECIFIED = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPECIFIED_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3"
    "mFXmRKuwHjG1Yu72IneyaQM=\n"
)

# A checkpoint of a public test log, cosigned by four public witnesses.
ARCHE = (
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f"
)
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
COSIGNED = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
"""  # noqa: E501 - as published


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def private(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def key(name: str, number: int, algorithm: int = notes.ED25519) -> VerifierKey:
    public = private(number).public_key().public_bytes_raw()
    return VerifierKey(name=name, public=public, algorithm=algorithm)


def signed(text: str, *numbers: int) -> SignedNote:
    lines = tuple(
        Signature(
            name=f"key.example/{number}",
            key_id=key(f"key.example/{number}", number).id,
            signature=private(number).sign(text.encode()),
        )
        for number in numbers
    )
    return SignedNote(text=text, signatures=lines)


def test_a_published_note_opens_with_its_published_key() -> None:
    for text, line in ((PETER, PETER_LINE), (ENOCH, ENOCH_LINE)):
        verifier = VerifierKey.parse(text)
        note, signers = open_note((TEXT + "\n" + line).encode(), [verifier], verify)
        assert note.text == TEXT
        assert signers == (verifier,)


def test_the_example_of_the_specification_opens() -> None:
    verifier = VerifierKey.parse(SPECIFIED)
    note, signers = open_note(SPECIFIED_NOTE.encode(), [verifier], verify)
    assert (note.text, signers) == ("This is an example message.\n", (verifier,))


def test_signing_gives_exactly_the_published_note() -> None:
    peter = Ed25519PrivateKey.from_private_bytes(PETER_SEED)
    note = sign(TEXT, key=VerifierKey.parse(PETER), signature=peter.sign(TEXT.encode()))
    assert note.write() == (TEXT + "\n" + PETER_LINE).encode()


@pytest.mark.parametrize("text", (PETER, ENOCH, SPECIFIED, ARCHE, REMORA))
def test_a_published_key_is_written_as_it_was_read(text: str) -> None:
    assert str(VerifierKey.parse(text)) == text


def test_a_published_checkpoint_opens_with_the_keys_of_its_log_and_of_a_witness() -> None:
    log, witness = VerifierKey.parse(ARCHE), VerifierKey.parse(REMORA)
    note, signers = open_note(COSIGNED.encode(), [witness, log], verify)
    assert signers == (log, witness)
    assert note.write() == COSIGNED.encode()
    assert notes.cosigned_at(note.signatures[4].signature) == 0x6A122120


def test_a_text_with_empty_lines_ends_at_the_last_of_them() -> None:
    text = "Ognuno sta solo\n\ned è subito sera.\n\n"
    note = signed(text, 1)
    opened, _ = open_note(note.write(), [key("key.example/1", 1)], verify)
    assert opened.text == text


def test_a_line_of_dashes_in_the_text_is_text() -> None:
    text = "-\n\n" + PETER_LINE
    opened, _ = open_note(signed(text, 1).write(), [key("key.example/1", 1)], verify)
    assert opened.text == text


class TestVerifierKeys:
    """Cases of Go's own test, and some more."""

    def test_no_part_of_a_key_is_a_key(self) -> None:
        for start in range(len(PETER)):
            for end in range(start + 1, len(PETER) + 1):
                if (start, end) != (0, len(PETER)):
                    with pytest.raises(BadVerifierKey):
                        VerifierKey.parse(PETER[start:end])

    def test_a_key_with_any_one_character_changed_is_refused(self) -> None:
        for index in range(len(PETER)):
            for other in (chr(ord(PETER[index]) + 1), "+", " ", "\n", "A", "=", "é"):
                if other != PETER[index]:
                    with pytest.raises(BadVerifierKey):
                        VerifierKey.parse(PETER[:index] + other + PETER[index + 1 :])

    @pytest.mark.parametrize(
        ("text", "reason"),
        (
            ("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==", "form"),
            ("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "algorithm"),
            (PETER.replace("c74f20a3", "C74F20A3"), "lower case"),
            (PETER.replace("c74f20a3", "c74f20a4"), "its id is c74f20a3, not c74f20a4"),
            (PETER + "\n", "base64"),
            (PETER.replace("PeterNeumann", ""), "empty"),
            (PETER.replace("PeterNeumann", "Peter Neumann"), "space"),
            (PETER.replace("PeterNeumann", "Peter\u2003Neumann"), "space"),
            ("PeterNeumann+c74f20a3+", "no public key"),
            ("", "form"),
        ),
    )
    def test_a_bad_key_is_refused_with_its_reason(self, text: str, reason: str) -> None:
        with pytest.raises(BadVerifierKey, match=reason):
            VerifierKey.parse(text)

    def test_base64_of_a_key_may_hold_pluses(self) -> None:
        verifier = VerifierKey(name="a", public=b"\0\0" + b"\xfb\xef\xbe" * 10)
        assert str(verifier).count("+") > 10
        assert VerifierKey.parse(str(verifier)) == verifier

    @pytest.mark.parametrize("length", (0, 31, 33, 1312))
    def test_a_public_key_of_another_length_is_refused(self, length: int) -> None:
        with pytest.raises(BadVerifierKey, match=f"{length} bytes instead of 32"):
            VerifierKey(name="a", public=bytes(length))

    @given(
        st.text(min_size=1).filter(lambda name: notes._reason_against_name(name) is None),
        st.binary(min_size=32, max_size=32),
        st.sampled_from((notes.ED25519, notes.COSIGNATURE)),
    )
    def test_every_key_is_read_as_it_was_written(
        self, name: str, public: bytes, algorithm: int
    ) -> None:
        verifier = VerifierKey(name=name, public=public, algorithm=algorithm)
        assert VerifierKey.parse(str(verifier)) == verifier

    def test_the_algorithm_is_part_of_the_id(self) -> None:
        assert key("a", 1).id != key("a", 1, notes.COSIGNATURE).id


class TestForm:
    @pytest.mark.parametrize(
        ("data", "reason"),
        (
            (b"", "no empty line"),
            (TEXT.encode(), "no empty line"),
            ((TEXT + "\n").encode(), "no signature"),
            ((TEXT + PETER_LINE).encode(), "no empty line"),
            ((TEXT + "\n" + PETER_LINE[:-1]).encode(), "newline"),
            ((TEXT + "\n" + PETER_LINE + "\n").encode(), "no signature"),
            ((TEXT + "\n" + PETER_LINE + "Unexpected line.\n").encode(), "not a signature line"),
            ((TEXT + "\n" + PETER_LINE.replace("—", "-")).encode(), "not a signature line"),
            ((TEXT + "\n" + PETER_LINE.replace("— ", "—")).encode(), "not a signature line"),
            ((TEXT + "\n" + PETER_LINE).replace("\n", "\r\n").encode(), "control character"),
            ((TEXT + "\n" + PETER_LINE).replace(",\n", ",\r\n").encode(), "control character"),
            (("\t" + TEXT + "\n" + PETER_LINE).encode(), "control character"),
            (("\x00" + TEXT + "\n" + PETER_LINE).encode(), "control character"),
            (b"\xff" + (TEXT + "\n" + PETER_LINE).encode(), "byte 0 is not UTF-8"),
            (b"\xed\xa0\x80" + (TEXT + "\n" + PETER_LINE).encode(), "not UTF-8"),
            (b"\xc0\xaf" + (TEXT + "\n" + PETER_LINE).encode(), "not UTF-8"),
            ((TEXT + "\n— Bad Name x08go/ZJkuBS\n").encode(), "base64"),
            ((TEXT + "\n— Bad\u00a0Name x08go/ZJkuBS\n").encode(), "space"),
            ((TEXT + "\n— Bad+Name x08go/ZJkuBS\n").encode(), "plus"),
            ((TEXT + "\n—  x08go/ZJkuBS\n").encode(), "empty"),
            ((TEXT + "\n— Name\n").encode(), "too short"),
            ((TEXT + "\n— Name x08goA==\n").encode(), "too short"),
            ((TEXT + "\n— Name x08go/ZJkuB=\n").encode(), "only right form"),
            ((TEXT + "\n— Name x08go/ZJkuA\n").encode(), "base64"),
            ((TEXT + "\n— Name x08go_ZJkuBS\n").encode(), "base64"),
            ((TEXT + "\n— Name x08go/ZJkuBS \n").encode(), "base64"),
            ((TEXT + "\n" + PETER_LINE[:-3] + "B=\n").encode(), "base64"),
        ),
    )
    def test_what_is_not_a_note_is_refused_with_its_reason(self, data: bytes, reason: str) -> None:
        with pytest.raises(BadNote, match=reason):
            open_note(data, [VerifierKey.parse(PETER)], verify)

    def test_stray_bits_in_base64_are_refused(self) -> None:
        encoded = PETER_LINE.rsplit(maxsplit=1)[-1]
        # The last character before the padding carries four bits of data and two that are not.
        stray = encoded[:-2] + chr(ord(encoded[-2]) + 1) + "="
        assert b64decode(stray) == b64decode(encoded)
        with pytest.raises(BadNote, match="only right form"):
            SignedNote.parse((TEXT + "\n" + PETER_LINE.replace(encoded, stray)).encode())

    @pytest.mark.parametrize("text", ("", "no newline", "a\r\n", "\ud800\n", "\x1f\n"))
    def test_a_text_that_cannot_stand_in_a_note_is_not_signed(self, text: str) -> None:
        with pytest.raises(BadNote):
            sign(text, key=key("a", 1), signature=bytes(64))

    def test_a_note_needs_a_signature(self) -> None:
        with pytest.raises(BadNote, match="0 signatures"):
            SignedNote(text=TEXT, signatures=())

    @pytest.mark.parametrize("count", (1, 16, 17, 100))
    def test_up_to_a_hundred_signatures_are_read(self, count: int) -> None:
        note = signed("x\n", *range(count))
        last = key(f"key.example/{count - 1}", count - 1)
        _, signers = open_note(note.write(), [last], verify)
        assert signers == (last,)

    def test_more_than_a_hundred_signatures_are_refused(self) -> None:
        data = signed("x\n", *range(100)).write() + ENOCH_LINE.encode()
        with pytest.raises(BadNote, match="more than 100"):
            SignedNote.parse(data)

    def test_a_note_of_more_than_a_megabyte_is_refused(self) -> None:
        room = notes.MAX_BYTES - len(signed("\n", 1).write())
        largest = signed("x" * room + "\n", 1).write()
        assert len(largest) == notes.MAX_BYTES
        assert SignedNote.parse(largest).write() == largest
        with pytest.raises(BadNote, match="at most"):
            SignedNote.parse(b"x" + largest)
        with pytest.raises(BadNote, match="at most"):
            signed("x" * (room + 1) + "\n", 1)


class TestTrust:
    def test_signatures_by_unknown_keys_are_ignored(self) -> None:
        peter = VerifierKey.parse(PETER)
        data = (TEXT + "\n" + ENOCH_LINE + PETER_LINE).encode()
        assert open_note(data, [peter], verify)[1] == (peter,)

    def test_a_note_that_no_trusted_key_signed_is_refused(self) -> None:
        data = (TEXT + "\n" + ENOCH_LINE).encode()
        for keys in ([VerifierKey.parse(PETER)], []):
            with pytest.raises(Unverified, match="no trusted key"):
                open_note(data, keys, verify)

    def test_one_wrong_signature_by_a_trusted_key_spoils_the_note(self) -> None:
        wrong = ENOCH_LINE.replace("5n2t", "5n2u")
        data = (TEXT + "\n" + PETER_LINE + wrong).encode()
        keys = [VerifierKey.parse(PETER), VerifierKey.parse(ENOCH)]
        with pytest.raises(Unverified, match=r"EnochRoot\+af0cfe78 does not hold"):
            open_note(data, keys, verify)

    def test_a_wrong_signature_beside_a_right_one_by_the_same_key_spoils_the_note(self) -> None:
        wrong = ENOCH_LINE.replace("5n2t", "5n2u")
        for lines in (ENOCH_LINE + wrong, wrong + ENOCH_LINE):
            with pytest.raises(Unverified):
                open_note((TEXT + "\n" + lines).encode(), [VerifierKey.parse(ENOCH)], verify)

    def test_a_repeated_signature_counts_as_one_signer(self) -> None:
        peter = VerifierKey.parse(PETER)
        data = (TEXT + "\n" + PETER_LINE * 3).encode()
        assert open_note(data, [peter, peter], verify)[1] == (peter,)

    def test_a_signature_of_the_wrong_length_does_not_hold(self) -> None:
        right = private(1).sign(b"x\n")
        for signature in (right[:-1], right + b"\0", b"\0"):
            note = sign("x\n", key=key("a", 1), signature=signature)
            with pytest.raises(Unverified):
                open_note(note.write(), [key("a", 1)], verify)

    def test_another_key_of_the_same_name_is_unknown(self) -> None:
        note = sign("x\n", key=key("a", 2), signature=private(2).sign(b"x\n"))
        with pytest.raises(Unverified, match="no trusted key"):
            open_note(note.write(), [key("a", 1)], verify)

    def test_a_forged_id_does_not_help(self) -> None:
        forged = Signature(name="a", key_id=key("a", 1).id, signature=private(2).sign(b"x\n"))
        with pytest.raises(Unverified, match="does not hold"):
            open_note(SignedNote(text="x\n", signatures=(forged,)).write(), [key("a", 1)], verify)

    def test_two_trusted_keys_of_one_identity_are_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(VerifierKey, "id", b"same")
        with pytest.raises(BadVerifierKey, match="two trusted keys"):
            open_note(signed("x\n", 1).write(), [key("a", 1), key("a", 2)], verify)

    def test_a_new_signature_takes_the_place_of_an_earlier_one_by_the_same_key(self) -> None:
        again = Signature(name="key.example/1", key_id=key("key.example/1", 1).id, signature=b"n")
        note = signed("x\n", 1, 2).with_signature(again)
        assert [each.name for each in note.signatures] == ["key.example/2", "key.example/1"]
        assert note.signatures[1] == again


class TestCosignatures:
    WITNESS = key("witness.example/w", 7, notes.COSIGNATURE)

    def cosigned(self, at: int, text: str = "x\n") -> SignedNote:
        by = private(7).sign(notes.cosignature_message(text, at))
        return sign(text, key=self.WITNESS, signature=at.to_bytes(8, "big") + by)

    def test_the_message_is_that_of_the_specification(self) -> None:
        assert notes.cosignature_message("a\n1\nb\n", 1679315147) == (
            b"cosignature/v1\ntime 1679315147\na\n1\nb\n"
        )

    @pytest.mark.parametrize("at", (0, 1, 1679315147, 2**63 - 1))
    def test_a_witness_signs_the_text_with_the_time(self, at: int) -> None:
        _, signers = open_note(self.cosigned(at).write(), [self.WITNESS], verify)
        assert signers == (self.WITNESS,)

    def test_a_time_beyond_the_largest_is_refused(self) -> None:
        with pytest.raises(Unverified):
            open_note(self.cosigned(2**63).write(), [self.WITNESS], verify)

    def test_a_changed_time_is_refused(self) -> None:
        (line,) = self.cosigned(1679315147).signatures
        moved = sign("x\n", key=self.WITNESS, signature=b"\1" + line.signature[1:])
        with pytest.raises(Unverified):
            open_note(moved.write(), [self.WITNESS], verify)

    def test_a_plain_signature_is_no_cosignature_and_the_other_way_round(self) -> None:
        plain = sign("x\n", key=self.WITNESS, signature=private(7).sign(b"x\n"))
        with pytest.raises(Unverified):
            open_note(plain.write(), [self.WITNESS], verify)
        log = key("witness.example/w", 7)
        (line,) = self.cosigned(5).signatures
        with pytest.raises(Unverified):
            open_note(sign("x\n", key=log, signature=line.signature[8:]).write(), [log], verify)

    def test_lines_that_stand_alone_are_read(self) -> None:
        lines = "".join(each.line for each in signed("x\n", 1, 2).signatures)
        assert notes.parse_signatures(lines.encode()) == signed("x\n", 1, 2).signatures

    @pytest.mark.parametrize("data", (b"", b"\n", b"x\n", b"\xff\n", b"\x00\n"))
    def test_anything_else_in_place_of_lines_is_refused(self, data: bytes) -> None:
        with pytest.raises(BadNote):
            notes.parse_signatures(data)

    def test_an_answer_cannot_smuggle_in_an_empty_line(self) -> None:
        with pytest.raises(BadNote):
            notes.parse_signatures((PETER_LINE + "\n" + ENOCH_LINE).encode())


class TestMutations:
    NOTE = signed("log.example\n5\nAAAA\n\nmore — ü\n", 1)
    KEY = key("key.example/1", 1)

    def test_every_flipped_bit_is_refused(self) -> None:
        data = self.NOTE.write()
        open_note(data, [self.KEY], verify)
        for index in range(len(data)):
            for bit in range(8):
                bent = bytearray(data)
                bent[index] ^= 1 << bit
                with pytest.raises(BadNote):
                    open_note(bytes(bent), [self.KEY], verify)

    @given(st.data())
    def test_every_replaced_inserted_or_removed_byte_is_refused(self, data: st.DataObject) -> None:
        whole = self.NOTE.write()
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 5)))
        bent = whole[:start] + data.draw(st.binary(max_size=5)) + whole[end:]
        if bent != whole:
            with pytest.raises(BadNote):
                open_note(bent, [self.KEY], verify)

    @given(st.integers(0), st.integers(0, 7))
    def test_of_two_signers_a_flip_loses_one_at_most_and_never_changes_the_text(
        self, place: int, bit: int
    ) -> None:
        note = signed("x\n5\n", 1, 2)
        bent = bytearray(note.write())
        bent[place % len(bent)] ^= 1 << bit
        keys = [key("key.example/1", 1), key("key.example/2", 2)]
        try:
            opened, signers = open_note(bytes(bent), keys, verify)
        except BadNote:
            return
        assert opened.text == note.text
        assert len(signers) == 1


_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters=[chr(code) for code in range(0x20)])
    | st.just("\n")
).map(lambda text: text + "\n")
_NAMES = st.text(min_size=1).filter(lambda name: notes._reason_against_name(name) is None)
_SIGNATURES = st.builds(
    Signature,
    name=_NAMES,
    key_id=st.binary(min_size=4, max_size=4),
    signature=st.binary(min_size=1, max_size=80),
)


@given(_TEXTS, st.lists(_SIGNATURES, min_size=1, max_size=20))
def test_every_note_is_read_as_it_was_written(text: str, signatures: list[Signature]) -> None:
    note = SignedNote(text=text, signatures=tuple(signatures))
    assert SignedNote.parse(note.write()) == note


@given(st.binary() | st.text().map(str.encode))
def test_whatever_is_read_is_written_as_the_same_bytes(data: bytes) -> None:
    for candidate in (data, data + b"\n\n" + PETER_LINE.encode()):
        try:
            note = SignedNote.parse(candidate)
        except BadNote:
            continue
        assert note.write() == candidate


@given(st.binary())
def test_base64_is_read_in_its_only_right_form(data: bytes) -> None:
    assert notes.decode_base64(b64encode(data).decode()) == data


@given(st.text("AQgw+/=\n é", max_size=12))
def test_no_two_texts_are_the_same_base64(text: str) -> None:
    try:
        data = notes.decode_base64(text)
    except ValueError:
        return
    assert b64encode(data).decode() == text
