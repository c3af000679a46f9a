"""A day of generated alerts with flapping, cascades and double deliveries, end to end."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.domain.alerts import AlertGroup, GroupId
from tests.web.receiving import receiving

STREAM = Path("/work/shared/data/alert-stream-synthetic")


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (STREAM / name).read_text().splitlines()]


@pytest.mark.skipif(not STREAM.exists(), reason="the generated stream is not here")
async def test_a_stream_of_alerts_becomes_few_cards_that_tell_the_truth(tmp_path: Path) -> None:
    webhooks = lines("webhooks.jsonl")
    async with receiving(tmp_path) as web:
        for webhook in webhooks:
            web.clock.set(datetime.fromisoformat(webhook["received_at"]))
            assert (await web.post(webhook["payload"])).status_code == 202
        async with web.database.reading() as view:
            due = await view.outbox.due(now=web.clock.now(), limit=10_000)
            groups = {
                id: await view.groups.get(GroupId(id)) for id in {q.happening.subject for q in due}
            }
        verdict = await web.database.archive.verify()
    assert len(due) == len(webhooks)
    assert verdict.ok
    _check(webhooks, list(groups.values()))


def _check(webhooks: list[dict[str, Any]], groups: list[AlertGroup]) -> None:
    keys = {webhook["payload"]["groupKey"] for webhook in webhooks}
    by_key: dict[str, list[AlertGroup]] = defaultdict(list)
    for group in groups:
        by_key[group.group_key].append(group)
    assert set(by_key) == keys
    # A card stands for one story of a key; a story holds at least one episode of an alert.
    episodes = {
        (alert["fingerprint"], alert["startsAt"])
        for webhook in webhooks
        for alert in webhook["payload"]["alerts"]
    }
    truth = {(t["fingerprint"], t["startsAt"]) for t in lines("truth.jsonl") if t["delivered"]}
    assert episodes == truth
    assert len(keys) <= len(groups) < len(episodes) < len(webhooks)
    for webhook in webhooks:
        shown = {
            alert.fingerprint
            for group in by_key[webhook["payload"]["groupKey"]]
            for alert in group.alerts
        }
        assert len(shown) >= len({a["fingerprint"] for a in webhook["payload"]["alerts"]})
    # What the last delivery of a key says is what the newest card of the key says.
    last = {webhook["payload"]["groupKey"]: webhook["payload"] for webhook in webhooks}
    for key, payload in last.items():
        newest = max(by_key[key], key=lambda group: group.first_seen)
        if payload["status"] == "firing":
            assert newest.firing
