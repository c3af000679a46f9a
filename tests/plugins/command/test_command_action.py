"""Listed programs, and nothing else, run and end as they should."""

import asyncio
import contextlib
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from bot.domain.actions import Action, ActionCall, ActionFailed, OutcomeUnknown, Output, Transient
from bot.domain.printing import Printed, Stream
from bot.plugin import PluginContext
from plugins.command.plugin import CommandLine, CommandSettings
from plugins.command.programs import Program, allowed

PYTHON = str(Path(sys.executable).resolve())
CODE = ("-I", "-c", ".*")


def actions(programs: dict[str, Program], **settings: Any) -> dict[str, Action]:
    made = CommandSettings(programs=programs, **settings)
    plugin = CommandLine(made, cast(PluginContext, SimpleNamespace()))
    return {action.reference: action for action in plugin.actions()}


def action(*form: str, **settings: Any) -> Action:
    listed = Program(path=PYTHON, arguments=form or CODE, unchanged_statuses=(3,))
    return actions(settings.pop("programs", {"python": listed}), **settings)["command.run@1"]


def reading(**settings: Any) -> Action:
    listed = Program(path=PYTHON, arguments=CODE, effect="read")
    return actions({"python": listed}, **settings)["command.read@1"]


def call(code: str = "", *, timeout: float = 20, **arguments: Any) -> ActionCall:
    words = ["-I", "-c", f"exec({code!r})"]  # one line, as arguments have to be
    given = {"program": "python", "arguments": words, **arguments}
    return ActionCall(key="run-1:step", arguments=given, timeout=timeout)


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


async def filled(path: Path) -> str:
    for _ in range(200):
        if text := written(path):
            return text
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} stayed empty")


def alive(marker: str) -> list[str]:
    """Return the processes whose command line holds a marker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes() and not ended(int(path.parent.name)):
                found.append(path.parent.name)
    return found


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
        ["re\ud800start", "web"],
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
    made = action("re.*start", "[a-z]+")
    with pytest.raises(ActionFailed, match="argument"):
        await made.handler(call(arguments=arguments))
    assert made.dry_run is not None
    with pytest.raises(ActionFailed, match="argument"):
        await made.dry_run(call(arguments=arguments))


@pytest.mark.parametrize("option", ("--exec=id", "-v", "--", "-"))
async def test_an_expression_for_a_value_lets_no_option_in(option: str) -> None:
    made = action("log", ".*", programs={"git": Program(path="/bin/true", arguments=("log", ".*"))})
    with pytest.raises(ActionFailed, match="argument 2"):
        await made.handler(call(program="git", arguments=["log", option]))
    meant = {"git": Program(path="/bin/true", arguments=("log", "-.*"))}
    await action(programs=meant).handler(call(program="git", arguments=["log", option]))


async def test_the_last_argument_may_repeat_where_it_is_listed_so() -> None:
    made = action(programs={"echo": Program(path="/bin/echo", arguments=("of", "[a-z]+", "..."))})
    result = await made.handler(call(program="echo", arguments=["of", "a", "b", "c"]))
    assert result.data["output"] == "of a b c\n"
    for arguments in (["of"], [], ["of", "a", "B"], ["of", "a", "-n"]):
        with pytest.raises(ActionFailed, match="argument"):
            await made.handler(call(program="echo", arguments=arguments))


@given(st.lists(st.text(max_size=20), max_size=4))
def test_whatever_is_allowed_is_what_was_listed(arguments: list[str]) -> None:
    programs = {"p": Program(path="/p", arguments=("[a-z]*", "-?x", ".*", "..."))}
    try:
        allowed(programs, "p", arguments)
    except ActionFailed:
        return
    first, second, *rest = arguments
    assert re.fullmatch("[a-z]*", first)
    assert second == "x", "an expression that may begin with a dash is not one that does"
    assert rest
    assert not any(word.startswith("-") or set(word) & {"\0", "\n", "\r"} for word in rest)


async def test_a_program_is_listed_for_looking_or_for_changing() -> None:
    look = {"python": Program(path=PYTHON, arguments=CODE, effect="read")}
    with pytest.raises(ActionFailed, match=r"command\.read@1"):
        await action(programs=look).handler(call())
    change = {"python": Program(path=PYTHON, arguments=CODE)}
    with pytest.raises(ActionFailed, match=r"command\.run@1"):
        await actions(change)["command.read@1"].handler(call())


@pytest.mark.parametrize(
    ("printed", "value"),
    (
        ("print(7)", 7),
        ("print('used'); print(' 0.25 '); print()", 0.25),
        ("print(-1e3)", -1000),
        ("print(7, end='')", 7),
        ("print('7 %')", None),
        ("print(7); print('done')", None),
        ("print('nan')", None),
        ("print('1e999')", None),
        ("print('\u0667')", None),
        ("import sys; print(7); print(8, file=sys.stderr)", 7),
        ("", None),
    ),
)
async def test_the_value_is_the_number_alone_on_the_last_line(
    printed: str, value: float | None
) -> None:
    assert (await reading().handler(call(printed))).value == value


async def test_a_look_that_ends_badly_has_failed() -> None:
    with pytest.raises(ActionFailed, match="exited with 4: no such queue"):
        await reading().handler(call("print('no such queue'); raise SystemExit(4)"))
    with pytest.raises(ActionFailed, match="killed by signal 9"):
        await reading().handler(call("import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(ActionFailed, match="killed after") as late:
        await reading(timeout=0.3).handler(call("import time; time.sleep(60)"))
    assert late.value.transient is Transient.TIMEOUT


async def test_what_is_printed_is_heard_while_the_program_runs(tmp_path: Path) -> None:
    heard, gate = list[str](), tmp_path / "gate"
    code = (
        "import os, time, sys\n"
        "print('first', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        "print('second', file=sys.stderr)"
    )

    def hear(output: Output) -> None:
        heard.append(output.line)
        gate.touch()  # the program goes on only when its first line was heard

    await action().handler(replace(call(code), report=hear))
    assert heard == ["first", "second"]


async def test_the_dry_run_shows_the_exact_words() -> None:
    listed = Program(path="/bin/echo", arguments=(".*",), directory="/tmp", secrets=("PASSWORD",))
    made = action(programs={"echo": listed}, secret_values={"PASSWORD": "hunter2-hunter2"})
    assert made.dry_run is not None
    seen = await made.dry_run(call(program="echo", arguments=["a 'b'; hunter2-hunter2"]))
    assert seen.diff.splitlines() == [
        "$ /bin/echo 'a '\"'\"'b'\"'\"'; (hidden)'",
        "in /tmp",
        "with PASSWORD (hidden)",
    ]


async def test_a_program_that_was_edited_after_approval_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho good\n")
    script.chmod(0o755)
    made = action(programs={"script": Program(path=str(script))})
    assert made.dry_run is not None
    given = call(program="script", arguments=[])
    frozen = {**given.arguments, **(await made.dry_run(given)).pinned}
    script.write_text("#!/bin/sh\necho evil\n")
    with pytest.raises(ActionFailed, match="have changed") as changed:
        await made.handler(replace(given, arguments=frozen))
    assert changed.value.transient is Transient.CONFLICT


async def test_no_shell_reads_the_arguments() -> None:
    code = "import sys; print(sys.argv[1:])"
    made = action("-I", "-c", ".*", ".*", "...")
    words = ["-I", "-c", code, "$HOME `id` ; id", "*", "$(touch /tmp/x)", "a\tb\u202e", "'\""]
    result = await made.handler(call(arguments=words))
    assert result.data["output"].strip() == repr(words[3:])


async def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SLACK__BOT_TOKEN", "xoxb-secret")
    result = await action().handler(call("import os; print(sorted(os.environ), os.getcwd())"))
    names = ["HOME", "LANG", "LC_CTYPE", "PATH", "TOCSIN_KEY"]
    assert result.data["output"].strip() in (f"{names} /", f"{[*names[:2], *names[3:]]} /")


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


async def test_a_child_that_lets_go_of_everything_in_the_group_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        "if os.fork(): os._exit(0)\n"
        "for number in range(3): os.close(number)\n"
        f"open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    waiting = "import os, time\nwhile not os.path.exists({0!r}): time.sleep(0.01)\n"
    outer = f"import os\nif not os.fork(): exec({code!r})\n" + waiting.format(str(path))
    await action().handler(call(outer))
    assert await gone(int(await filled(path)))


async def given_up(code: str, ready: Path) -> float:
    """Cancel a program once it is ready; return how long its end took, in seconds."""
    task = asyncio.ensure_future(action().handler(call(code)))
    await filled(ready)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return time.monotonic() - began


async def test_a_program_gets_time_to_end_well_before_it_is_killed(tmp_path: Path) -> None:
    said, ready = tmp_path / "said", tmp_path / "ready"
    code = (
        "import signal, sys, time\n"
        f"def end(*_): time.sleep(0.3); open({str(said)!r}, 'w').write('goodbye'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(ready)!r}, 'w').write('ready')\n"
        "time.sleep(60)"
    )
    await given_up(code, ready)
    assert written(said) == "goodbye"


async def test_a_program_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(ready)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    assert await given_up(code, ready) >= 3
    assert ended(int(written(ready)))


async def test_a_caller_that_gives_up_while_a_program_starts_leaves_none(tmp_path: Path) -> None:
    marker = f"{tmp_path}/marker"
    code = f"{marker!r}; import time; time.sleep(60)"
    for turns in range(8):
        task = asyncio.ensure_future(action().handler(call(code)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert alive(marker) == []


async def test_a_caller_that_gives_up_twice_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    )
    task = asyncio.ensure_future(action().handler(call(code)))
    pid = int(await filled(path))
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pid)


async def test_a_caller_that_gives_up_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    task = asyncio.ensure_future(action().handler(call(code)))
    pid = int(await filled(path))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pid)


async def test_output_is_capped_and_never_blocks() -> None:
    result = await action(largest=1000).handler(call("print('x' * 2_000_000)"))
    assert result.data["cut"] is True
    assert len(result.data["output"]) <= 1100
    result = await action().handler(call("for n in range(100_000): print(n)"))
    lines = result.data["output"].splitlines()
    assert (lines[0], lines[-1], result.value) == ("0", "99999", 99999)
    assert len(result.data["output"]) <= 65_600


@given(
    chunks=st.lists(st.text("ab\n\rsecret-", max_size=12), max_size=30),
    size=st.integers(1, 7),
)
def test_a_secret_is_never_printed_however_it_is_cut(chunks: list[str], size: int) -> None:
    heard = list[str]()
    printed = Printed(heard.append, largest=10_000, secrets=("secret-", "secret-secret"))
    stream = Stream(printed)
    text = "secret-".join(chunks).encode() * 40
    for start in range(0, len(text), size * 997):
        stream.feed(text[start : start + size * 997])
    stream.close()
    assert "secret-" not in printed.text + "\n".join(heard)


async def test_failures_say_what_is_certain() -> None:
    with pytest.raises(ActionFailed, match="exited with 3: nothing to do"):
        await action().handler(call("print('nothing to do'); raise SystemExit(3)"))
    with pytest.raises(OutcomeUnknown, match="exited with 1"):
        await action().handler(call("raise SystemExit(1)"))
    absent = {"python": Program(path="/nonexistent/program", arguments=CODE)}
    with pytest.raises(ActionFailed, match="cannot be started"):
        await action(programs=absent).handler(call())


@pytest.mark.parametrize(
    "settings",
    (
        {"path": "python"},
        {"path": "/usr/../bin/python"},
        {"path": "/bin/true", "arguments": ("(",)},
        {"path": "/bin/true", "arguments": ("...",)},
        {"path": "/bin/true", "arguments": ("a", "...", "b")},
        {"path": "/bin/true", "effect": "destructive"},
        {"path": "/bin/true", "directory": "tmp"},
        {"path": "/bin/true", "environment": {"A=B": "c"}},
        {"path": "/bin/true", "unchanged_statuses": (0,)},
        {"path": "/bin/true", "shell": True},
    ),
)
def test_unclear_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Program(**settings)


def test_a_secret_that_nobody_gave_stops_the_start() -> None:
    with pytest.raises(ValidationError, match="wants TOKEN"):
        CommandSettings(programs={"p": Program(path="/p", secrets=("TOKEN",))})


def test_the_schema_is_valid_and_closed() -> None:
    Draft202012Validator.check_schema(dict(action().arguments))
    assert action().arguments["additionalProperties"] is False
