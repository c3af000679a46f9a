"""Services outside, on real ports: a witness, and an authority that gives timestamps."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typing_extensions import override

from bot.domain.checkpoints import Checkpoint, open_checkpoint, parse_witness_request
from bot.domain.merkle import EMPTY_ROOT, verify_consistency
from bot.domain.notes import (
    COSIGNATURE,
    BadNote,
    Signature,
    SignedNote,
    VerifierKey,
    cosignature_message,
)
from bot.ledger.signing import verify_ed25519

Reply = tuple[int, str, bytes]


@dataclass
class Service:
    """Whatever answers a posted body; `reply` stands in for its own answer where it is set."""

    reply: Reply | None = None
    delay: float = 0.0
    asked: list[bytes] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, body: bytes) -> Reply:
        raise NotImplementedError


@dataclass
class Witness(Service):
    """C2SP tlog-witness, written from the specification: one key, one log."""

    log: VerifierKey | None = None
    seed: bytes = b"w" * 32
    size: int = 0
    root: bytes = EMPTY_ROOT

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @property
    def key(self) -> VerifierKey:
        public = self.private.public_key().public_bytes_raw()
        return VerifierKey(name="witness.example/w1", public=public, algorithm=COSIGNATURE)

    @override
    def answer(self, path: str, body: bytes) -> Reply:
        if path != "/w/add-checkpoint":
            return 404, "text/plain", b"not here"
        request = parse_witness_request(body)
        text = SignedNote.parse(request.checkpoint).text
        said = Checkpoint.parse(text)
        assert self.log is not None
        if said.origin != self.log.name:
            return 404, "text/plain", b"unknown log"
        try:
            open_checkpoint(request.checkpoint, [self.log], verify_ed25519)
        except BadNote:
            return 403, "text/plain", b"not signed"
        if request.old > said.size:
            return 400, "text/plain", b"the old size is above the new one"
        if request.old != self.size:
            return 409, "text/x.tlog.size", f"{self.size}\n".encode()
        if request.old == said.size and said.root != self.root:
            return 409, "text/plain", b"another root"
        proven = request.old == 0 or verify_consistency(
            old=request.old,
            old_root=self.root,
            new=said.size,
            new_root=said.root,
            proof=request.proof,
        )
        if not proven:
            return 422, "text/plain", b"the proof does not hold"
        self.size, self.root = said.size, said.root
        return 200, "text/plain", self.cosigned(text)

    def cosigned(self, text: str) -> bytes:
        at = int(time.time())
        signature = self.private.sign(cosignature_message(text, at))
        line = Signature(
            name=self.key.name, key_id=self.key.id, signature=at.to_bytes(8, "big") + signature
        )
        return line.line.encode()


CONFIGURATION = """
[tsa]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class Authority(Service):
    """A timestamping authority: OpenSSL's, with certificates of our own."""

    folder: Path = Path()

    def __post_init__(self) -> None:
        self.root_key = ec.generate_private_key(ec.SECP256R1())
        self.root = certificate("Root", self.root_key, None, None)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = certificate("Authority", self.key, self.root, self.root_key)
        (self.folder / "serial").write_text("01\n")
        (self.folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=self.folder))
        (self.folder / "root.pem").write_bytes(self.root.public_bytes(Encoding.PEM))
        (self.folder / "tsa.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        (self.folder / "tsa.key").write_bytes(
            self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    @override
    def answer(self, path: str, body: bytes) -> Reply:
        (self.folder / "query").write_bytes(body)
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa"]
        command += ["-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key"]
        command += ["-out", "reply"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return 200, "application/timestamp-reply", (self.folder / "reply").read_bytes()

    def verifies(self, token: bytes, data: bytes) -> bool:
        """Ask OpenSSL, which did not write our client, about a token."""
        (self.folder / "token").write_bytes(token)
        (self.folder / "data").write_bytes(data)
        command = ["openssl", "ts", "-verify", "-token_in", "-in", "token", "-data", "data"]
        command += ["-CAfile", "root.pem", "-untrusted", "tsa.pem"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        return done.returncode == 0


def certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey | None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(issuer_key or key, SHA256())


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Let a service answer on a port of this machine; return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.asked.append(body)
            time.sleep(service.delay)
            status, kind, answer = service.reply or service.answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            if 300 <= status < 400:
                self.send_header("Location", f"{service.url}/elsewhere")
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        @override
        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield service.url
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def authority() -> Iterator[Authority]:
    """Run a timestamping authority in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = Authority(folder=Path(folder))
        with serving(made):
            yield made
