"""Programs on a real sshd: who is spoken to, what arrives, and what is certain afterwards."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from bot.domain.actions import Action, ActionCall, ActionFailed, OutcomeUnknown, Output, Transient
from bot.plugin import PluginContext
from plugins.ssh.hosts import Host, Program, command_line
from plugins.ssh.plugin import Ssh, SshSettings
from tests.plugins.ssh.served import PASSPHRASE, Sshd

ROOT = Path(__file__).resolve().parents[3]
PYTHON = str(Path(sys.executable).resolve())
CODE = ("-I", "-c", ".*", ".*", "...")
ARGV = "import json, sys; print(json.dumps(sys.argv[1:]))"

HOSTILE = (
    "; rm -rf /",
    "$(id > /tmp/tocsin-was-here)",
    "`id > /tmp/tocsin-was-here`",
    "a b  c\td",
    "'",
    '"',
    "'; exit 3; '",
    "\\",
    "\\'",
    "!!",
    "* ? [a-z]",
    "~root",
    "$HOME ${PATH}",
    "&& id",
    "| id > /tmp/tocsin-was-here",
    "# nothing",
    "\x07\x1b[2Jbell",
    "\u202eevil",
    "naïve ☃ \U0001d54a",
    "%s %n {0}",
    "",
)


def actions(host: Host, programs: dict[str, Program] | None = None) -> dict[str, Action]:
    listed = {
        "python": Program(hosts=("web",), path=PYTHON, arguments=CODE, unchanged_statuses=(3,)),
        "look": Program(hosts=("web",), path=PYTHON, arguments=CODE, effect="read"),
    }
    made = SshSettings(
        hosts={"web": host},
        programs=listed if programs is None else programs,
        passphrases={"web": SecretStr(PASSPHRASE)},
    )
    plugin = Ssh(made, cast(PluginContext, SimpleNamespace()))
    return {action.reference: action for action in plugin.actions()}


def run(host: Host, **programs: Program) -> Action:
    return actions(host, programs or None)["ssh.run@1"]


def read(host: Host) -> Action:
    return actions(host)["ssh.read@1"]


def call(code: str, *words: str, program: str = "python", timeout: float = 20) -> ActionCall:
    line = f"exec({code!r})"  # one line, as arguments have to be
    arguments = ["-I", "-c", line, *(words or ("x",))]
    given = {"host": "web", "program": program, "arguments": arguments}
    return ActionCall(key="run-1:step", arguments=given, timeout=timeout)


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def filled(path: Path) -> str:
    for _ in range(400):
        if text := written(path):
            return text
        await asyncio.sleep(0.025)
    raise AssertionError(f"{path} stayed empty")


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


def sleeping(path: Path) -> str:
    """Return a program that writes its number to a file and sleeps."""
    return f"import os, time; open({str(path)!r}, 'w').write(str(os.getpid())); time.sleep(60)"


async def test_hostile_arguments_arrive_as_one_argument_each(sshd: Sshd) -> None:
    result = await run(sshd.host()).handler(call(ARGV, *HOSTILE))
    assert json.loads(result.data["output"]) == list(HOSTILE)
    assert written(Path("/tmp/tocsin-was-here")) == ""


@given(words=st.lists(st.text(max_size=30), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_words_are_a_shell_gives_them_back(words: list[str]) -> None:
    words = [word.replace("\0", "") for word in words]
    words = [word.encode("utf-8", "ignore").decode() for word in words]
    program = Program(hosts=("web",), path=PYTHON)
    line = command_line(program, ["-I", "-c", ARGV, *words], key="k'$(id)", mark="mark")
    done = os.popen(line).read() if "\0" not in line else ""
    mark, _, output = done.partition("\n")
    assert mark.startswith("mark ")
    assert json.loads(output) == words


async def test_a_program_runs_clean_and_reports(sshd: Sshd) -> None:
    heard = list[str]()
    code = (
        "import os, sys\n"
        "print(sorted(os.environ), os.getcwd(), repr(sys.stdin.read()))\n"
        "print('to stderr', file=sys.stderr, flush=True)\n"
        "print(42)"
    )

    def hear(output: Output) -> None:
        heard.append(output.line)

    result = await run(sshd.host()).handler(replace(call(code), report=hear))
    first = next(line for line in heard if line.startswith("["))
    assert first.replace("'LC_CTYPE', ", "") == "['HOME', 'LANG', 'PATH', 'TOCSIN_KEY'] / ''"
    assert {"to stderr", "42"} < set(heard)
    assert (result.value, result.data["status"]) == (42, 0)


async def test_statuses_say_what_is_certain(sshd: Sshd) -> None:
    action = run(sshd.host())
    with pytest.raises(ActionFailed, match="python on web exited with 3: nothing to do"):
        await action.handler(call("print('nothing to do'); raise SystemExit(3)"))
    with pytest.raises(OutcomeUnknown, match="exited with 1"):
        await action.handler(call("raise SystemExit(1)"))
    with pytest.raises(OutcomeUnknown, match="exited with 137"):
        await action.handler(call("import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(ActionFailed, match="exited with 1"):
        await read(sshd.host()).handler(call("raise SystemExit(1)", program="look"))


@pytest.mark.parametrize("missing", ({"path": "/no/such/program"}, {"directory": "/no/such"}))
async def test_a_program_that_is_not_there_is_certain(sshd: Sshd, missing: dict[str, str]) -> None:
    program = Program.model_validate(
        {"hosts": ("web",), "path": PYTHON, "arguments": CODE} | missing
    )
    with pytest.raises(ActionFailed, match="is not on web"):
        await run(sshd.host(), python=program).handler(call("print(1)"))


# Who is spoken to.


async def test_a_host_with_another_key_is_not_spoken_to(sshd: Sshd, tmp_path: Path) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known = tmp_path / "known"
    for line in (f"[127.0.0.1]:{sshd.port} {other}", f"[127.0.0.2]:{sshd.port} {other}", ""):
        known.write_text(line)
        path = tmp_path / "touched"
        with pytest.raises(ActionFailed, match="known_hosts") as no:
            await run(sshd.host(known_hosts=str(known))).handler(call(sleeping(path)))
        assert no.value.transient is None
        assert not path.exists()


async def test_a_revoked_host_key_is_not_spoken_to(sshd: Sshd, tmp_path: Path) -> None:
    text = (sshd.folder / "known_hosts").read_text()
    known = tmp_path / "known"
    known.write_text(f"@revoked {text}\n{text}")
    with pytest.raises(ActionFailed, match="known_hosts"):
        await run(sshd.host(known_hosts=str(known))).handler(call("print(1)"))


@pytest.mark.parametrize("which", ("known_hosts", "key"))
async def test_files_that_are_missing_or_broken_are_certain(
    sshd: Sshd, tmp_path: Path, which: str
) -> None:
    with pytest.raises(ActionFailed, match=r"cannot be used|known_hosts") as no:
        await run(sshd.host(**{which: str(tmp_path / "absent")})).handler(call("print(1)"))
    assert no.value.transient is None
    (tmp_path / "broken").write_bytes(b"\xff\x00 nonsense")
    with pytest.raises(ActionFailed, match=r"cannot be used|known_hosts"):
        await run(sshd.host(**{which: str(tmp_path / "broken")})).handler(call("print(1)"))


async def test_nothing_of_the_user_is_used_to_sign_in(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    shown = list[str]()
    listening = await asyncio.start_unix_server(
        lambda reader, writer: shown.append("the agent was asked"), tmp_path / "agent"
    )
    (home / "config").write_text(f"Host *\n  IdentityFile {sshd.folder}/client\n  Port 1\n")
    (home / "known_hosts").write_text((sshd.folder / "known_hosts").read_text())
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(tmp_path / "stranger")
    with pytest.raises(ActionFailed, match="does not let"):
        await run(sshd.host(key=str(tmp_path / "stranger"))).handler(call("print(1)"))
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ActionFailed, match="known_hosts"):
        await run(sshd.host(known_hosts=str(empty))).handler(call("print(1)"))
    assert (await run(sshd.host()).handler(call("print(7)"))).value == 7
    listening.close()
    assert shown == []


# What is certain when it breaks.


async def test_a_machine_that_says_nothing_is_certainly_unchanged(sshd: Sshd) -> None:
    assert sshd.process is not None
    sshd.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ActionFailed, match="did not answer within 1 s") as late:
            await run(sshd.host()).handler(call("print(1)", timeout=1))
    finally:
        sshd.process.send_signal(signal.SIGCONT)
    assert late.value.transient is Transient.TIMEOUT


async def test_a_machine_that_speaks_something_else_is_certainly_unchanged(sshd: Sshd) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n" * 10)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(ActionFailed, match="cannot be reached") as no:
            await run(sshd.host(port=port)).handler(call("print(1)"))
    assert no.value.transient is Transient.UNREACHABLE


@pytest.fixture
async def stopped(sshd: Sshd, tmp_path: Path) -> AsyncIterator[Callable[[Action, str], Any]]:
    """Run a program that sleeps, kill the server's half of the connection, and return the end."""
    path = tmp_path / "pid"

    async def stop(action: Action, program: str) -> BaseException:
        task = asyncio.ensure_future(action.handler(call(sleeping(path), program=program)))
        await filled(path)
        sshd.cut()
        with pytest.raises(BaseException) as caught:  # noqa: PT011  # the tests look at it
            await task
        return caught.value

    yield stop
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(path.read_text()), signal.SIGKILL)


async def test_a_connection_that_breaks_leaves_a_change_in_doubt(
    sshd: Sshd, stopped: Callable[[Action, str], Any]
) -> None:
    error = await stopped(run(sshd.host()), "python")
    assert isinstance(error, OutcomeUnknown)
    assert "broke while the program ran" in str(error)


async def test_a_connection_that_breaks_fails_a_look(
    sshd: Sshd, stopped: Callable[[Action, str], Any]
) -> None:
    error = await stopped(read(sshd.host()), "look")
    assert isinstance(error, ActionFailed)
    assert error.transient is Transient.UNREACHABLE


@pytest.mark.parametrize("turns", (0, 1, 5, 20, 50, 100))
async def test_a_caller_that_gives_up_at_any_moment_leaves_nothing(
    sshd: Sshd, tmp_path: Path, turns: int
) -> None:
    path = tmp_path / "pid"
    task = asyncio.ensure_future(run(sshd.host()).handler(call(sleeping(path))))
    for _ in range(turns):
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not path.exists() or await gone(int(await filled(path)))
    for _ in range(100):
        if not sshd.connections():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(sshd.connections())


async def test_a_program_gets_time_to_end_well(sshd: Sshd, tmp_path: Path) -> None:
    said, ready = tmp_path / "said", tmp_path / "ready"
    code = (
        "import signal, sys, time\n"
        f"def end(*_): time.sleep(0.5); open({str(said)!r}, 'w').write('goodbye'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"open({str(ready)!r}, 'w').write('ready')\n"
        "time.sleep(60)"
    )
    task = asyncio.ensure_future(run(sshd.host()).handler(call(code)))
    await filled(ready)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert written(said) == "goodbye"


async def test_children_that_stay_behind_are_ended(sshd: Sshd) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid)"
    )
    result = await run(sshd.host()).handler(call(code))
    assert result.value is not None
    assert await gone(int(result.value))


# Servers that are set up in their own ways.


@pytest.fixture
async def strict(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Sshd]:
    server = Sshd(tmp_path / "strict", more=request.param)
    await server.start()
    yield server
    server.cut()
    await server.stop()


@pytest.mark.parametrize("strict", ("ForceCommand echo 7",), indirect=True)
async def test_a_server_that_runs_something_else_leaves_it_in_doubt(strict: Sshd) -> None:
    with pytest.raises(OutcomeUnknown, match="something else"):
        await run(strict.host()).handler(call("print(1)"))


@pytest.mark.parametrize("strict", ("MaxSessions 0",), indirect=True)
async def test_a_server_that_starts_nothing_is_certainly_unchanged(strict: Sshd) -> None:
    with pytest.raises(ActionFailed, match="does not start") as no:
        await run(strict.host()).handler(call("print(1)"))
    assert no.value.transient is Transient.UNAVAILABLE


@pytest.mark.parametrize("strict", ("SetEnv BASH_ENV=/nonexistent LANG=xx",), indirect=True)
async def test_variables_of_the_server_do_not_reach_the_program(strict: Sshd) -> None:
    code = "import os; print(os.environ.get('BASH_ENV'), os.environ['LANG'])"
    result = await run(strict.host()).handler(call(code))
    assert result.data["output"] == "None C.UTF-8\n"


# What is listed.


async def test_what_a_plan_shows_is_what_a_person_would_type() -> None:
    host = Host(address="10.0.0.7", username="ops", known_hosts="/k/known", key="/k/key")
    program = Program(hosts=("web",), path="/usr/sbin/nginx", arguments=("-s", ".*"))
    action = run(host, nginx=program)
    assert action.dry_run is not None
    given = {"host": "web", "program": "nginx", "arguments": ["-s", "re load"]}
    seen = await action.dry_run(ActionCall(key="", arguments=given, timeout=5))
    assert seen.diff == "ops@web (10.0.0.7 port 22)\n$ /usr/sbin/nginx -s 're load'"
    assert seen.targets == ("web",)


async def test_arguments_that_are_too_long_together_are_refused(sshd: Sshd) -> None:
    with pytest.raises(ActionFailed, match="too long together"):
        await run(sshd.host()).handler(call(ARGV, *["'" * 4000] * 40))


def test_unclear_settings_are_refused() -> None:
    host = {"address": "a", "username": "u", "known_hosts": "/k", "key": "/key"}
    for wrong in ({"known_hosts": "k"}, {"key": "~/.ssh/id"}, {"port": 0}, {"password": "x"}):
        with pytest.raises(ValidationError):
            Host.model_validate(host | wrong)
    with pytest.raises(ValidationError, match="known_hosts"):
        Host.model_validate({k: v for k, v in host.items() if k != "known_hosts"})
    with pytest.raises(ValidationError, match='wants host "web"'):
        SshSettings(programs={"p": Program(hosts=("web",), path="/p")})
    with pytest.raises(ValidationError):
        Program(hosts=(), path="/p")
