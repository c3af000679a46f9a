"""`tocsin knowledge show`: a page as people read it, in a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import Config
from bot.cli.knowledge.offered import offered
from bot.cli.knowledge.trying import chosen

if TYPE_CHECKING:
    from bot.domain.actions import Action
    from bot.domain.runbooks import Case, Check, Match, Runbook, Step

WIDTH = 96


def show(
    id: Annotated[str, typer.Argument(help="the page's id")],
    directory: Annotated[Path, typer.Option(help="the knowledge folder")] = Path("knowledge"),
    config: Config = None,
) -> None:
    """Show a page: what it is for, what it asks, decides and does, with risk, proof and undo."""
    _, books = chosen(directory, [id])
    for line in page_lines(books[0], offered(config).actions):
        print(line.rstrip())


def page_lines(book: Runbook, actions: Mapping[str, Action]) -> Iterator[str]:
    """Return a page line by line."""
    yield f"{book.title}  ({book.id}, version {book.version}, owned by {book.owner})"
    yield f"{book.path}, {_reviewed(book)}"
    yield from _part("For", _match(book.match))
    yield from _part("Parameters", _parameters(book))
    yield from _part("Looks at", (_check(check, actions) for check in book.diagnose))
    yield from _part("Must hold", (_check(check, actions) for check in book.preconditions))
    yield from _part("Decides", _decisions(book))
    yield from _part("Does", _steps(book, actions))
    yield from _part("Has helped when", _goal(book))
    yield from _part("Approved by", _approval(book))
    yield from _part("Examples", (_example(case) for case in book.cases))
    for name, text in book.sections.items():
        yield ""
        yield f"## {name}"
        yield ""
        yield text


def _part(title: str, lines: Iterator[str]) -> Iterator[str]:
    found = [line for line in lines if line]
    if found:
        yield ""
        yield title
    for line in found:
        yield from textwrap.wrap(
            line,
            WIDTH,
            initial_indent="  ",
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 4),
            break_on_hyphens=False,
        )


def _reviewed(book: Runbook) -> str:
    review, today = book.review, datetime.now(UTC).date()
    by = f" by {review.by}" if review.by else ""
    lapsed = "; the review lapsed, so it is for reading only" if review.stale(today) else ""
    return f"reviewed {review.at}{by}, for {review.max_age_days} days{lapsed}"


def _match(match: Match) -> Iterator[str]:
    yield f"alerts {', '.join(match.alerts)}" if match.alerts else ""
    yield f"labels {', '.join(f'{k}={v}' for k, v in match.labels.items())}" if match.labels else ""
    yield f"services {', '.join(match.services)}" if match.services else ""
    for one in match.any:
        yield f"any of: {'; '.join(line for line in _match(one) if line)}"
    yield f"not when {match.not_when}" if match.not_when else ""


def _parameters(book: Runbook) -> Iterator[str]:
    for parameter in book.parameters:
        source = f", from the label {parameter.label}" if parameter.label else ""
        default = f", else {parameter.default}" if parameter.default is not None else ""
        values = f" of {', '.join(parameter.values)}" if parameter.values else ""
        needed = "" if parameter.required or parameter.default is not None else ", may be missing"
        told = f": {parameter.description}" if parameter.description else ""
        yield f"{parameter.name} ({parameter.kind}{values}{source}{default}{needed}){told}"


def _check(check: Check, actions: Mapping[str, Action]) -> str:
    expected = f", expected {check.expect}" if check.expect else ""
    return f"{check.id}: {check.title}{expected} [{_named(check.uses, actions)}]"


def _named(uses: str, actions: Mapping[str, Action]) -> str:
    return uses if uses in actions else f"{uses}, which is not there"


def _decisions(book: Runbook) -> Iterator[str]:
    for rule in book.decide:
        then = ", ".join(rule.steps) if rule.steps else rule.outcome.value
        yield f"when {rule.when} → {then}{f' ({rule.because})' if rule.because else ''}"
    if book.decide:
        yield "else → a person decides"


def _example(case: Case) -> str:
    return f"{case.name} → {', '.join(case.steps) or case.outcome.value}"


def _steps(book: Runbook, actions: Mapping[str, Action]) -> Iterator[str]:
    for number, step in enumerate(book.steps, start=1):
        yield f"{number}. {step.title} ({step.id})"
        for line in _step(step, actions.get(step.uses)):
            yield f"   - {line}"


def _step(step: Step, action: Action | None) -> Iterator[str]:
    yield f"{step.uses}: {action.summary if action else 'is not there'}"
    risk = max(step.risk or 0, action.risk if action else 0)
    if action is not None:
        yield f"R{int(risk)}, {type(action.risk)(risk).meaning}"
    if step.when:
        yield f"only when {step.when}"
    if step.targets:
        yield f"for {', '.join(step.targets)}, in waves"
    yield _undo(step, action)
    yield _proof(step)
    if step.retry is not None:
        yield f"tried again {step.retry.times} times after {', '.join(step.retry.on)}"
    yield f"if it fails: {step.on_failure}"


def _undo(step: Step, action: Action | None) -> str:
    if step.commit_point:
        return "no way back from here"
    if step.undo is not None:
        return f"taken back by {step.undo.uses}"
    if action is not None and action.undo is not None:
        return "can be taken back"
    return "changes nothing" if action is not None and not action.risk else "no way back is named"


def _proof(step: Step) -> str:
    verify = step.verify
    if verify is None:
        return "not verified"
    often = f", {verify.consecutive} times in a row" if verify.consecutive > 1 else ""
    return f"verified by {verify.uses} {verify.expect}{often} within {verify.within:g} s"


def _goal(book: Runbook) -> Iterator[str]:
    if book.done_when is not None:
        yield f"{book.done_when.when}, within {book.done_when.within:g} s"


def _approval(book: Runbook) -> Iterator[str]:
    for risk, groups in sorted(book.approval.items()):
        yield f"from {risk.name}: {' and '.join(f'{g.count} of {g.group}' for g in groups)}"
