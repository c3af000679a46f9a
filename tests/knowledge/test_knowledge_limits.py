"""Limits of a runbook and targets of a step: what they mean, and every mistake in them named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain.actions import JSON, Action, ActionCall, ActionResult, Effect, Risk
from bot.domain.limits import Limits
from bot.domain.runbooks import Runbook
from bot.knowledge import Knowledge, KnowledgeError, check_actions, load

PAGE = """\
---
format: runbook/v1
id: replicas
version: 1
title: Replicas are old
owner: storage
reviewed: {by: storage-oncall, at: 2026-11-02}
match: {tags: [replica]}
params:
  force: {type: enum, values: ["yes", "no"], default: "no"}
limits: {targets: 3, percent: 50, rate: 3/1h, cool_down: 10m, concurrency_key: checkout-db}
steps:
  - id: restart
    title: Restart a replica
    uses: pool.restart@1
    targets: [db-1, db-2.internal, db_3]
    with: {replica: "${target}", force: "${force}"}
    verify:
      uses: pool.count@1
      with: {pool: main}
      expect: {equals: 3}
    commit_point: true
---

## Meaning

Old.

## Impact

None.

## Diagnosis

Look.

## Mitigation

### Restart {#restart}

One after the other.
"""


class Page:
    """A folder with one page, edited and loaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "runbooks" / "replicas.md"
        self.path.parent.mkdir()
        self.path.write_text(PAGE)

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new, 1))

    def load(self) -> Runbook:
        return load(self.root).runbooks["replicas"]

    def problems(self) -> list[str]:
        with pytest.raises(KnowledgeError) as error:
            load(self.root)
        return [str(problem).removeprefix("runbooks/") for problem in error.value.problems]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def test_limits_are_read_with_their_units(page: Page) -> None:
    assert page.load().limits == Limits(
        targets=3, percent=50.0, rate=(3, 3600.0), cool_down=600.0, concurrency_key="checkout-db"
    )


def test_each_limit_may_stand_alone_and_all_may_be_left_out(page: Page) -> None:
    whole = "{targets: 3, percent: 50, rate: 3/1h, cool_down: 10m, concurrency_key: checkout-db}"
    page.edit(whole, "{percent: 12.5}")
    assert page.load().limits == Limits(percent=12.5)
    page.edit("limits: {percent: 12.5}\n", "")
    assert page.load().limits == Limits()


def test_a_step_has_its_targets_in_their_order(page: Page) -> None:
    (step,) = page.load().steps
    assert step.targets == ("db-1", "db-2.internal", "db_3")
    assert step.arguments == {"replica": "${target}", "force": "${force}"}


MANY = ", ".join(f"db-{number}" for number in range(33))
BROKEN = {
    "an unknown limit": ("targets: 3,", "target: 3,", 11, 'unknown key "limits.target"; did you'),
    "limits as a list": ("{targets: 3,", "[a] #", 11, "limits should be a table"),
    "no targets": ("targets: 3,", "targets: 0,", 11, "targets is 0, but should be from 1 to 1000"),
    "half a target": ("targets: 3,", "targets: 3.5,", 11, "should be a whole number"),
    "text as a number": ("targets: 3,", 'targets: "3",', 11, "a whole number, not text"),
    "no per cent": ("percent: 50", "percent: 0", 11, "is 0, but should be above 0"),
    "too many per cent": ("percent: 50", "percent: 101", 11, "is 101, but should be above 0"),
    "endless per cent": ("percent: 50", "percent: 1e999", 11, "is inf, but should be above 0"),
    "per cent as text": ("percent: 50", "percent: 50%", 11, "should be a number, not text"),
    "a rate without a time": ("3/1h", "3", 11, "rate should be text, not the number 3"),
    "a rate in words": ("3/1h", "hourly", 11, "is not a rate such as 3/1h"),
    "a rate of nothing": ("3/1h", "0/1h", 11, "is not a rate such as 3/1h"),
    "a rate in no time": ("3/1h", "3/0h", 11, "is not a rate such as 3/1h"),
    "a bare cool-down": ("10m", "10", 11, "should be text, not the number 10"),
    "an endless cool-down": ("10m", "8d", 11, "604800 s are the most"),
    "a bad key": ("checkout-db", "service:checkout", 11, "does not have the form"),
    "an empty key": ("checkout-db", '""', 11, "concurrency_key is empty"),
    "more than the limit": ("targets: 3,", "targets: 2,", 11, "2 targets, but the steps name 3"),
    "a target twice": ("db_3]", "db-1]", 16, 'names "db-1" twice'),
    "too many targets": ("db-1, db-2.internal, db_3", MANY, 16, "names 33, but 32 are the most"),
    "no list": ("[db-1, db-2.internal, db_3]", "db-1", 16, "should be a list, not text"),
    "an empty list": ("[db-1, db-2.internal, db_3]", "[]", 16, "names nothing; leave it out"),
    "a number as target": ("db_3]", "3]", 16, "holds the number 3, not text"),
    "an option as target": ("db_3]", "--all]", 16, 'holds "--all", which is not a plain name'),
    "a path as target": ("db_3]", "../db]", 16, 'holds "../db", which is not a plain name'),
    "a target of two words": ("db_3]", '"db 3"]', 16, 'holds "db 3", which is not a plain name'),
    "a target of a template": ("db_3]", '"${force}"]', 16, "which is not a plain name"),
    "a target in another script": ("db_3]", "d\u0431-3]", 16, "which is not a plain name"),
    "a long target": ("db_3]", f"{'d' * 64}]", 16, "which is not a plain name"),
    "targets unused": ('"${target}"', "main", 16, "would do the same thing again and again"),
    "a target in a text": ('"${target}"', '"x-${target}"', 17, "into a longer text"),
    "a target in the check": ("{pool: main}", '{pool: "${target}"}', 20, "which only the with of"),
    "a target without targets": (
        "    targets: [db-1, db-2.internal, db_3]\n",
        "",
        16,
        "uses ${target}, which only the with of a step with targets knows",
    ),
    "a parameter of that name": ("  force:", "  target:", 16, "exclude each other; rename it"),
}


@pytest.mark.parametrize("name", tuple(BROKEN))
def test_a_mistake_is_named_with_its_line(page: Page, name: str) -> None:
    old, new, line, reason = BROKEN[name]
    page.edit(old, new)
    found = page.problems()
    assert any(p.startswith(f"replicas.md:{line}: ") and reason in p for p in found), found


def test_limits_that_say_nothing_are_refused(page: Page) -> None:
    page.edit("limits: {targets: 3, percent: 50, rate: 3/1h, cool_down: 10m, con", "limits: {} #")
    assert page.problems() == [
        "replicas.md:11: limits says nothing; leave it out, or give targets, percent, rate, …"
    ]


def test_a_target_deep_in_a_value_counts_as_used(page: Page) -> None:
    page.edit('replica: "${target}"', 'replica: {names: ["${target}"]}')
    assert page.load().steps[0].arguments["replica"] == {"names": ["${target}"]}


async def _nothing(call: ActionCall) -> ActionResult:
    return ActionResult(summary="nothing")


def action(name: str, effect: Effect, **properties: JSON) -> Action:
    return Action(
        name=name,
        version=1,
        summary=name,
        effect=effect,
        risk=Risk.R0 if effect is Effect.READ else Risk.R1,
        idempotent=True,
        arguments={"type": "object", "properties": properties, "required": list(properties)},
        handler=_nothing,
    )


def faults(knowledge: Knowledge, replica: JSON) -> list[str]:
    known = (
        action("pool.restart", Effect.MUTATE, replica=replica),
        action("pool.count", Effect.READ, pool={"type": "string"}),
    )
    return [p.reason for p in check_actions(knowledge, {a.reference: a for a in known})]


def test_each_target_has_to_fit_the_action_and_the_one_that_does_not_is_named(page: Page) -> None:
    knowledge = load(page.root)
    assert faults(knowledge, {"type": "string"}) == []
    assert faults(knowledge, {"enum": ["db-1", "db-2.internal", "db_3", "db-4"]}) == []
    assert faults(knowledge, {"enum": ["db-1", "db-2.internal"]}) == [
        "step restart: pool.restart@1 does not take replica: "
        "'db_3' is not one of ['db-1', 'db-2.internal']"
    ]


def test_an_unknown_action_is_told_once_however_many_targets_there_are(page: Page) -> None:
    problems = check_actions(load(page.root), {})
    assert [p.reason for p in problems] == [
        "step restart: there is no action pool.restart@1",
        "verification of restart: there is no action pool.count@1",
    ]
