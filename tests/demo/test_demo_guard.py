from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.demo import guard

SLEEPER = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(60)"
# The parent starts a guarded child in the way asked for, tells its pid and waits.
PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
sys.stdin.read()
"""
WATCHING = """
import os, sys
sys.path.insert(0, sys.argv[1])
from bot.demo import guard
sys.exit(guard.watch(os.getppid(), sys.argv[2:]))
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def child_of_a_killed_parent(command: list[str]) -> int:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.communicate()
    return pid


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's way is Linux's")
async def test_the_kernel_ends_a_guarded_command_with_its_parent(until: Any) -> None:
    # The guard wants the pid of the process that starts it, which is the parent script here.
    script = "import sys, os; g = sys.argv[1:]; g[4] = str(os.getppid()); os.execv(g[0], g)"
    command = guard.guarded([sys.executable, "-c", SLEEPER])
    pid = child_of_a_killed_parent([sys.executable, "-c", script, *command])
    await until(lambda: not alive(pid))


async def test_a_watched_command_ends_with_its_parent(until: Any) -> None:
    root = str(Path(guard.__file__).parents[2])
    command = [sys.executable, "-c", WATCHING, root, sys.executable, "-c", SLEEPER]
    pid = child_of_a_killed_parent(command)
    await until(lambda: not alive(pid))


def test_a_guarded_command_keeps_its_exit_status() -> None:
    command = guard.guarded([sys.executable, "-c", "raise SystemExit(3)"])
    assert subprocess.run(command, check=False).returncode == 3
