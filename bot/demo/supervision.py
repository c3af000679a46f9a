"""The worker process and the one who starts, feeds, hangs and restarts it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from bot.demo import worker as worker_script
from bot.demo.guard import guarded
from bot.demo.orders import OrderBook

_log = logging.getLogger(__name__)

SILENT_AFTER = 2.5  # five missed beats
READY_WITHIN = 10.0


class WorkerState(StrEnum):
    """What the worker is seen to do."""

    RUNNING = "running"
    STUCK = "stuck"
    STOPPED = "stopped"


class GenerationMismatch(Exception):
    """The caller decided on the ground of another worker than the present one."""

    def __init__(self, current: int) -> None:
        super().__init__(f"the worker's generation is {current}")
        self.current = current


class WorkerFailed(Exception):
    """The worker process did not come up, or is not there."""


@dataclass
class Restart:
    """One restart that was really performed; it counts from the moment of the kill."""

    key: str
    from_generation: int
    at: datetime
    generation: int | None = None
    completed_at: datetime | None = None

    def as_json(self) -> dict[str, object]:
        """Return the restart as the interface shows it."""
        return {
            "idempotency_key": self.key,
            "from_generation": self.from_generation,
            "generation": self.generation,
            "at": self.at.isoformat(),
            "completed_at": self.completed_at.isoformat() if self.completed_at else None,
        }


class WorkerProcess:
    """One child process at work. It is never reused: a restart makes another."""

    def __init__(self, process: Process, told: Callable[[WorkerProcess, str], None]) -> None:
        self.process = process
        self.pid = process.pid
        self.started_at = datetime.now(UTC)
        self.in_flight: dict[str, None] = {}
        self._last_heard = time.monotonic()
        self._told = told
        self._ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, told: Callable[[WorkerProcess, str], None]) -> WorkerProcess:
        """Start a worker and wait until it says that it is ready.

        Raises:
            WorkerFailed: it ended or stayed silent instead.
        """
        script = str(Path(worker_script.__file__))
        command = guarded([sys.executable, "-I", "-S", script])
        # A session of its own: Ctrl-C in a terminal is for the service, which ends the worker.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        worker = cls(process, told)
        try:
            await asyncio.wait_for(worker._ready.wait(), READY_WITHIN)
        except TimeoutError:
            await worker.kill()
        if worker.process.returncode is not None:
            raise WorkerFailed("the worker process did not become ready")
        return worker

    @property
    def state(self) -> WorkerState:
        """Judge by what is heard: an ended process is stopped, a silent one is stuck."""
        if self.process.returncode is not None:
            return WorkerState.STOPPED
        silent = time.monotonic() - self._last_heard
        return WorkerState.STUCK if silent > SILENT_AFTER else WorkerState.RUNNING

    def send(self, order_id: str) -> None:
        """Hand one order over."""
        if self.process.stdin is None or self.process.stdin.is_closing():
            return
        self.in_flight[order_id] = None
        self.process.stdin.write(f"{order_id}\n".encode())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it still lives."""
        if self.process.returncode is None:
            os.kill(self.pid, number)

    async def kill(self) -> None:
        """End the process at once, whatever it does, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        output = self.process.stdout
        while output is not None and (line := await output.readline()):
            self._last_heard = time.monotonic()
            word, _, rest = line.decode().strip().partition(" ")
            if word == "ready":
                self.pid = int(rest)
                self._ready.set()
            elif word == "done" and rest in self.in_flight:
                del self.in_flight[rest]
                self._told(self, rest)
        await self.process.wait()
        self._ready.set()
        self._told(self, "")


class Supervisor:
    """Keep one worker, feed it from the order book and replace it when told to.

    A worker that hangs or dies is not replaced on its own: that somebody must
    decide to restart it is the point of the demo.
    """

    def __init__(self, book: OrderBook, *, on_completed: Callable[[], None]) -> None:
        self.generation = 0
        self.concurrency = 2
        self.slow_restart = 0.0
        self.restarts: list[Restart] = []
        self.hung = False
        self._book = book
        self._on_completed = on_completed
        self._worker: WorkerProcess | None = None
        self._by_key: dict[str, asyncio.Task[Restart]] = {}
        self._ongoing: asyncio.Task[Restart] | None = None

    @property
    def state(self) -> WorkerState:
        """Tell what the worker is seen to do; between two workers it is stopped."""
        return self._worker.state if self._worker else WorkerState.STOPPED

    @property
    def started_at(self) -> datetime | None:
        """Tell since when the present worker runs."""
        return self._worker.started_at if self._worker else None

    async def start(self) -> None:
        """Start the first worker, or the next one after a restart's kill.

        Raises:
            WorkerFailed: the process did not come up.
        """
        self._worker = await WorkerProcess.start(self._told)
        self.generation += 1
        self.feed()

    async def stop(self) -> None:
        """End the worker and any restart that is under way."""
        if self._ongoing and not self._ongoing.done():
            self._ongoing.cancel()
            await asyncio.wait({self._ongoing})
        if self._worker:
            await self._worker.kill()

    def hang(self) -> None:
        """Freeze the worker in whatever it does, as a deadlock would.

        Raises:
            WorkerFailed: there is no worker to freeze.
        """
        if self._worker is None or self.state is WorkerState.STOPPED:
            raise WorkerFailed("the worker is stopped")
        self.hung = True
        self._worker.signal(signal.SIGSTOP)

    def unhang(self) -> None:
        """Let a frozen worker go on."""
        self.hung = False
        if self._worker:
            self._worker.signal(signal.SIGCONT)

    def feed(self) -> None:
        """Give the worker as many orders as it may do at once."""
        worker = self._worker
        if worker is None or worker.process.returncode is not None:
            return
        while len(worker.in_flight) < self.concurrency and (order_id := self._book.take()):
            worker.send(order_id)

    async def restart(self, key: str, expected_generation: int) -> tuple[Restart, bool]:
        """Kill the worker and start the next one, once per key.

        A repeated key gets the first result, waits for it when it is still under
        way, and restarts nothing; the second value says so. The restart goes on
        when the caller goes away.

        Raises:
            GenerationMismatch: the worker is not the one the caller means.
            WorkerFailed: the next worker did not come up; the key may be used again.
        """
        while True:
            if known := self._by_key.get(key):
                return await asyncio.shield(known), True
            if self._ongoing is None or self._ongoing.done():
                break
            await asyncio.wait({self._ongoing})
        if expected_generation != self.generation:
            raise GenerationMismatch(self.generation)
        self._ongoing = self._by_key[key] = asyncio.create_task(self._replace(key))
        return await asyncio.shield(self._ongoing), False

    async def _replace(self, key: str) -> Restart:
        restart = Restart(key, self.generation, datetime.now(UTC))
        self.restarts.append(restart)
        _log.info("restarting worker of generation %d for key %s", self.generation, key)
        old, self._worker = self._worker, None
        if old:
            await old.kill()
        self.hung = False
        await asyncio.sleep(self.slow_restart)
        try:
            await self.start()
        except WorkerFailed:
            del self._by_key[key]
            raise
        restart.generation, restart.completed_at = self.generation, datetime.now(UTC)
        return restart

    def _told(self, worker: WorkerProcess, order_id: str) -> None:
        if order_id:
            self._book.complete(order_id)
            self._on_completed()
            self.feed()
            return
        self._book.give_back(worker.in_flight)
        worker.in_flight.clear()
