"""What systemd is asked, what its answers mean, and what is refused before it is asked."""

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    Happened,
    OutcomeUnknown,
    Transient,
    Undo,
)
from bot.plugin import PluginContext
from plugins.systemd.plugin import Systemd, SystemdSettings
from tests.plugins.systemd.standing_in import RUNNING, Manager, arguments_of, write_program

UNIT = "web.service"
A_RUN, ANOTHER = "a" * 32, "c" * 32


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    made = Manager(tmp_path)
    made.set(UNIT, **RUNNING)
    return made


def actions(manager: Manager, **settings: Any) -> dict[str, Action]:
    given = {"units": (UNIT,), "systemctl": str(write_program(manager.folder))} | settings
    plugin = Systemd(SystemdSettings(**given), cast(PluginContext, SimpleNamespace()))
    return {action.name.partition(".")[2]: action for action in plugin.actions()}


def call(**arguments: Any) -> ActionCall:
    return ActionCall(key="k", arguments={"unit": UNIT, **arguments}, timeout=20)


async def planned(action: Action) -> tuple[str, ActionCall]:
    """Return the diff of a dry run, and the call with what it pinned."""
    assert action.dry_run is not None
    seen = await action.dry_run(call())
    return seen.diff, call(**seen.pinned)


async def looked(action: Action, arguments: Arguments) -> Happened:
    assert action.reconcile is not None
    return (await action.reconcile(call(**arguments))).happened


async def test_systemctl_gets_exactly_these_words(manager: Manager) -> None:
    await actions(manager)["restart"].handler(call())
    names = "LoadState,ActiveState,SubState,Result,InvocationID,NRestarts,Job"
    asked = ["--no-ask-password", "--no-pager", "show", f"--property={names}", "--", UNIT]
    ordered = ["--no-ask-password", "--no-pager", "restart", "--", UNIT]
    assert arguments_of(manager.folder) == [asked, ordered, asked]


async def test_a_unit_that_is_not_listed_is_never_asked_about(manager: Manager) -> None:
    for action in actions(manager, units=()).values():
        for ask in (action.handler, action.dry_run, action.reconcile):
            if ask is not None:
                with pytest.raises(ActionFailed, match=r"not in plugins\.systemd\.units"):
                    await ask(call())
    assert arguments_of(manager.folder) == []


@pytest.mark.parametrize(
    ("state", "value"),
    (("active", 1), ("inactive", 0), ("failed", 0), ("activating", 0), ("reloading", 0)),
)
async def test_the_value_of_a_status_is_whether_it_is_active(
    manager: Manager, state: str, value: int
) -> None:
    manager.set(UNIT, ActiveState=state)
    assert (await actions(manager)["status"].handler(call())).value == value


@pytest.mark.parametrize("state", ("not-found", "masked", "bad-setting"))
async def test_a_unit_that_cannot_run_is_a_failure(manager: Manager, state: str) -> None:
    manager.set(UNIT, LoadState=state)
    for action in actions(manager).values():
        with pytest.raises(ActionFailed, match=state):
            await action.handler(call())


async def test_a_plan_shows_before_and_after(manager: Manager) -> None:
    made = actions(manager)
    diff, frozen = await planned(made["restart"])
    assert diff == f"- {UNIT}: active (running)\n+ {UNIT}: active, started anew"
    assert frozen.arguments == {"unit": UNIT, "expected": "active", "invocation": A_RUN}
    assert (await planned(made["start"]))[0] == f"  {UNIT}: active (running), and stays so"
    manager.set(UNIT, ActiveState="failed", SubState="failed", Result="exit-code")
    assert (await planned(made["start"]))[0].startswith(f"- {UNIT}: failed (failed, exit-code)\n")


@pytest.mark.parametrize("state", ("activating", "deactivating", "reloading"))
async def test_a_unit_on_its_way_is_left_alone_for_now(manager: Manager, state: str) -> None:
    made = actions(manager)["restart"]
    _, frozen = await planned(made)
    manager.set(UNIT, ActiveState=state)
    assert made.dry_run is not None
    for ask in (made.handler, made.dry_run):
        with pytest.raises(ActionFailed) as later:
            await ask(frozen)
        assert later.value.transient is Transient.CONFLICT


async def test_what_polkit_does_not_allow_has_certainly_not_happened(manager: Manager) -> None:
    (manager.folder / "denied").touch()
    made = actions(manager)["restart"]
    with pytest.raises(ActionFailed, match="Interactive authentication required"):
        await made.handler((await planned(made))[1])
    assert manager.get(UNIT)["InvocationID"] == A_RUN


async def test_a_unit_that_does_not_come_back_is_a_matter_for_a_person(manager: Manager) -> None:
    (manager.folder / "broken").touch()
    made = actions(manager)["restart"]
    _, frozen = await planned(made)
    with pytest.raises(OutcomeUnknown, match=r"control process.*it is failed"):
        await made.handler(frozen)
    assert await looked(made, frozen.arguments) is Happened.UNKNOWN


async def test_a_unit_that_systemd_restarted_by_itself_is_not_claimed(manager: Manager) -> None:
    made = actions(manager)["restart"]
    _, frozen = await planned(made)
    manager.set(UNIT, InvocationID=ANOTHER, NRestarts="1")
    assert await looked(made, frozen.arguments) is Happened.UNKNOWN
    manager.set(UNIT, InvocationID=ANOTHER, NRestarts="0")
    assert await looked(made, frozen.arguments) is Happened.YES


@pytest.mark.parametrize("verb", ("restart", "start", "stop"))
async def test_without_what_was_seen_before_nothing_is_claimed(manager: Manager, verb: str) -> None:
    assert await looked(actions(manager)[verb], {}) is Happened.UNKNOWN


@pytest.mark.parametrize("verb", ("restart", "start", "stop"))
async def test_while_a_job_is_under_way_nothing_is_claimed(manager: Manager, verb: str) -> None:
    made = actions(manager)[verb]
    _, frozen = await planned(made)
    manager.set(UNIT, Job="4711")
    assert await looked(made, frozen.arguments) is Happened.UNKNOWN


async def test_only_what_changed_something_is_undone(manager: Manager) -> None:
    made = actions(manager)
    start, stop = made["start"], made["stop"]
    assert start.undo is not None
    assert stop.undo is not None
    _, frozen = await planned(start)
    assert start.undo(frozen, await start.handler(frozen)) is None
    _, frozen = await planned(stop)
    result = await stop.handler(frozen)
    assert stop.undo(frozen, result) == Undo(uses="systemd.start@1", arguments={"unit": UNIT})
    _, frozen = await planned(stop)
    assert stop.undo(frozen, await stop.handler(frozen)) is None
    assert stop.undo(call(), ActionResult(summary="")) is None


async def test_a_start_by_somebody_else_is_not_undone(manager: Manager) -> None:
    manager.set(UNIT, ActiveState="inactive", SubState="dead")
    start = actions(manager)["start"]
    _, frozen = await planned(start)
    manager.set(UNIT, **{**RUNNING, "InvocationID": ANOTHER})
    assert start.undo is not None
    assert start.undo(frozen, await start.handler(frozen)) is None


async def test_a_unit_that_somebody_restarted_since_is_not_stopped(manager: Manager) -> None:
    manager.set(UNIT, ActiveState="inactive", SubState="dead")
    made = actions(manager)
    start, stop = made["start"], made["stop"]
    assert start.undo is not None
    assert stop.dry_run is not None
    _, frozen = await planned(start)
    undo = start.undo(frozen, await start.handler(frozen))
    assert undo is not None
    ours = manager.get(UNIT)["InvocationID"]
    assert undo.arguments == {"unit": UNIT, "expected": "active", "invocation": ours}
    assert start.undo(frozen, ActionResult(summary="")) is None, "nobody knows which run is ours"
    back = call(**{name: undo.arguments[name] for name in ("expected", "invocation")})
    assert (await stop.dry_run(back)).pinned == {"expected": "active", "invocation": ours}
    manager.set(UNIT, InvocationID=ANOTHER)
    for ask in (stop.dry_run, stop.handler):
        with pytest.raises(ActionFailed, match="not as it was planned") as no:
            await ask(back)
        assert no.value.transient is Transient.CONFLICT
    assert manager.get(UNIT)["ActiveState"] == "active"
    manager.set(UNIT, ActiveState="inactive", SubState="dead")
    seen = await stop.dry_run(back)
    assert seen.pinned == {"expected": "active", "invocation": ours}, "what was announced stays"
    assert (await stop.handler(back)).data["changed"] is False


async def test_a_systemctl_that_is_not_there_is_certain(manager: Manager) -> None:
    made = actions(manager, systemctl="/nonexistent/systemctl")
    with pytest.raises(ActionFailed, match="cannot be started"):
        await made["restart"].handler(call())


@pytest.mark.parametrize(
    "settings",
    (
        {"units": ("web",)},
        {"units": ("web*.service",)},
        {"units": ("-M.service",)},
        {"units": ("../web.service",)},
        {"units": ("web.service ",)},
        {"units": ("web.service\n",)},
        {"systemctl": "systemctl"},
        {"user": True},
    ),
)
def test_unclear_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SystemdSettings(**settings)


def test_nothing_is_listed_by_default() -> None:
    assert SystemdSettings().units == ()


async def test_the_real_systemd_answers_in_the_same_form() -> None:
    if Path("/proc/1/comm").read_text().strip() != "systemd":  # noqa: ASYNC240  # one short read
        pytest.skip("systemd is not PID 1 here")
    path = shutil.which("systemctl")
    assert path is not None
    settings = SystemdSettings(units=("dbus.service", "no-such.service"), systemctl=path)
    plugin = Systemd(settings, cast(PluginContext, SimpleNamespace()))
    status, restart, *_ = plugin.actions()
    result = await status.handler(call(unit="dbus.service"))
    assert result.value == 1
    assert len(result.data["invocation"]) == 32
    assert restart.dry_run is not None
    assert (await restart.dry_run(call(unit="dbus.service"))).pinned["expected"] == "active"
    with pytest.raises(ActionFailed, match="not-found"):
        await status.handler(call(unit="no-such.service"))


async def test_the_real_systemctl_says_when_there_is_no_systemd() -> None:
    path = shutil.which("systemctl")
    if path is None:
        pytest.skip("systemctl is not installed")
    if Path("/proc/1/comm").read_text().strip() == "systemd":  # noqa: ASYNC240  # one short read
        pytest.skip("systemd is PID 1 here")
    plugin = Systemd(
        SystemdSettings(units=(UNIT,), systemctl=path), cast(PluginContext, SimpleNamespace())
    )
    async with asyncio.timeout(20):
        with pytest.raises(ActionFailed, match="cannot be asked") as no:
            await plugin.actions()[0].handler(call())
    assert no.value.transient is Transient.UNREACHABLE
