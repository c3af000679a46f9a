"""A target outside of every bot: a file to which each effect is appended with its key.

It remembers nothing else, so a second effect of the same key stands there for
good. Its actions differ in what the gate must know about them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
    Transient,
    Undo,
)
from tests.scenarios.kill_points import Points, append

EFFECTS, VERSION, ATTEMPTS = "effects", "version", "attempts"
_ANY: Mapping[str, Any] = {"type": "object"}


def effects_of(folder: Path) -> list[str]:
    """Return the key of every effect, in the order in which they took place."""
    path = folder / EFFECTS
    return path.read_text().splitlines() if path.exists() else []


class Disk:
    """What the actions do. A handler keeps its call's time itself, right before its effect."""

    def __init__(self, folder: Path, points: Points) -> None:
        self._folder, self._points = folder, points

    def _write(self, call: ActionCall) -> None:
        append(self._folder / EFFECTS, f"{call.key}\n".encode())

    async def _enter(self, call: ActionCall) -> None:
        """Begin, with a turn of the event loop for some and none for others.

        One that starts a process acts in its first turn, before anybody could cancel it.
        """
        self._points.reach("a handler begins")
        if "slowly" in call.arguments:
            await asyncio.sleep(0)
        self._points.reach("before the effect")

    async def append(self, call: ActionCall) -> ActionResult:
        """Take effect, unless there is no time left."""
        began = time.monotonic()
        await self._enter(call)
        if time.monotonic() - began >= call.timeout:
            raise ActionFailed("there is no time left; nothing was done")
        self._write(call)
        self._points.reach("after the effect")
        return ActionResult(summary="done", value=1.0)

    async def swap(self, call: ActionCall) -> ActionResult:
        """Take effect only on the version that the plan has seen, whenever that is.

        The target compares and writes in one, so nothing depends on time.
        """
        await self._enter(call)
        with (self._folder / VERSION).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_size != call.arguments["version"]:
                if call.key in effects_of(self._folder):
                    return ActionResult(summary="it is there already", value=1.0)
                raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)
            os.write(file.fileno(), b".")
            self._write(call)
        self._points.reach("after the effect")
        return ActionResult(summary="done", value=1.0)

    async def version(self, call: ActionCall) -> DryRun:
        """Pin the version."""
        path = self._folder / VERSION
        return DryRun(
            diff="+ a line", pinned={"version": path.stat().st_size if path.exists() else 0}
        )

    async def retried(self, call: ActionCall) -> ActionResult:
        """Fail for a moment at the first attempt, whoever makes it."""
        if append(self._folder / ATTEMPTS, b".") == 1:
            self._points.reach("before a failure")
            raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)
        return await self.append(call)

    async def busy(self, call: ActionCall) -> ActionResult:
        """Fail for a moment, always."""
        self._points.reach("before a failure")
        raise ActionFailed("somebody was faster", transient=Transient.CONFLICT)

    async def jam(self, call: ActionCall) -> ActionResult:
        """Fail for good."""
        self._points.reach("before a failure")
        raise ActionFailed("it jams")

    async def breaks(self, call: ActionCall) -> ActionResult:
        """Take effect, and break off without an answer."""
        await self.append(call)
        raise ConnectionError("gone")

    async def slow(self, call: ActionCall) -> ActionResult:
        """Take longer than anybody waits."""
        await self._enter(call)
        await asyncio.Event().wait()
        raise AssertionError

    async def look(self, call: ActionCall) -> ActionResult:
        """Show the value that the call asks for."""
        self._points.reach("a look")
        return ActionResult(summary="it was looked at", value=call.arguments["value"])

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look whether an effect stands in the file."""
        self._points.reach("a reconciliation")
        there = call.key in effects_of(self._folder)
        return Reconciliation(happened=Happened.YES if there else Happened.NO, detail="looked")


def disk_actions(disk: Disk) -> tuple[Action, ...]:
    """Return the disk's actions."""

    async def diff(call: ActionCall) -> DryRun:
        return DryRun(diff="+ a line")

    plain = Action(
        name="disk.append", version=1, summary="Append a line.", effect=Effect.MUTATE,
        risk=Risk.R1, idempotent=False, arguments=_ANY, handler=disk.append, dry_run=diff,
        reconcile=disk.find,
        undo=lambda call, result: Undo(uses="disk.remove@1", arguments={}),
    )  # fmt: skip
    without = replace(plain, undo=None)
    transient = frozenset({Transient.CONFLICT})
    read = replace(
        without, name="disk.look", effect=Effect.READ, risk=Risk.R0, idempotent=True,
        handler=disk.look, dry_run=None, reconcile=None,
    )  # fmt: skip
    return (
        plain,
        replace(without, name="disk.remove"),
        replace(without, name="disk.swap", handler=disk.swap, dry_run=disk.version),
        replace(
            without, name="disk.set", idempotent=True, handler=disk.retried, transient=transient
        ),
        replace(without, name="disk.busy", idempotent=True, handler=disk.busy, transient=transient),
        replace(without, name="disk.jam", handler=disk.jam),
        replace(plain, name="disk.stuck", undo=lambda c, r: Undo(uses="disk.jam@1", arguments={})),
        replace(without, name="disk.blind", handler=disk.breaks, reconcile=None),
        replace(without, name="disk.slow", handler=disk.slow),
        replace(without, name="disk.hand", manual=True, reconcile=None),
        read,
        replace(read, name="disk.wait", waiting=True),
    )
