"""The key that signs: in a file that is never torn or replaced, or behind a program."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bot.domain.notes import COSIGNATURE, BadVerifierKey, VerifierKey, open_note
from bot.ledger import signing
from bot.ledger.signing import (
    BadKey,
    CommandKey,
    FileKey,
    NotSigned,
    Signer,
    create_private,
    sign_text,
    verify_ed25519,
)

ORIGIN = "tocsin.example/log"
SIGNERS: tuple[type[Signer], ...] = (FileKey, CommandKey)


def pem(private: object = None, encryption: KeySerializationEncryption | None = None) -> bytes:
    key = private or Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    assert hasattr(key, "private_bytes")
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    assert isinstance(written, bytes)
    return written


def kept(path: Path, data: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


class TestVerifying:
    # RFC 8032, section 7.1, test 3.
    PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    SIGNATURE = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )

    def test_the_signature_of_the_standard_holds(self) -> None:
        assert verify_ed25519(self.PUBLIC, self.SIGNATURE, b"\xaf\x82")

    def test_any_flipped_bit_is_found(self) -> None:
        for index in range(64):
            bent = bytearray(self.SIGNATURE)
            bent[index] ^= 1 << index % 8
            assert not verify_ed25519(self.PUBLIC, bytes(bent), b"\xaf\x82")
        assert not verify_ed25519(self.PUBLIC, self.SIGNATURE, b"\xaf\x83")

    def test_the_same_signature_in_another_form_does_not_hold(self) -> None:
        order = 2**252 + 27742317777372353535851937790883648493
        s = int.from_bytes(self.SIGNATURE[32:], "little") + order
        other = self.SIGNATURE[:32] + s.to_bytes(32, "little")
        assert not verify_ed25519(self.PUBLIC, other, b"\xaf\x82")

    @pytest.mark.parametrize("length", (0, 31, 33, 63, 65))
    def test_keys_and_signatures_of_another_length_do_not_hold(self, length: int) -> None:
        assert not verify_ed25519(bytes(length), self.SIGNATURE, b"")
        assert not verify_ed25519(self.PUBLIC, bytes(length), b"")


class TestFileKeys:
    def test_a_new_key_is_the_same_key_after_a_restart(self, tmp_path: Path) -> None:
        made = FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)
        again = FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)
        assert made.verifier == again.verifier
        assert made.verifier.name == ORIGIN
        assert again.sign(b"m") == made.sign(b"m")
        assert verify_ed25519(made.verifier.public, made.sign(b"m"), b"m")

    def test_only_the_owner_may_read_a_new_key_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "log.pem").stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["log.pem"]

    def test_a_signed_text_opens_with_the_keys_verifier(self, tmp_path: Path) -> None:
        signer = FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)
        note = sign_text("x\n", signer)
        assert open_note(note.write(), [signer.verifier], verify_ed25519)[1] == (signer.verifier,)

    def test_a_key_made_by_another_program_is_used(self, tmp_path: Path) -> None:
        path = kept(tmp_path / "log.pem", pem(), 0o400)
        private = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        assert FileKey.load_or_create(path, ORIGIN).sign(b"m") == private.sign(b"m")

    def test_a_key_mounted_as_a_link_is_used(self, tmp_path: Path) -> None:
        kept(tmp_path / "..data", pem())
        (tmp_path / "log.pem").symlink_to("..data")
        FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)

    def test_a_link_to_nothing_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "log.pem").symlink_to("nowhere")
        with pytest.raises(BadKey, match="not there"):
            FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)
        assert os.listdir(tmp_path) == ["log.pem"]

    @pytest.mark.parametrize("mode", (0o640, 0o604, 0o644, 0o660, 0o620, 0o602, 0o601))
    def test_a_key_that_others_may_use_is_refused_and_named(
        self, tmp_path: Path, mode: int
    ) -> None:
        path = kept(tmp_path / "log.pem", pem(), mode)
        with pytest.raises(BadKey, match=rf"log\.pem: others may use it \(mode {mode:04o}\)"):
            FileKey.load_or_create(path, ORIGIN)

    @pytest.mark.parametrize(
        ("data", "reason"),
        (
            (b"", "not a private key"),
            (b"\0" * 100, "not a private key"),
            (pem()[:-40], "not a private key"),
            (pem().replace(b"PRIVATE", b"PUBLIC"), "not a private key"),
            (
                Ed25519PrivateKey.generate()
                .public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                "not a private key",
            ),
            (pem(generate_private_key(SECP256R1())), "not an Ed25519 key"),
            (pem(None, BestAvailableEncryption(b"secret")), "encrypted"),
            (pem() + b"#" * 20_000, "too many"),
        ),
    )
    def test_a_file_with_another_content_is_refused_and_left_alone(
        self, tmp_path: Path, data: bytes, reason: str
    ) -> None:
        path = kept(tmp_path / "log.pem", data)
        with pytest.raises(BadKey, match=reason) as caught:
            FileKey.load_or_create(path, ORIGIN)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == data

    @pytest.mark.parametrize("make", (Path.mkdir, lambda path: os.mkfifo(path, 0o600)))
    def test_what_is_no_regular_file_is_refused(
        self, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        make(tmp_path / "log.pem")
        with pytest.raises(BadKey, match="not a regular file"):
            FileKey.load_or_create(tmp_path / "log.pem", ORIGIN)

    def test_an_origin_that_cannot_be_a_name_makes_no_key(self, tmp_path: Path) -> None:
        with pytest.raises(BadVerifierKey):
            FileKey.load_or_create(tmp_path / "log.pem", "two words")
        assert os.listdir(tmp_path) == []

    def test_a_missing_folder_is_the_error_that_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            FileKey.load_or_create(tmp_path / "missing" / "log.pem", ORIGIN)

    def test_threads_that_start_at_once_use_one_key(self, tmp_path: Path) -> None:
        barrier = threading.Barrier(8)
        found: list[VerifierKey] = []

        def start() -> None:
            barrier.wait()
            found.append(FileKey.load_or_create(tmp_path / "log.pem", ORIGIN).verifier)

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert os.listdir(tmp_path) == ["log.pem"]


class TestCreating:
    """Every step of `create_private` can fail; afterwards there is no half key."""

    @staticmethod
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    @pytest.mark.parametrize("step", ("fsync", "link"))
    def test_a_full_disk_leaves_nothing_behind_and_is_what_is_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        monkeypatch.setattr(os, step, self.no_space)
        with pytest.raises(OSError, match="No space left"):
            create_private(tmp_path / "key", b"secret")
        assert os.listdir(tmp_path) == []

    def test_a_name_that_did_not_reach_the_disk_is_tried_again_by_who_reads_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signing, "sync_folder", self.no_space)
        with pytest.raises(OSError, match="No space left"):
            create_private(tmp_path / "key", b"secret")
        with pytest.raises(OSError, match="No space left"):
            signing.read_private(tmp_path / "key", most=100)
        monkeypatch.undo()
        assert signing.read_private(tmp_path / "key", most=100) == b"secret"

    def test_the_name_appears_after_the_bytes_are_on_the_disk(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        steps: list[str] = []
        fsync, link = os.fsync, os.link

        def synced(descriptor: int) -> None:
            folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            steps.append("sync folder" if folder else "sync file")
            fsync(descriptor)

        def linked(first: Path, second: Path) -> None:
            steps.append("name")
            link(first, second)

        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "link", linked)
        create_private(tmp_path / "key", b"secret")
        assert steps == ["sync file", "name", "sync folder"]

    def test_a_file_that_is_there_is_never_replaced(self, tmp_path: Path) -> None:
        kept(tmp_path / "key", b"first")
        create_private(tmp_path / "key", b"second")
        assert (tmp_path / "key").read_bytes() == b"first"
        assert os.listdir(tmp_path) == ["key"]


# Stands in for a key service's client: reads the message, answers with a signature.
PROGRAM = """
import sys
from base64 import b64encode
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
message = sys.stdin.buffer.read()
key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
print(b64encode(key.sign(message)).decode())
"""


class TestCommandKeys:
    PUBLIC = Ed25519PrivateKey.from_private_bytes(b"k" * 32).public_key().public_bytes_raw()
    VERIFIER = VerifierKey(name=ORIGIN, public=PUBLIC)

    def key(self, program: str, within: float = 20) -> CommandKey:
        return CommandKey([sys.executable, "-c", program], self.VERIFIER, within=within)

    def test_a_program_signs(self) -> None:
        message = b"a\n1\nb\n" + bytes(range(256))
        assert verify_ed25519(self.PUBLIC, self.key(PROGRAM).sign(message), message)

    def test_a_text_signed_by_a_program_opens(self) -> None:
        note = sign_text("x\n", self.key(PROGRAM))
        assert open_note(note.write(), [self.VERIFIER], verify_ed25519)[1] == (self.VERIFIER,)

    @pytest.mark.parametrize(
        ("program", "reason"),
        (
            (PROGRAM.replace('b"k"', 'b"o"'), "does not hold"),
            (PROGRAM.replace("sign(message)", "sign(message + b'x')"), "does not hold"),
            ("print('AAAA')", "does not hold"),
            ("print('')", "does not hold"),
            ("print('no base64')", "did not answer in base64"),
            ("import sys; sys.stdout.buffer.write(b'\\xff')", "did not answer in base64"),
            (PROGRAM + "print('and more')", "did not answer in base64"),
            ("import sys; sys.exit('access denied')", "ended with 1: access denied"),
            (PROGRAM + "sys.exit(3)", "ended with 3"),
            ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
        ),
    )
    def test_a_program_that_does_not_sign_is_told_with_its_reason(
        self, program: str, reason: str
    ) -> None:
        with pytest.raises(NotSigned, match=reason):
            self.key(program).sign(b"m")

    def test_a_missing_program_is_told(self) -> None:
        with pytest.raises(NotSigned, match="did not start: No such file"):
            CommandKey(["/nowhere/kms"], self.VERIFIER).sign(b"m")

    def test_a_program_that_hangs_is_killed_with_what_it_started(self, tmp_path: Path) -> None:
        pipe = tmp_path / "alive"
        os.mkfifo(pipe)
        # The reader sees the end of the pipe when every process that holds it is gone.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        script = f"exec 9>{pipe}; echo up >&9; sleep 100 & sleep 100"
        began = time.monotonic()
        with pytest.raises(NotSigned, match="did not answer within 1 s"):
            CommandKey(["/bin/sh", "-c", script], self.VERIFIER, within=1).sign(b"m")
        assert time.monotonic() - began < 20
        os.set_blocking(reader, True)
        assert os.read(reader, 100) == b"up\n"
        assert os.read(reader, 100) == b""
        os.close(reader)

    def test_a_program_that_does_not_read_the_message_still_answers(self) -> None:
        signature = subprocess.run(
            [sys.executable, "-c", PROGRAM], input=b"m" * 10**6, capture_output=True, check=True
        ).stdout.decode()
        assert self.key(f"print({signature!r})").sign(b"m" * 10**6) == b64decode(signature)

    def test_no_shell_reads_the_arguments(self, tmp_path: Path) -> None:
        with pytest.raises(NotSigned):
            CommandKey(["/bin/echo", f"$(touch {tmp_path}/x); `id`"], self.VERIFIER).sign(b"m")
        assert os.listdir(tmp_path) == []

    def test_a_witness_key_cannot_sign_for_a_log(self) -> None:
        witness = VerifierKey(name=ORIGIN, public=self.PUBLIC, algorithm=COSIGNATURE)
        with pytest.raises(ValueError, match="witness"):
            CommandKey(["kms"], witness)

    def test_a_program_must_be_named(self) -> None:
        with pytest.raises(ValueError, match="not named"):
            CommandKey([], self.VERIFIER)
