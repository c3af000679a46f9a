"""What a page says arrives as it was meant, and no page breaks the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.actions import Transient
from bot.domain.deciding import decide, goal_holds
from bot.domain.parameters import ParameterKind, resolve
from bot.domain.runbooks import (
    Case,
    DoneWhen,
    Expectation,
    Match,
    OnUnknown,
    Outcome,
    Retry,
    Rule,
    Runbook,
    StepUndo,
    matches,
)
from bot.knowledge import KnowledgeError, load

SOUND = (Path(__file__).parent / "broken" / "00-sound.md").read_text(encoding="utf-8")


def read(folder: Path, text: str) -> Runbook:
    page = folder / "runbooks" / "page.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(text, encoding="utf-8")
    (runbook,) = load(folder).runbooks.values()
    return runbook


def edited(old: str, new: str) -> str:
    assert old in SOUND
    return SOUND.replace(old, new, 1)


def test_every_part_of_a_page_arrives(tmp_path: Path) -> None:
    runbook = read(tmp_path, SOUND)
    (check,) = runbook.preconditions
    assert (check.id, check.expect) == ("primary", Expectation(equals=1))
    assert runbook.decide == (
        Rule(when="facts.used_share < 0.5", outcome=Outcome.STOP, because="it is over"),
        Rule(
            when='facts.used_share > 0.9 && params.env == "prod"',
            outcome=Outcome.STEPS,
            steps=("evict",),
        ),
        Rule(when="true", outcome=Outcome.ESCALATE),
    )
    (step,) = runbook.steps
    assert step.when == "facts.used_share > 0.8"
    assert step.retry == Retry(times=2, on=(Transient.TIMEOUT,), wait=2)
    assert step.on_unknown is OnUnknown.ASK
    assert step.undo == StepUndo(
        uses="command.run@1",
        arguments={"program": "cachectl", "arguments": ["restore", "${facts.used_share}"]},
    )
    assert runbook.done_when == DoneWhen(when="facts.used_share < 0.8", within=60, every=5)
    assert runbook.cases == (
        Case(
            name="nearly full",
            labels={"alertname": "CacheFull"},
            parameters={},
            facts={"used-share": 0.95},
            outcome=Outcome.STEPS,
            steps=("evict",),
        ),
    )
    assert [p.kind for p in runbook.parameters if p.name == "size"] == [ParameterKind.QUANTITY]


def test_what_was_read_decides(tmp_path: Path) -> None:
    runbook = read(tmp_path, SOUND)
    values = resolve(runbook, {}, {})
    assert values == {"keys": 1000, "size": 512 * 1024**2, "env": "prod"}
    outcomes = {
        share: decide(runbook, values, {"used-share": share}).outcome
        for share in (0.1, 0.7, 0.95, None)
    }
    assert outcomes == {
        0.1: Outcome.STOP,
        0.7: Outcome.ESCALATE,
        0.95: Outcome.STEPS,
        None: Outcome.ESCALATE,
    }
    assert runbook.done_when is not None
    assert goal_holds(runbook.done_when.when, values, {"used-share": 0.7}) is True


def test_alternatives_and_exclusions_arrive(tmp_path: Path) -> None:
    more = "  tags: [redis]\n  any:\n    - {alerts: [A]}\n    - {labels: {kind: b}}\n"
    text = edited("  alerts: [CacheFull]\n", "")
    text = text.replace("  tags: [redis]\n", f"{more}  not_when: labels.env == 'test'\n")
    runbook = read(tmp_path, text)
    assert runbook.match == Match(
        tags=("redis",),
        any=(Match(alerts=("A",)), Match(labels={"kind": "b"})),
        not_when="labels.env == 'test'",
    )
    assert matches(runbook, {"alertname": "A"}) == "alert A"
    assert matches(runbook, {"alertname": "A", "env": "test"}) is None


@pytest.mark.parametrize(
    ("then", "outcome", "steps"),
    (
        ("evict", Outcome.STEPS, ("evict",)),
        ("[evict]", Outcome.STEPS, ("evict",)),
        ("\n      - evict", Outcome.STEPS, ("evict",)),
    ),
)
def test_a_rule_names_one_step_or_several(
    tmp_path: Path, then: str, outcome: Outcome, steps: tuple[str, ...]
) -> None:
    rule = read(tmp_path, edited("then: [evict]", f"then: {then}")).decide[1]
    assert (rule.outcome, rule.steps) == (outcome, steps)


def test_steps_are_in_the_order_of_the_page_whatever_a_rule_says(tmp_path: Path) -> None:
    other = SOUND[SOUND.index("  - id: evict") : SOUND.index("done_when:")]
    second = other.replace("id: evict", "id: grow")
    text = edited(other, other + second).replace("then: [evict]", "then: [grow, evict]")
    text += "\n### Grow {#grow}\n\nText.\n"
    assert read(tmp_path, text).decide[1].steps == ("evict", "grow")


def test_a_long_expression_may_be_folded_over_lines(tmp_path: Path) -> None:
    folded = "when: >-\n      facts.used_share > 0.9\n      && params.env == 'prod'"
    text = edited('when: facts.used_share > 0.9 && params.env == "prod"', folded)
    assert read(tmp_path, text).decide[1].when == "facts.used_share > 0.9 && params.env == 'prod'"


def test_a_case_takes_numbers_for_parameters_and_null_for_what_is_not_known(
    tmp_path: Path,
) -> None:
    text = edited("facts: {used-share: 0.95}", "params: {keys: 5}\n    facts: {used-share: null}")
    (case,) = read(tmp_path, text).cases
    assert (case.parameters, case.facts) == ({"keys": "5"}, {"used-share": None})


def test_a_page_with_dos_line_ends_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "page.md").write_bytes(SOUND.replace("\n", "\r\n").encode())
    (runbook,) = load(tmp_path).runbooks.values()
    assert runbook.steps == read(tmp_path, SOUND).steps


LINES = SOUND.split("\n")
PIECES = st.sampled_from(
    [
        *("- ", "  ", "{", "}", "[", "]", ": ", "null", "true", "on", "&a ", "*a", "!x ", "---"),
        *("facts.", "${x}", "when:", "then:", "1", "\u00a0", "\x00", "|", ">", "#", '"', "''"),
        *("stop", "- id: x", "uses: a.b@1", "expect: {}", "~", "{#evict}", "## Meaning", "```"),
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 60), PIECES | st.text(max_size=5)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_a_spoilt_page_is_read_or_refused_with_lines_and_nothing_else(
    tmp_path: Path, spoils: list[tuple[int, int, str]], instead: bool
) -> None:
    lines = list(LINES)
    for number, column, piece in spoils:
        line = lines[number]
        rest = "" if instead else line[column:]
        lines[number] = line[:column] + piece + rest
    text = "\n".join(lines)
    page = tmp_path / "runbooks" / "page.md"
    page.parent.mkdir(exist_ok=True)
    page.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(tmp_path)
    except KnowledgeError as error:
        most = text.count("\n") + 2
        assert all(1 <= problem.line <= most for problem in error.problems)  # noqa: PT017
        assert all(problem.reason.isprintable() for problem in error.problems)  # noqa: PT017
