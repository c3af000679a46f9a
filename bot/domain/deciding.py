"""What a runbook does about what was found: which steps, none, or a person decides.

What cannot be told is never guessed: an expression that needs a value nobody could
find out ends the search for a rule and leaves the decision to a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain.actions import JSON
from bot.domain.expressions import Expression, ExpressionError, evaluate, parse
from bot.domain.parameters import FACTS, placeholders
from bot.domain.runbooks import Outcome, Rule, Runbook, Step

NO_RULE = "no rule fits"
ASKED = "a person must decide"  # how the reason of a run begins that a page leaves to people


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to be done, and why, as approvers read it.

    `steps` are in the page's order, and none unless the outcome is to run them.
    `rule` counts the page's rules from 1; None where no rule decided.
    """

    outcome: Outcome
    steps: tuple[Step, ...]
    because: str
    rule: int | None = None


def fact_name(check: str) -> str:
    """Return how expressions and placeholders call what a check found."""
    return check.replace("-", "_")


def known_values(parameters: Mapping[str, JSON], facts: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return the values of parameters and facts by the names expressions have for them.

    Facts are by the id of their check, or by `fact_name` of it.
    """
    found = {f"facts.{fact_name(id)}": value for id, value in facts.items()}
    return {**found, **{f"params.{name}": value for name, value in parameters.items()}}


def decide(runbook: Runbook, parameters: Mapping[str, JSON], facts: Mapping[str, JSON]) -> Decision:
    """Choose the steps of a run by the page's rules and by the steps' own conditions.

    The first rule that holds decides; without rules all steps are candidates. Of
    those, each goes whose `when` does not hold. A person decides where no rule
    holds, and where a condition cannot be told. Where every step goes, there is
    nothing to do.
    """
    values = known_values(parameters, facts)
    chosen = _first_rule(runbook, values) if runbook.decide else _all_steps(runbook)
    return _without_unneeded(chosen, values) if chosen.outcome is Outcome.STEPS else chosen


def goal_holds(when: str, parameters: Mapping[str, JSON], facts: Mapping[str, JSON]) -> bool | None:
    """Say whether a run has helped; None where that cannot be told."""
    return _held(when, known_values(parameters, facts))[0]


def _all_steps(runbook: Runbook) -> Decision:
    return Decision(outcome=Outcome.STEPS, steps=runbook.steps, because="the page has no rules")


def _first_rule(runbook: Runbook, values: Mapping[str, JSON]) -> Decision:
    for number, rule in enumerate(runbook.decide, start=1):
        holds, doubt = _held(rule.when, values)
        if holds is None:
            return _escalated(f"rule {number} cannot be decided: {doubt}", rule=number)
        if holds:
            return _ruled(runbook, rule, number)
    return _escalated(NO_RULE)


def _ruled(runbook: Runbook, rule: Rule, number: int) -> Decision:
    because = rule.because or f"{rule.when} holds"
    steps = tuple(step for step in runbook.steps if step.id in rule.steps)
    if rule.outcome is not Outcome.STEPS:
        steps = ()
    return Decision(outcome=rule.outcome, steps=steps, because=because, rule=number)


def _escalated(because: str, rule: int | None = None) -> Decision:
    return Decision(outcome=Outcome.ESCALATE, steps=(), because=because, rule=rule)


def _without_unneeded(chosen: Decision, values: Mapping[str, JSON]) -> Decision:
    needed: list[Step] = []
    left_out: list[str] = []
    for step in chosen.steps:
        holds, doubt = _needed(step, values)
        if holds is None:
            return _escalated(f"step {step.id} cannot be decided: {doubt}", rule=chosen.rule)
        if holds:
            needed.append(step)
        else:
            left_out.append(f"without {step.id}, since {step.when} does not hold")
    because = "; ".join([chosen.because, *left_out])
    outcome = Outcome.STEPS if needed or not left_out else Outcome.STOP
    return replace(chosen, outcome=outcome, steps=tuple(needed), because=because)


def _needed(step: Step, values: Mapping[str, JSON]) -> tuple[bool | None, str]:
    """Say whether a step is to be done; a fact that it uses has to be known."""
    holds, doubt = _held(step.when, values) if step.when else (True, "")
    unknown = sorted(name for name in _facts_of(step) if values.get(name) is None)
    if holds and unknown:
        return None, _not_known(unknown)
    return holds, doubt


def _facts_of(step: Step) -> frozenset[str]:
    parts = (
        step.arguments,
        step.verify and step.verify.arguments,
        step.undo and step.undo.arguments,
    )
    names = (name for part in parts if part for name in placeholders(part))
    return frozenset(name for name in names if name.startswith(FACTS))


def _held(when: str, values: Mapping[str, JSON]) -> tuple[bool | None, str]:
    """Say whether a condition holds and, where that cannot be told, why not."""
    try:
        expression = parse(when)
    except ExpressionError as error:
        return None, f"{when} is no expression: {error.reason}"
    holds = evaluate(expression, values)
    return holds, "" if holds is not None else f"{when}: {_missing(expression, values)}"


def _missing(expression: Expression, values: Mapping[str, JSON]) -> str:
    missing = sorted(name for name in expression.names if values.get(name) is None)
    return _not_known(missing) if missing else "its values cannot be computed or compared"


def _not_known(names: Sequence[str]) -> str:
    listed = ", ".join(names[:-1]) + " and " if names[:-1] else ""
    return f"{listed}{names[-1]} {'are' if names[:-1] else 'is'} not known"
