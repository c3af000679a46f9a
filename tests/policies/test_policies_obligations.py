"""Obligations: how they are read, and how they add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.approvals import ANYONE, Place
from bot.policies.obligations import Unclear, owned_by, quorum, rule, together, veto
from tests.policies.wishes import people, places


def place(group: str, count: int = 1, *, differ: str = "") -> Place:
    return Place(group=group, count=count, teams_differ=bool(differ))


def test_a_quorum_is_read_as_people_say_it() -> None:
    text = (
        "1 @sre-leads + 2 anyone from different teams + 1 owner + 1 team:payments"
        " + 1 role:commander + runbook"
    )
    assert quorum(text) == (
        place("sre-leads"),
        place(ANYONE, 2, differ="yes"),
        place("team:"),
        place("team:payments"),
        place("role:commander"),
    )


def test_nobody_is_written_out() -> None:
    assert quorum("nobody") == ()


@pytest.mark.parametrize(
    "text",
    (
        "",
        " ",
        "runbook",
        "nobody + 1 anyone",
        "anyone",
        "0 anyone",
        "10 anyone",
        "-1 anyone",
        "1 anyone+1 owner",
        "1  anyone",
        "1 anyone ",
        "1 anyone + ",
        "1 everyone",
        "1 @",
        "1 sre-leads",
        "1 @SRE",
        "1 @a b",
        "1 team:",
        "1 role:boss",
        "1 role:",
        "1 user:U1",
        "1 anyone from different teams",
        "2 owner from different teams",
        "2 team:web from different teams",
        "1 @a + 1 @a",
        "1 anyone + 2 anyone from different teams",
        "5 @a + 5 @b",
        "\uff11 anyone",
        "1 anyone\n",
        'nobody"',
    ),
)
def test_what_cannot_be_read_is_said_to_be(text: str) -> None:
    with pytest.raises(Unclear):
        quorum(text)


@given(st.text(max_size=40))
def test_any_text_is_a_quorum_or_unclear(text: str) -> None:
    try:
        wanted = quorum(text)
    except Unclear:
        return
    assert people(wanted) > 0 or text == "nobody"


@pytest.mark.parametrize(("text", "seconds"), (("120s", 120), ("2m", 120), ("60m", 3600)))
def test_a_veto_is_read_in_seconds(text: str, seconds: float) -> None:
    assert veto(text) == seconds


@pytest.mark.parametrize("text", ("", "0s", "120", "1h", "61m", "-5s", "1.5m", "12 s", "9999s"))
def test_a_veto_that_cannot_be_read_is_said_to_be(text: str) -> None:
    with pytest.raises(Unclear):
        veto(text)


@pytest.mark.parametrize(
    ("annotations", "permits"),
    (
        ({"quorum": "1 anyone"}, False),
        ({"veto": "120s"}, False),
        ({"veto": "120s"}, True),
        ({"veto": "120s", "quorum": "1 anyone"}, True),
        ({"reason": ""}, True),
        ({"reason": "No full stop"}, False),
        ({"reason": "Two\nlines."}, False),
        ({"reason": "x" * 200 + "."}, False),
    ),
)
def test_an_annotation_out_of_place_is_refused(
    annotations: dict[str, str], permits: object
) -> None:
    with pytest.raises(Unclear):
        rule("x", annotations, permits=bool(permits))


def test_the_owner_is_the_team_of_the_service() -> None:
    assert owned_by(quorum("1 owner + 1 @a"), "web") == (place("team:web"), place("a"))
    assert owned_by(quorum("1 @a"), "") == (place("a"),)
    with pytest.raises(Unclear, match="no team"):
        owned_by(quorum("1 owner"), "")


@pytest.mark.parametrize(
    ("obligations", "runbook", "all_of_them"),
    (
        ((), (), ()),
        (("nobody", "1 anyone"), (), (place(ANYONE),)),
        (("1 anyone", "1 anyone"), (), (place(ANYONE),)),
        (("1 anyone", "3 anyone"), (), (place(ANYONE, 3),)),
        (
            ("1 anyone", "2 anyone from different teams"),
            (),
            (place(ANYONE, 2, differ="yes"),),
        ),
        (("1 @b", "1 @a"), (), (place("a"), place("b"))),
        (("2 @a", "1 @a + 1 anyone"), (), (place("a", 2), place(ANYONE))),
        # The runbook's people are also the somebody else of a policy …
        (("1 anyone",), (place("dba"),), (place("dba"),)),
        (("2 anyone",), (place("dba"),), (place("dba"), place(ANYONE))),
        (("1 anyone",), (place("dba"), place("web")), (place("dba"), place("web"))),
        # … but not where a policy names the same people beside somebody else,
        (("1 @dba + 1 anyone",), (place("dba"),), (place("dba"), place(ANYONE))),
        (("1 @dba + 1 anyone",), (place("dba", 2),), (place("dba", 2),)),
        # nor where teams have to differ, which one seat cannot tell of another.
        (
            ("2 anyone from different teams",),
            (place("dba"),),
            (place("dba"), place(ANYONE, 2, differ="yes")),
        ),
        # A runbook may ask for anyone itself, beside its groups.
        (("1 anyone",), (place("dba"), place(ANYONE, 2)), (place("dba"), place(ANYONE, 2))),
        ((), (place("dba"), place("dba")), (place("dba", 2),)),
    ),
)
def test_obligations_add_up(
    obligations: tuple[str, ...], runbook: tuple[Place, ...], all_of_them: tuple[Place, ...]
) -> None:
    assert together([quorum(text) for text in obligations], runbook) == all_of_them


@given(st.lists(st.lists(places, max_size=3), max_size=3), st.lists(places, max_size=3))
def test_more_obligations_never_need_fewer_people(
    obligations: list[list[Place]], runbook: list[Place]
) -> None:
    singles = [list({p.group: p for p in o}.values()) for o in obligations]
    everything = together(singles, runbook)
    assert len({p.group for p in everything}) == len(everything)
    assert people(everything) >= people(tuple(runbook))
    for single in singles:
        assert people(everything) >= people(tuple(single))
        for wanted in single:
            if wanted.group != ANYONE:
                assert any(p.group == wanted.group and p.count >= wanted.count for p in everything)
    for wanted in (p for part in (*singles, runbook) for p in part):
        if wanted.teams_differ and wanted.count > 1:
            kept = [p for p in everything if p.group == wanted.group and p.teams_differ]
            assert kept[0].count >= wanted.count
    assert together([*singles, *singles], runbook) == everything
