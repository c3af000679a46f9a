"""Alerts of one group become one story, in whatever order and however often they are told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain import alerts
from bot.domain.alerts import (
    REOPEN_WITHIN,
    Alert,
    AlertGroup,
    AlertStatus,
    Change,
    GroupId,
    Notification,
    Severity,
    acknowledge,
    fingerprint,
    merge,
    open_group,
    opens,
    silence,
)
from bot.domain.people import Caller, Person, PersonId

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DANA = Caller(person=Person(id=PersonId("U1"), name="Dana"), request="r")
PRIYA = Caller(person=Person(id=PersonId("U2"), name="Priya"), request="r")


def fires(name: str = "a", *, at: datetime = NOON, **labels: str) -> Alert:
    return Alert(
        fingerprint=name,
        status=AlertStatus.FIRING,
        labels={"alertname": "High", **labels},
        annotations={"summary": f"about {name}"},
        starts_at=at,
    )


def ended(alert: Alert, *, after: timedelta = MINUTE) -> Alert:
    return replace(alert, status=AlertStatus.RESOLVED, ends_at=alert.starts_at + after)


def news(*alerts: Alert, **changes: object) -> Notification:
    made = Notification(source="am", group_key="g", alerts=alerts, labels={})
    return replace(made, **changes)  # type: ignore[arg-type]


def story(*alerts: Alert, at: datetime = NOON) -> AlertGroup:
    return open_group(GroupId("g1"), news(*alerts), at)


# Fingerprints.


def test_lengths_keep_parts_apart() -> None:
    assert fingerprint("am", "ab", "c") != fingerprint("am", "a", "bc")
    assert fingerprint("am", "") != fingerprint("am")
    assert fingerprint("am", "x") != fingerprint("grafana", "x")
    assert fingerprint("am", "\ud800") != fingerprint("am", "\ud801")


@given(
    one=st.lists(st.text(max_size=4), min_size=1, max_size=4),
    other=st.lists(st.text(max_size=4), min_size=1, max_size=4),
)
def test_only_equal_parts_have_equal_fingerprints(one: list[str], other: list[str]) -> None:
    assert (fingerprint(*one) == fingerprint(*other)) == (one == other)


@given(parts=st.lists(st.sampled_from(("", "\x00", "|", "=", "a|b", "\x1f", "a")), max_size=4))
def test_separators_within_parts_do_not_matter(parts: list[str]) -> None:
    for cut in range(1, len(parts)):
        for glue in ("", "|", "=", "\x00", "\x1f"):
            glued = [*parts[: cut - 1], glue.join(parts[cut - 1 : cut + 1]), *parts[cut + 1 :]]
            assert fingerprint("am", *glued) != fingerprint("am", *parts)


# Merging.


def test_a_repetition_changes_nothing_but_the_count() -> None:
    group, change = merge(story(fires()), news(fires()), NOON + MINUTE)
    assert change is Change.REPEATED
    assert group.notifications == 2
    assert group.last_seen == NOON + MINUTE
    assert group.first_seen == NOON
    assert group.firing == (fires(),)


def test_a_new_alert_is_added_and_the_others_stay() -> None:
    group, change = merge(story(fires("a")), news(fires("b")), NOON + MINUTE)
    assert change is Change.ADDED
    assert {a.fingerprint for a in group.firing} == {"a", "b"}


def test_a_group_is_resolved_with_its_last_alert() -> None:
    a, b = fires("a"), fires("b")
    group, change = merge(story(a, b), news(ended(a)), NOON + MINUTE)
    assert change is Change.PARTLY_RESOLVED
    assert group.resolved_at is None
    group, change = merge(group, news(ended(b)), NOON + 2 * MINUTE)
    assert change is Change.RESOLVED
    assert group.resolved_at == NOON + 2 * MINUTE
    assert group.status is AlertStatus.RESOLVED


def test_the_time_of_resolution_is_not_moved_by_repetitions() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON + MINUTE)
    group, change = merge(group, news(ended(fires())), NOON + 2 * MINUTE)
    assert change is Change.REPEATED
    assert group.resolved_at == NOON + MINUTE


def test_a_late_firing_of_an_episode_that_ended_is_old_news() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON + MINUTE)
    group, change = merge(group, news(fires()), NOON + 2 * MINUTE)
    assert change is Change.REPEATED
    assert group.status is AlertStatus.RESOLVED


def test_a_late_end_of_an_older_episode_does_not_end_the_present_one() -> None:
    later = fires(at=NOON + 5 * MINUTE)
    group, change = merge(story(later), news(ended(fires())), NOON + 6 * MINUTE)
    assert change is Change.REPEATED
    assert group.firing == (later,)


def test_an_end_counts_although_it_names_an_earlier_start() -> None:
    group = story(fires(at=NOON + timedelta(seconds=2)))
    group, change = merge(group, news(ended(fires())), NOON + 2 * MINUTE)
    assert change is Change.RESOLVED


def test_a_new_episode_reopens_the_story() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON + MINUTE)
    again = fires(at=NOON + 3 * MINUTE)
    assert not opens(news(again), group, NOON + 3 * MINUTE)
    group, change = merge(group, news(again), NOON + 3 * MINUTE)
    assert change is Change.REOPENED
    assert group.resolved_at is None


def test_what_is_resolved_before_it_fired_is_resolved() -> None:
    group = story(ended(fires()))
    assert group.status is AlertStatus.RESOLVED
    assert group.resolved_at == NOON


def test_a_delivery_without_alerts_changes_no_alert() -> None:
    group, change = merge(story(fires()), news(), NOON + MINUTE)
    assert change is Change.REPEATED
    assert group.firing == (fires(),)
    assert story().status is AlertStatus.RESOLVED


def test_one_delivery_may_tell_of_an_alert_twice() -> None:
    assert story(fires(), ended(fires())).status is AlertStatus.RESOLVED
    assert story(ended(fires()), fires()).status is AlertStatus.RESOLVED


# When a story is a new one.


def test_the_first_report_opens_a_story_and_a_firing_one_is_never_left() -> None:
    assert opens(news(fires()), None, NOON)
    assert not opens(news(fires("b")), story(fires("a")), NOON + timedelta(days=9))


def test_a_story_is_reopened_within_the_window_and_not_after_it() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON)
    again = news(fires(at=NOON + MINUTE))
    assert not opens(again, group, NOON + REOPEN_WITHIN)
    assert opens(again, group, NOON + REOPEN_WITHIN + timedelta(microseconds=1))


def test_a_repeated_end_opens_nothing() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON)
    assert not opens(news(ended(fires())), group, NOON + timedelta(days=1))


def test_an_old_report_that_comes_late_opens_nothing() -> None:
    group, _ = merge(story(fires()), news(ended(fires())), NOON)
    late = NOON + timedelta(days=1)
    assert not opens(news(fires()), group, late)
    assert not opens(news(fires(at=NOON - MINUTE)), group, late)
    assert opens(news(fires(), fires("b")), group, late)


# Convergence.


def told(group: AlertGroup) -> Mapping[str, object]:
    return {a.fingerprint: (a.status, a.starts_at, a.ends_at) for a in group.alerts}


@st.composite
def episodes(draw: st.DrawFn) -> list[Notification]:
    """Return what a sender tells while a few alerts come and go, in its order."""
    now: dict[str, Alert] = {}
    notifications = []
    for minute in range(draw(st.integers(1, 8))):
        name = draw(st.sampled_from("abc"))
        known = now.get(name)
        if known is not None and known.status is AlertStatus.FIRING:
            now[name] = replace(known, status=AlertStatus.RESOLVED, ends_at=NOON + minute * MINUTE)
        else:
            now[name] = fires(name, at=NOON + minute * MINUTE)
        left_out = draw(st.sets(st.sampled_from("abc"))) - {name}
        notifications.append(news(*(a for n, a in now.items() if n not in left_out)))
    return notifications


@given(sent=episodes(), data=st.data())
def test_any_order_and_repetition_of_deliveries_comes_to_the_same(
    sent: list[Notification], data: st.DataObject
) -> None:
    repeated = data.draw(st.lists(st.sampled_from(sent), max_size=5))
    received = data.draw(st.permutations([*sent, *repeated]))
    in_order, shuffled = _all(sent), _all(received)
    assert told(shuffled) == told(in_order)
    assert shuffled.status is in_order.status
    assert (shuffled.resolved_at is None) == (in_order.resolved_at is None)
    assert shuffled.starts_at == in_order.starts_at
    assert shuffled.name == in_order.name


def _all(notifications: list[Notification]) -> AlertGroup:
    group = open_group(GroupId("g"), notifications[0], NOON)
    for number, notification in enumerate(notifications[1:], start=1):
        group, _ = merge(group, notification, NOON + number * MINUTE)
    return group


@given(sent=episodes())
def test_every_delivery_has_a_version_of_its_own(sent: list[Notification]) -> None:
    group = _all(sent)
    assert group.version == group.notifications == len(sent)


@given(sent=episodes())
def test_the_change_says_what_became_of_the_group(sent: list[Notification]) -> None:
    group = open_group(GroupId("g"), sent[0], NOON)
    for notification in sent[1:]:
        before = {a.fingerprint for a in group.firing}
        group, change = merge(group, notification, NOON)
        after = {a.fingerprint for a in group.firing}
        assert (change is Change.RESOLVED) == (bool(before) and not after)
        assert (change is Change.REOPENED) == (not before and bool(after))
        assert (change is Change.REPEATED) == (before == after)


# What a card says.


def test_a_group_is_named_after_its_alerts() -> None:
    assert story(fires("a"), fires("b")).name == "High"
    low = replace(fires("c"), labels={"alertname": "Low"})
    assert story(fires(), low).name == "High and 1 more"
    assert story(replace(fires(), labels={})).name == "Unnamed alert"
    assert story().name == "Unnamed alert"


def test_a_group_has_a_service_only_if_its_alerts_agree() -> None:
    checkout, cart = fires("a", service="checkout"), fires("b", service="cart")
    assert story(checkout).service == "checkout"
    assert story(checkout, cart).service is None
    assert story(checkout, fires("c")).service is None
    assert story().service is None


def test_a_firing_alert_speaks_first() -> None:
    assert story(ended(fires("a")), fires("b")).annotation("summary") == "about b"
    assert story(ended(fires("a"))).annotation("summary") == "about a"
    assert story(fires()).annotation("runbook_url") == ""


def test_an_alert_is_taken_once_by_each_person() -> None:
    group = acknowledge(story(fires()), DANA, NOON)
    assert group is not None
    assert group.acknowledged_by == DANA.person
    assert acknowledge(group, DANA, NOON) is None
    handed_over = acknowledge(group, PRIYA, NOON + MINUTE)
    assert handed_over is not None
    assert handed_over.acknowledged_by == PRIYA.person


def test_a_silence_ends_at_its_moment() -> None:
    group = silence(story(fires()), by=DANA, at=NOON, until=NOON + MINUTE)
    assert group.silenced(NOON)
    assert not group.silenced(NOON + MINUTE)
    assert not story(fires()).silenced(NOON)


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_says_what_it_means(severity: Severity) -> None:
    assert severity.meaning


def test_severities_are_ordered_worst_first() -> None:
    order = [str(severity) for severity in Severity]
    assert order == sorted(order)
    assert all(a < b for a, b in itertools.pairwise(order))


def test_a_story_that_never_ends_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods come and go under names of their own while their group keeps firing."""
    monkeypatch.setattr(alerts, "MOST_RESOLVED", 3)
    group = open_group(GroupId("g"), news(fires("stays")), NOON)
    for number in range(20):
        at = NOON + number * MINUTE
        group, _ = merge(group, news(ended(fires(f"pod-{number}", at=at))), at + MINUTE)
    names = [alert.fingerprint for alert in group.alerts]
    assert names == ["stays", "pod-17", "pod-18", "pod-19"]
    assert group.starts_at == NOON
