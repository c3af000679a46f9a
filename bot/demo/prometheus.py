"""The real Prometheus and Alertmanager, run for the demo on loopback ports."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.demo import rules
from bot.demo.processes import LoggedProcess, NotStarted, free_port
from bot.demo.webhooks import RECEIVER

_READY_WITHIN = 20.0
_ATTEMPTS = 3
_ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")


@dataclass(frozen=True)
class Program:
    """An installed program and its version."""

    path: str
    version: str


@dataclass(frozen=True)
class Installation:
    """Both programs, found on PATH."""

    prometheus: Program
    alertmanager: Program

    @property
    def description(self) -> str:
        """Name both with their versions."""
        return f"Prometheus {self.prometheus.version} and Alertmanager {self.alertmanager.version}"


def find() -> Installation | str:
    """Find both programs on PATH, or say what is missing."""
    prometheus = _program("prometheus", "prometheus")
    if prometheus is None:
        return "Prometheus is not installed"
    for name in _ALERTMANAGERS:
        if alertmanager := _program(name, "alertmanager"):
            return Installation(prometheus, alertmanager)
    return "Alertmanager is not installed"


def _program(name: str, calls_itself: str) -> Program | None:
    path = shutil.which(name)
    if path is None:
        return None
    try:
        told = subprocess.run(  # noqa: S603 - a program found on PATH, with a fixed argument
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(rf"{calls_itself}, version v?([\d.]+)", told.stdout + told.stderr)
    return Program(path, version[1]) if version else None


class RealAlerting:
    """Prometheus and Alertmanager as child processes, with the demo's rules.

    Their data, configuration and logs lie in `directory` and are those of one run:
    an earlier run's series would answer queries beside ours, and its memory of what
    was told would keep an alert silent. The configuration holds the webhook's token
    and is readable by its owner alone.
    """

    def __init__(
        self,
        installation: Installation,
        checkout_url: str,
        webhook_url: str,
        *,
        token: str,
        directory: Path,
    ) -> None:
        self.description = installation.description
        self.prometheus_url = ""
        self.alertmanager_url = ""
        self._installation = installation
        self._target = urlsplit(checkout_url).netloc
        self._webhook = {"webhook_url": webhook_url, "token": token}
        self._directory = directory
        self._processes: list[LoggedProcess] = []

    @property
    def urls(self) -> Mapping[str, str]:
        """Return what a person may look at."""
        return {"Prometheus": self.prometheus_url, "Alertmanager": self.alertmanager_url}

    async def start(self) -> None:
        """Start both and wait until both are ready; other ports are tried when one is taken.

        Raises:
            NotStarted: one of them ended or did not become ready.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._start_once()
                return
            except NotStarted:
                await self.stop()
                if attempt == _ATTEMPTS:
                    raise
            except BaseException:
                await self.stop()
                raise

    async def stop(self) -> None:
        """End both."""
        await asyncio.gather(*(process.stop() for process in self._processes))
        self._processes.clear()

    async def _start_once(self) -> None:
        prometheus, alertmanager = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.prometheus_url = f"http://{prometheus}"
        self.alertmanager_url = f"http://{alertmanager}"
        for data in ("prometheus-data", "alertmanager-data"):
            shutil.rmtree(self._directory / data, ignore_errors=True)
        self._configure(alertmanager)
        await self._launch("alertmanager", self._alertmanager_command(alertmanager))
        await self._launch("prometheus", self._prometheus_command(prometheus))
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(
                *(
                    _ready(session, url, process)
                    for url, process in zip(
                        (self.alertmanager_url, self.prometheus_url), self._processes, strict=True
                    )
                )
            )

    async def _launch(self, name: str, command: list[str]) -> None:
        log = self._directory / f"{name}.log"
        self._processes.append(await LoggedProcess.start(command, log))

    def _alertmanager_command(self, address: str) -> list[str]:
        return [
            self._installation.alertmanager.path,
            f"--config.file={self._directory / 'alertmanager.yml'}",
            f"--storage.path={self._directory / 'alertmanager-data'}",
            f"--web.listen-address={address}",
            f"--web.external-url=http://{address}",
            "--cluster.listen-address=",
        ]

    def _prometheus_command(self, address: str) -> list[str]:
        return [
            self._installation.prometheus.path,
            f"--config.file={self._directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._directory / 'prometheus-data'}",
            f"--web.listen-address={address}",
            f"--web.external-url=http://{address}",
        ]

    def _configure(self, alertmanager: str) -> None:
        render = _renderer()
        rule_file = self._directory / "rules.yml"
        files = {
            "rules.yml": render(
                "rules.yml.j2",
                interval=_duration(rules.INTERVAL),
                rules=rules.RULES,
                recorded=rules.RECORDED,
            ),
            "prometheus.yml": render(
                "prometheus.yml.j2",
                interval=_duration(rules.INTERVAL),
                rule_file=str(rule_file.absolute()),
                alertmanager=alertmanager,
                job=rules.JOB,
                target=self._target,
            ),
            "alertmanager.yml": render(
                "alertmanager.yml.j2",
                receiver=RECEIVER,
                group_by=list(rules.GROUP_BY),
                group_wait=_duration(rules.GROUP_WAIT),
                group_interval=_duration(rules.GROUP_INTERVAL),
                repeat_interval=_duration(rules.REPEAT_INTERVAL),
                mutes=rules.MUTES,
                **self._webhook,
            ),
        }
        for name, text in files.items():
            _write_privately(self._directory / name, text)


def _renderer() -> Callable[..., str]:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, not HTML; every text goes through `quoted`
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = lambda value: json.dumps(value, ensure_ascii=False)
    return lambda template, **variables: environment.get_template(template).render(**variables)


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _write_privately(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


async def _ready(session: aiohttp.ClientSession, url: str, process: LoggedProcess) -> None:
    deadline = asyncio.get_running_loop().time() + _READY_WITHIN
    while process.alive and asyncio.get_running_loop().time() < deadline:
        try:
            async with session.get(f"{url}/-/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    raise NotStarted(f"{process.log.stem} did not start: {process.last_words()}")
