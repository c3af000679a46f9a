"""What waits for somebody's answer, as lines of a list: plans, reviews, authorisations."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.approvals import Approval, missing, standings
from bot.domain.emergencies import BreakGlass, PreAuthorisation, target_of
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Link,
    Moment,
    Part,
    Span,
    paragraph,
    quiet,
)
from bot.domain.runs import Run
from bot.plugin import PluginContext
from bot.ports import ChatError
from plugins.governance import glass as says
from plugins.governance.notices import give_button, name_of

MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A run whose plan waits, and where its plan is shown to everybody, if anywhere."""

    run: Run
    link: str | None


async def located(context: PluginContext, runs: Sequence[Run]) -> Sequence[Waiting]:
    """Find the messages of the runs that a list shows."""
    return [Waiting(run=run, link=await _link(context, run)) for run in runs[:MOST_SHOWN]]


async def _link(context: PluginContext, run: Run) -> str | None:
    posted = await context.posts.get(f"run:{run.id}")
    if posted is None or posted.ref is None:
        return None
    with contextlib.suppress(ChatError):  # the list says where to look without it, too
        return await context.chat.link(posted.ref)
    return None


def plan_lines(waiting: Waiting) -> Sequence[Part]:
    """Show what waits, with who asked, the risk, whose answer is missing and until when.

    It is approved where everybody sees it, so this only leads there.
    """
    run, approval = waiting.run, waiting.run.approval
    if approval is None or run.plan is None:
        return ()
    risk = f" · R{int(run.plan.risk)} ({run.plan.risk.meaning})"
    show: tuple[Span, ...] = (" · in its channel",)
    if waiting.link is not None:
        show = (" · ", Link("Show the plan", waiting.link))
    where = f" on {run.service}" if run.service else ""
    return (
        paragraph(Bold(run.title), f"{where}{risk}", *show),
        quiet("Asked for by ", name_of(run.requester), " · ", *_asked(approval)),
    )


def _asked(approval: Approval) -> tuple[Span, ...]:
    if approval.veto_until is not None and not approval.quorum:
        return ("it acts ", Moment(approval.veto_until), " unless somebody stops it")
    return (f"needs {lacking(approval)} · expires ", Moment(approval.answer_by))


def lacking(approval: Approval) -> str:
    """Say whose consent is still missing."""
    left = missing(approval.quorum, standings(approval))
    texts = [str(place) for place in approval.quorum if left.get(place.group, 0)]
    return " and ".join(dict.fromkeys(texts)) or "nobody any more"


def review_lines(glass: BreakGlass, *, at: datetime) -> Sequence[Part]:
    """Show a broken glass that nobody has reviewed yet."""
    target = target_of(glass.runbook, glass.service)
    return (
        paragraph(Bold("Review: "), name_of(glass.person), f" broke the glass for {target}"),
        quiet(f"{glass.incident} · id {glass.id} · ", *says.due(glass, at=at)),
    )


def proposal_lines(found: PreAuthorisation, *buttons: Button) -> Sequence[Part]:
    """Show a standing authorisation that waits for its second person."""
    text = f"{found.runbook} on {found.service or 'no service'} until "
    return (
        paragraph(Bold("Authorise in advance: "), text, Moment(found.expires_at)),
        quiet("Proposed by ", name_of(found.proposed_by), f": {found.reason}"),
        *((Buttons(buttons),) if buttons else ()),
    )


def give_lines(found: PreAuthorisation) -> Sequence[Part]:
    """Show it with the button for the second person."""
    return proposal_lines(found, give_button(found))


def others(count: int) -> Sequence[Part]:
    """Say that a list goes on."""
    return (quiet(f"And {count - MOST_SHOWN} more."),) if count > MOST_SHOWN else ()
