"""Silences that are made once, found again and taken back, on a real Alertmanager."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from bot.domain.actions import ActionFailed, ActionResult, Happened, OutcomeUnknown, Transient
from plugins.alertmanager.matchers import shown
from plugins.alertmanager.plugin import AlertmanagerSettings
from tests.plugins.alertmanager.bells import HOSTILE, TOKEN, Bells, asking, offered, settings
from tests.servers import Relay

PROD = [{"name": "alertname", "value": "HighLatency"}, {"name": "env", "value": "prod"}]


def hour(key: str, **changed: Any) -> Any:
    given = {"matchers": PROD, "duration": 3600, "comment": "a deploy is under way"}
    return asking(key=key, **{**given, **changed})


@pytest.mark.parametrize(
    ("matchers", "count"),
    (
        ([{"name": "alertname", "value": "HighLatency"}], 3),
        (PROD, 2),
        ([{"name": "alertname", "value": "High.*|Disk.*", "regex": True}], 4),
        ([{"name": "alertname", "value": "High.*"}], 0),
        ([{"name": "alertname", "value": "High", "regex": True}], 0),
        ([{"name": "env", "value": "prod", "equal": False}], 2),
        ([{"name": "env", "value": "p.*", "equal": False, "regex": True}], 2),
        ([{"name": "path", "value": HOSTILE}], 1),
        ([{"name": "path", "value": HOSTILE.replace("q", "", 1)}], 0),
        ([{"name": "env", "value": ""}], 1),
    ),
)
async def test_active_alerts_are_counted_by_matchers_that_stay_values(
    bells: Bells, wire: Relay, matchers: list[dict[str, Any]], count: int
) -> None:
    action = offered(settings(wire.port))["alertmanager.alerts@1"]
    assert (await action.handler(asking(matchers=matchers))).value == count


async def test_silenced_alerts_are_not_active(bells: Bells, wire: Relay) -> None:
    known = offered(settings(wire.port))
    made = await known["alertmanager.silence@1"].handler(hour("run-quiet:s"))
    matchers = [{"name": "alertname", "value": "HighLatency"}]
    result = await known["alertmanager.alerts@1"].handler(asking(matchers=matchers))
    assert (result.value, result.summary) == (1.0, "1 active alert")
    assert made.data["silence"] == bells.silences()[0]["id"]


async def test_a_plan_names_the_alerts_it_would_mute(bells: Bells, wire: Relay) -> None:
    dry_run = offered(settings(wire.port))["alertmanager.silence@1"].dry_run
    assert dry_run is not None
    seen = await dry_run(hour("k"))
    assert seen.targets == (
        "HighLatency (env=prod, instance=a)",
        "HighLatency (env=prod, instance=b)",
    )
    assert seen.out_of == 4
    assert seen.diff.splitlines() == [
        '+ silence {alertname="HighLatency", env="prod"}',
        "  for 1:00:00: a deploy is under way",
        "  2 of 4 alerts match now",
    ]
    nothing = await dry_run(hour("k", matchers=[{"name": "alertname", "value": "Never"}]))
    assert nothing.targets == ('alerts with {alertname="Never"}',)


async def test_a_silence_made_twice_with_one_key_is_one(bells: Bells, wire: Relay) -> None:
    handler = offered(settings(wire.port))["alertmanager.silence@1"].handler
    first, again = await handler(hour("run-7:s")), await handler(hour("run-7:s"))
    assert first.data == again.data
    assert len(bells.silences()) == 1
    await handler(hour("run-8:s"))
    assert len(bells.silences()) == 2
    (shown_, *_) = [each for each in bells.silences() if each["id"] == first.data["silence"]]
    assert shown_["comment"] == "a deploy is under way [tocsin run-7:s]"
    lasts = [datetime.fromisoformat(shown_[name]) for name in ("startsAt", "endsAt")]
    assert abs(lasts[1] - lasts[0] - timedelta(hours=1)) < timedelta(seconds=5)


async def test_a_key_within_a_comment_is_not_its_maker(bells: Bells, wire: Relay) -> None:
    action = offered(settings(wire.port))["alertmanager.silence@1"]
    assert action.reconcile is not None
    bells.mute(comment="[tocsin run-fake:s]")
    await action.handler(hour("run-other:s", comment="[tocsin run-fake:s]"))
    assert (await action.reconcile(hour("run-fake:s"))).happened is Happened.NO
    assert (await action.reconcile(hour("other:s"))).happened is Happened.NO
    assert (await action.reconcile(hour("run-other:s"))).happened is Happened.YES


@pytest.mark.parametrize(
    "text", (HOSTILE, "*", "</script>", "a\x00b", "line\nline", "{{ end }}", "x" * 1000)
)
async def test_whatever_a_label_holds_is_muted_as_a_value(
    bells: Bells, wire: Relay, text: str
) -> None:
    handler = offered(settings(wire.port))["alertmanager.silence@1"].handler
    matchers = [{"name": "path", "value": text}]
    await handler(hour(f"run-{hash(text)}:s", matchers=matchers, comment=text[:500]))
    (made,) = bells.silences()
    assert made["matchers"] == [{"name": "path", "value": text, "isRegex": False, "isEqual": True}]


async def test_text_that_cannot_be_sent_is_refused(bells: Bells, wire: Relay) -> None:
    known = offered(settings(wire.port))
    matchers = [{"name": "path", "value": "\ud800"}]
    with pytest.raises(ActionFailed):
        await known["alertmanager.silence@1"].handler(hour("run-s:s", matchers=matchers))
    with pytest.raises(ActionFailed):
        await known["alertmanager.alerts@1"].handler(asking(matchers=matchers))
    assert bells.silences() == []


async def test_a_lost_answer_is_a_doubt_that_a_look_resolves(bells: Bells, wire: Relay) -> None:
    action = offered(settings(wire.port))["alertmanager.silence@1"]
    assert action.reconcile is not None
    made = hour("run-lost:s")
    assert (await action.reconcile(made)).happened is Happened.NO
    async with wire.losing(after=1):
        with pytest.raises(OutcomeUnknown, match="broke off"):
            await action.handler(made)
    assert (await action.reconcile(made)).happened is Happened.YES
    await action.handler(made)
    assert len(bells.silences()) == 1


async def test_a_silence_is_taken_back_by_its_run_though_its_id_was_lost(
    bells: Bells, wire: Relay
) -> None:
    known = offered(settings(wire.port))
    silence, expire = known["alertmanager.silence@1"], known["alertmanager.expire@1"]
    made = hour("run-9:s")
    await silence.handler(made)
    await silence.handler(hour("run-10:s"))
    assert silence.undo is not None
    assert expire.dry_run is not None
    assert expire.reconcile is not None
    undo = silence.undo(made, ActionResult(summary=""))
    assert undo is not None
    seen = await expire.dry_run(asking(key="undo", **undo.arguments))
    call = asking(key="undo", **{**undo.arguments, **seen.pinned})
    assert (await expire.reconcile(call)).happened is Happened.NO
    await expire.handler(call)
    assert (await expire.reconcile(call)).happened is Happened.YES
    (left,) = bells.silences()
    assert left["comment"].endswith("[tocsin run-10:s]")
    assert (await expire.handler(call)).summary.endswith("had ended already")


async def test_a_silence_that_is_unknown_by_now_is_a_doubt(bells: Bells, wire: Relay) -> None:
    expire = offered(settings(wire.port))["alertmanager.expire@1"]
    assert expire.reconcile is not None
    gone = asking(silence="2b1b1b1b-0000-4000-8000-000000000000")
    assert (await expire.reconcile(gone)).happened is Happened.UNKNOWN


async def test_without_an_address_nothing_is_asked() -> None:
    for action in offered(AlertmanagerSettings()).values():
        call = (
            hour("k")
            if action.name == "alertmanager.silence"
            else asking(silence="key:x", matchers=PROD)
        )
        with pytest.raises(ActionFailed, match=r"plugins\.alertmanager\.url"):
            await action.handler(call)


@pytest.mark.parametrize(
    ("status", "transient"),
    ((400, None), (429, Transient.RATE_LIMITED), (503, Transient.UNAVAILABLE), (500, None)),
)
async def test_what_an_answer_says_of_later_is_kept(
    status: int, transient: Transient | None
) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        posted = request.method == "POST"
        return web.Response(status=status, text=TOKEN) if posted else web.Response(text="[]")

    app = web.Application()
    app.router.add_route("*", "/api/v2/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    action = offered(settings(runner.addresses[0][1]))["alertmanager.silence@1"]
    certain = status < 500
    with pytest.raises(ActionFailed if certain else OutcomeUnknown, match=str(status)) as failed:
        await action.handler(replace(hour("k"), timeout=2))
    await runner.cleanup()
    assert seen == [f"Bearer {TOKEN}"] * 2
    assert TOKEN not in str(failed.value)
    if isinstance(failed.value, ActionFailed):
        assert failed.value.transient is transient


def test_matchers_are_shown_as_alertmanager_writes_them() -> None:
    matchers: list[dict[str, Any]] = [
        {"name": "a", "value": "b"},
        {"name": "c", "value": "d.*", "regex": True},
        {"name": "e", "value": 'f"\\', "equal": False},
        {"name": "g", "value": "", "equal": False, "regex": True},
    ]
    assert shown(matchers) == '{a="b", c=~"d.*", e!="f\\"\\\\", g!~""}'
