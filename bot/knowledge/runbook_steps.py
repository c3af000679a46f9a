"""The steps of a runbook page: what is done, how it is proved, and what takes it back."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from bot.domain.actions import Risk, Transient
from bot.domain.parameters import placeholders
from bot.domain.runbooks import (
    Expectation,
    OnFailure,
    OnUnknown,
    Retry,
    Step,
    StepUndo,
    Verification,
)
from bot.knowledge.conditions import Conditions
from bot.knowledge.fields import Fields
from bot.knowledge.runbook_calls import TARGET, CallReader

MOST_TARGETS = 32
MOST_RETRIES = 10
TARGETS = "targets"

_HOUR = 3600
_DAY = 24 * _HOUR
# A person's step may wait for days; how long a machine's may take is checked
# where the actions are known (`action_checks.py`).
_LONGEST = 7 * _DAY
_RISKS = {risk.name: risk for risk in Risk}
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class StepReader:
    """Reads the steps of one page. `explained` holds the texts of the page by anchor."""

    def __init__(
        self,
        calls: CallReader,
        conditions: Conditions,
        explained: Mapping[str, tuple[int, str]],
    ) -> None:
        self._calls = calls
        self._conditions = conditions
        self._explained = explained

    def step(self, part: Fields) -> Step:
        """Read one entry of `steps`, which the page has to explain."""
        id = self._calls.id(part)
        if id not in self._explained:
            part.note("id", f'"{id}" is not explained under Mitigation; add {{#{id}}} there')
        targets = self._targets(part)
        known = {*self._calls.facts, *([TARGET] if targets else [])}
        step = Step(
            id=id,
            title=part.text("title", longest=120),
            uses=self._calls.uses(part, id),
            arguments=self._calls.arguments(part, known),
            risk=_risk(part),
            timeout=part.seconds("timeout", default=30, most=_LONGEST),
            verify=self._verification(part, id),
            commit_point=part.flag("commit_point", default=False),
            on_failure=part.choice("on_failure", OnFailure, default=OnFailure.ESCALATE),
            explanation=self._explained.get(id, (0, ""))[1],
            targets=targets,
            when=self._conditions.read(part, "when", default=""),
            retry=_retry(part),
            undo=self._undo(part, id, known),
            on_unknown=part.choice("on_unknown", OnUnknown, default=OnUnknown.RECONCILE),
        )
        part.finish()
        _check(step, part)
        return step

    def _targets(self, part: Fields) -> tuple[str, ...]:
        """Read what a step is done for, one after the other."""
        targets = part.texts(TARGETS)
        if not targets and TARGETS in part:
            part.note(TARGETS, "names nothing; leave it out")
        if len(targets) > MOST_TARGETS:
            part.note(TARGETS, f"names {len(targets)}, but {MOST_TARGETS} are the most")
        for name in targets:
            if _TARGET_NAME.fullmatch(name) is None:
                part.note(TARGETS, f'holds "{name}", which is not a plain name like db-1.internal')
        if targets and TARGET in self._calls.parameters:
            part.note(TARGETS, f'and a parameter called "{TARGET}" exclude each other; rename it')
        return targets

    def _verification(self, step: Fields, id: str) -> Verification | None:
        part = step.table("verify", required=False)
        if part is None:
            return None
        expect = part.table("expect")
        verification = Verification(
            uses=self._calls.uses(part, f"{id}/verify"),
            arguments=self._calls.arguments(part, self._calls.facts),
            expect=self._calls.expectation(expect) if expect else Expectation(),
            within=part.seconds("within", default=60, most=_DAY),
            every=part.seconds("every", default=1, most=_HOUR),
            consecutive=part.whole("consecutive", default=1, most=100),
        )
        part.finish()
        if (verification.consecutive - 1) * verification.every > verification.within:
            part.note("within", "is too short for so many checks in a row; it could never succeed")
        return verification

    def _undo(self, step: Fields, id: str, known: Collection[str]) -> StepUndo | None:
        part = step.table("undo", required=False)
        if part is None:
            return None
        undo = StepUndo(
            uses=self._calls.uses(part, f"{id}/undo"), arguments=self._calls.arguments(part, known)
        )
        part.finish()
        return undo


def _check(step: Step, part: Fields) -> None:
    """Note what contradicts itself within one step."""
    if step.targets and TARGET not in placeholders(step.arguments):
        part.note(TARGETS, "would do the same thing again and again; use ${target} in with")
    if step.commit_point and step.undo:
        part.note("undo", "and commit_point exclude each other; past that point nothing goes back")
    if step.id in ("stop", "escalate"):
        part.note("id", f'"{step.id}" is what a rule may decide; call the step otherwise')


def _risk(part: Fields) -> Risk | None:
    name = part.text("risk", default="")
    if name and name not in _RISKS:
        part.note("risk", f'is "{name}", but should be one of {", ".join(_RISKS)}')
    return _RISKS.get(name)


def _retry(step: Fields) -> Retry | None:
    """Read `retry`: named failures only, and not for longer than an hour altogether."""
    part = step.table("retry", required=False)
    if part is None:
        return None
    retry = Retry(
        times=part.whole("times", most=MOST_RETRIES),
        on=_transients(part),
        wait=part.seconds("wait", default=1, most=_HOUR),
    )
    part.finish()
    if retry.wait * (2**retry.times - 1) > _HOUR:
        part.note(
            "times", "waits for more than an hour, since each wait is twice the last; lower it"
        )
    return retry


def _transients(part: Fields) -> tuple[Transient, ...]:
    names = part.texts("after")
    known = {transient.value: transient for transient in Transient}
    for name in names:
        if name not in known:
            part.note("after", f'holds "{name}", but should be of {", ".join(known)}')
    if not names:
        part.note("after", f"has to name the failures to try again after: {', '.join(known)}")
    return tuple(known[name] for name in names if name in known)
