from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.freezes import Window, WindowKind, Windows

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = ("checkout", "cart", "payments", "web")


def window(
    kind: WindowKind = WindowKind.FREEZE,
    *,
    services: frozenset[str] = frozenset(),
    teams: frozenset[str] = frozenset(),
    hours: float = 1,
    source: str = "a.ics: a",
) -> Window:
    return Window(
        kind=kind,
        title="t",
        starts_at=NOON,
        ends_at=NOON + hours * HOUR,
        services=services,
        teams=teams,
        source=source,
    )


names = st.frozensets(st.sampled_from(NAMES))
windows = st.builds(window, st.sampled_from(WindowKind), services=names, teams=names)
name = st.one_of(st.none(), st.sampled_from(NAMES))


def test_a_window_is_half_open() -> None:
    assert window().during(NOON)
    assert window().during(NOON + HOUR - timedelta(microseconds=1))
    assert not window().during(NOON + HOUR)
    assert not window().during(NOON - timedelta(microseconds=1))


@pytest.mark.parametrize("hours", (0, -1))
def test_a_window_without_length_does_not_exist(hours: float) -> None:
    with pytest.raises(ValueError, match="ends after"):
        window(hours=hours)


def test_a_window_without_a_zone_does_not_exist() -> None:
    with pytest.raises(ValueError, match="zone"):
        Window(
            kind=WindowKind.FREEZE,
            title="t",
            starts_at=datetime(2026, 1, 1),
            ends_at=datetime(2026, 1, 2),
            source="s",
        )


def test_a_service_is_not_taken_for_a_team_of_the_same_name() -> None:
    only_team = window(teams=frozenset({"payments"}))
    assert only_team.covers("checkout", "payments")
    assert not only_team.covers("payments", "billing")
    assert not only_team.covers("payments", None)


@given(active=st.lists(windows, max_size=6), service=name, team=name, touched=names)
def test_a_freeze_holds_for_the_service_its_team_and_all_it_touches(
    active: list[Window], service: str | None, team: str | None, touched: frozenset[str]
) -> None:
    found = Windows(active=tuple(active)).freezes(service, team, touched)
    expected = [
        w
        for w in active
        if w.kind is WindowKind.FREEZE
        and (
            not (w.services | w.teams)
            or (service is not None and service in w.services)
            or (team is not None and team in w.teams)
            or w.services & touched
        )
    ]
    assert list(found) == expected


@given(active=st.lists(windows, max_size=6), service=name, team=name, more=windows, touched=names)
def test_another_window_or_another_touched_service_never_lifts_a_freeze(
    active: list[Window],
    service: str | None,
    team: str | None,
    more: Window,
    touched: frozenset[str],
) -> None:
    before = Windows(active=tuple(active)).freezes(service, team)
    after = Windows(active=(more, *active)).freezes(service, team, touched)
    assert set(before) <= set(after)


def test_of_several_maintenances_the_one_that_ends_last_is_told() -> None:
    short = window(WindowKind.MAINTENANCE, source="b")
    long = window(WindowKind.MAINTENANCE, hours=2, source="a")
    freeze = window(hours=3)
    for active in ((short, long, freeze), (freeze, long, short)):
        assert Windows(active=active).maintenance("checkout", None) is long
    assert Windows(active=(freeze,)).maintenance("checkout", None) is None
