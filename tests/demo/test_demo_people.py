"""The people of the demo: enough teams for every quorum, a guest, and a stranger."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.knowledge import load
from bot.practice import Workspace
from bot.rehearsal import PEOPLE, USERGROUPS, workspace_of_the_demo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workspace() -> Workspace:
    return workspace_of_the_demo()


def teams(name: str) -> set[str]:
    """Return a person's teams as the bot finds them: from the user groups and the catalog."""
    known = {service.team for service in load(ROOT / "knowledge").catalog.services.values()}
    groups = {handle for handle, members in USERGROUPS.items() if name in members}
    return {team for team in known if team in groups or f"{team}-oncall" in groups}


def test_the_first_four_are_who_they_always_were(workspace: Workspace) -> None:
    assert PEOPLE[:4] == (
        ("dana", "Dana Ito", "On-call engineer"),
        ("priya", "Priya Raman", "Payments engineer"),
        ("marcus", "Marcus Webb", "Incident commander"),
        ("lena", "Lena Fischer", "Customer support"),
    )
    (oncall,) = (g for g in workspace.usergroups.values() if g.handle == "payments-oncall")
    names = [workspace.people[id].name for id in oncall.members]
    assert names == ["dana", "priya", "marcus"]


def test_people_of_three_more_teams_can_approve_what_payments_asks_for() -> None:
    assert teams("dana") == {"payments"}
    assert teams("lena") == set()
    others = {name: teams(name) for name, _, _ in PEOPLE[4:]}
    assert others == {"owen": {"web"}, "sofia": {"identity"}, "hugo": {"logistics"}}


def test_a_guest_sees_the_alerts_and_a_stranger_one_shared_channel(workspace: Workspace) -> None:
    gus, vera = workspace.find_person("gus"), workspace.find_person("vera")
    assert gus.is_restricted
    assert vera.team not in ("", workspace.id)
    seen = {
        person.name: {
            c.name for c in workspace.channels.values() if workspace.may_see(person.id, c)
        }
        for person in (gus, vera)
    }
    assert seen == {"gus": {"alerts"}, "vera": {"northpay"}}
    grouped = {id for group in workspace.usergroups.values() for id in group.members}
    assert not grouped & {gus.id, vera.id}
