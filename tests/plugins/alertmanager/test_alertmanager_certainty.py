"""What an answer proves, and what a way back may touch."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from aiohttp import web
from typing_extensions import override

from bot.domain.actions import (
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Happened,
    OutcomeUnknown,
    Transient,
)
from tests.plugins.alertmanager.bells import Bells, asking, offered, settings
from tests.servers import Relay, WebService

DISK = [{"name": "alertname", "value": "DiskFull"}]


def hour(key: str) -> ActionCall:
    return asking(key=key, matchers=DISK, duration=3600, comment="the disk is being replaced")


@dataclass
class Proxy(WebService):
    """Something before Alertmanager that answers in its own words; `made` are the silences."""

    path: ClassVar[str] = "/api/v2/{rest:.*}"

    status: int = 200
    body: bytes = b"OK"
    encoding: str = ""
    fails_after: int = 0
    made: list[Any] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @override
    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Accept-Encoding", ""))
        if request.method == "POST":
            self.made.append(await request.json())
            return web.Response(status=self.status, body=self.body)
        if request.method == "DELETE":
            self.ended.append(request.path)
            return web.Response(status=200 if len(self.ended) <= self.fails_after else 404)
        headers = {"Content-Encoding": self.encoding} if self.encoding else {}
        return web.Response(body=self.body if self.encoding else self.shown(), headers=headers)

    def shown(self) -> bytes:
        """Return the silences as Alertmanager shows them."""
        base = {"status": {"state": "active"}, "updatedAt": "2026-11-21T12:00:00.000Z"}
        return json.dumps(
            [{**base, **each, "id": str(n)} for n, each in enumerate(self.made)]
        ).encode()


@asynccontextmanager
async def proxy(**given: Any) -> AsyncIterator[tuple[Proxy, dict[str, Action]]]:
    async with Proxy(**given) as made:
        yield made, offered(settings(made.port))


async def test_a_yes_that_cannot_be_read_is_a_doubt() -> None:
    async with proxy() as (made, actions):
        with pytest.raises(OutcomeUnknown, match="understood"):
            await actions["alertmanager.silence@1"].handler(hour("k"))
        assert len(made.made) == 1


@pytest.mark.parametrize("status", (408, 499))
async def test_a_no_out_of_impatience_is_a_doubt(status: int) -> None:
    async with proxy(status=status) as (_, actions):
        with pytest.raises(OutcomeUnknown, match=str(status)):
            await actions["alertmanager.silence@1"].handler(hour("k"))


async def test_what_is_packed_is_not_unpacked() -> None:
    """A thousand bytes may be a gigabyte, and unpacking it holds everybody up."""
    packed = gzip.compress(b"[]")
    async with proxy(body=packed, encoding="gzip") as (made, actions):
        with pytest.raises(ActionFailed, match="understood"):
            await actions["alertmanager.alerts@1"].handler(asking(matchers=DISK))
        assert made.asked == ["identity"]


async def test_half_of_an_end_is_a_doubt() -> None:
    async with proxy(body=b'{"silenceID": "x"}', fails_after=1) as (made, actions):
        silence, expire = actions["alertmanager.silence@1"], actions["alertmanager.expire@1"]
        await silence.handler(hour("run-1:s"))
        made.made *= 2  # an attempt that came late behind its own deadline
        call = await _taking_back(silence, expire, hour("run-1:s"))
        with pytest.raises(OutcomeUnknown, match="silence 0 is ended"):
            await expire.handler(call)


async def _taking_back(silence: Action, expire: Action, made: ActionCall) -> ActionCall:
    assert silence.undo is not None
    assert expire.dry_run is not None
    undo = silence.undo(made, ActionResult(summary=""))
    assert undo is not None
    seen = await expire.dry_run(asking(key="undo", **undo.arguments))
    call = asking(key="undo", **{**undo.arguments, **seen.pinned})
    assert undo.arguments.items() <= call.arguments.items(), "it does what was announced"
    return call


async def test_a_silence_that_somebody_has_extended_stays(bells: Bells, wire: Relay) -> None:
    known = offered(settings(wire.port))
    silence, expire = known["alertmanager.silence@1"], known["alertmanager.expire@1"]
    await silence.handler(hour("run-extended:s"))
    call = await _taking_back(silence, expire, hour("run-extended:s"))
    (made,) = bells.silences()
    kept = {name: made[name] for name in ("id", "matchers", "startsAt", "createdBy")}
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    bells.mute(**kept, endsAt=later, comment=f"dana: until Tuesday {made['comment']}")
    with pytest.raises(ActionFailed, match="left alone") as no:
        await expire.handler(call)
    assert no.value.transient is Transient.CONFLICT
    with pytest.raises(ActionFailed, match="was extended"):
        await _taking_back(silence, expire, hour("run-extended:s"))
    assert len(bells.silences()) == 1


async def test_every_silence_that_a_run_has_made_is_ended(bells: Bells, wire: Relay) -> None:
    """One came late behind its deadline, when the next attempt had made another."""
    known = offered(settings(wire.port))
    silence, expire = known["alertmanager.silence@1"], known["alertmanager.expire@1"]
    await silence.handler(hour("run-twice:s"))
    (made,) = bells.silences()
    until = (datetime.now(UTC) + timedelta(minutes=50)).isoformat()
    bells.mute(createdBy=made["createdBy"], comment=made["comment"], endsAt=until)
    bells.mute()
    call = await _taking_back(silence, expire, hour("run-twice:s"))
    assert expire.reconcile is not None
    assert (await expire.reconcile(call)).happened is Happened.NO
    await expire.handler(call)
    assert (await expire.reconcile(call)).happened is Happened.YES
    assert [each["createdBy"] for each in bells.silences()] == ["dana"]
