"""What is not wrong with a page and should be better all the same: warnings, with their lines.

A warning never keeps a page from being used. It tells what people at 3 a.m. would
miss: text that is still to be written, a number nobody judges, an example nobody
gave, a review that is about to lapse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType

from bot.domain.actions import JSON, Action
from bot.domain.parameters import placeholder
from bot.domain.runbooks import Check, Runbook
from bot.knowledge.imported_pages import is_imported
from bot.knowledge.problems import Problem
from bot.knowledge.step_checks import late_starts

NO_ACTIONS: Mapping[str, Action] = MappingProxyType({})
LAPSES_WITHIN = timedelta(days=14)

_TODO = re.compile(r"\bTODO\b|\btodo-your-")


def advice(
    root: Path,
    runbooks: Mapping[str, Runbook],
    *,
    today: date,
    actions: Mapping[str, Action] = NO_ACTIONS,
) -> Sequence[Problem]:
    """Return the warnings about every page, in the order of files and lines.

    Of what depends on an action nothing is said where the `actions` lack it.
    """
    found = [
        problem
        for book in runbooks.values()
        for problem in page_advice(root, book, today=today, actions=actions)
    ]
    return sorted(found)


def page_advice(
    root: Path, runbook: Runbook, *, today: date, actions: Mapping[str, Action] = NO_ACTIONS
) -> Iterator[Problem]:
    """Return the warnings about one page. Imported pages are only warned of when they lapse."""
    path = root / runbook.path
    lines = path.read_text(encoding="utf-8").split("\n")
    yield from _lapse(runbook, lines, today)
    if is_imported(path):
        return
    for number, line in enumerate(lines, start=1):
        if _TODO.search(line):
            yield Problem(runbook.path, number, "TODO is left (write it, or take it out)")
    yield from _cases(runbook, lines)
    yield from _parameters(runbook, lines)
    yield from _checks(runbook, lines)
    for step, reason in late_starts(runbook.steps, actions):
        yield Problem(runbook.path, _id_line(lines, step.id), f"step {step.id}: {reason}")


def _lapse(runbook: Runbook, lines: Sequence[str], today: date) -> Iterator[Problem]:
    review = runbook.review
    until = review.at + timedelta(days=review.max_age_days)
    number = _line(lines, r"reviewed:") or _line(lines, r"imported:")
    if review.stale(today):
        reason = (
            f"its review lapsed on {until} and it is for reading only "
            "(read it, mend it, and renew reviewed.at)"
        )
    elif until - today <= LAPSES_WITHIN:
        reason = f"its review lapses on {until} (read it, mend it, and renew reviewed.at)"
    else:
        return
    yield Problem(runbook.path, number or 1, reason)


def _cases(runbook: Runbook, lines: Sequence[str]) -> Iterator[Problem]:
    if runbook.executable and not runbook.cases:
        reason = "has steps and no cases (add `cases:`, so that its decisions are tested)"
        yield Problem(runbook.path, _line(lines, r"steps:") or 1, reason)


def _parameters(runbook: Runbook, lines: Sequence[str]) -> Iterator[Problem]:
    used = set(_placeholders(_arguments(runbook)))
    words = "\n".join(expressions(runbook))
    for parameter in runbook.parameters:
        if parameter.name in used or re.search(rf"\bparams\.{parameter.name}\b", words):
            continue
        number = _line(lines, rf"[ \t]+\"?{re.escape(parameter.name)}\"?:")
        reason = f'the parameter "{parameter.name}" is never used (use it or take it out)'
        yield Problem(runbook.path, number or 1, reason)


def _checks(runbook: Runbook, lines: Sequence[str]) -> Iterator[Problem]:
    words, used = "\n".join(expressions(runbook)), set(_placeholders(_arguments(runbook)))
    for check in runbook.diagnose:
        if check.expect is None and not _told(check, words, used):
            reason = (
                f'nobody judges what the check "{check.id}" finds '
                "(give it an expect, or use it in decide)"
            )
            yield Problem(runbook.path, _id_line(lines, check.id), reason)


def _told(check: Check, expressions: str, used: set[str]) -> bool:
    fact = f"facts.{check.id.replace('-', '_')}"
    return fact in used or re.search(rf"\b{re.escape(fact)}\b", expressions) is not None


def expressions(runbook: Runbook) -> Iterator[str]:
    """Return every expression of a page."""
    yield from (rule.when for rule in runbook.decide)
    yield from (step.when for step in runbook.steps if step.when)
    yield from (m.not_when for m in (runbook.match, *runbook.match.any) if m.not_when)
    if runbook.done_when is not None:
        yield runbook.done_when.when


def _arguments(runbook: Runbook) -> Iterator[JSON]:
    yield from (check.arguments for check in (*runbook.diagnose, *runbook.preconditions))
    for step in runbook.steps:
        yield step.arguments
        if step.verify is not None:
            yield step.verify.arguments
        if step.undo is not None:
            yield step.undo.arguments


def _placeholders(values: Iterator[JSON]) -> Iterator[str]:
    """Return the names that stand for a value somewhere; loops, since values may lie deep."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, str) and (name := placeholder(value)) is not None:
            yield name


def _id_line(lines: Sequence[str], id: str) -> int:
    return _line(lines, rf"[ \t-]*id:[ \t]*\"?{re.escape(id)}\"?") or 1


def _line(lines: Sequence[str], pattern: str) -> int | None:
    """Return the first line that begins with a pattern, from 1."""
    begins = re.compile(pattern).match
    return next((n for n, text in enumerate(lines, start=1) if begins(text)), None)
