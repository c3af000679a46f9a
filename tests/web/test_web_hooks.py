from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from bot.domain.alerts import Alert, AlertStatus, Notification
from bot.domain.deliveries import DeliveryState
from bot.domain.errors import Refused, Unreadable
from bot.plugin import Payload, Webhook
from bot.web.site import WebServer
from tests.web.receiving import GOOD, HOOK, LIMIT, TOKEN, Receiving, good, one, receiving

AUTH = {"authorization": f"Bearer {TOKEN}"}


async def test_a_good_delivery_is_taken_and_kept_as_it_came(web: Receiving) -> None:
    body = json.dumps(GOOD).encode()
    answer = await web.post(body, headers={"user-agent": "Alertmanager/0.28"})
    assert answer.status_code == 202
    [delivery] = await web.taken()
    assert delivery.body == body
    assert delivery.headers["user-agent"] == "Alertmanager/0.28"
    assert "authorization" not in delivery.headers
    assert answer.json() == {"delivery": delivery.id, "groups": 1}
    [group] = await web.firing()
    assert (group.name, group.service, len(group.firing)) == ("HighLatency", "checkout", 1)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    (
        (b"", "body", "is not JSON"),
        (b"{", "body", "line 1 column 2"),
        (b'{"version": "4",}', "body", "is not JSON"),
        (b"\xff\xfe\x00", "body", "is not UTF-8"),
        (b'{"truncatedAlerts": NaN}', "body", "NaN is not a JSON number"),
        (b'{"truncatedAlerts": -Infinity}', "body", "-Infinity is not a JSON number"),
        (b"1" * 5000, "body", "is not JSON"),
        (b"[" * 100_000, "body", "is nested too deeply"),
        (b'{"version":' * 20_000, "body", "is nested too deeply"),
        (b"null", "the payload", "is missing, not an object"),
        (b"[]", "the payload", "is a list, not an object"),
        (b'"4"', "the payload", "is a text, not an object"),
        (good(version=4), "version", 'is 4; only "4" is understood'),
        (good(version="3"), "version", "'3'"),
        (good(groupKey=""), "groupKey", "is missing or empty"),
        (good(groupKey=["a"]), "groupKey", "is a list, not a text"),
        (good(alerts=None), "alerts", "is missing"),
        (good(alerts={}), "alerts", "is not a list"),
        (good(alerts=[None]), "alerts[0]", "is missing, not an object"),
        (good(truncatedAlerts="3"), "truncatedAlerts", "is a text, not a whole number"),
        (good(truncatedAlerts=True), "truncatedAlerts", "is true or false"),
        (good(truncatedAlerts=-1), "truncatedAlerts", "should be from 0"),
        (good(truncatedAlerts=1e300), "truncatedAlerts", "is a number, not a whole number"),
        (good(commonLabels=[]), "commonLabels", "is a list, not an object"),
        (one(labels=None), "alerts[0].labels", "is missing"),
        (one(labels={"service": 7}), "alerts[0].labels.service", "is a number, not a text"),
        (one(labels={"\ud800": 7}), "alerts[0].labels.\ufffd", "is a number, not a text"),
        (one(labels={"a\nb": 7}), "alerts[0].labels.a\ufffdb", "is a number, not a text"),
        (one(status="on fire"), "alerts[0].status", "is neither firing nor resolved"),
        (one(startsAt=0), "alerts[0].startsAt", "is a number, not a time"),
        (one(startsAt="yesterday"), "alerts[0].startsAt", "is not a time such as"),
        (one(startsAt="2026-02-30T00:00:00Z"), "alerts[0].startsAt", "that does not exist"),
        (one(endsAt="2026-13-01T00:00:00Z"), "alerts[0].endsAt", "that does not exist"),
        (one(annotations=3), "alerts[0].annotations", "is a number, not an object"),
        (one(generatorURL={}), "alerts[0].generatorURL", "is an object, not a text"),
        (one(fingerprint=1), "alerts[0].fingerprint", "is a number, not a text"),
    ),
)
async def test_what_cannot_be_read_is_refused_with_its_field_and_kept(
    web: Receiving, body: object, field: str, reason: str
) -> None:
    answer = await web.post(body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(f"{field}: ")
    assert reason in answer.json()["error"]
    [kept] = await web.kept()
    assert kept.id == answer.json()["delivery"]
    assert kept.body == (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert kept.reason == answer.json()["error"]
    assert not await web.firing()
    assert (await web.database.archive.verify()).entries == 1
    with pytest.raises(Unreadable, match=re.escape(kept.reason[:12])):
        await web.receiver.replay(kept)


async def test_a_kept_delivery_is_replayed_once_its_cause_is_mended(web: Receiving) -> None:
    hook = web.webhooks["alertmanager"]

    def broken(payload: Payload) -> Sequence[Notification]:
        raise KeyError("labels")

    web.webhooks["alertmanager"] = Webhook(parse=broken, token=TOKEN)
    answer = await web.post(GOOD)
    assert (answer.status_code, answer.json()["error"]) == (
        422,
        "body: the plugin alertmanager failed on it (KeyError)",
    )
    web.webhooks["alertmanager"] = hook
    [kept] = await web.kept()
    assert await web.receiver.replay(kept) == 1
    [group] = await web.firing()
    assert group.name == "HighLatency"
    assert not await web.kept()
    async with web.database.reading() as view:
        replayed = await view.deliveries.get(kept.id)
    assert replayed.state is DeliveryState.REPLAYED
    assert replayed.body == kept.body
    with pytest.raises(Refused, match="replayed already"):
        await web.receiver.replay(replayed)


async def test_what_was_taken_is_not_taken_again_by_a_replay(web: Receiving) -> None:
    await web.post(GOOD)
    [taken] = await web.taken()
    with pytest.raises(Refused, match="taken already"):
        await web.receiver.replay(taken)


async def test_what_a_plugin_hands_on_but_nobody_can_store_is_kept(web: Receiving) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    alert = Alert(
        fingerprint="f",
        status=AlertStatus.FIRING,
        labels={"alertname": "\ud800"},
        annotations={},
        starts_at=now,
    )
    news = Notification(source="alertmanager", group_key="k", alerts=(alert,), labels={})
    web.webhooks["alertmanager"] = Webhook(parse=lambda _: [news], token=TOKEN)
    answer = await web.post(b"{}")
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("body: cannot be stored")
    assert len(await web.kept()) == 1
    assert not await web.firing()


async def test_no_alerts_are_no_groups(web: Receiving) -> None:
    answer = await web.post(good(alerts=[]))
    assert (answer.status_code, answer.json()["groups"]) == (202, 0)
    assert len(await web.taken()) == 1


async def test_ten_thousand_alerts_are_one_group(tmp_path: Path) -> None:
    alerts = [
        {"status": "firing", "labels": {"alertname": "A", "n": str(n)}, "startsAt": _START}
        for n in range(10_000)
    ]
    async with receiving(tmp_path) as web:
        web.receiver.max_bytes = 10_000_000
        for _ in range(2):
            answer = await web.post(good(alerts=alerts))
            assert (answer.status_code, answer.json()["groups"]) == (202, 1)
        [group] = await web.firing()
        assert (len(group.firing), group.notifications) == (10_000, 2)


_START = "2026-11-20T11:58:00Z"


async def test_resolved_before_firing_is_a_group_that_does_not_fire(web: Receiving) -> None:
    resolved = one(status="resolved", endsAt="2026-11-20T11:59:00Z")
    assert (await web.post(resolved)).status_code == 202
    assert not await web.firing()
    assert (await web.post(one())).status_code == 202
    assert not await web.firing(), "an older report never overwrites a newer one"
    again = one(startsAt="2026-11-20T11:59:30Z")
    assert (await web.post(again)).status_code == 202
    assert len(await web.firing()) == 1


@pytest.mark.parametrize(
    "start",
    (
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "2026-11-20T12:58:60+01:00",
        "2026-11-20T11:58:00.123456789Z",
    ),
)
async def test_odd_times_are_taken(web: Receiving, start: str) -> None:
    assert (await web.post(one(startsAt=start))).status_code == 202
    [group] = await web.firing()
    assert group.starts_at.utcoffset() == timedelta()


async def test_unknown_keys_and_left_out_alerts_are_taken(web: Receiving) -> None:
    payload = one(novel={"a": [1, None]}) | {"routeID": "r", "truncatedAlerts": 31}
    assert (await web.post(payload)).status_code == 202
    [group] = await web.firing()
    assert group.truncated == 31


async def test_a_deeply_nested_unknown_key_does_no_harm(web: Receiving) -> None:
    body = json.dumps(GOOD).encode()[:-1] + b',"x":' + b"[" * 400 + b"]" * 400 + b"}"
    assert (await web.post(body)).status_code == 202


@pytest.mark.parametrize("depth", (300, 600, 900, 930, 950, 960, 970, 975, 980, 985, 990, 1000))
async def test_a_deeply_nested_version_is_refused(web: Receiving, depth: int) -> None:
    body = b'{"version":' + b"[" * depth + b"]" * depth + b"}"
    assert (await web.post(body)).status_code == 422
    assert len(await web.kept()) == 1


async def test_hostile_labels_are_stored_as_the_text_they_are(web: Receiving) -> None:
    labels = {
        "alertname": "<!channel> down",
        "service": "<https://evil.example|https://grafana.example>",
        "who": "<@U1> & </script>",
        "nul": "a\x00b",
        "half": "\ud83d",
        "rtl": "\u202egpj.exe",
    }
    assert (await web.post(one(labels=labels))).status_code == 202
    [group] = await web.firing()
    stored = group.alerts[0].labels
    assert stored["alertname"] == labels["alertname"]
    assert stored["service"] == labels["service"]
    assert stored["who"] == labels["who"]
    assert stored["nul"] == "a\ufffdb"
    assert stored["half"] == "\ufffd"
    assert (await web.database.archive.verify()).ok


async def test_raw_halves_of_surrogate_pairs_are_replaced(web: Receiving) -> None:
    body = json.dumps(one(labels={"alertname": "HALF"})).encode().replace(b"HALF", b"\xed\xa0\x80")
    answer = await web.post(body)
    assert answer.status_code in (202, 422)
    assert len(await web.taken()) + len(await web.kept()) == 1


# Sizes and encodings.


async def test_a_body_that_says_it_is_too_large_is_refused_unread(web: Receiving) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        raise AssertionError("more was read")

    headers = {**AUTH, "content-length": str(100_000_000)}
    answer = await web.client.post(HOOK, content=never(), headers=headers)
    assert answer.status_code == 413
    assert answer.json() == {"error": f"body: is larger than {LIMIT} bytes"}


@pytest.mark.parametrize("length", ("\u00b2", "-5", "1e9", "", "0" * 5000, "9" * 5000))
async def test_a_nonsensical_length_is_no_fault_of_ours(web: Receiving, length: str) -> None:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(GOOD).encode(), "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": HOOK,
        "raw_path": HOOK.encode(),
        "query_string": b"",
        "headers": [
            (b"content-length", length.encode("latin-1")),
            (b"authorization", f"Bearer {TOKEN}".encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("tocsin", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    await web.site(scope, receive, send)
    assert statuses in ([202], [413])


async def test_a_body_that_turns_out_too_large_is_refused(web: Receiving) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 65_536
            yield b" " * 65_536

    answer = await web.client.post(HOOK, content=endless(), headers=AUTH)
    assert answer.status_code == 413
    assert not await web.kept()


async def test_a_packed_body_is_unpacked(web: Receiving) -> None:
    body = gzip.compress(json.dumps(GOOD).encode())
    for name in ("gzip", " GZIP "):
        assert (await web.post(body, headers={"content-encoding": name})).status_code == 202
    assert len(await web.taken()) == 2


async def test_a_bomb_is_refused(web: Receiving) -> None:
    bomb = gzip.compress(b" " * 50_000_000, mtime=0)
    assert len(bomb) < LIMIT
    answer = await web.post(bomb, headers={"content-encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json() == {"error": f"body: unpacks to more than {LIMIT} bytes"}


@pytest.mark.parametrize(
    ("body", "reason"),
    (
        (b"not gzip", "body: is not gzip"),
        (gzip.compress(b'{"a": 1}', mtime=0)[:-9], "body: the gzip data ends early"),
        (gzip.compress(b"{}", mtime=0)[:-8] + b"\0" * 8, "body: is not gzip"),
        (gzip.compress(b"{}", mtime=0) + b"more", "body: goes on after the end of the gzip data"),
        (b"", "body: the gzip data ends early"),
    ),
)
async def test_broken_packing_is_refused_and_kept(web: Receiving, body: bytes, reason: str) -> None:
    answer = await web.post(body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(reason)
    [kept] = await web.kept()
    assert kept.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("encoding", ("br", "gzip, gzip", "x" * 5000, "\u00e9"))
async def test_an_unknown_encoding_is_refused_and_kept(web: Receiving, encoding: str) -> None:
    answer = await web.client.post(
        HOOK,
        content=b"{}",
        headers=[(b"authorization", f"Bearer {TOKEN}".encode()),
                 (b"content-encoding", encoding.encode("latin-1"))],
    )  # fmt: skip
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("content-encoding: ")
    assert len(await web.kept()) == 1


# Who may send, and where.


@pytest.mark.parametrize(
    "header",
    ({}, {"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN[:-1]}),
)
async def test_a_missing_or_wrong_token_is_refused_before_the_body_is_read(
    web: Receiving, header: dict[str, str]
) -> None:
    async def never() -> AsyncIterator[bytes]:
        for _ in range(1):
            raise AssertionError("the body was read")
        yield b""

    answer = await web.client.post(HOOK, content=never(), headers=header)
    assert answer.status_code == 401
    assert answer.json()["error"].startswith("authorization: ")
    assert not await web.kept()


async def test_a_token_of_any_bytes_is_only_wrong(web: Receiving) -> None:
    answer = await web.client.post(
        HOOK, content=b"{}", headers=[(b"authorization", b"Bearer \xff\xfe\xe9")]
    )
    assert answer.status_code == 401


async def test_without_a_token_only_this_host_may_send(tmp_path: Path) -> None:
    async with receiving(tmp_path, token=None) as web:
        assert (await web.client.post(HOOK, json=GOOD)).status_code == 202
        for sender in ("10.0.0.9", "not an address", "127.0.0.1.evil.example"):
            elsewhere = httpx.ASGITransport(app=web.site, client=(sender, 1))
            async with httpx.AsyncClient(transport=elsewhere, base_url="http://t") as client:
                answer = await client.post(HOOK, json=GOOD)
            assert answer.status_code == 401
            assert "only this host" in answer.json()["error"]


@pytest.mark.parametrize("name", ("grafana", "%00", "%F0%9F%94%94", "a" * 3000))
async def test_an_unknown_plugin_is_not_found(web: Receiving, name: str) -> None:
    answer = await web.post(GOOD, path=f"/hooks/{name}")
    assert answer.status_code == 404
    assert "there is no webhook" in answer.json()["error"]


# Trouble of our own.


async def test_too_many_at_once_are_asked_to_come_again(web: Receiving) -> None:
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arrived.release()
        await go_on.wait()
        yield json.dumps(GOOD).encode()

    posts = [asyncio.create_task(web.client.post(HOOK, content=slow(), headers=AUTH))
             for _ in range(3)]  # fmt: skip
    for _ in posts:
        await asyncio.wait_for(arrived.acquire(), 5)
    refused = await web.post(GOOD)
    assert (refused.status_code, refused.json()) == (503, {"error": "overloaded; try again"})
    go_on.set()
    assert [(await post).status_code for post in posts] == [202, 202, 202]
    assert (await web.post(GOOD)).status_code == 202


async def test_a_sender_that_goes_away_leaves_no_trace_and_no_place_taken(web: Receiving) -> None:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": HOOK,
        "raw_path": HOOK.encode(),
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
        "client": ("127.0.0.1", 1),
        "server": ("tocsin", 80),
        "scheme": "http",
        "http_version": "1.1",
    }
    for _ in range(5):
        await web.site(scope, receive, send)
    assert statuses == [400] * 5
    assert (await web.post(GOOD)).status_code == 202


async def test_a_full_disk_is_a_500_and_nothing_is_said_to_be_taken(tmp_path: Path) -> None:
    async with receiving(tmp_path) as web:
        async with web.database.transaction() as tx:
            await tx._rows.execute(text("PRAGMA max_page_count = 1"))  # type: ignore[attr-defined]
        transport = httpx.ASGITransport(
            app=web.site, client=("127.0.0.1", 1), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            answers = [
                await client.post(HOOK, json=one(labels={"n": "x" * 900, "m": str(n)}),
                                  headers=AUTH)
                for n in range(60)
            ]  # fmt: skip
        taken = [a for a in answers if a.status_code == 202]
        assert {a.status_code for a in answers} == {202, 500}
        assert sorted(a.json()["delivery"] for a in taken) == sorted(
            delivery.id for delivery in await web.taken()
        )
        assert (await web.database.archive.verify()).ok


# Over a real connection.


async def test_a_real_server_takes_and_refuses_and_says_how_it_is(web: Receiving) -> None:
    server = WebServer(web.site, host="127.0.0.1", port=0)
    await server.start()
    url = server.url
    try:
        async with httpx.AsyncClient(base_url=url, headers=AUTH) as client:
            assert (await client.get("/healthz")).text == "ok"
            assert (await client.get("/readyz")).json() == {"ready": True}
            assert (await client.post(HOOK, json=GOOD)).status_code == 202
            assert (await client.post(HOOK, content=b"{")).status_code == 422
            large = await client.post(HOOK, content=b" " * (LIMIT + 1))
            assert large.status_code == 413
            metrics = (await client.get("/metrics")).text
        assert 'tocsin_deliveries_total{result="taken",source="alertmanager"} 1.0' in metrics
        assert 'tocsin_deliveries_total{result="kept",source="alertmanager"} 1.0' in metrics
    finally:
        await server.stop()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient() as client:
            await client.get(f"{url}/healthz")


async def test_a_sequence_of_deliveries_on_one_connection_is_not_delayed(web: Receiving) -> None:
    """Guard TCP_NODELAY: without it every answer waits some 40 ms for an acknowledgement."""
    server = WebServer(web.site, host="127.0.0.1", port=0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=AUTH) as client:
            await client.post(HOOK, json=GOOD)
            loop = asyncio.get_running_loop()
            spans = []
            for _ in range(20):
                before = loop.time()
                await client.post(HOOK, json=GOOD)
                spans.append(loop.time() - before)
        assert min(spans) < 0.03
    finally:
        await server.stop()


async def test_a_taken_address_is_named(web: Receiving) -> None:
    first = WebServer(web.site, host="127.0.0.1", port=0)
    await first.start()
    try:
        second = WebServer(web.site, host="127.0.0.1", port=int(first.url.rpartition(":")[2]))
        with pytest.raises(OSError, match=r"web: cannot listen on 127\.0\.0\.1:\d+: Address"):
            await second.start()
    finally:
        await first.stop()
