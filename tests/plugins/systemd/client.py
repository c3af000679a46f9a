"""What the stand-in `systemctl` does when it is called."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from pathlib import Path

from tests.plugins.systemd.standing_in import RUNNING, Manager

DELAY = 0.1  # seconds that a unit takes to stop, and again to start


def main(folder: str, words: list[str]) -> None:
    """Do what systemctl would do, and exit as it would."""
    manager = Manager(Path(folder))
    with (Path(folder) / "calls").open("a") as calls:
        calls.write(json.dumps(words) + "\n")
    if manager.is_on("away"):
        fail("System has not been booted with systemd as init system (PID 1). Can't operate.")
    options = [word for word in words if word.startswith("--") and word != "--"]
    verb, end, name = (word for word in words if word not in options)
    assert end == "--"
    if verb == "show":
        show(manager, name, next(word for word in options if word.startswith("--property=")))
    else:
        order(manager, verb, name)


def fail(text: str, status: int = 1) -> None:
    """Say why, and exit."""
    print(text, file=sys.stderr)
    sys.exit(status)


def show(manager: Manager, name: str, wanted: str) -> None:
    """Print the properties in an order of its own, one a line."""
    while manager.is_on("hang-show"):
        time.sleep(0.01)
    with manager.units() as units:
        unit = units.get(name, {"LoadState": "not-found", "ActiveState": "inactive"})
    for key in sorted(set(wanted.partition("=")[2].split(",")) & set(unit)):
        print(f"{key}={unit[key]}")


def order(manager: Manager, verb: str, name: str) -> None:
    """Enqueue a job for the manager, and wait until it is done."""
    with manager.units() as units:
        if name not in units:
            fail(f"Failed to {verb} {name}: Unit {name} not found.", 5)
        if manager.is_on("denied"):
            fail(f"Failed to {verb} {name}: Interactive authentication required.")
    taken, take = os.pipe()
    if os.fork() == 0:
        # A client that is killed takes along what is of its group, so the job is
        # enqueued by one that is not: it is there and will be done, or neither.
        os.setsid()
        manager.set(name, Job="4711")
        os.close(take)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        job(manager, verb, name)
        os._exit(0)
    os.close(take)
    os.read(taken, 1)
    while manager.get(name)["Job"]:
        time.sleep(0.005)
    if manager.get(name)["ActiveState"] == "failed" and verb != "stop":
        fail(f"Job for {name} failed because the control process exited with error code.")


def job(manager: Manager, verb: str, name: str) -> None:
    """Do what PID 1 does: stop what runs, start what should, and let go of the job."""
    Path(f"/proc/{os.getpid()}/comm").write_text("manager")
    while manager.is_on("hang-jobs"):
        time.sleep(0.01)
    active = manager.get(name)["ActiveState"] == "active"
    if verb in ("stop", "restart") and active:
        manager.set(name, ActiveState="deactivating", SubState="stop-sigterm")
        time.sleep(DELAY)
        manager.set(name, ActiveState="inactive", SubState="dead")
    if verb == "restart" or (verb == "start" and not active):
        started = {"InvocationID": uuid.uuid4().hex, "NRestarts": "0"}
        manager.set(name, ActiveState="activating", SubState="start", **started)
        time.sleep(DELAY)
        failed = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
        now = failed if manager.is_on("broken") else {**RUNNING, "Result": "success"}
        manager.set(name, **{**now, **started})
    manager.set(name, Job="")
