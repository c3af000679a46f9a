"""Consent of other people to exactly one plan: who may give it, for what, and until when."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from bot.domain.approvals import (
    ANYONE,
    Answer,
    Approval,
    Place,
    Verdict,
    decide,
    expire,
    grant,
    missing,
    ripen,
    satisfied,
    standings,
)
from bot.domain.errors import Refused
from bot.domain.people import ChannelId, Person, PersonId, Standing

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DIGEST = "d" * 64
DANA = Person(id=PersonId("U1"), name="Dana")
PRIYA = Person(id=PersonId("U2"), name="Priya")
MARCUS = Person(id=PersonId("U3"), name="Marcus")
ROBOT = Person(id=PersonId("B1"), name="Robot", bot=True)


def people_of(*answers: Answer) -> list[Standing]:
    """Return those who consented, as the matching sees them."""
    return [answer.standing for answer in answers if answer.approve]


def request(*places: Place, **changes: object) -> Approval:
    made = Approval(
        id="a1",
        digest=DIGEST,
        requester=DANA,
        quorum=places or (Place(group=ANYONE),),
        answer_by=NOON + timedelta(minutes=10),
        execute_within=300,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def yes(person: Person, *groups: str, at: datetime = NOON) -> Answer:
    return Answer(person=person, approve=True, at=at, groups=frozenset(groups))


def no(person: Person, at: datetime = NOON) -> Answer:
    return Answer(person=person, approve=False, at=at, reason="not now")


def test_one_other_person_is_enough_where_anyone_will_do() -> None:
    decided = decide(request(), yes(PRIYA), digest=DIGEST)
    assert decided.verdict is Verdict.GRANTED
    assert decided.execute_by == NOON + timedelta(seconds=300)


def test_the_requester_never_approves_whatever_their_groups() -> None:
    asked = request(Place(group="a"))
    with pytest.raises(Refused, match="someone else"):
        decide(asked, yes(DANA, "a"), digest=DIGEST)


def test_the_requester_may_deny_since_a_denial_only_stops() -> None:
    assert decide(request(), no(DANA), digest=DIGEST).verdict is Verdict.DENIED


@pytest.mark.parametrize("answer", (yes(ROBOT, "a"), no(ROBOT)))
def test_a_bot_neither_approves_nor_denies(answer: Answer) -> None:
    with pytest.raises(Refused, match="Bots"):
        decide(request(), answer, digest=DIGEST)


def test_who_wrote_the_plan_does_not_approve_it() -> None:
    asked = request(excluded=frozenset({PRIYA.id}))
    with pytest.raises(Refused, match="wrote"):
        decide(asked, yes(PRIYA), digest=DIGEST)
    assert decide(asked, no(PRIYA), digest=DIGEST).verdict is Verdict.DENIED


def test_an_answer_to_another_plan_is_refused() -> None:
    for answer in (yes(PRIYA), no(PRIYA)):
        with pytest.raises(Refused, match="older plan"):
            decide(request(), answer, digest="e" * 64)


def test_a_single_denial_ends_it_whatever_was_approved_before() -> None:
    asked = request(Place(group=ANYONE, count=2))
    asked = decide(asked, yes(PRIYA), digest=DIGEST)
    asked = decide(asked, no(MARCUS), digest=DIGEST)
    assert asked.verdict is Verdict.DENIED
    assert len(asked.answers) == 2


def test_nobody_answers_twice() -> None:
    asked = decide(request(Place(group=ANYONE, count=2)), yes(PRIYA), digest=DIGEST)
    for answer in (yes(PRIYA), no(PRIYA)):
        with pytest.raises(Refused, match="already"):
            decide(asked, answer, digest=DIGEST)


def test_a_person_is_known_by_the_id_and_not_by_the_name() -> None:
    asked = decide(request(Place(group=ANYONE, count=2)), yes(PRIYA), digest=DIGEST)
    renamed = replace(PRIYA, name="Somebody")
    with pytest.raises(Refused, match="already"):
        decide(asked, yes(renamed), digest=DIGEST)
    namesake = replace(PRIYA, id=PersonId("U9"))
    assert decide(asked, yes(namesake), digest=DIGEST).verdict is Verdict.GRANTED


def test_someone_of_no_group_that_is_asked_is_told_which_are() -> None:
    asked = request(Place(group="a"), Place(group="b"))
    with pytest.raises(Refused, match="1 @a or 1 @b"):
        decide(asked, yes(PRIYA, "c"), digest=DIGEST)


@pytest.mark.parametrize(
    "verdict", (Verdict.GRANTED, Verdict.DENIED, Verdict.EXPIRED, Verdict.SUPERSEDED)
)
def test_what_is_decided_stays_decided(verdict: Verdict) -> None:
    for answer in (yes(PRIYA), no(PRIYA)):
        with pytest.raises(Refused, match=str(verdict)):
            decide(request(verdict=verdict), answer, digest=DIGEST)


def test_an_answer_comes_in_time_until_the_very_moment_of_expiry() -> None:
    asked = request()
    early, late = asked.answer_by - timedelta(microseconds=1), asked.answer_by
    assert decide(asked, yes(PRIYA, at=early), digest=DIGEST).verdict is Verdict.GRANTED
    for answer in (yes(PRIYA, at=late), no(PRIYA, at=late)):
        with pytest.raises(Refused, match="expired"):
            decide(asked, answer, digest=DIGEST)


def test_a_request_expires_unanswered() -> None:
    asked = request()
    assert expire(asked, asked.answer_by - timedelta(seconds=1)) == asked
    assert expire(asked, asked.answer_by).verdict is Verdict.EXPIRED


def test_consent_expires_unused() -> None:
    granted = grant(request(), NOON)
    assert granted.execute_by is not None
    assert expire(granted, granted.execute_by - timedelta(seconds=1)) == granted
    assert expire(granted, granted.execute_by).verdict is Verdict.EXPIRED


def test_a_denial_does_not_expire() -> None:
    denied = decide(request(), no(PRIYA), digest=DIGEST)
    assert expire(denied, NOON + timedelta(days=9)).verdict is Verdict.DENIED


def test_one_person_of_two_groups_fills_one_place() -> None:
    places = (Place(group="a"), Place(group="b"))
    assert missing(places, people_of(yes(PRIYA, "a", "b"))) == {"a": 0, "b": 1}
    assert satisfied(places, people_of(yes(PRIYA, "a", "b"), yes(MARCUS, "a")))
    assert satisfied(places, people_of(yes(MARCUS, "a"), yes(PRIYA, "a", "b")))
    assert not satisfied(places, people_of(yes(PRIYA, "a"), yes(MARCUS, "a")))


def test_a_place_for_anyone_is_left_to_those_who_fit_nowhere_else() -> None:
    places = (Place(group=ANYONE), Place(group="a"))
    assert satisfied(places, people_of(yes(PRIYA, "a"), yes(MARCUS)))
    assert satisfied(places, people_of(yes(MARCUS), yes(PRIYA, "a")))
    assert not satisfied(places, people_of(yes(MARCUS), yes(PRIYA)))


def test_denials_fill_no_place() -> None:
    assert not satisfied((Place(group=ANYONE),), people_of(no(PRIYA)))


def test_an_empty_quorum_is_satisfied_and_one_place_by_nobody_is_not() -> None:
    assert satisfied((), [])
    assert not satisfied((Place(group=ANYONE),), people_of())


GROUPS = st.sampled_from((ANYONE, "a", "b", "c"))
PLACES = st.lists(st.builds(Place, group=GROUPS, count=st.integers(1, 2)), max_size=3)
MEMBERSHIPS = st.lists(st.frozensets(st.sampled_from("abc")), max_size=6)


def answers_of(memberships: list[frozenset[str]]) -> list[Answer]:
    return [
        yes(Person(id=PersonId(f"P{n}"), name=f"P{n}"), *groups)
        for n, groups in enumerate(memberships)
    ]


def most_seated(seats: list[str], memberships: list[frozenset[str]]) -> int:
    """Try every way of seating people."""
    people: list[int | None] = [*range(len(memberships)), *([None] * len(seats))]
    best = 0
    for row in set(itertools.permutations(people, len(seats))):
        seated = sum(
            who is not None and (seat == ANYONE or seat in memberships[who])
            for seat, who in zip(seats, row, strict=True)
        )
        best = max(best, seated)
    return best


@given(
    places=st.lists(st.builds(Place, group=GROUPS, count=st.integers(1, 2)), max_size=2),
    memberships=st.lists(st.frozensets(st.sampled_from("abc")), max_size=4),
)
def test_the_matching_is_as_good_as_trying_everything(
    places: list[Place], memberships: list[frozenset[str]]
) -> None:
    seats = [place.group for place in places for _ in range(place.count)]
    lacking = missing(places, people_of(*answers_of(memberships)))
    assert sum(lacking.values()) == len(seats) - most_seated(seats, memberships)


@given(places=PLACES, memberships=MEMBERSHIPS, order=st.randoms(use_true_random=False))
def test_the_order_of_answers_does_not_matter(
    places: list[Place], memberships: list[frozenset[str]], order: object
) -> None:
    answers = answers_of(memberships)
    shuffled = list(answers)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random
    assert satisfied(places, people_of(*answers)) == satisfied(places, people_of(*shuffled))


@given(places=PLACES, memberships=MEMBERSHIPS)
def test_another_approval_never_hurts(
    places: list[Place], memberships: list[frozenset[str]]
) -> None:
    answers = answers_of(memberships)
    lacking = [
        sum(missing(places, people_of(*answers[:n])).values()) for n in range(len(answers) + 1)
    ]
    assert lacking == sorted(lacking, reverse=True)
    assert lacking[0] == sum(place.count for place in places)


@given(places=PLACES.filter(bool), memberships=MEMBERSHIPS)
def test_consent_is_given_with_the_answer_that_completes_it_and_not_before(
    places: list[Place], memberships: list[frozenset[str]]
) -> None:
    asked = request(*places)
    for answer in answers_of(memberships):
        try:
            asked = decide(asked, answer, digest=DIGEST)
        except Refused:
            continue
        complete = satisfied(asked.quorum, standings(asked))
        assert (asked.verdict is Verdict.GRANTED) == complete


TEAMS = st.lists(st.frozensets(st.sampled_from(("web", "db", "ops"))), max_size=5)


def most_of_different_teams(teams: list[frozenset[str]], count: int) -> int:
    """Try every way of choosing people and the teams they stand for."""
    best = 0
    for chosen in itertools.chain.from_iterable(
        itertools.combinations(teams, n) for n in range(min(count, len(teams)) + 1)
    ):
        for standing_for in itertools.product(*chosen):
            if len(set(standing_for)) == len(chosen):
                best = max(best, len(chosen))
    return best


@given(teams=TEAMS, count=st.integers(2, 4))
def test_people_of_different_teams_are_counted_as_trying_everything_would(
    teams: list[frozenset[str]], count: int
) -> None:
    people = [
        Standing(person=Person(id=PersonId(f"P{n}"), name="P"), teams=t)
        for n, t in enumerate(teams)
    ]
    place = Place(group=ANYONE, count=count, teams_differ=True)
    lacking = sum(missing((place,), people).values())
    assert lacking == count - most_of_different_teams(teams, count)


def test_two_accounts_of_one_human_being_are_one_approver() -> None:
    asked = request(Place(group=ANYONE, count=2))
    once = decide(asked, yes(replace(PRIYA, account="E1")), digest=DIGEST)
    with pytest.raises(Refused, match="answered"):
        decide(once, yes(replace(MARCUS, account="E1")), digest=DIGEST)


def test_the_requesters_second_account_does_not_approve() -> None:
    asked = replace(request(Place(group=ANYONE)), requester=replace(DANA, account="E1"))
    with pytest.raises(Refused, match="someone else"):
        decide(asked, yes(replace(PRIYA, account="E1")), digest=DIGEST)


@pytest.mark.parametrize(
    "person",
    (
        replace(PRIYA, guest=True),
        replace(PRIYA, stranger=True),
        replace(PRIYA, active=False),
        replace(PRIYA, bot=True),
    ),
)
def test_guests_strangers_bots_and_those_who_left_do_not_approve(person: Person) -> None:
    with pytest.raises(Refused):
        decide(request(Place(group=ANYONE)), yes(person), digest=DIGEST)


def test_a_plan_is_approved_only_where_everybody_sees_it() -> None:
    asked = replace(request(Place(group=ANYONE)), channels=frozenset({ChannelId("C1")}))
    with pytest.raises(Refused, match="channel"):
        decide(asked, replace(yes(PRIYA), channel=ChannelId("D9")), digest=DIGEST)
    there = decide(asked, replace(yes(PRIYA), channel=ChannelId("C1")), digest=DIGEST)
    assert there.verdict is Verdict.GRANTED


def test_a_veto_window_grants_only_when_it_is_over_and_a_veto_ends_it() -> None:
    until = NOON + timedelta(seconds=120)
    asked = replace(request(), quorum=(), veto_until=until)
    assert ripen(asked, until - timedelta(microseconds=1)).verdict is Verdict.WAITING
    assert ripen(asked, until).verdict is Verdict.GRANTED
    vetoed = decide(asked, no(PRIYA), digest=DIGEST)
    assert ripen(vetoed, until).verdict is Verdict.DENIED


def test_a_request_that_needs_people_never_ripens() -> None:
    asked = replace(request(Place(group=ANYONE)), veto_until=NOON)
    assert ripen(asked, NOON + timedelta(days=1)).verdict is Verdict.WAITING
