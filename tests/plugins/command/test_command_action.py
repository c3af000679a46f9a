"""Listed programs, and nothing else, run and end as they should."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from bot.domain.actions import Action, ActionCall, ActionFailed
from bot.plugin import PluginContext
from plugins.command.plugin import CommandLine, CommandSettings
from plugins.command.processes import OutcomeUnknown
from plugins.command.programs import Program

PYTHON = str(Path(sys.executable).resolve())


def action(*forms: tuple[str, ...], **settings: Any) -> Action:
    program = Program(path=PYTHON, forms=forms or (("-I", "-c", "(?s).*"),), unchanged=(3,))
    made = CommandSettings(**{"programs": {"python": program}, **settings})
    return CommandLine(made, cast(PluginContext, SimpleNamespace())).actions()[0]


def call(code: str = "", *, timeout: float = 20, **arguments: Any) -> ActionCall:
    given = {"program": "python", "arguments": ["-I", "-c", code], **arguments}
    return ActionCall(key="k", arguments=given, timeout=timeout)


def ended(pid: int) -> bool:
    """Say whether a process has ended; a zombie that nobody reaps counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


async def gone(pid: int) -> bool:
    for _ in range(100):
        if ended(pid):
            return True
        await asyncio.sleep(0.05)
    return False


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def test_a_listed_program_runs_and_reports() -> None:
    result = await action().handler(call("print('one'); print('done')"))
    assert result.summary == "python exited with 0: done"
    assert result.data["output"] == "one\ndone\n"


async def test_nothing_is_listed_by_default() -> None:
    with pytest.raises(ActionFailed, match=r"not in plugins\.command\.programs"):
        await action(programs={}).handler(call())


@pytest.mark.parametrize(
    "arguments",
    (
        [],
        ["restart"],
        ["restart", "web; id"],
        ["restart", "web", "now"],
        ["stop", "web"],
        ["restart", "web\n"],
        ["restart", "web\x00"],
    ),
)
async def test_arguments_that_are_not_listed_are_refused(arguments: list[str]) -> None:
    made = action(("restart", "[a-z]+"), ("status", "[a-z]+"))
    with pytest.raises(ActionFailed):
        await made.handler(call(arguments=arguments))
    assert made.dry_run is not None
    with pytest.raises(ActionFailed):
        await made.dry_run(call(arguments=arguments))


async def test_the_dry_run_shows_the_exact_words() -> None:
    made = action()
    assert made.dry_run is not None
    seen = await made.dry_run(call("print('a b')"))
    assert seen.diff == f"$ {PYTHON} -I -c 'print('\"'\"'a b'\"'\"')'"


async def test_no_shell_reads_the_arguments() -> None:
    code = "import sys; print(sys.argv[1:])"
    made = action(("-I", "-c", "(?s).*", ".*", ".*"))
    words = ["-I", "-c", code, "$HOME `id` ; id", "*"]
    result = await made.handler(call(arguments=words))
    assert result.data["output"].strip() == repr(words[3:])


async def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SLACK__BOT_TOKEN", "xoxb-secret")
    result = await action().handler(call("import os; print(sorted(os.environ), os.getcwd())"))
    assert "TOCSIN" not in result.data["output"]
    assert result.data["output"].strip().endswith("/")


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open({path!r}, 'w').write(str(child.pid)); time.sleep(60)"
    )
    path = tmp_path / "pid"
    with pytest.raises(OutcomeUnknown, match="killed after 2 s"):
        await action().handler(call(code.format(path=str(path)), timeout=2))
    assert await gone(int(written(path)))


async def test_children_that_stay_behind_are_killed() -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)"
    )
    result = await action().handler(call(code))
    assert await gone(int(result.data["output"]))


async def test_a_caller_that_gives_up_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.ensure_future(action().handler(call(code)))
    for _ in range(200):
        if written(path):
            break
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(int(written(path)))


async def test_output_is_capped_and_never_blocks() -> None:
    result = await action(largest=1000).handler(call("print('x' * 2_000_000)"))
    assert result.data["cut"] is True
    assert len(result.data["output"]) == 1000


async def test_failures_say_what_is_certain() -> None:
    with pytest.raises(ActionFailed, match="exited with 3: nothing to do"):
        await action().handler(call("print('nothing to do'); raise SystemExit(3)"))
    with pytest.raises(OutcomeUnknown, match="exited with 1"):
        await action().handler(call("raise SystemExit(1)"))
    absent = {"python": Program(path="/nonexistent/program", forms=(("-I", "-c", ".*"),))}
    with pytest.raises(ActionFailed, match="cannot be started"):
        await action(programs=absent).handler(call())


@pytest.mark.parametrize(
    "settings",
    (
        {"path": "python", "forms": ((),)},
        {"path": "/usr/../bin/python", "forms": ((),)},
        {"path": "/bin/true", "forms": (("(",),)},
        {"path": "/bin/true", "forms": ()},
        {"path": "/bin/true", "shell": True},
    ),
)
def test_unclear_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Program(**settings)


def test_the_schema_is_valid_and_closed() -> None:
    Draft202012Validator.check_schema(dict(action().arguments))
    assert action().arguments["additionalProperties"] is False
