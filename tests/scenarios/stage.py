"""What scenario tests share: the whole house on a stage, and people who look and wait."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bot.demo.alerting import AlertingKind
from bot.practice.people import Actor
from bot.practice.records import Message, View
from bot.rehearsal import Rehearsal, Stage

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40.0  # seconds; a condition usually comes true much sooner

T = TypeVar("T")


@asynccontextmanager
async def rehearsing(
    directory: Path, alerting: AlertingKind, **changes: Any
) -> AsyncIterator[Rehearsal]:
    """Run the whole house for a while."""
    stage = Stage(directory=directory, knowledge=ROOT / "knowledge", alerting=alerting, **changes)
    rehearsal = Rehearsal(stage)
    await rehearsal.start()
    try:
        yield rehearsal
    except BaseException:
        print(transcript(rehearsal))
        raise
    finally:
        await rehearsal.stop()


def transcript(rehearsal: Rehearsal) -> str:
    """Return what stands in every channel, and the bot's last words, for a failed test."""
    lines = []
    for channel in rehearsal.workspace.channels.values():
        lines.append(f"#{channel.name}")
        for message in channel.messages.values():
            lines.append(f"  {message.ts} {text_of(message)!r} {buttons_of(message)}")
    for message in rehearsal.workspace.ephemerals.values():
        lines.append(f"to {message.ephemeral_to} only: {text_of(message)!r}")
    log = (rehearsal.stage.directory / "bot.log").read_text()[-6000:]
    return "\n".join([*lines, log])


async def until(what: str, look: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """Wait for something to come true, and say what did not where it does not."""
    try:
        async with asyncio.timeout(patience):
            while not (seen := look()):  # noqa: ASYNC110  # another process has no event
                await asyncio.sleep(0.05)
            return seen
    except TimeoutError:
        raise AssertionError(f"waited {patience:g} s in vain: {what}") from None


def blocks_of(message: Message | View) -> list[dict[str, Any]]:
    """Return all blocks, those within attachments too."""
    attached = getattr(message, "attachments", None) or []
    return [*(message.blocks or []), *(b for a in attached for b in a.get("blocks", []))]


def text_of(message: Message | View) -> str:
    """Return every word a person reads on a message or a view."""
    own = getattr(message, "text", "") or ""
    return "\n".join([own, *_texts(blocks_of(message))])


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "text" and isinstance(value, str):
                yield value
            elif key not in ("value", "action_id", "block_id"):
                yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)


def buttons_of(message: Message | View) -> list[str]:
    """Return the labels of a message's buttons."""
    return [
        element["text"]["text"]
        for block in blocks_of(message)
        if block["type"] == "actions"
        for element in block["elements"]
        if element["type"] == "button"
    ]


def find(person: Actor, channel: str, *words: str) -> Message | None:
    """Return the newest message a person sees that has all these words."""
    for message in reversed(person.sees(channel)):
        if all(word in text_of(message) for word in words):
            return message
    return None


def button(person: Actor, channel: str, label: str, *words: str) -> Message | None:
    """Return the newest message that has a button with this label."""
    for message in reversed(person.sees(channel)):
        if label in buttons_of(message) and all(word in text_of(message) for word in words):
            return message
    return None


async def press_panel(rehearsal: Rehearsal, person: Actor, name: str) -> str:
    """Press a button of the checkout panel, as the page does."""
    url = f"{rehearsal.server.url}/practice/panels/checkout/press"
    async with httpx.AsyncClient() as client:
        answer = (await client.post(url, json={"as": person.id, "button": name})).json()
    assert answer["ok"], answer
    return str(answer["text"])


async def restarts(rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Return the restarts that truly happened, as the service itself counts them."""
    headers = {"Authorization": f"Bearer {rehearsal.admin_token}"}
    async with httpx.AsyncClient(headers=headers) as client:
        answer = await client.get(f"{rehearsal.checkout_url}/admin/restarts")
    return list(answer.raise_for_status().json())


async def tocsin(rehearsal: Rehearsal, *arguments: str) -> tuple[int, str]:
    """Run the command line against the rehearsal's config; return status and output."""
    config = str(rehearsal.stage.directory / "config.toml")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments, "--config", config,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def oracle_faults(rehearsal: Rehearsal) -> list[str] | None:
    """Hold all traffic against Slack's own published types; None where they are not at hand."""
    folder = ROOT.parent / "shared" / "oracles"
    if not (folder / "slack_oracle.py").exists():
        return None
    sys.path.insert(0, str(folder))
    from slack_oracle import check_blocks, check_call

    faults: list[str] = []
    for call in rehearsal.workspace.calls:
        arguments = {k: _parsed(v) for k, v in call.arguments.items() if k != "team_id"}
        faults += check_call(call.method, arguments)
        faults += check_blocks("message", arguments.get("blocks") or [])
        for attachment in arguments.get("attachments") or []:
            faults += check_blocks("message", attachment.get("blocks") or [])
        view = arguments.get("view")
        if isinstance(view, dict):
            faults += check_blocks(view["type"], view["blocks"])
    return faults


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
