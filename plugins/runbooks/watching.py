"""What people see of a run besides its state: output, and whether the page was of use.

Both are kept by services that count or show and never decide anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.messages import Reply, note
from bot.domain.people import Caller
from bot.domain.runbooks import Runbook
from bot.domain.runs import Run, RunId, RunState, StepState
from bot.plugin import InteractionRequest, PluginContext
from bot.ports import OutputTail
from plugins.runbooks.forms import unpack
from plugins.runbooks.outputs import LINES, Told, in_order, output_form
from plugins.runbooks.pages import PAGE, page

_THANKS = "Noted. You can change your mind: the last answer counts."

_QUIET = frozenset({RunState.DRAFT, RunState.AWAITING, RunState.DENIED, RunState.SUPERSEDED})


class Watching:
    """Shows what steps print, and notes how pages are used."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._outputs = context.outputs
        self._feedback = context.feedback

    async def output(self, run: Run) -> OutputTail:
        """Return the last lines of the step under way, or that failed, of all lines of the run."""
        if run.state in _QUIET or run.plan is None:
            return OutputTail()
        sizes = await self._outputs.sizes(run.id)
        if not sizes:
            return OutputTail()
        printed = sum(size.printed for size in sizes)
        step = _shown_step(run)
        tail = OutputTail()
        if step is not None:
            tail = await self._outputs.tail(run.id, step, lines=LINES)
        return OutputTail(lines=tail.lines, printed=printed, progress=tail.progress)

    async def whole(self, request: InteractionRequest) -> Reply:
        """Show everything that the steps of a run printed."""
        run = await self._context.runs.get(RunId(request.value))
        sizes = in_order(run, await self._outputs.sizes(run.id))
        told = [
            Told(size=size, text=await self._outputs.whole(run.id, size.step, size.attempt))
            for size in sizes
        ]
        return output_form(run, [each for each in told if each.size.printed])

    async def suggested(self, runbooks: Sequence[Runbook], subject: str) -> None:
        """Note which pages were suggested for a subject."""
        if runbooks:
            await self._feedback.suggested([book.id for book in runbooks], subject=subject)

    async def opened(self, runbook: Runbook, subject: str, by: Caller) -> None:
        """Note that a person looked at a page."""
        await self._feedback.opened(runbook.id, subject=subject, by=by)

    async def helpful(self, request: InteractionRequest) -> Reply:
        """Note that a page helped."""
        return await self._judge(request, "yes")

    async def unhelpful(self, request: InteractionRequest) -> Reply:
        """Note that a page did not help."""
        return await self._judge(request, "no")

    async def _judge(self, request: InteractionRequest, helpful: str) -> Reply:
        subject, runbook = unpack(request.value)
        await self._feedback.judge(runbook, subject=subject, helpful=helpful, by=request.caller)
        page_of = self._context.knowledge.runbooks.get(subject.removeprefix(PAGE))
        if not subject.startswith(PAGE) or page_of is None:
            return note(_THANKS)
        # The page is being read: an answer must not take its place.
        return page(page_of, today=self._context.clock.now().date(), noted=_THANKS)


def _shown_step(run: Run) -> str | None:
    """Return the step whose last lines are shown: the present one, or the one that failed."""
    if run.state is RunState.SUCCEEDED:
        return None
    failed = [record.id for record in run.records if record.state is StepState.FAILED]
    if run.state.over or run.state is RunState.ROLLING_BACK:
        return failed[-1] if failed else (run.step.id if run.step else None)
    return run.step.id if run.step else None
