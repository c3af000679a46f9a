"""On whose consent an effect stood, by the log's own word: quorum, glass, freeze, plan."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import TypeAlias

from bot.domain.actions import JSON, Risk
from bot.domain.freezes import Windows
from bot.ledger.findings import Finding, incomplete, tampered
from bot.ledger.histories import Fields, History, Told

# The calendars' files by their common digest, and then by name.
Calendars: TypeAlias = Mapping[str, Mapping[str, bytes]]
# Says what is in force at a moment according to some calendars' files.
CalendarsAt: TypeAlias = Callable[[Mapping[str, bytes], datetime], Windows]
# Makes the finding of an earlier entry that is needed and not there.
Absent: TypeAlias = Callable[[int, str], Finding]


class Consent:
    """Holds effects against the decisions, plans and answers that came before them."""

    def __init__(
        self, history: History, calendars: Calendars, calendars_at: CalendarsAt | None
    ) -> None:
        self._history = history
        self._calendars = calendars
        self._at = calendars_at

    def plan_of(self, plan_digest: str) -> Fields | None:
        """Return a plan that was recorded before, where it can be read."""
        told = self._history.plans.get(plan_digest)
        plan = told.body.get("plan") if told is not None and told.body is not None else None
        return plan if isinstance(plan, dict) else None

    def step_of(self, told: Told) -> Fields | None:
        """Return the planned step that an effect's entry is about, where its plan can be read."""
        plan = self.plan_of(told.text("plan_digest")) or {}
        name = told.text("idem_key").partition(":")[2]
        return next((s for s in _objects(plan.get("steps")) if s.get("id") == name), None)

    def repeatable(self, told: Told) -> bool:
        """Say whether a failed effect may be begun again, as far as its plan can be read."""
        step = self.step_of(told)
        return step is None or (bool(step.get("retry")) and step.get("idempotent") is True)

    def check(self, told: Told, record: Fields, *, absent: Absent) -> Iterator[Finding]:
        """Hold an effect against the record of the decision that allowed it."""
        if record.get("phase") != "execute":
            yield tampered(told.index, "", "the decision it names is not about an effect")
        base = str(record.get("authorised_by") or told.text("plan_digest"))
        planned = self._history.plans.get(base)
        if planned is None:
            yield absent(told.index, "an effect without a recorded plan")
            return
        yield from self._answers(told, record, planned, base)
        yield from self._veto(told, planned)
        yield from self._step(told, absent)
        yield from self._glass(told, record, planned, absent)
        yield from self._authorised(told, record, absent)
        yield from self._frozen(told, record)

    # Answers.

    def _answers(self, told: Told, record: Fields, planned: Told, base: str) -> Iterator[Finding]:
        denied = self._history.denied.get(base)
        if denied is not None:
            yield tampered(told.index, "", f"its plan was denied by entry {denied.index}")
        approvals = _texts(record.get("approvals"))
        if len(set(approvals)) < len(approvals):
            yield tampered(told.index, "", "one person approved twice")
        for person in (planned.text("on_behalf_of"), told.text("on_behalf_of")):
            if person in approvals:
                yield tampered(told.index, "", "who asked for it approved it")
        for person in dict.fromkeys(approvals):
            yield from self._given(told, person, base, planned)
        yield from self._enough(told, record, planned, len(set(approvals)))

    def _given(self, told: Told, person: str, base: str, planned: Told) -> Iterator[Finding]:
        if not person.startswith("person:"):
            yield tampered(told.index, "", "an approval counted that no person gave")
        elif person not in self._history.granted.get(base, {}):
            if self._history.erased > planned.index:
                # Who was erased in between goes by another pseudonym since.
                reason = "an approver was erased meanwhile, so the approval cannot be told"
                yield incomplete(told.index, "", reason)
            else:
                yield tampered(told.index, "", "an approval counted that nobody gave before it")

    def _enough(self, told: Told, record: Fields, planned: Told, given: int) -> Iterator[Finding]:
        """Count: which person fills which place stands in no log, for privacy's sake."""
        wanted = 0 if record.get("authorised_by") else _seats(record.get("quorum"))
        plan = self.plan_of(planned.text("plan_digest"))
        wanted = max(wanted, _seats(plan.get("quorum")) if plan is not None else 0)
        if given < wanted:
            reason = f"{given} of {wanted} approvals were given"
            yield tampered(told.index, "", reason)

    def _veto(self, told: Told, planned: Told) -> Iterator[Finding]:
        plan = self.plan_of(planned.text("plan_digest"))
        seconds = _number(plan.get("veto_seconds")) if plan is not None else 0
        decided = self._history.decisions.get(planned.text("decision_id"))
        if not seconds or decided is None or not (told.timely and decided.timely):
            return
        if (told.at - decided.at).total_seconds() < seconds:
            yield tampered(told.index, "", "the time for a veto was not over")

    # The plan.

    def _step(self, told: Told, absent: Absent) -> Iterator[Finding]:
        own = self._history.plans.get(told.text("plan_digest"))
        if own is None:
            yield absent(told.index, "an effect without a recorded plan")
            return
        plan = self.plan_of(told.text("plan_digest"))
        if plan is None:
            yield incomplete(told.index, "", "its plan cannot be read, so it may be another step")
            return
        run, _, name = told.text("idem_key").partition(":")
        step = next((s for s in _objects(plan.get("steps")) if s.get("id") == name), None)
        if step is None or plan.get("run") != run:
            yield tampered(told.index, "", "its plan has no such step")
            return
        if step.get("uses") != told.text("action") or step.get("risk") != told.header.get("risk"):
            yield tampered(told.index, "", "its plan has another action in this place")
        if told.body is None:
            yield incomplete(told.index, "", "what it was called with cannot be read any more")
        elif told.body.get("arguments") != step.get("arguments"):
            yield tampered(told.index, "", "it was called with other arguments than were approved")

    # What stands in for approvals.

    def _glass(
        self, told: Told, record: Fields, planned: Told, absent: Absent
    ) -> Iterator[Finding]:
        id = record.get("break_glass")
        if id is None:
            return
        glass = self._history.glasses.get(str(id))
        if glass is None or glass.used is None:
            yield absent(told.index, "a broken glass stood in that nobody had broken and used")
            return
        plan = self.plan_of(planned.text("plan_digest"))
        if glass.used.body is None or plan is None:
            yield incomplete(told.index, "", "whose run used the broken glass cannot be read")
        elif glass.used.body.get("run") != plan.get("run"):
            yield tampered(told.index, "", "another run had used the broken glass")

    def _authorised(self, told: Told, record: Fields, absent: Absent) -> Iterator[Finding]:
        id = record.get("pre_authorised")
        if id is None:
            return
        given = self._history.authorisations.get(str(id))
        if given is None:
            yield absent(told.index, "a standing authorisation counted that nobody had given")
            return
        if str(id) in self._history.revoked:
            yield tampered(told.index, "", "the standing authorisation had been revoked")
        if given.body is None:
            yield incomplete(told.index, "", "until when it was authorised cannot be read")
            return
        ends, at = _moment(given.body.get("expires_at")), _moment(record.get("at"))
        if ends is None or at is None or at >= ends:
            yield tampered(told.index, "", "the standing authorisation had expired")

    # Freezes.

    def _frozen(self, told: Told, record: Fields) -> Iterator[Finding]:
        if record.get("break_glass") is not None:
            return
        titles = _texts(record.get("freezes"))
        low = int(told.header.get("risk", 0)) < Risk.R2
        if titles and not (low and _only_faults(record, titles)):
            yield tampered(told.index, "", f"it was done inside a freeze: “{titles[0]}”")
            return
        yield from self._reckoned(told, record)

    def _reckoned(self, told: Told, record: Fields) -> Iterator[Finding]:
        """Work the freezes out again, from the calendars that were in force."""
        files = self._calendars.get(str(record.get("calendars_digest")))
        at = _moment(record.get("at"))
        if files is None or self._at is None or at is None:
            return
        service, team, touched = self._touched(told, record)
        for window in self._at(files, at).freezes(service, team, touched):
            reason = (
                f"its calendars had a freeze then, of which the record is silent: “{window.title}”"
            )
            yield tampered(told.index, "", reason)
            return

    def _touched(
        self, told: Told, record: Fields
    ) -> tuple[str | None, str | None, Collection[str]]:
        """Return the service, its team, and what it touches, as they were when it was decided."""
        plan = self.plan_of(told.text("plan_digest"))
        service = plan.get("service") if plan is not None else None
        asked = record.get("input")
        if not isinstance(asked, dict) or not isinstance(asked.get("context"), dict):
            return service, None, ()
        entities = _objects(record.get("entities"))
        teams = [e["attrs"].get("team") for e in entities if isinstance(e.get("attrs"), dict)]
        team = next((str(team) for team in teams if team), None)
        return service, team, _texts(asked["context"].get("touches"))


def _only_faults(record: Fields, titles: Collection[str]) -> bool:
    """Say whether no freeze is meant, only calendars that could not be relied on."""
    asked = record.get("input")
    context = asked.get("context") if isinstance(asked, dict) else None
    if isinstance(context, dict) and "frozen" in context:
        return context["frozen"] is False
    return all(": " in title for title in titles)


def _seats(quorum: JSON) -> int:
    return sum(int(_number(place.get("count", 1))) for place in _objects(quorum))


def _number(value: JSON) -> float:
    """Return a number as it stands; what should be one and is not is more than can be met."""
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    return sys.maxsize


def _texts(value: JSON) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _objects(value: JSON) -> list[Fields]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _moment(value: JSON) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
