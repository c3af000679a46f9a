"""The request for consent on a run's message: who is missing, until when, and the buttons. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.domain.approvals import ANYONE, Approval, missing, standings
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Confirm,
    Form,
    Moment,
    Part,
    PersonName,
    Span,
    Style,
    TextField,
    duration,
    paragraph,
    quiet,
)
from bot.domain.runs import Run
from plugins.runbooks.scope import scope_facts
from plugins.runbooks.steps import risk_words, too_long

APPROVE = "runbooks.approve"
DENY = "runbooks.deny"
DENIED = "runbooks.denied"
WHOLE = "runbooks.plan"

REASON = "reason"
SHORT_DIGEST = 12


def vetoable(approval: Approval) -> bool:
    """Say whether nobody has to consent, but anybody can stop it for a while."""
    return approval.veto_until is not None and not approval.quorum


def opening(run: Run, approval: Approval) -> Part:
    """Say what is going on, and what happens if nobody does anything."""
    if vetoable(approval) and approval.veto_until is not None:
        plan = run.plan
        window = f", {duration(plan.veto_seconds)} after it was planned" if plan else ""
        return paragraph(
            Bold("Tocsin does this by itself at "),
            Moment(approval.veto_until),
            f"{window}, unless somebody stops it. Nothing has been changed.",
        )
    return paragraph(Bold("This plan waits for approval."), " Nothing has been changed.")


def consent_facts(run: Run, approval: Approval) -> Iterator[tuple[str, Span | tuple[Span, ...]]]:
    """Yield who has approved, who is missing and both expiries, then what it reaches."""
    if not vetoable(approval):
        yield "Needs", needs(approval)
        if names := approvers(approval):
            yield "Approved so far by", names
        yield "Answer by", Moment(approval.answer_by)
        yield "Then to start within", duration(approval.execute_within)
    if run.plan is not None:
        if len(run.plan.steps) > 1:
            yield "Worst risk", risk_words(run.plan.risk)
        yield from scope_facts(run.plan)


def approvers(approval: Approval) -> tuple[Span, ...]:
    """Name those who consented, without notifying them."""
    names: list[Span] = []
    for answer in approval.answers:
        if answer.approve:
            names += [", "] if names else []
            names.append(PersonName(answer.person.id, answer.person.name))
    return tuple(names)


def consent(run: Run) -> tuple[Part, ...]:
    """Name those who approved a run that goes on, or went on."""
    names = approvers(run.approval) if run.approval else ()
    return (quiet("Approved by ", *names),) if names else ()


def needs(approval: Approval) -> str:
    """Say whose consent is there and whose is missing: `0 of 1 from @payments-oncall`."""
    lacking: Mapping[str, int] = missing(approval.quorum, standings(approval))
    counts: dict[str, int] = {}
    apart = {place.group for place in approval.quorum if place.teams_differ and place.count > 1}
    for place in approval.quorum:
        counts[place.group] = counts.get(place.group, 0) + place.count
    return " and ".join(
        f"{count - lacking.get(group, 0)} of {count} from {_group(group)}"
        f"{', of different teams' if group in apart else ''}"
        for group, count in counts.items()
    )


def _group(group: str) -> str:
    kind, _, name = group.rpartition(":")
    if group == ANYONE:
        return "anyone but the requester"
    return {"team": f"team {name}", "role": f"the {name}"}.get(kind, f"@{name}")


def answer_buttons(run: Run, approval: Approval, *others: Button) -> Buttons:
    """Make the buttons of a plan that waits; they carry the digest that is shown."""
    value = f"{run.id}:{approval.digest}"
    whole: tuple[Button, ...] = ()
    if run.plan is not None and too_long(run.plan):
        whole = (Button(label="Whole plan…", interaction=WHOLE, value=run.id),)
    if vetoable(approval):
        veto = Button(label="Stop it…", interaction=DENY, value=value, style=Style.DANGER)
        return Buttons((*whole, veto))
    deny = Button(label="Deny…", interaction=DENY, value=value, style=Style.DANGER)
    return Buttons((*whole, _approve_button(run, approval, value), deny, *others))


def _approve_button(run: Run, approval: Approval, value: str) -> Button:
    steps = len(run.plan.steps) if run.plan else 0
    risk = risk_words(run.plan.risk) if run.plan else ""
    confirm = Confirm(
        title="Approve this plan?",
        text=(
            f"{steps} step{'s' if steps != 1 else ''}, worst risk {risk}. "
            f"You approve exactly plan {approval.digest[:SHORT_DIGEST]}."
        ),
        yes="Approve",
    )
    return Button(
        label="Approve", interaction=APPROVE, value=value, style=Style.PRIMARY, confirm=confirm
    )


def denial_form(value: str, run: Run) -> Form:
    """Ask why a plan is denied or stopped; the reason goes on the record."""
    veto = run.approval is not None and vetoable(run.approval)
    reason = TextField(
        name=REASON,
        label="Reason",
        lines=3,
        longest=500,
        hint="The record and everybody here see it.",
    )
    return Form(
        title="Stop it" if veto else "Deny this plan",
        interaction=DENIED,
        value=value,
        fields=(reason,),
        submit="Stop it" if veto else "Deny",
        parts=(paragraph("“", run.title, "” will not be run. One denial ends the request."),),
    )
