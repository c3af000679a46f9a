"""What people say about effects that nobody else can tell: a doubt, a step done by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.domain.effects import EffectRecord, EffectState
from bot.domain.errors import Refused
from bot.domain.people import Person
from bot.domain.runs import PlannedStep, Run, RunId, RunState, StepState, advance, record
from bot.ports import Transaction
from bot.services.outcomes import OUTCOME
from bot.services.telling import tell

NOTE_LENGTH = 500


def check_teller(person: Person) -> None:
    """Hold who says what happened against who may say so.

    Raises:
        Refused: it is a bot, a stranger, a guest, or somebody who has left.
    """
    if person.bot:
        raise Refused("A person has to look and say.")
    if person.stranger or person.guest or not person.active:
        raise Refused("Only full members of this workspace say what took place.")


def outcome_of(happened: str) -> EffectState:
    """Read an answer to whether an effect took place.

    Raises:
        Refused: it is neither `yes` nor `no`.
    """
    if happened not in ("yes", "no"):
        raise Refused("Say yes or no: did it take place?")
    return EffectState.SUCCEEDED if happened == "yes" else EffectState.FAILED


async def settle(
    tx: Transaction, id: RunId, *, outcome: EffectState, by: Person, at: datetime
) -> Run:
    """Put an end to the doubt about the current step's effect; the run goes on with it.

    Raises:
        Refused: nothing about the run is in doubt.
    """
    run = await tx.runs.get(id)
    step = run.step
    effect = await tx.effects.get(run.effect_key(step)) if step else None
    if run.state is not RunState.IN_DOUBT or step is None or effect is None:
        raise Refused("Nothing about this run is in doubt.")
    verb = "took" if outcome is EffectState.SUCCEEDED else "did not take"
    text = f"said that “{step.title}” {verb} place"
    run, effect = _told(run, step, effect, outcome=outcome, summary=text, at=at)
    await tx.effects.save(effect)
    await tx.runs.save(run, due_at=at)
    await tell(
        tx, run, "settled", by=by, at=at, text=text, type="action.settled",
        outcome=effect.state.value,
    )  # fmt: skip
    return run


async def done(
    tx: Transaction,
    id: RunId,
    step_id: str,
    *,
    outcome: EffectState,
    note: str,
    by: Person,
    at: datetime,
) -> Run:
    """Take a person's word that a step was done by hand, or could not be; the run goes on.

    The outcome stands in the ledger under their name, as the gate's would under
    the assistant's. A word that comes while the run is being stopped counts: it
    says what the world is like.

    Raises:
        Refused: the run does not wait for this step, or nothing says why not.
    """
    note, yes = note.strip()[:NOTE_LENGTH], outcome is EffectState.SUCCEEDED
    if not yes and not note:
        raise Refused("Say why it could not be done, for the record.")
    run, step, effect = await _waiting(tx, id, step_id)
    word = "done by hand" if yes else "could not be done"
    summary = f"{word}: {note}" if note else word
    run, effect = _told(run, step, effect, outcome=outcome, summary=summary, at=at)
    await tx.effects.save(effect)
    await tx.runs.save(run, due_at=at)
    verb = "did" if yes else "could not do"
    await tell(
        tx, run, "done by hand", by=by, at=at,
        text=f"{verb} “{step.title}”" + (f": {note}" if note else ""),
        type=OUTCOME, outcome=effect.state.value, effect=effect,
        more={"step": step.id, "summary": summary, "arguments": dict(step.arguments)},
    )  # fmt: skip
    return run


async def _waiting(
    tx: Transaction, id: RunId, step_id: str
) -> tuple[Run, PlannedStep, EffectRecord]:
    run = await tx.runs.get(id)
    step = run.step
    effect = await tx.effects.get(run.effect_key(step)) if step else None
    waits = run.state is RunState.MANUAL and step is not None and step.id == step_id
    if not waits or step is None or effect is None or effect.state is not EffectState.INTENDED:
        raise Refused("This step does not wait for anybody; nothing was changed.")
    return run, step, effect


def _told(
    run: Run,
    step: PlannedStep,
    effect: EffectRecord,
    *,
    outcome: EffectState,
    summary: str,
    at: datetime,
) -> tuple[Run, EffectRecord]:
    """Let a run go on with what a person said, which is final: nothing is tried again."""
    run = record(advance(run, RunState.RUNNING), step.id, state=StepState.RUNNING, summary=summary)
    told = replace(effect, state=outcome, summary=summary, ended_at=at, transient=None)
    return run, told
