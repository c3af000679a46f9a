"""A server as a process: started, waited for, frozen if a test wants it, and ended for sure."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

START = 20.0  # seconds a server may take until it answers
STOP = 5.0  # seconds it may take to end before it is killed


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where a server listens, and the process to play tricks on.

    `user` and `database` are PostgreSQL's, who trusts every user on loopback.
    """

    host: str
    port: int
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)
    user: str = ""
    database: str = ""

    @property
    def url(self) -> str:
        """Return the root address of a server that speaks HTTP."""
        return f"http://{self.host}:{self.port}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process, so that it accepts connections and never answers.

        Of PostgreSQL that is the process which lets sessions in; those go on.
        """
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, like a crash."""
        self.process.kill()
        self.process.wait()


def needed(program: str, *, package: str, folders: Sequence[Path] = ()) -> str:
    """Return a program's path, or skip the test where its Debian package is absent."""
    path = shutil.which(program, path=":".join(["/usr/sbin", "/usr/bin", *map(str, folders)]))
    if path is None:
        pytest.skip(f"the Debian package {package} is not installed")
    return path


def free_port() -> int:
    """Return a port of loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    argv: Sequence[str],
    log: Path,
    *,
    ready: Callable[[], bool],
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; what it prints is in `log`.

    It is ended by the signal `stop`, and killed where the tests themselves are.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_mortal(), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, ready, log)
        yield process
    finally:
        _end(process, stop)


def _mortal() -> Sequence[str]:
    """Return the words by which a process does not outlive its parent, where there are any."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv else ()


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{log.name}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    process.send_signal(signal.SIGCONT)
    process.send_signal(stop)
    try:
        process.wait(timeout=STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port: int, question: bytes, answer: bytes) -> bool:
    """Say whether a server on loopback answers a question with something that begins so."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False
