"""What a page decides: its rules, its goal, and the examples that prove both."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from bot.domain.actions import JSON
from bot.domain.runbooks import Case, Check, DoneWhen, Outcome, Rule, Step
from bot.knowledge.conditions import Conditions
from bot.knowledge.fields import Fields, kind
from bot.knowledge.strict_yaml import Node

MOST_RULES = 50
MOST_CASES = 100

_HOUR = 3600
_WORDS = {"stop": Outcome.STOP, "escalate": Outcome.ESCALATE}


class RuleReader:
    """Reads `decide`, `done_when` and `cases` of one page, whose steps are known."""

    def __init__(
        self,
        front: Fields,
        conditions: Conditions,
        steps: Sequence[tuple[Step, Fields]],
    ) -> None:
        self._front = front
        self._conditions = conditions
        self._parts = {step.id: part for step, part in steps if step.id}
        self._steps = list(self._parts)

    def rules(self) -> tuple[Rule, ...]:
        """Read `decide`; every step has to be reached by one of its rules."""
        parts = self._front.tables("decide")
        rules = tuple(self._rule(part) for part in parts)
        if not parts:
            if "decide" in self._front:
                self._front.note("decide", "has no rules; leave it out to do all steps")
            return ()
        if not self._steps:
            self._front.note("decide", "has nothing to decide about: the page has no steps")
        if len(rules) > MOST_RULES:
            self._front.note("decide", f"has {len(rules)} rules, but {MOST_RULES} are the most")
        self._check_reached(rules, parts)
        return rules

    def _rule(self, part: Fields) -> Rule:
        when = self._conditions.read(part, "when")
        outcome, steps = self._chosen(part, "then")
        because = part.text("because", default="")
        part.finish()
        return Rule(when=when, outcome=outcome, steps=steps, because=because)

    def _chosen(self, part: Fields, key: str) -> tuple[Outcome, tuple[str, ...]]:
        """Read what is decided: a step, a list of steps, stop or escalate."""
        names = part.words(key)
        if len(names) == 1 and names[0] in _WORDS:
            return _WORDS[names[0]], ()
        for name in names:
            if name not in self._steps:
                part.note(key, f'names the unknown step "{name}"{self._instead(name)}')
        return Outcome.STEPS, tuple(step for step in self._steps if step in names)

    def _instead(self, name: str) -> str:
        if name in _WORDS:
            return f"; {name} stands alone, without a list"
        near = difflib.get_close_matches(name, [*self._steps, *_WORDS], n=1)
        return f'; did you mean "{near[0]}"?' if near else "; give a step's id, stop or escalate"

    def _check_reached(self, rules: Sequence[Rule], parts: Sequence[Fields]) -> None:
        end = next((n for n, rule in enumerate(rules) if rule.when == "true"), len(rules))
        for part in parts[end + 1 :]:
            part.note("when", "is never asked, since the rule before it always holds")
        for rule, part in zip(rules, parts, strict=True):
            if rule.when == "false":
                part.note("when", "never holds; take the rule out")
        if any(rule.outcome is Outcome.STEPS and not rule.steps for rule in rules):
            return  # What a faulty rule was to reach is not known.
        reached = {id for rule in rules[: end + 1] for id in rule.steps}
        for id, step in self._parts.items():
            if id not in reached:
                step.note("id", f'"{id}" is reached by no rule; name it under then, or take it out')

    def goal(self) -> DoneWhen | None:
        """Read `done_when`."""
        part = self._front.table("done_when", required=False)
        if part is None:
            return None
        goal = DoneWhen(
            when=self._conditions.read_changing(part, "when"),
            within=part.seconds("within", default=300, most=24 * _HOUR),
            every=part.seconds("every", default=5, most=_HOUR),
        )
        part.finish()
        if goal.every > goal.within:
            part.note("every", "is longer than within, so that it would be asked only once")
        if not self._steps:
            self._front.note("done_when", "is never asked: the page has no steps")
        return goal

    def cases(self, checks: Sequence[Check], parameters: Mapping[str, object]) -> tuple[Case, ...]:
        """Read `cases`, which name checks and parameters of the page and no others."""
        parts = self._front.tables("cases")
        if len(parts) > MOST_CASES:
            self._front.note("cases", f"has {len(parts)}, but {MOST_CASES} are the most")
        names: set[str] = set()
        cases: list[Case] = []
        for part in parts:
            case = self._case(part, [check.id for check in checks], list(parameters))
            if case.name in names:
                part.note("name", f'"{case.name}" is taken by another case')
            names.add(case.name)
            cases.append(case)
        return tuple(cases)

    def _case(self, part: Fields, checks: Sequence[str], parameters: Sequence[str]) -> Case:
        labels, given = part.nodes("alert"), part.nodes("params")
        facts = part.nodes("facts")
        _refuse_unknown(part, "facts", facts, checks)
        _refuse_unknown(part, "params", given, parameters)
        outcome, steps = self._chosen(part, "expect")
        case = Case(
            name=part.text("name", longest=120),
            labels={name: _text(part, f"alert.{name}", node) for name, node in labels.items()},
            parameters={name: _text(part, f"params.{name}", node) for name, node in given.items()},
            facts={name: _fact(part, f"facts.{name}", node) for name, node in facts.items()},
            outcome=outcome,
            steps=steps,
        )
        part.finish()
        return case


def _refuse_unknown(
    part: Fields, key: str, nodes: Mapping[str, Node], known: Sequence[str]
) -> None:
    for name, node in nodes.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known) or 'none'}"
            )
            part.note_at(node.line, key, f'names the unknown "{name}"; {hint}')


def _text(part: Fields, key: str, node: Node) -> str:
    """Take a text, or a number as a person would type it."""
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return str(node.value)
    part.note_at(node.line, key, f"should be text, not {kind(node)}")
    return ""


def _fact(part: Fields, key: str, node: Node) -> JSON:
    """Take a measured value; null is one that could not be found out."""
    if isinstance(node.value, str | list | dict):
        reason = f"should be a number, true, false or null, not {kind(node)}"
        part.note_at(node.line, key, reason)
        return None
    return node.value
