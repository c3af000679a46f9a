"""A page's own examples: what is decided for an alert and facts, against what it expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.domain.deciding import Decision, decide
from bot.domain.errors import Refused
from bot.domain.parameters import resolve
from bot.domain.runbooks import Case, Outcome, Runbook, matches


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """What came of one example; `fault` says what is not as the page expects, or nothing."""

    runbook: str
    case: str
    fault: str = ""


def run_cases(runbook: Runbook) -> Sequence[CaseResult]:
    """Decide every example of a page, without a plan and without the world."""
    return [
        CaseResult(runbook=runbook.id, case=case.name, fault=_fault(runbook, case))
        for case in runbook.cases
    ]


def _fault(runbook: Runbook, case: Case) -> str:
    if case.labels and matches(runbook, case.labels) is None:
        return "the page does not fit this alert (see match)"
    try:
        parameters = resolve(runbook, case.labels, case.parameters)
        decided = decide(runbook, parameters, case.facts)
    except Refused as no:
        return no.reason
    return _difference(case, decided)


def _difference(case: Case, decided: Decision) -> str:
    why = f" ({decided.because})" if decided.because else ""
    if decided.outcome is not case.outcome:
        return f"it decides to {_said(decided)}{why}, but the case expects {_expected(case)}"
    if case.outcome is not Outcome.STEPS:
        return ""
    steps = tuple(step.id for step in decided.steps)
    if steps == case.steps:
        return ""
    return f"it decides to {_said(decided)}{why}, but the case expects {_expected(case)}"


def _said(decided: Decision) -> str:
    if decided.outcome is Outcome.STEPS:
        return f"do {', '.join(step.id for step in decided.steps) or 'nothing'}"
    return decided.outcome.value


def _expected(case: Case) -> str:
    if case.outcome is Outcome.STEPS:
        return f"the steps {', '.join(case.steps)}"
    return f'"{case.outcome.value}"'
