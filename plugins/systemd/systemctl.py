"""`systemctl`, asked by argv: what a unit is like, and one verb on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass

from bot.domain.actions import ActionFailed, Transient

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "InvocationID",
    "NRestarts",
    "Job",
)
_LAST_WAIT = 1.0  # seconds for the end of a systemctl that was killed
_SHOWN = 200  # characters of what systemctl says


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit as systemd sees it.

    `invocation` changes whenever it is started anew (systemd.exec(5)); `restarts`
    counts how often systemd did that by itself, since a person last did; `busy` says
    that a job is under way.
    """

    name: str
    active: str
    sub: str
    result: str
    invocation: str
    restarts: int
    busy: bool

    @property
    def settled(self) -> bool:
        """Say whether it stands still: nothing is on its way to another state."""
        return not self.busy and self.active in ("active", "inactive", "failed")

    @property
    def shown(self) -> str:
        """Say it as systemctl does: `active (running)`."""
        why = f", {self.result}" if self.active == "failed" else ""
        return f"{self.active} ({self.sub}{why})"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How systemctl ended, and what it said."""

    status: int
    out: str
    said: str


class Systemctl:
    """One program, with a limit of time for each question, in seconds."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def unit(self, name: str, *, timeout: float) -> Unit:
        """Return what a unit is like.

        Raises:
            ActionFailed: systemd does not answer, or knows no such unit.
        """
        try:
            answer = await self._ask(
                ("show", f"--property={','.join(_PROPERTIES)}", "--", name), timeout=timeout
            )
        except TimeoutError:
            raise ActionFailed(
                f"systemd did not answer within {timeout:g} s", transient=Transient.TIMEOUT
            ) from None
        if answer.status != 0:
            raise ActionFailed(
                f"systemd cannot be asked: {answer.said}", transient=Transient.UNREACHABLE
            )
        return _unit(name, answer.out)

    async def order(self, verb: str, name: str, *, timeout: float) -> Answer:
        """Start, stop or restart a unit, and wait until systemd has done it.

        Raises:
            TimeoutError: it takes longer; systemd goes on with it.
        """
        return await self._ask((verb, "--", name), timeout=timeout)

    async def _ask(self, words: tuple[str, ...], *, timeout: float) -> Answer:
        process = await self._start(words)
        try:
            async with asyncio.timeout(timeout):
                out, err = await process.communicate()
        finally:
            await _end(process)
        said = err.decode("utf-8", "replace").strip().splitlines()
        return Answer(
            status=process.returncode or 0,
            out=out.decode("utf-8", "replace"),
            said=said[-1][:_SHOWN] if said else f"status {process.returncode}",
        )

    async def _start(self, words: tuple[str, ...]) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                self._path,
                "--no-ask-password",
                "--no-pager",
                *words,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ActionFailed(f"{self._path} cannot be started: {error.strerror}") from None


async def _end(process: Process) -> None:
    """Kill what still runs: systemctl only waits, so nothing is lost with it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _LAST_WAIT)


def _unit(name: str, text: str) -> Unit:
    """Read what `systemctl show` printed, `Key=value` in no order that is promised."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if found.get("LoadState") in (None, "not-found", "masked", "error", "bad-setting"):
        raise ActionFailed(f"systemd says that {name} is {found.get('LoadState', 'unknown')}")
    restarts = found.get("NRestarts", "0")
    return Unit(
        name=name,
        active=found.get("ActiveState", ""),
        sub=found.get("SubState", ""),
        result=found.get("Result", ""),
        invocation=found.get("InvocationID", ""),
        restarts=int(restarts) if restarts.isdecimal() else 0,
        busy=found.get("Job", "") not in ("", "0"),
    )
