"""Runs as use cases: ask for one, approve, deny, stop, undo, settle a doubt."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.domain.approvals import Answer, Approval, Verdict, decide
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.ledger import Entry
from bot.domain.parameters import resolve
from bot.domain.people import BOT, Caller, ChannelId, Standing
from bot.domain.runbooks import Runbook
from bot.domain.runs import Run, RunId, RunState, advance
from bot.domain.timeline import TimelineKind
from bot.ports import Clock, Database, Transaction
from bot.services import settling, superseding
from bot.services.brakes import Brakes
from bot.services.emergencies import EmergencyService
from bot.services.governing import incident_of
from bot.services.registry import Redact, clean, unredacted
from bot.services.rollbacks import end_rolled_back, ended_half_way, still_standing
from bot.services.telling import tell

CHANNEL = "channel:"  # how the subject begins of a run that was asked for in some channel


class RunService:
    """What people do with runs. The worker (`bot/services/engine.py`) does the rest."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        emergencies: EmergencyService,
        brakes: Brakes,
        alerts_channel: Callable[[], ChannelId | None] = lambda: None,
        redact: Redact = unredacted,
    ) -> None:
        self._database = database
        self._clock = clock
        self._emergencies = emergencies
        self._brakes = brakes
        self._alerts_channel = alerts_channel
        self._redact = redact

    async def get(self, id: RunId) -> Run:
        """Return a run, or raise NotFound."""
        async with self._database.reading() as view:
            return await view.runs.get(id)

    async def of(self, subjects: Collection[str]) -> Sequence[Run]:
        """Return the runs for some alert groups or incidents, oldest first."""
        async with self._database.reading() as view:
            return await view.runs.of(subjects)

    async def recent(self) -> Sequence[Run]:
        """Return the newest runs."""
        async with self._database.reading() as view:
            return await view.runs.recent()

    async def request(
        self,
        runbook: Runbook,
        given: Mapping[str, str],
        *,
        subject: str,
        labels: Mapping[str, str],
        incident: str | None,
        service: str | None,
        by: Caller,
    ) -> Run:
        """Ask for a run: it is diagnosed and planned next, and nothing changes yet.

        Raises:
            Refused: the runbook has no steps or is due for a review, a parameter
                does not fit, or the same is asked for or under way already.
        """
        if by.person.bot and by.person.id != BOT.id:
            raise Refused("Only people ask for a run, or the assistant itself.")
        if not runbook.executable:
            raise Refused(f"“{runbook.title}” has no steps to run; it is for reading.")
        now = self._clock.now()
        if runbook.review.stale(now.date()):
            raise Refused(
                f"“{runbook.title}” was last reviewed on {runbook.review.at}; it is for reading "
                "until somebody reviews it."
            )
        resolve(runbook, labels, given)  # refuses what does not fit
        run = Run(
            id=RunId(uuid.uuid4().hex[:12]),
            runbook=runbook.id,
            title=runbook.title,
            parameters=_words(runbook, labels, given),
            requester=by.person,
            subject=subject,
            incident=incident,
            service=service,
            created_at=now,
        )
        async with self._database.transaction(once=by.request) as tx:
            await _refuse_a_second(tx, run)
            glass = await self._emergencies.usable(
                tx, runbook=run.runbook, service=service, by=by.person, at=now
            )
            run = replace(run, break_glass=glass.id if glass else None)
            await tx.runs.add(run, due_at=now)
            await tell(tx, run, "requested", by=by.person, at=now, text=f"asked for “{run.title}”")
        return run

    async def approve(
        self, id: RunId, *, digest: str, standing: Standing, channel: ChannelId | None, by: Caller
    ) -> Run:
        """Consent to exactly the plan with this digest.

        `standing` is what the person belongs to at this moment, `channel` where
        they pressed the button.

        Raises:
            Refused: they may not, or it is too late, or the plan is another.
        """
        answer = Answer(
            person=standing.person,
            approve=True,
            at=self._clock.now(),
            groups=standing.groups,
            teams=standing.teams,
            roles=standing.roles,
            channel=channel,
        )
        return await self._answer(id, answer, digest=digest, by=by)

    async def deny(self, id: RunId, *, digest: str, reason: str, by: Caller) -> Run:
        """Refuse a plan, or veto one that nobody has to approve; one denial ends it.

        Raises:
            Refused: it is too late, or the reason is missing.
        """
        if not reason.strip():
            raise Refused("A denial needs a reason, for the record.")
        answer = Answer(
            person=by.person, approve=False, at=self._clock.now(), reason=reason.strip()[:500]
        )
        return await self._answer(id, answer, digest=digest, by=by)

    async def _answer(self, id: RunId, answer: Answer, *, digest: str, by: Caller) -> Run:
        """Take an answer; one that may not be given is on the record too."""
        try:
            return await self._decide(id, answer, digest=digest, by=by)
        except NotFound:
            raise
        except Refused as no:
            await self._record_refusal(id, answer, reason=no.reason, by=by)
            raise

    async def _record_refusal(self, id: RunId, answer: Answer, *, reason: str, by: Caller) -> None:
        with contextlib.suppress(AlreadyDone):
            async with self._database.transaction(once=f"{by.request}:refused") as tx:
                run = await tx.runs.get(id)
                wish = "approve" if answer.approve else "deny"
                await tx.ledger.append(
                    Entry(
                        type="approval.refused",
                        actor=by.person.actor,
                        at=answer.at,
                        incident=run.incident,
                        plan_digest=run.plan.digest if run.plan else None,
                        decision_id=run.approval.id if run.approval else None,
                        body={"run": run.id, "wish": wish, "reason": reason},
                    )
                )

    async def _decide(self, id: RunId, answer: Answer, *, digest: str, by: Caller) -> Run:
        async with self._database.transaction(once=by.request) as tx:
            run = await tx.runs.get(id)
            approval = _open_approval(run)
            channels = await self._shown_in(tx, run)
            decided = decide(replace(approval, channels=channels), answer, digest=digest)
            run = _follow(replace(run, approval=decided), answer)
            await tx.runs.save(run, due_at=_due(run, answer.at))
            word = "approved" if answer.approve else "denied"
            reason = f": {answer.reason}" if answer.reason else ""
            text = f"{word} “{run.title}” (plan {digest[:12]}){reason}"
            await tell(
                tx,
                run,
                word,
                by=by.person,
                at=answer.at,
                text=text,
                kind=TimelineKind.APPROVAL,
                type=f"approval.{'granted' if answer.approve else 'denied'}",
            )
        return run

    async def _shown_in(self, tx: Transaction, run: Run) -> frozenset[ChannelId]:
        """Return the channels in which everybody concerned sees a run's plan."""
        incident = await incident_of(tx, run.incident)
        alerts = self._alerts_channel()
        own = incident.channel if incident else None
        asked = run.subject.removeprefix(CHANNEL) if run.subject.startswith(CHANNEL) else None
        alone = asked is not None and asked.startswith("D")  # a direct message: nobody else sees it
        where = (own, alerts, ChannelId(asked) if asked and not alone else None)
        return frozenset(channel for channel in where if channel is not None)

    async def stop(self, id: RunId, *, by: Caller) -> Run:
        """Stop a run: at once where it waits, before its next effect where it is under way.

        Raises:
            Refused: it is over already, or its effects are being taken back.
        """
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            run = await tx.runs.get(id)
            if run.state.over:
                raise Refused(f"This run is {run.state} already.")
            if run.state is RunState.ROLLING_BACK:
                raise Refused("This run is being rolled back; stop the rollback, if anything.")
            if run.stop_requested_by is not None:
                raise Refused("This run is being stopped already.")
            run = replace(run, stop_requested_by=by.person)
            if run.state in (RunState.DRAFT, RunState.AWAITING, RunState.APPROVED):
                run = advance(run, RunState.CANCELLED, reason=f"by {by.person.name}", at=now)
                if run.plan is not None:  # a rollback was handed what its parent held
                    await self._brakes.free(tx, run.plan.concurrency_key, run.id)
                await end_rolled_back(tx, run, at=now)
            await tx.runs.save(run, due_at=None if run.state.over else now)
            await tell(
                tx, run, "stop requested", by=by.person, at=now, text=f"stopped “{run.title}”"
            )
        return run

    async def undo(self, id: RunId, *, by: Caller) -> Run:
        """Ask for a run that takes the effects of another back; it needs its own approval.

        Where an earlier attempt ended half way, this one takes back what still
        stands.

        Raises:
            Refused: there is nothing to take back, it is asked for already, or a
                bot asks.
        """
        if by.person.bot:
            raise Refused("Only people ask for effects to be taken back.")
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            done = await tx.runs.get(id)
            if done.state is RunState.ROLLING_BACK:
                raise Refused("This run is being rolled back already.")
            if not done.state.over or not done.undoes:
                raise Refused("There is nothing this run could take back.")
            if done.state is RunState.IN_DOUBT:
                raise Refused("First say whether the step in doubt took place.")
            attempts = [r for r in await tx.runs.of([done.subject]) if r.parent == id]
            if not all(ended_half_way(r) for r in attempts):
                raise Refused("Undoing this run was asked for already.")
            left = await still_standing(tx, done, attempts)
            if not left.undoes:
                raise Refused("There is nothing left that this run could take back.")
            if left is not done:
                await tx.runs.save(left, due_at=None)
            run = Run(
                id=RunId(uuid.uuid4().hex[:12]),
                runbook=done.runbook,
                title=f"Undo: {done.title}",
                parameters={},
                requester=by.person,
                subject=done.subject,
                incident=done.incident,
                service=done.service,
                created_at=now,
                parent=id,
            )
            await tx.runs.add(run, due_at=now)
            await tell(tx, run, "requested", by=by.person, at=now, text=f"asked for “{run.title}”")
        return run

    async def settle(self, id: RunId, *, happened: str, by: Caller) -> Run:
        """Let a person who has looked say whether an effect in doubt took place.

        `happened` is `yes` or `no`. The run goes on to its verification, or
        fails; nothing is repeated.

        Raises:
            Refused: there is no doubt, a bot asks, or the answer is neither.
        """
        settling.check_teller(by.person)
        outcome, now = settling.outcome_of(happened), self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            return await settling.settle(tx, id, outcome=outcome, by=by.person, at=now)

    async def done(self, id: RunId, step: str, *, happened: str, note: str = "", by: Caller) -> Run:
        """Let a person say that they did a step by hand, or that it could not be done.

        `happened` is `yes` or `no`, which needs a note. The run goes on to the
        step's verification, or does what the page says about a step that failed.

        Raises:
            Refused: the run does not wait for this step, or they may not say so.
        """
        settling.check_teller(by.person)
        outcome, now = settling.outcome_of(happened), self._clock.now()
        note = clean(note, self._redact)
        async with self._database.transaction(once=by.request) as tx:
            return await settling.done(
                tx, id, step, outcome=outcome, note=note, by=by.person, at=now
            )

    async def supersede(self, digests: Mapping[str, str]) -> Sequence[Run]:
        """End every run that has not begun and whose page is another by now; return them.

        `digests` are those of all pages' files, by runbook: a page that is not
        among them was removed.
        """
        async with self._database.transaction() as tx:
            return await superseding.supersede(tx, digests, at=self._clock.now())


def _words(
    runbook: Runbook, labels: Mapping[str, str], given: Mapping[str, str]
) -> Mapping[str, str]:
    """Keep parameters as the words they were given in; the plan has the typed values.

    A typed value would not do: the seconds of a duration are no duration any more.
    """
    words = {
        p.name: given.get(p.name, "").strip() or labels.get(p.label or "", "")
        for p in runbook.parameters
    }
    return {name: text for name, text in words.items() if text}


async def _refuse_a_second(tx: Transaction, run: Run) -> None:
    """Two plans for one fault, approved by different people, would do its effects twice."""
    subjects = [run.subject, *([run.incident] if run.incident else [])]
    for other in await tx.runs.of(subjects):
        same = (other.runbook, other.parameters) == (run.runbook, run.parameters)
        if same and not other.state.over and other.parent is None:
            raise Refused(
                f"“{run.title}” was asked for already by {other.requester.name} "
                f"and is {other.state}; answer or stop that one."
            )


def _open_approval(run: Run) -> Approval:
    if run.approval is None:
        raise Refused("This run has no plan to answer yet.")
    if run.state is not RunState.AWAITING:
        raise Refused(f"This run is {run.state} already; nothing was changed.")
    return run.approval


def _follow(run: Run, answer: Answer) -> Run:
    """Let the run's state follow the verdict."""
    assert run.approval is not None  # noqa: S101  # set by the caller
    if run.approval.verdict is Verdict.DENIED:
        reason = f"{answer.person.name}: {answer.reason}"
        return advance(run, RunState.DENIED, reason=reason, at=answer.at)
    if run.approval.verdict is Verdict.GRANTED:
        return advance(run, RunState.APPROVED)
    return run


def _due(run: Run, now: datetime) -> datetime | None:
    if run.state is RunState.APPROVED:
        return now
    if run.state is not RunState.AWAITING or run.approval is None:
        return None
    return run.approval.veto_until or run.approval.answer_by
