"""What Alertmanager sends, and what it never should, as notifications."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.alerts import AlertStatus, GroupId, Notification, merge, open_group
from bot.domain.errors import Unreadable
from bot.plugin import Payload
from plugins.alertmanager.payloads import parse

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
ZERO = "0001-01-01T00:00:00Z"


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "CheckoutHighErrorRate", "service": "checkout"},
        "annotations": {"summary": "Checkout fails"},
        "startsAt": "2026-11-20T15:48:58.568Z",
        "endsAt": ZERO,
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "780476c8ab59ff62",
        **changes,
    }


def body(*alerts: Any, **changes: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="CheckoutHighErrorRate"}',
        "status": "firing",
        "receiver": "bot",
        "groupLabels": {"alertname": "CheckoutHighErrorRate"},
        "commonLabels": {"alertname": "CheckoutHighErrorRate", "service": "checkout"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "truncatedAlerts": 0,
        "alerts": list(alerts) or [alert()],
        **changes,
    }


def read(payload: Any) -> Notification:
    (notification,) = parse(Payload(json=payload, headers={}, received_at=NOW))
    return notification


def refusal(payload: Any) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        parse(Payload(json=payload, headers={}, received_at=NOW))
    return caught.value


def test_a_webhook_becomes_one_notification() -> None:
    notification = read(body())
    assert notification.source == "alertmanager"
    assert notification.group_key == '{}:{alertname="CheckoutHighErrorRate"}'
    assert notification.labels["service"] == "checkout"
    assert notification.external_url == "http://alertmanager"
    (one,) = notification.alerts
    assert one.status is AlertStatus.FIRING
    assert one.starts_at == datetime(2026, 11, 20, 15, 48, 58, 568000, tzinfo=UTC)
    assert one.ends_at is None
    assert one.annotations == {"summary": "Checkout fails"}


def test_no_alerts_are_accepted_and_are_no_news() -> None:
    payload = Payload(json=body(alerts=[]), headers={}, received_at=NOW)
    assert parse(payload) == ()


def test_unknown_keys_are_ignored() -> None:
    assert read(body(alert(novelty=[1]), notification_reason="first notification")).alerts


def test_truncated_alerts_are_counted() -> None:
    assert read(body(truncatedAlerts=7)).truncated == 7


def test_both_members_of_a_pair_name_the_same_alert() -> None:
    first, second = read(body()), read(body(externalURL="http://other"))
    assert first.alerts[0].fingerprint == second.alerts[0].fingerprint


def test_an_alert_without_a_fingerprint_is_known_by_its_labels_in_any_order() -> None:
    one = read(body(alert(fingerprint=None, labels={"a": "1", "b": "2"})))
    same = read(body(alert(fingerprint="", labels={"b": "2", "a": "1"})))
    other = read(body(alert(fingerprint="", labels={"b": "2", "a": "12"})))
    assert one.alerts[0].fingerprint == same.alerts[0].fingerprint
    assert one.alerts[0].fingerprint != other.alerts[0].fingerprint


def test_ten_thousand_alerts_are_read_quickly() -> None:
    many = [alert(fingerprint=f"{n:016x}", labels={"n": str(n)}) for n in range(10_000)]
    started = time.perf_counter()
    assert len(read(body(*many)).alerts) == 10_000
    assert time.perf_counter() - started < 5


def test_a_resolution_may_be_the_first_news() -> None:
    (one,) = read(body(alert(status="resolved", endsAt="2026-11-20T15:50:00Z"))).alerts
    assert one.status is AlertStatus.RESOLVED
    assert one.ends_at == datetime(2026, 11, 20, 15, 50, tzinfo=UTC)


@pytest.mark.parametrize("ends_at", (ZERO, "2026-11-20T15:00:00Z", None))
def test_an_end_that_cannot_be_is_unknown(ends_at: str | None) -> None:
    assert read(body(alert(endsAt=ends_at))).alerts[0].ends_at is None


@pytest.mark.parametrize(
    ("written", "meant"),
    (
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        (
            "2026-01-31T23:59:59.123456789+05:30",
            datetime(2026, 1, 31, 18, 29, 59, 123456, tzinfo=UTC),
        ),
        ("2026-01-31t12:00:00.5z", datetime(2026, 1, 31, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2026-01-31T00:00:00-12:00", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        (ZERO, NOW),
    ),
)
def test_times_are_read_whatever_their_precision_and_zone(written: str, meant: datetime) -> None:
    assert read(body(alert(startsAt=written))).alerts[0].starts_at == meant


@pytest.mark.parametrize(
    ("payload", "field"),
    (
        (None, "the payload"),
        ([], "the payload"),
        ("text", "the payload"),
        (body(version=None), "version"),
        (body(version=4), "version"),
        (body(version="3"), "version"),
        (body(groupKey=None), "groupKey"),
        (body(groupKey=""), "groupKey"),
        (body(groupKey=["x"]), "groupKey"),
        (body(alerts=None), "alerts"),
        (body(alerts={}), "alerts"),
        (body(None), "alerts[0]"),
        (body(alert(), 7), "alerts[1]"),
        (body(alert(labels=None)), "alerts[0].labels"),
        (body(alert(labels=[])), "alerts[0].labels"),
        (body(alert(labels={"n": 5})), "alerts[0].labels.n"),
        (body(alert(labels={"n": None})), "alerts[0].labels.n"),
        (body(alert(labels={"x" * 501: ""})), "alerts[0].labels"),
        (body(alert(labels={str(n): "" for n in range(501)})), "alerts[0].labels"),
        (body(alert(annotations={"a": True})), "alerts[0].annotations.a"),
        (body(alert(), alert(), alert(), alert(startsAt="yesterday")), "alerts[3].startsAt"),
        (body(alert(startsAt=None)), "alerts[0].startsAt"),
        (body(alert(startsAt=0)), "alerts[0].startsAt"),
        (body(alert(startsAt="2026-02-30T00:00:00Z")), "alerts[0].startsAt"),
        (body(alert(startsAt="9999-12-31T23:59:59-23:00")), "alerts[0].startsAt"),
        (body(alert(startsAt="2026-01-31")), "alerts[0].startsAt"),
        (body(alert(startsAt="2026-01-31T12:00:00")), "alerts[0].startsAt"),
        (body(alert(startsAt="٢٠٢٦-01-31T12:00:00Z")), "alerts[0].startsAt"),
        (body(alert(endsAt=False)), "alerts[0].endsAt"),
        (body(alert(status=None)), "alerts[0].status"),
        (body(alert(status="pending")), "alerts[0].status"),
        (body(alert(status=["firing"])), "alerts[0].status"),
        (body(alert(fingerprint=5)), "alerts[0].fingerprint"),
        (body(alert(generatorURL={})), "alerts[0].generatorURL"),
        (body(truncatedAlerts=True), "truncatedAlerts"),
        (body(truncatedAlerts=-1), "truncatedAlerts"),
        (body(truncatedAlerts=10**30), "truncatedAlerts"),
        (body(truncatedAlerts="1"), "truncatedAlerts"),
        (body(externalURL=1), "externalURL"),
        (body(commonLabels="x"), "commonLabels"),
    ),
)
def test_what_cannot_be_read_is_refused_by_the_name_of_its_field(payload: Any, field: str) -> None:
    error = refusal(payload)
    assert error.field == field
    assert error.reason


def test_a_refusal_can_be_stored_even_when_the_field_cannot() -> None:
    error = refusal(body(alert(labels={"\ud800": 1}), version="4"))
    assert str(error).encode()
    assert str(refusal(body(version="\ud800\x00"))).encode()


def test_lone_surrogates_and_nuls_are_replaced() -> None:
    wild = json.loads('{"alertname": "A\\ud800B\\u0000C", "\\udc00": "v"}')
    (one,) = read(body(alert(labels=wild), groupKey="k\x00\ud800")).alerts
    assert one.labels == {"alertname": "A\ufffdB\ufffdC", "\ufffd": "v"}
    assert one.name.encode()


def test_overlong_texts_are_cut_and_still_tell_alerts_apart() -> None:
    long = "x" * 100_000
    one = read(body(alert(labels={"a": long + "1"}, fingerprint="")))
    other = read(body(alert(labels={"a": long + "2"}, fingerprint="")))
    assert len(one.alerts[0].labels["a"]) == 1_000
    assert one.alerts[0].labels["a"].endswith("…")
    assert one.alerts[0].fingerprint != other.alerts[0].fingerprint


def test_overlong_group_keys_are_shortened_and_stay_distinct() -> None:
    one, other = read(body(groupKey="k" * 5000 + "1")), read(body(groupKey="k" * 5000 + "2"))
    assert len(one.group_key) < 1_000
    assert one.group_key != other.group_key


def test_a_group_follows_its_webhooks_from_firing_to_resolved() -> None:
    group = open_group(GroupId("g"), read(body()), NOW)
    news = read(body(alert(status="resolved", endsAt="2026-11-20T16:01:00Z")))
    merged, _ = merge(group, news, NOW + timedelta(minutes=2))
    assert not merged.firing
    assert len(merged.alerts) == 1


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = ("version", "groupKey", "alerts", "groupLabels", "truncatedAlerts", "externalURL")
ALERT_KEYS = ("status", "labels", "annotations", "startsAt", "endsAt", "fingerprint")


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KEYS), st.sampled_from(ALERT_KEYS), anything, anything)
def test_whatever_comes_is_read_or_refused_and_nothing_else(
    key: str, inner: str, outside: Any, inside: Any
) -> None:
    for payload in (
        outside,
        body(**{key: outside}),
        body(alert(**{inner: inside})),
    ):
        reason = ""
        try:
            parse(Payload(json=payload, headers={}, received_at=NOW))
        except Unreadable as error:
            reason = str(error)
        reason.encode()
