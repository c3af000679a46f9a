"""Redis and PostgreSQL for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.processes import Server, answers, free_port, needed, started

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "40",
    "shared_buffers": "16MB",
}


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Server]:
    """Run a Redis that keeps nothing; `options` are those of its command line."""
    program = needed("redis-server", package="redis-server")
    port = free_port()
    argv = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    log = folder / f"redis-{port}.log"
    with started(
        [*argv, *options],
        log,
        # With a password it says -NOAUTH, which is an answer too.
        ready=lambda: answers(port, b"PING\r\n", b"+") or answers(port, b"PING\r\n", b"-"),
    ) as process:
        yield Server(host="127.0.0.1", port=port, folder=folder, process=process)


@contextmanager
def postgres_server(
    folder: Path, *, programs: Sequence[Path] = DEBIAN, **settings: str
) -> Iterator[Server]:
    """Run a new PostgreSQL with a superuser `postgres`, who is trusted; `settings` are its own.

    PostgreSQL refuses to run as root, so root gives it to the user `postgres`, in a
    folder of its own: pytest's are closed to everybody but root.
    """
    initdb = needed("initdb", package="postgresql", folders=programs)
    program = needed("postgres", package="postgresql", folders=programs)
    with _place(folder) as (place, be):
        _initialise([*be, initdb], place)
        port = free_port()
        chosen = {**_SETTINGS, **settings, "port": str(port)}
        argv = [*be, program, "-D", str(place / "data")]
        argv += [part for key, value in chosen.items() for part in ("-c", f"{key}={value}")]
        log = folder / f"postgres-{port}.log"
        # A fast shutdown, which does not wait for sessions that a test left open.
        fast = signal.SIGINT
        with started(argv, log, ready=lambda: _accepts(port), stop=fast) as process:
            yield Server(
                host="127.0.0.1",
                port=port,
                folder=folder,
                process=process,
                user="postgres",
                database="postgres",
            )


@contextmanager
def _place(folder: Path) -> Iterator[tuple[Path, Sequence[str]]]:
    """Return a folder for the data, and the words that make a command its owner's."""
    if os.getuid() != 0:
        yield folder, ()
        return
    setpriv = needed("setpriv", package="util-linux")
    try:
        owner = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("there is no user postgres, and PostgreSQL does not run as root")
    place = Path(tempfile.mkdtemp(prefix="tocsin-postgres-"))
    try:
        os.chown(place, owner.pw_uid, owner.pw_gid)
        identity = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        # Said again, because a change of user makes a process forget whom it follows.
        yield place, (setpriv, *identity, "--pdeathsig", "KILL", "--")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _initialise(initdb: Sequence[str], place: Path) -> None:
    argv = [*initdb, "-D", str(place / "data"), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8"]
    done = subprocess.run(
        [*argv, "--locale=C.UTF-8"], cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"initdb: {done.stderr[-2000:]}")


# SSLRequest of PostgreSQL's protocol: a length of 8 and the code 80877103. A server that is up
# answers N (or S); one that is starting up answers too, so a real start-up packet follows.
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def _accepts(port: int) -> bool:
    """Ask for a session of postgres; R is the answer of a server that lets it in."""
    if not answers(port, _SSL_REQUEST, b"N"):
        return False
    body = b"\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00"
    return answers(port, (len(body) + 4).to_bytes(4, "big") + body, b"R")
