"""What holds for a whole plan besides its steps: why these, what must hold, when it has helped."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain.messages import Bold, Part, Span, paragraph
from bot.domain.runs import Plan, Precondition
from plugins.runbooks.blocks import LONGEST_BLOCK, code_parts


def terms_parts(plan: Plan) -> Iterator[Part]:
    """Show the terms of a plan, whole: one line each, or a block each where they are long."""
    if room(plan) > LONGEST_BLOCK:
        for label, text in _terms(plan):
            yield paragraph(Bold(label))
            yield from code_parts(text)
        return
    lines: list[Span] = []
    for label, text in _terms(plan):
        lines += ["\n"] if lines else []
        lines += [Bold(label), f"  {text}"]
    if lines:
        yield paragraph(*lines)


def room(plan: Plan) -> int:
    """Say how many characters the terms take."""
    return sum(len(label) + len(text) + 3 for label, text in _terms(plan))


def many(plan: Plan) -> bool:
    """Say whether the terms take too many blocks to stand beside the steps."""
    return sum(1 for _ in terms_parts(plan)) > 1


def _terms(plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.decided:
        yield "Why these steps", plan.decided
    for condition in plan.preconditions:
        yield "Must hold before every step", _condition(condition)
    if plan.done_when is not None:
        goal = plan.done_when
        asked = f"asked every {goal.every:g} s for at most {goal.within:g} s after the last step"
        yield "Has helped when", f"{goal.when}, {asked}"


def _condition(condition: Precondition) -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in condition.arguments.items())
    return f"{condition.title}: {condition.uses} ({arguments}) is {condition.expect}"
