"""Hostile values in labels, annotations and parameters: no effect outside the plan, shown as text.

What a parameter accepts, a program gets whole, as one argument; everything else
is refused by name before anything is planned.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.demo.alerting import AlertingKind
from bot.domain.actions import ActionCall, ActionFailed
from bot.domain.errors import Refused
from bot.domain.parameters import LONGEST_VALUE, Parameter, ParameterKind
from bot.domain.runs import Run, RunState
from bot.plugin import PluginContext
from bot.rehearsal import Rehearsal
from plugins.command import PLUGIN as CommandLine
from plugins.http import PLUGIN as Http
from tests.scenarios.hostile import HOSTILE
from tests.scenarios.stage import find, rehearsing, text_of, until
from tests.services.gate_world import DANA, World, runbook, step, world_at

_RECORDER = "import json, sys; print(json.dumps(sys.argv[1:]), file=open(sys.argv[1], 'a'))"
NAMES = [f"{number:02}" for number in range(len(HOSTILE))]


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 60


class Bench:
    """A gate with the real programs' plugin; one program writes down what it was given."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.record = folder / "record"
        self.canary = folder / "canary"
        self.folder = folder
        self.before: list[str] = []

    def allow(self, context: PluginContext) -> None:
        """List the program, with a pattern that takes any text."""
        settings = CommandLine.Settings.model_validate(
            {
                "programs": {
                    "record": {
                        "path": sys.executable,
                        "arguments": ["-c", _ESCAPED, str(self.record), "(?s).*"],
                        "directory": str(self.folder),
                    }
                }
            }
        )
        plugin = CommandLine(settings, context)  # type: ignore[arg-type]  # validated above
        self.world.actions |= {action.reference: action for action in plugin.actions()}

    @property
    def given(self) -> list[list[str]]:
        """Return what the program was started with, without what is ours."""
        if not self.record.exists():
            return []
        return [json.loads(line)[1:] for line in self.record.read_text().splitlines()]


_ESCAPED = "".join(f"\\{sign}" if sign in "()[]{}.*+?^$|\\" else sign for sign in _RECORDER)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    folder = tmp_path / "bench"
    folder.mkdir()
    async with world_at(tmp_path / "tocsin.db") as world:
        yield Bench(world, folder)


@pytest.mark.parametrize("value", HOSTILE, ids=NAMES)
async def test_a_parameter_goes_whole_into_one_argument_or_nowhere(
    bench: Bench, value: str
) -> None:
    value = value.replace("{canary}", str(bench.canary))
    bench.allow(None)  # type: ignore[arg-type]  # the plugin needs nothing of it
    parameter = Parameter(name="path", kind=ParameterKind.STRING, label="path", pattern="[^\\n]+")
    arguments = {
        "program": "record",
        "arguments": ["-c", _RECORDER, str(bench.record), "${path}"],
    }
    world = bench.world
    book = runbook(step(uses="command.run@1", arguments=arguments))
    world.book = replace(book, parameters=(parameter,))
    run = await _asked(world, value)
    if run is None:
        assert bench.given == []
        return
    await world.work()
    planned = await world.run(run.id)
    if planned.plan is None:
        assert value.startswith("-"), planned.reason
        assert "argument 4" in planned.reason
        assert bench.given == []
        return
    await world.approve(run.id)
    await world.work()
    ended = await world.run(run.id)
    assert ended.state is RunState.SUCCEEDED, ended.reason
    assert bench.given == [[value]]
    assert {path.name for path in bench.folder.iterdir()} == {"record"}, "no canary"


async def _asked(world: World, value: str) -> Run | None:
    """Ask for a run with this label; return nothing where the parameter is refused by name."""
    ask = world.runs.request(
        world.book, {}, subject="group", labels={"path": value},
        incident=None, service=None, by=world.caller(DANA),
    )  # fmt: skip
    if _acceptable(value):
        return await ask
    with pytest.raises(Refused, match='"path"'):
        await ask
    return None


def _acceptable(value: str) -> bool:
    """Say whether a parameter without any opinion takes a value: one printable line."""
    return value.isprintable() and len(value) <= LONGEST_VALUE


@pytest.mark.parametrize("value", HOSTILE, ids=NAMES)
async def test_an_address_made_of_a_label_reaches_nobody(value: str) -> None:
    settings = Http.Settings.model_validate({"hosts": ["good.example"]})
    actions = {a.name: a for a in Http(settings, None).actions()}  # type: ignore[arg-type]  # it needs nothing
    for name, more in (("http.get", {}), ("http.request", {"method": "POST"})):
        call = ActionCall(key="k", arguments={"url": value, **more}, timeout=2)
        with pytest.raises(ActionFailed):
            await actions[name].handler(call)


# What people see.


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


async def test_hostile_labels_and_annotations_are_shown_as_text(house: Path) -> None:
    async with rehearsing(house / "demo", AlertingKind.WATCHER, meaning=False) as rehearsal:
        dana = rehearsal.workspace.person("dana")
        for number, value in enumerate(HOSTILE):
            await _deliver(rehearsal, f"Hostile{number:02}", value)
        for number, value in enumerate(HOSTILE):
            name = f"Hostile{number:02}"
            card = await until(f"the card of {name}", partial(find, dana, "alerts", name))
            shown = html.unescape(text_of(card))
            assert _visible(html.unescape(value))[:60] in _visible(shown), (number, shown)
        for call in rehearsal.workspace.calls:
            _check_call(call.arguments)


async def _deliver(rehearsal: Rehearsal, name: str, value: str) -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": name, "severity": "warning", "path": value, "instance": value},
        "annotations": {"summary": value, "description": value, "runbook_url": value},
        "startsAt": "2026-11-21T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": value,
        "fingerprint": name,
    }
    payload = {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": {"alertname": name},
        "commonLabels": alert["labels"],
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example",
        "truncatedAlerts": 0,
        "alerts": [alert],
    }
    url = f"{rehearsal.bot_url}/hooks/alertmanager"
    headers = {"Authorization": f"Bearer {rehearsal.hook_token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.post(url, content=json.dumps(payload))
    assert answer.status_code == 202, (name, answer.text)


def _visible(text: str) -> str:
    """Return what is left of a text where control characters and spaces do not count."""
    signs = text.replace("\ufffd", "")  # what stands where a character cannot
    return "".join(sign for sign in signs if sign.isprintable() and not sign.isspace())


def _check_call(arguments: Mapping[str, Any]) -> None:
    """Hold every text that Slack would interpret against what a stranger may not put there."""
    for text in _interpreted(arguments):
        for token in ("<!channel>", "<!here", "<@U0000001>", "<https://evil.example"):
            assert token not in text, text


def _interpreted(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        try:
            node = json.loads(node)
        except ValueError:
            return
    if isinstance(node, Mapping):
        if node.get("type") == "mrkdwn":
            yield str(node.get("text", ""))
        if isinstance(node.get("text"), str) and "channel" in node:
            yield node["text"]
        for value in node.values():
            if not isinstance(value, str) or value[:1] in "[{":
                yield from _interpreted(value)
    elif isinstance(node, list):
        for value in node:
            yield from _interpreted(value)
