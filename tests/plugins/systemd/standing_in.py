"""A `systemctl` that behaves like the real one, with its state in a file.

Like PID 1 it does its jobs itself: a client that is killed has only stopped
waiting. What it prints and how it exits is taken from systemd 252 and 255.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FRESH = {
    "LoadState": "loaded",
    "ActiveState": "inactive",
    "SubState": "dead",
    "Result": "success",
    "InvocationID": "",
    "NRestarts": "0",
    "Job": "",
}
RUNNING = {"ActiveState": "active", "SubState": "running", "InvocationID": "a" * 32}

PROGRAM = """\
    #!{python} -IS
    import sys, time
    sys.path.insert(0, {here!r})
    sys.path.append({root!r})
    from tests.plugins.systemd import client
    client.main({folder!r}, sys.argv[1:])
    """


class Manager:
    """The manager's state: units by name, and switches that make it misbehave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def units(self) -> Iterator[dict[str, dict[str, str]]]:
        """Hold the state, and write it back."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "units.json"
            units = json.loads(path.read_text()) if path.exists() else {}
            yield units
            new = path.with_suffix(".new")
            new.write_text(json.dumps(units))
            new.rename(path)

    def set(self, name: str, **properties: str) -> None:
        """Make a unit like this."""
        with self.units() as units:
            units[name] = {**FRESH, **units.get(name, {}), **properties}

    def get(self, name: str) -> dict[str, str]:
        """Return what a unit is like."""
        with self.units() as units:
            return dict(units[name])

    def is_on(self, switch: str) -> bool:
        """Say whether a switch is on: `away`, `hang-show`, `hang-jobs`, `denied`, `broken`."""
        return (self.folder / switch).exists()

    def busy(self) -> bool:
        """Say whether a job is under way."""
        with self.units() as units:
            return any(unit["Job"] for unit in units.values())


def write_program(folder: Path) -> Path:
    """Write a `systemctl` for a folder, and return its path."""
    root = Path(__file__).resolve().parents[3]
    path = folder / "systemctl"
    text = textwrap.dedent(PROGRAM).format(
        python=os.path.realpath(sys.executable), here="", root=str(root), folder=str(folder)
    )
    path.write_text(text)
    path.chmod(0o755)
    return path


def arguments_of(folder: Path) -> list[Any]:
    """Return the argv of every call so far."""
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
