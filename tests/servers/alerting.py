"""Alertmanager and Prometheus for tests, alone and with nobody to notify."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Server, answers, free_port, needed, started

_CONFIGURATION = "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n"
_READY = b"GET /-/ready HTTP/1.0\r\n\r\n"


@contextmanager
def alertmanager(folder: Path, configuration: str = _CONFIGURATION) -> Iterator[Server]:
    """Run an Alertmanager with this configuration and without a cluster."""
    program = needed("prometheus-alertmanager", package="prometheus-alertmanager")
    port = free_port()
    place = folder / f"alertmanager-{port}"
    place.mkdir()
    (place / "alertmanager.yml").write_text(configuration, encoding="utf-8")
    argv = [
        program,
        f"--config.file={place / 'alertmanager.yml'}",
        f"--storage.path={place}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    log = place / "alertmanager.log"
    with started(argv, log, ready=lambda: answers(port, _READY, b"HTTP/1.0 200 OK")) as process:
        yield Server(host="127.0.0.1", port=port, folder=folder, process=process)


@contextmanager
def prometheus(folder: Path, configuration: str = "{}\n") -> Iterator[Server]:
    """Run a Prometheus with this configuration, which scrapes nothing unless told."""
    program = needed("prometheus", package="prometheus")
    port = free_port()
    place = folder / f"prometheus-{port}"
    place.mkdir()
    (place / "prometheus.yml").write_text(configuration, encoding="utf-8")
    argv = [
        program,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = place / "prometheus.log"
    with started(argv, log, ready=lambda: answers(port, _READY, b"HTTP/1.0 200 OK")) as process:
        yield Server(host="127.0.0.1", port=port, folder=folder, process=process)
