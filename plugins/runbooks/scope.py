"""What a plan reaches, how it is governed, and how its rollout stands: parts of the run's message.

Pure. What approvers weigh besides the steps: who may feel it, how many targets in
how many waves, which rules let it happen, and what stands in for an approval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from bot.domain.messages import Bold, Paragraph, Span, paragraph
from bot.domain.runs import Plan, Run, StepRecord, StepState

_MOST_NAMED = 6
_LONGEST_NAME = 60
_ENDED = {
    StepState.DONE: "done",
    StepState.FAILED: "failed",
    StepState.IN_DOUBT: "in doubt",
    StepState.SKIPPED: "skipped",
}
_ORDER = ("done", "under way", "failed", "in doubt", "skipped", "waiting")


def scope_facts(plan: Plan) -> Iterator[tuple[str, Span]]:
    """Yield what a plan reaches, as label and value."""
    if felt := felt_by(plan):
        yield "May be felt by", felt
    if touched := targets(plan):
        yield "Targets", touched


def felt_by(plan: Plan) -> str:
    """Name the other services that may feel a change: `storefront, cart (2 services)`."""
    others = plan.touches[1:]
    if not others:
        return ""
    count = "1 service" if len(others) == 1 else f"{len(others)} services"
    return f"{_named(others)} ({count})"


def targets(plan: Plan) -> str:
    """Say how many things it touches, of how many, and in which waves: `3 of 8, waves of 1, 2`."""
    if not plan.targets:
        return ""
    if len(plan.targets) == 1 and plan.out_of is None:
        return _named(plan.targets)
    of = "" if plan.out_of is None else f" of {plan.out_of}"
    count = f"{len(plan.targets)}{of}"
    sizes = [str(size) for size in wave_sizes(plan)]
    waves = f", in waves of {', '.join(sizes)}" if len(sizes) > 1 else ""
    return f"{count}{waves}: {_named(plan.targets)}"


def wave_sizes(plan: Plan) -> Sequence[int]:
    """Return how many steps each wave of the rollout has, first wave first."""
    return [size for _, size in sorted(Counter(s.wave for s in plan.steps if s.wave).items())]


def _named(names: Sequence[str]) -> str:
    shown = [name[:_LONGEST_NAME] for name in names[:_MOST_NAMED]]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}"


def marks(run: Run) -> tuple[Paragraph, ...]:
    """Say what stands in for an approval, where something does."""
    plan = run.plan
    if plan is None:
        return ()
    if plan.break_glass is not None:
        text = " Nobody had to approve it; it is reviewed afterwards."
        return (paragraph(Bold("Emergency change under broken glass."), text),)
    if plan.pre_authorised is not None and not plan.quorum:
        text = " Two people authorised it in advance."
        return (paragraph(Bold("Standard change."), text),)
    if run.requester.bot and not plan.quorum:
        return (paragraph(Bold("Tocsin does this by itself."), " Its autonomy here allows it."),)
    return ()


def governed_by(plan: Plan) -> str:
    """Say what sort of change it is and which rules decided, so that anybody can read them."""
    kind = "" if plan.change_type == "normal" else f" · {plan.change_type} change"
    return f"{kind} · decided by {_named(plan.policies)}" if plan.policies else kind


def rollout(run: Run) -> str:
    """Say how the targets of a rollout stand: `2 done, 1 failed, 4 waiting`."""
    if run.plan is None or not any(step.wave for step in run.plan.steps):
        return ""
    records = {record.id: record for record in run.records}
    states = Counter(
        _state(run, records.get(step.id, StepRecord(id=step.id)))
        for step in run.plan.steps
        if step.wave
    )
    return ", ".join(f"{states[word]} {word}" for word in _ORDER if states[word])


def _state(run: Run, record: StepRecord) -> str:
    if record.state is StepState.WAITING:
        return "skipped" if run.state.over else "waiting"
    return _ENDED.get(record.state, "under way")
