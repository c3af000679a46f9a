"""What a card claims of past incidents: only what the search is sure of, and as sure as it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.documents import Found
from bot.domain.findings import Finding
from tests.plugins.similar.past import FOUND, GROUP, Past, hit, remembering


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[Past]:
    async with remembering(tmp_path) as past:
        yield past


async def only(past: Past) -> Finding:
    (finding,) = await past.plugin.findings(past.groups.group)
    return finding


async def test_a_sure_hit_is_claimed_with_its_probability_and_why(past: Past) -> None:
    finding = await only(past)
    assert finding.claim == (
        "Outage number 1 (EX-1, 9 months ago, resolved in 1 min): The worker was restarted"
    )
    assert (finding.value, finding.confidence, finding.model) == ("EX-1", 0.84, "ranker-7")
    assert [evidence.label for evidence in finding.evidence] == [
        "EX-1",
        "cause: Cause number 1",
        "same alert name; shares connection pool",
    ]


async def test_a_hit_that_is_not_sure_is_not_shown_however_well_its_words_agree(
    past: Past,
) -> None:
    past.finds(confidence=0.35)
    finding = await only(past)
    assert (finding.claim, finding.confidence) == ("No similar incident found", None)
    assert finding.evidence == ()
    assert "6 past incidents were searched" in finding.detail
    assert "EX-1 (Title of EX-1), is the same with a probability of 35%" in finding.detail
    assert "from 60% on" in finding.detail


async def test_a_hit_of_the_same_name_is_claimed_without_a_number(past: Past) -> None:
    named = replace(FOUND.hits[0], signals={"name": 1.0})
    past.finds(hits=(named, *FOUND.hits[1:]))
    finding = await only(past)
    assert (finding.value, finding.confidence) == ("EX-1", None)
    past.finds(confidence=0.35)
    finding = await only(past)
    assert finding.claim == "No similar incident found"
    assert "EX-1 (Title of EX-1), goes by the same name" in finding.detail
    assert "%" not in finding.detail


async def test_a_name_that_does_not_agree_takes_no_number_away(past: Past) -> None:
    past.finds(hits=(replace(FOUND.hits[0], signals={"name": 0.0, "words": 3.0}),))
    assert (await only(past)).confidence == 0.84


async def test_exactly_at_the_threshold_it_is_shown(past: Past) -> None:
    past.finds(confidence=0.6)
    assert (await only(past)).confidence == 0.6


async def test_without_a_calibration_the_older_rule_decides_and_claims_no_probability(
    past: Past,
) -> None:
    past.finds(confidence=None)
    assert (await only(past)).confidence is None
    assert (await only(past)).value == "EX-1"
    past.finds(hits=(replace(hit("EX-1"), lexical=1.0, dense=0.1),))
    finding = await only(past)
    assert finding.claim == "No similar incident found"
    assert "shares too little: queue, full" in finding.detail
    assert "%" not in finding.detail


async def test_what_the_claim_says_is_not_told_twice(past: Past) -> None:
    past.finds(hits=(hit("EX-1", "9 months ago", "same service", "same service"),))
    assert (await only(past)).evidence[-1].label == "same service"


async def test_an_empty_search_is_nothing_similar(past: Past) -> None:
    past.search.found = Found()
    assert (await only(past)).detail == "6 past incidents were searched."


async def test_a_hit_whose_incident_is_open_again_lends_its_confidence_to_nobody(
    past: Past,
) -> None:
    past.finds(hits=(hit("INC-9"), *FOUND.hits))
    assert (await only(past)).claim == "No similar incident found"


async def test_only_what_was_before_is_asked_for(past: Past) -> None:
    past.groups.group = replace(GROUP, first_seen=GROUP.first_seen - timedelta(days=3000))
    assert past.search.asked == []
    await only(past)
    assert past.search.asked[0].at == past.groups.group.first_seen
