"""Decisions and the policy in the browser, and who may open which page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.approvals import Place
from bot.domain.decisions import DecisionId, DecisionRecord
from bot.domain.errors import NotFound, Refused, TocsinError
from bot.domain.policy import Phase, PolicyDecision, PolicyRequest, RiskPolicy
from bot.plugin import Audience
from bot.policies import load
from bot.web.pages import Book
from plugins.governance.views_rules import document_of
from plugins.governance.views_texts import visible
from tests.fakes import NOON
from tests.plugins.governance.pages_opened import (
    AUDITOR,
    HOSTILE,
    MEMBER,
    RESPONDER,
    TEMPLATES,
    Opened,
)
from tests.services.gate_world import MARCUS, PRIYA, step, world_at
from tests.stage import Stage, stage_in
from tests.web.visiting import visiting

SHIPPED = Path(__file__).parents[3] / "knowledge" / "policies"
RULE = '// Why.\n@id("calm")\npermit (principal, action, resource);\n'


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def opened(stage: Stage) -> Opened:
    return Opened(stage.context, stage.dana, stage.clock)


@dataclass(frozen=True)
class Written:
    """A policy that is nothing but its documents."""

    digest: str
    documents: Mapping[str, bytes]

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        return PolicyDecision(allow=False, reason="Nothing.")


def record(id: str = "d1", **changes: object) -> DecisionRecord:
    made = DecisionRecord(
        id=DecisionId(id), at=NOON, phase=Phase.PLAN, run="r1", plan_digest="ab" * 32, allow=True,
        reason="R2: reversible, service-wide", quorum=(Place(group="sre", count=2),),
        policies=("service-wide",), errors=(), engine="cedar 4", policy_digest="cd" * 32,
        schema_digest="", input={"context": {"risk": 2, "runbook": "worker-stuck"},
                                 "resource": {"type": "Service", "id": "checkout"}},
        input_digest="0" * 64, entities=({"uid": "x"},), entities_digest="0" * 64,
        approvals=("person:0123456789abcdef",), epoch=7, microseconds=412,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # field names are checked by replace


async def add(stage: Stage, *records: DecisionRecord) -> None:
    async with stage.database.transaction() as tx:
        for one in records:
            await tx.decisions.add(one)


# Decisions


async def test_where_policy_was_never_asked_the_page_says_so(opened: Opened) -> None:
    assert "Policy has not been asked yet." in await opened.text("decisions")


async def test_decisions_say_whether_for_what_and_why(stage: Stage, opened: Opened) -> None:
    denied = record("d2", allow=False, reason="Frozen.", phase=Phase.EXECUTE, input={})
    await add(stage, record(), denied)
    text = await opened.text("decisions", RESPONDER)
    assert "allow a plan R2 worker-stuck checkout R2: reversible, service-wide" in text
    assert "deny an effect Frozen." in text
    assert "decision?id=d2" in await opened.html("decisions")


async def test_a_decision_shows_everything_that_went_into_it(stage: Stage, opened: Opened) -> None:
    await add(stage, record(freezes=("Year end",), errors=("it broke",), break_glass="g1",
                            pre_authorised="p1", veto_seconds=300, confidence=0.5,
                            model_version="m1", authorised_by="ef" * 32))  # fmt: skip
    text = await opened.text("decision", AUDITOR, id="d1")
    for words in (
        "Decision d1", "allow R2: reversible", "Consent it needs 2 @sre, vetoed within 5 min",
        "Kill switch epoch 7", "Autonomy L2", "service-wide", "person 0123456789ab…",
        '"risk": 2', '"uid": "x"', "Year end", "it broke", "Broken glass g1",
        "Standing authorisation p1", "Confidence 0.50", "Model m1", "cedar 4, 412 µs",
        "tocsin policy replay d1", "efefefefefef…",
    ):  # fmt: skip
        assert words in text, words


async def test_a_stored_input_that_was_changed_is_found(stage: Stage, opened: Opened) -> None:
    await add(stage, record())  # its digests are not those of its parts
    assert (await opened.text("decision", id="d1")).count("changed since") == 2


async def test_a_real_decision_holds_against_its_digests(tmp_path: Path) -> None:
    async with world_at(tmp_path / "tocsin.db") as world:
        world.policy = load(SHIPPED)
        run = await world.planned(step(uses="lamp.on@1"))
        there = Stage(world.database, world.clock)
        opened = Opened(there.context, there.dana, there.clock)
        [made] = await there.context.records.decisions()
        text = await opened.text("decision", id=made.id)
        assert text.count("unchanged") == 2
        assert "changed since" not in text
        assert "one-instance" in text
        assert "Consent it needs 1 other person" in text
        assert f"Run {run}" in text
        assert made.id in await opened.html("ledger", decision=made.id)
        for people in (PRIYA, MARCUS):
            assert people.name not in text


async def test_only_auditors_are_led_to_rules_and_ledger(stage: Stage, opened: Opened) -> None:
    await add(stage, record())
    auditors, responders = (
        await opened.html("decision", AUDITOR, id="d1"),
        await opened.html("decision", RESPONDER, id="d1"),
    )
    assert f'policy?digest={"cd" * 32}#policy-service-wide"' in auditors
    assert "/ledger?decision=d1" in auditors
    for page in ("/policy", "/ledger"):
        assert f"governance{page}" not in responders


async def test_a_decision_that_is_not_there_is_not_found(opened: Opened) -> None:
    for id in ("nowhere", HOSTILE[:-1]):
        with pytest.raises(NotFound):
            await opened.answer("decision", id=id)
    with pytest.raises(Refused, match="The address names no id"):
        await opened.answer("decision")
    for id in ("x" * 200, "a\nb"):
        with pytest.raises(Refused, match="plain text"):
            await opened.answer("decision", id=id)


async def test_hostile_words_in_a_decision_stay_words(stage: Stage, opened: Opened) -> None:
    await add(
        stage,
        record(
            run=HOSTILE, plan_digest=HOSTILE, reason=HOSTILE, quorum=(Place(group=HOSTILE),),
            policies=(HOSTILE,), errors=(HOSTILE,), engine=HOSTILE, policy_digest=HOSTILE,
            schema_digest=HOSTILE, entities=({HOSTILE: HOSTILE},), approvals=(HOSTILE,),
            freezes=(HOSTILE,), change_type=HOSTILE, break_glass=HOSTILE, pre_authorised=HOSTILE,
            authorised_by=HOSTILE, model_version=HOSTILE, calendars_digest=HOSTILE,
            input={"context": {"risk": HOSTILE, "runbook": HOSTILE}, "resource": [HOSTILE]},
            input_digest=HOSTILE, entities_digest=HOSTILE,
        ),
    )  # fmt: skip
    for path, query in (("decisions", {}), ("decision", {"id": "d1"})):
        for audiences in (AUDITOR, RESPONDER):
            html = await opened.html(path, audiences, **query)
            assert "<script>" not in html
            assert "&lt;script&gt;" in html


# The policy


async def test_before_anything_was_adopted_the_page_says_so(opened: Opened) -> None:
    assert "No rules have been adopted yet." in await opened.text("policy")


async def test_rules_that_are_built_in_have_no_files(stage: Stage, opened: Opened) -> None:
    await stage.context.policies.start()
    text = await opened.text("policy")
    assert "in force Digest" in text
    assert "By system" in text
    assert "These rules are built in" in text
    assert "Nothing: the files are what is in force." in text


async def test_the_shipped_rules_are_shown_whole_with_a_place_for_each_link(
    stage: Stage, opened: Opened
) -> None:
    stage.policy.current = stage.proposed = load(SHIPPED)
    await stage.context.policies.start()
    html = await opened.html("policy")
    text = await opened.text("policy")
    for path in SHIPPED.glob("*.cedar"):
        for line in path.read_text().splitlines():
            assert " ".join(line.split()) in text
    for id in ("hard-to-undo", "broken-glass", "service-wide"):
        assert html.count(f'id="policy-{id}"') == 1
    beginning = html.partition('id="policy-hard-to-undo">')[2]
    assert beginning.startswith("// Hard to take back")


async def test_a_proposal_is_shown_as_a_difference(stage: Stage, opened: Opened) -> None:
    await stage.context.policies.start()
    stage.proposed = Written("ef" * 32, {"new.cedar": RULE.encode()})
    text = await opened.text("policy")
    assert "waits to be adopted" in text
    assert "+permit (principal, action, resource);" in text


async def test_files_with_a_fault_touch_nothing_and_are_told(
    stage: Stage, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.context.policies.start()

    def fails() -> str:
        raise TocsinError("people.cedar:3: <b>unexpected</b> token")

    monkeypatch.setattr(stage.context.policies, "proposal", fails)
    text = await opened.text("policy")
    assert "cannot be used" in text
    assert "people.cedar:3: <b>unexpected</b> token" in text
    assert "in force Digest" in text


async def test_former_rules_stay_to_be_read(stage: Stage, opened: Opened) -> None:
    await stage.context.policies.start()
    stage.proposed = Written("ef" * 32, {"new.cedar": RULE.encode()})
    await stage.context.policies.adopt("ef" * 32, by="person:U001", run="r1")
    now, former = await opened.text("policy"), RiskPolicy().digest
    assert "By person:U001 Run r1" in now
    assert f"policy?digest={former}" in await opened.html("policy")
    then = await opened.text("policy", digest=former)
    assert "not in force any more" in then
    assert "These rules are built in" in then
    with pytest.raises(NotFound, match="No rules with this digest"):
        await opened.answer("policy", digest="12" * 32)


async def test_rules_that_read_as_their_opposite_are_seen_through(
    stage: Stage, opened: Opened
) -> None:
    text = '@id("a<b>\\"")\nforbid\N{RIGHT-TO-LEFT OVERRIDE}<script>;\n@id("<i>")\npermit;'
    stage.policy.current = stage.proposed = Written("ef" * 32, {"<x>.cedar": text.encode()})
    await stage.context.policies.start()
    html = await opened.html("policy")
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in html
    assert "forbid\\u202e&lt;script&gt;" in html
    assert "<x>" not in html
    assert "<i>" not in html


@given(
    st.lists(st.sampled_from(["// why\n", '@id("a")\n', '  @id("b")\n', "permit;\n", "\n", "@id("]))
)
def test_cutting_a_file_into_its_rules_loses_nothing(lines: list[str]) -> None:
    text = "".join(lines)
    pieces = document_of("x", text).pieces
    shown = "".join(piece.text for piece in pieces)
    assert shown.replace("\n", "") == visible(text).replace("\n", "")
    assert all(piece.id in ("", "a", "b") for piece in pieces)


# Who may open what


def test_each_page_is_for_those_it_concerns(opened: Opened) -> None:
    concerned = {path: page.audience for path, page in opened.pages.items()}
    assert concerned == {
        **dict.fromkeys(("approvals", "freezes", "switches"), Audience.MEMBER),
        **dict.fromkeys(
            ("autonomy", "reviews", "decisions", "decision", "entry"), Audience.RESPONDER
        ),
        **dict.fromkeys(
            ("ledger", "leaf", "proof", "checkpoint", "checkpoint/note", "policy"),
            Audience.AUDITOR,
        ),
    }


def test_the_menu_lists_only_what_can_be_opened_without_a_number(opened: Opened) -> None:
    book = Book({"governance": list(opened.pages.values())})

    def titles(audiences: frozenset[Audience]) -> list[str]:
        return [link.title for section in book.menu(audiences) for link in section.links]

    assert titles(MEMBER) == ["Approvals", "Switches", "Freezes"]
    assert titles(RESPONDER) == [*titles(MEMBER), "Autonomy", "Reviews", "Decisions"]
    assert titles(AUDITOR) == [*titles(RESPONDER), "Policy", "Ledger", "Checkpoint"]


async def test_over_http_bad_addresses_are_refused_in_words_and_pages_kept_apart(
    stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    await add(stage, record())
    folder = tmp_path / "site"
    folder.mkdir()
    templates = {path.name: path.read_text() for path in TEMPLATES.glob("*.html")}
    pages = {"demo": list(opened.pages.values())}
    async with visiting(folder, pages=pages, templates=templates) as visit:
        await visit.signed_in("dana")  # a responder
        for path, status, words in (
            ("approvals", 200, "No plan waits"),
            ("decision?id=d1", 200, "tocsin policy replay d1"),
            ("entry?seq=0", 404, "no entry 0"),
            ("entry?seq=%3Cscript%3E", 403, "is not the number of a ledger entry."),
            ("entry?seq=%FF", 403, "is not the number of a ledger entry."),
            ("decision?id=%00", 403, "is not plain text."),
            ("ledger", 403, "This page is for auditors."),
            ("checkpoint/note", 403, "This page is for auditors."),
        ):
            answer = await visit.get(f"/pages/demo/{path}")
            assert (answer.status_code, words in answer.text) == (status, True), path
            assert "<script>" not in answer.text
            assert "Something went wrong" not in answer.text


def test_every_template_extends_the_frame_and_brings_neither_style_nor_script() -> None:
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert "style=" not in text
        assert "<script" not in text
        assert "| safe" not in text
        assert path.name == "pieces.html" or text.startswith('{% extends "frame.html" %}')
