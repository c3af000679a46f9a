"""Breaking the glass is hard to do by a slip, short-lived, and looked back at by somebody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.alerts import Severity
from bot.domain.emergencies import (
    LIVES,
    MOST_DAYS,
    PROPOSAL_LIVES,
    BreakGlass,
    PreAuthorisation,
    break_glass,
    business_days_after,
    check_typed,
    confirm,
    propose,
    review,
    revoke,
    use,
)
from bot.domain.errors import Refused
from bot.domain.people import Person, PersonId, Standing
from bot.domain.runbooks import Match, OnFailure, Review, Runbook, Step

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
DANA = Person(id=PersonId("U1"), name="Dana", account="dana@example.com")
DANA_TOO = Person(id=PersonId("U9"), name="Dana (admin)", account="dana@example.com")
PRIYA = Person(id=PersonId("U2"), name="Priya")
WHY = "checkout is down and nobody answers"
NOTE = "it was right, and nobody else was there"
HALVES = [{"bot": True}, {"guest": True}, {"stranger": True}, {"active": False}]


def broken(**changes: Any) -> BreakGlass:
    wish: dict[str, Any] = {
        "person": DANA,
        "incident": "INC-1",
        "severity": Severity.SEV1,
        "runbook": "light",
        "service": "lamp",
        "reason": WHY,
        "at": NOON,
    }
    return break_glass("G1", **(wish | changes))


def used(glass: BreakGlass, **changes: Any) -> BreakGlass:
    wish: dict[str, Any] = {
        "run": "r1",
        "runbook": "light",
        "service": "lamp",
        "by": DANA,
        "at": NOON,
    }
    return use(glass, **(wish | changes))


def page(**changes: Any) -> Runbook:
    step = Step(
        id="one",
        title="One",
        uses="lamp.on@1",
        arguments={},
        risk=None,
        timeout=5.0,
        verify=None,
        on_failure=OnFailure.ESCALATE,
    )
    made = Runbook(
        id="light",
        version=1,
        title="Let there be light",
        owner="lighting",
        review=Review(by="dana", at=date(2026, 11, 1), max_age_days=180),
        match=Match(),
        parameters=(),
        approval={},
        diagnose=(),
        steps=(step,),
        sections={},
        path="lamp/light.md",
        digest="0" * 64,
    )
    return replace(made, **changes)


def standing(person: Person, *groups: str) -> Standing:
    teams = frozenset(g.removesuffix("-oncall") for g in groups)
    return Standing(person=person, groups=frozenset(groups), teams=teams)


def proposed(**changes: Any) -> PreAuthorisation:
    wish: dict[str, Any] = {
        "runbook": page(),
        "service": "lamp",
        "team": "lamps",
        "days": 30,
        "reason": WHY,
        "by": standing(DANA, "lamps-oncall"),
        "at": NOON,
    }
    return propose("A1", **(wish | changes))


def given_(proposal: PreAuthorisation, **changes: Any) -> PreAuthorisation:
    wish: dict[str, Any] = {"editors": (), "by": standing(PRIYA, "lamps"), "at": NOON + DAY}
    return confirm(proposal, **(wish | changes))


# Breaking the glass.


@pytest.mark.parametrize("severity", (Severity.SEV1, Severity.SEV2))
def test_the_glass_is_broken_in_a_grave_incident(severity: Severity) -> None:
    glass = broken(severity=severity)
    assert glass.expires_at == NOON + timedelta(minutes=15)
    assert not glass.reviewed


@pytest.mark.parametrize("severity", (Severity.SEV3, Severity.SEV4))
def test_the_glass_stays_whole_in_any_other(severity: Severity) -> None:
    with pytest.raises(Refused, match="sev1 or sev2"):
        broken(severity=severity)


@pytest.mark.parametrize("reason", ("", "x" * 19, " " * 40, "  " + "x" * 19 + "  "))
def test_a_reason_of_fewer_than_twenty_characters_is_refused(reason: str) -> None:
    with pytest.raises(Refused, match="20 characters"):
        broken(reason=reason)
    assert broken(reason="x" * 20).reason == "x" * 20


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_only_full_members_break_the_glass(half: dict[str, bool]) -> None:
    with pytest.raises(Refused, match="full members"):
        broken(person=replace(DANA, **half))  # type: ignore[arg-type]  # booleans by name


@pytest.mark.parametrize("typed", ("light lamp", "  light lamp\n", "LIGHT Lamp"))
def test_case_and_outer_space_of_what_is_typed_do_not_matter(typed: str) -> None:
    check_typed(typed, runbook="light", service="lamp")


@pytest.mark.parametrize(
    "typed", ("", "yes", "light", "lamp", "lamp light", "light  lamp", "light lamp2", "light -")
)
def test_who_types_something_else_is_told_what_to_type(typed: str) -> None:
    with pytest.raises(Refused, match="type exactly: light lamp"):
        check_typed(typed, runbook="light", service="lamp")


def test_no_service_is_typed_as_a_dash() -> None:
    for service in (None, ""):
        check_typed("light -", runbook="light", service=service)
        with pytest.raises(Refused):
            check_typed("light", runbook="light", service=service)


def test_a_broken_glass_stands_in_for_approvals_up_to_its_last_second() -> None:
    glass, end = broken(), NOON + LIVES
    for at, good in ((NOON, True), (end - SECOND, True), (end - TICK, True), (end, False)):
        assert glass.usable(runbook="light", service="lamp", by=DANA, at=at) is good
    assert used(glass, at=end - TICK).run == "r1"
    with pytest.raises(Refused, match="expired"):
        used(glass, at=end)


@pytest.mark.parametrize(
    "changes",
    ({"runbook": "dark"}, {"service": "stove"}, {"service": None}, {"by": PRIYA}),
    ids=str,
)
def test_a_glass_broken_for_one_thing_does_not_do_for_another(changes: dict[str, Any]) -> None:
    wish: dict[str, Any] = {"runbook": "light", "service": "lamp", "by": DANA} | changes
    assert not broken().usable(at=NOON, **wish)
    with pytest.raises(Refused, match="something else"):
        used(broken(), **changes)


def test_another_account_of_the_same_human_being_may_use_it() -> None:
    assert used(broken(), by=DANA_TOO).run == "r1"


def test_a_glass_is_used_once() -> None:
    once = used(broken())
    assert once.used_at == NOON
    assert not once.usable(runbook="light", service="lamp", by=DANA, at=NOON)
    for run in ("r1", "r2"):
        with pytest.raises(Refused, match="used already"):
            used(once, run=run)


# Its review.


def test_the_review_of_a_friday_is_due_when_tuesday_is_over() -> None:
    assert broken().review_by == datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "days", "end"),
    (
        (datetime(2026, 11, 16, 0, 0, tzinfo=UTC), 2, date(2026, 11, 19)),  # Monday
        (datetime(2026, 11, 18, 9, 0, tzinfo=UTC), 2, date(2026, 11, 21)),  # Wednesday
        (datetime(2026, 11, 19, 9, 0, tzinfo=UTC), 2, date(2026, 11, 24)),  # Thursday
        (datetime(2026, 11, 20, 23, 59, tzinfo=UTC), 2, date(2026, 11, 25)),  # Friday
        (datetime(2026, 11, 21, 9, 0, tzinfo=UTC), 2, date(2026, 11, 25)),  # Saturday
        (datetime(2026, 11, 22, 23, 59, tzinfo=UTC), 2, date(2026, 11, 25)),  # Sunday
        (datetime(2026, 12, 31, 9, 0, tzinfo=UTC), 1, date(2027, 1, 2)),
        (datetime(2028, 2, 28, 9, 0, tzinfo=UTC), 1, date(2028, 3, 1)),  # a leap year
    ),
)
def test_weekends_are_no_business_days(at: datetime, days: int, end: date) -> None:
    assert business_days_after(at, days) == datetime(end.year, end.month, end.day, tzinfo=UTC)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(1, 12),
)
def test_so_many_business_days_lie_between_and_the_last_one_is_whole(
    at: datetime, days: int
) -> None:
    end = business_days_after(at, days)
    span = (end.date() - at.date()).days
    between = [at.date() + timedelta(days=n) for n in range(1, span)]
    assert sum(day.weekday() < 5 for day in between) == days
    assert between[-1].weekday() < 5
    assert (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
    st.integers(-14, 14),
)
def test_the_same_moment_has_the_same_end_whatever_zone_it_is_written_in(
    at: datetime, hours: int
) -> None:
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert business_days_after(elsewhere, 2) == business_days_after(at, 2)


def test_a_review_is_overdue_from_the_very_moment_it_is_due() -> None:
    glass = broken()
    assert not glass.overdue(glass.review_by - TICK)
    assert glass.overdue(glass.review_by)
    late = review(used(glass), by=PRIYA, note=NOTE, at=glass.review_by + DAY)
    assert not late.overdue(glass.review_by + 9 * DAY)


def test_an_overdue_review_blocks_the_next_until_it_took_place() -> None:
    first = used(broken())
    on_time, late = first.review_by - TICK, first.review_by
    assert broken(at=on_time, earlier=[first]).at == on_time
    with pytest.raises(Refused, match="overdue"):
        broken(at=late, earlier=[first])
    reviewed = review(first, by=PRIYA, note=NOTE, at=late)
    assert broken(at=late, earlier=[reviewed]).at == late


def test_a_glass_that_was_never_used_is_reviewed_too() -> None:
    unused = broken()
    with pytest.raises(Refused, match="overdue"):
        broken(at=unused.review_by, earlier=[unused])


def test_a_review_before_the_glass_is_used_up_would_see_nothing() -> None:
    glass = broken()
    with pytest.raises(Refused, match="still be used"):
        review(glass, by=PRIYA, note=NOTE, at=glass.expires_at - TICK)
    assert review(glass, by=PRIYA, note=NOTE, at=glass.expires_at).reviewed
    assert review(used(glass), by=PRIYA, note=NOTE, at=NOON + SECOND).reviewed


@pytest.mark.parametrize("by", (DANA, DANA_TOO), ids=lambda p: p.name)
def test_nobody_reviews_their_own_by_any_account(by: Person) -> None:
    with pytest.raises(Refused, match="Somebody else"):
        review(used(broken()), by=by, note=NOTE, at=NOON)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_only_full_members_review(half: dict[str, bool]) -> None:
    with pytest.raises(Refused, match="full members"):
        review(used(broken()), by=replace(PRIYA, **half), note=NOTE, at=NOON)  # type: ignore[arg-type]  # booleans by name


def test_a_review_says_something_and_takes_place_once() -> None:
    with pytest.raises(Refused, match="20 characters"):
        review(used(broken()), by=PRIYA, note="fine", at=NOON)
    done = review(used(broken()), by=PRIYA, note=NOTE, at=NOON)
    assert (done.reviewer, done.reviewed_at) == (PRIYA, NOON)
    with pytest.raises(Refused, match="already"):
        review(done, by=PRIYA, note=NOTE, at=NOON)


# Standing authorisations.


def covers(authorisation: PreAuthorisation, at: datetime, **changes: Any) -> bool:
    wish: dict[str, Any] = {"runbook_digest": "0" * 64, "service": "lamp"}
    return authorisation.covers(at=at, **(wish | changes))


def test_one_person_alone_authorises_nothing() -> None:
    proposal = proposed()
    assert not covers(proposal, NOON + DAY)
    assert covers(given_(proposal), NOON + DAY)


@pytest.mark.parametrize("by", (DANA, DANA_TOO), ids=lambda p: p.name)
def test_who_proposed_it_does_not_give_it_by_any_account(by: Person) -> None:
    with pytest.raises(Refused, match="second person"):
        given_(proposed(), by=standing(by, "lamps"))


@pytest.mark.parametrize(
    "groups", ((), ("lamps",), ("web-oncall",), ("web-oncall", "lamps"), ("xlamps-oncall",))
)
def test_only_who_is_on_call_for_the_owning_team_proposes(groups: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="on call for lamps"):
        proposed(by=standing(DANA, *groups))


def test_where_nobody_owns_the_service_the_owner_of_the_page_stands_for_it() -> None:
    with pytest.raises(Refused, match="on call for lighting"):
        proposed(team=None)
    proposal = proposed(team=None, service=None, by=standing(DANA, "lighting-oncall"))
    assert (proposal.owner, proposal.service) == ("lighting", "")
    assert covers(given_(proposal, by=standing(PRIYA, "lighting")), NOON + DAY, service=None)


@pytest.mark.parametrize("groups", ((), ("web",), ("web-oncall",)))
def test_only_the_owning_team_gives_it(groups: tuple[str, ...]) -> None:
    with pytest.raises(Refused, match="members of lamps"):
        given_(proposed(), by=standing(PRIYA, *groups))


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_only_full_members_propose_give_and_revoke(half: dict[str, bool]) -> None:
    person = replace(PRIYA, **half)  # type: ignore[arg-type]  # booleans by name
    with pytest.raises(Refused, match="full members"):
        proposed(by=standing(person, "lamps-oncall"))
    with pytest.raises(Refused, match="full members"):
        given_(proposed(), by=standing(person, "lamps"))
    with pytest.raises(Refused, match="full members"):
        revoke(given_(proposed()), by=person, at=NOON + DAY)


def test_who_edited_the_page_last_does_not_give_it() -> None:
    with pytest.raises(Refused, match="edited"):
        given_(proposed(), editors=[PRIYA.id])
    assert given_(proposed(), editors=[DANA.id]).given_by == PRIYA


@pytest.mark.parametrize("days", (-1, 0, MOST_DAYS + 1, 10**9))
def test_it_holds_for_ninety_days_at_most(days: int) -> None:
    with pytest.raises(Refused, match="1 to 90 days"):
        proposed(days=days)


def test_it_holds_from_when_it_was_given_until_it_expires() -> None:
    authorisation = given_(proposed(days=MOST_DAYS))
    assert not covers(authorisation, NOON + DAY - TICK)
    assert covers(authorisation, NOON + DAY)
    assert covers(authorisation, NOON + MOST_DAYS * DAY - TICK)
    assert not covers(authorisation, NOON + MOST_DAYS * DAY)


@pytest.mark.parametrize(
    "changes", ({"runbook_digest": "1" * 64}, {"service": "stove"}, {"service": None}), ids=str
)
def test_it_is_for_one_page_as_it_reads_and_one_service(changes: dict[str, Any]) -> None:
    assert not covers(given_(proposed()), NOON + DAY, **changes)


def test_a_proposal_does_not_wait_for_ever_nor_beyond_its_own_end() -> None:
    assert given_(proposed(), at=NOON + PROPOSAL_LIVES - TICK).given_by == PRIYA
    for proposal, at in ((proposed(), NOON + PROPOSAL_LIVES), (proposed(days=1), NOON + DAY)):
        with pytest.raises(Refused, match="does not wait"):
            given_(proposal, at=at)


def test_what_was_given_is_not_given_again() -> None:
    with pytest.raises(Refused, match="does not wait"):
        given_(given_(proposed()), at=NOON + 2 * DAY)


def test_what_is_revoked_covers_nothing_and_is_not_given() -> None:
    gone = revoke(given_(proposed()), by=PRIYA, at=NOON + 2 * DAY)
    assert not covers(gone, NOON + 2 * DAY)
    for ended in (gone, revoke(proposed(), by=PRIYA, at=NOON)):
        with pytest.raises(Refused, match="does not wait"):
            given_(ended)
        with pytest.raises(Refused, match="ended already"):
            revoke(ended, by=PRIYA, at=NOON + 3 * DAY)
    with pytest.raises(Refused, match="ended already"):
        revoke(given_(proposed()), by=PRIYA, at=NOON + 30 * DAY)


def test_it_says_why_and_is_about_something_that_can_be_run() -> None:
    with pytest.raises(Refused, match="20 characters"):
        proposed(reason="because")
    with pytest.raises(Refused, match="no steps"):
        proposed(runbook=page(steps=()))
