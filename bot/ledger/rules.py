"""The rules that the entries of a log must keep among themselves.

Nothing here looks at hashes or signatures: the entries are what the log says,
and the question is whether what it says was allowed. A rule that needs what is
not there (a body that was erased or left out, an entry before the beginning of
the export) finds that it cannot tell, which is another thing than a breach.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bot.domain.actions import JSON
from bot.domain.canonical import NotCanonical, canonical, digest
from bot.domain.emergencies import LIVES
from bot.domain.notes import BadNote, VerifierKey
from bot.ledger.consent import Calendars, CalendarsAt, Consent
from bot.ledger.findings import Finding, incomplete, tampered
from bot.ledger.histories import Fields, History, Told

__all__ = ["CalendarsAt", "Judge", "Source", "reads_body"]

INTENT, OUTCOME = "action.intent", "action.outcome"
_BODIES = frozenset(
    {
        INTENT,
        "policy.decided",
        "run.planned",
        "glass.used",
        "authorisation.given",
        "privacy.erased",
        "key.rotate",
        "log.restored",
    }
)


def reads_body(type: str) -> bool:
    """Say whether a rule reads the bodies of entries of this type."""
    return type in _BODIES


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the rules may consult beside the entries.

    `whole` says that the log is there from its first entry: what is not in it
    never was. `decisions` are the records' files by their ids, `calendars` the
    calendars' files by digest and name.
    """

    whole: bool
    decisions: Mapping[str, bytes] = field(default_factory=dict)
    calendars: Calendars = field(default_factory=dict)
    calendars_at: CalendarsAt | None = None


class Judge:
    """Takes the entries in their order and says which break a rule."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._history = History()
        self._consent = Consent(self._history, source.calendars, source.calendars_at)
        self._ts = ""
        self._effects: dict[str, str] = {}
        self._early: list[Finding] = []
        self._ungoverned = 0
        self.effects = 0
        self.notes: list[str] = []

    def take(self, told: Told) -> Iterator[Finding]:
        """Hold the next entry against what came before it."""
        if told.text("ts") < self._ts:
            yield tampered(told.index, "", f"time runs backwards: it was {self._ts} before")
        self._ts = max(self._ts, told.text("ts"))
        check = _CHECKS.get(told.type)
        if check is not None:
            yield from check(self, told)
        elif told.type.endswith((".intent", ".outcome")):
            yield from self._paired(told)
        self._history.remember(told)

    def end(self) -> Iterator[Finding]:
        """Say what only the end of the log shows."""
        if self._early and not self._history.governed:
            yield from self._early
        elif self._ungoverned:
            self.notes.append(
                f"{self._ungoverned} effects are from before policies were recorded; "
                "who allowed them is not in the log"
            )

    def _absent(self, index: int, reason: str) -> Finding:
        """Return the finding of an earlier entry that is needed and not there."""
        if self._source.whole:
            return tampered(index, "", reason)
        return incomplete(index, "", f"{reason}, among the exported entries")

    # Effects.

    def _intent(self, told: Told) -> Iterator[Finding]:
        self.effects += 1
        yield from self._paired(told)
        yield from self._halted(told)
        yield from self._ended(told)
        decided = self._history.decisions.get(told.text("decision_id"))
        if decided is None:
            lacking = self._absent(told.index, "an effect without a decision that allows it")
            if self._history.governed:
                yield lacking
            else:
                # Perhaps from before policies were recorded: the end will show.
                self._early.append(lacking)
                self._ungoverned += 1
            return
        earlier = self._history.used.setdefault(decided.text("decision_id"), told.index)
        if earlier != told.index:
            yield tampered(told.index, "", f"its decision was used up by the effect {earlier}")
        yield from self._allowed(told, decided)

    def _allowed(self, told: Told, decided: Told) -> Iterator[Finding]:
        if decided.text("outcome") != "allow":
            yield tampered(told.index, "", "the decision it names is a refusal")
        for name in ("plan_digest", "policy_digest", "action", "risk"):
            if decided.header.get(name) != told.header.get(name):
                yield tampered(told.index, "", f"its decision is about another {name}")
        if decided.body is None:
            yield incomplete(told.index, "", "why it was allowed cannot be read any more")
            return
        record = _record(decided.body)
        if record is None:
            yield tampered(decided.index, "", "the body holds no record of a decision")
            return
        yield from self._consent.check(told, record, absent=self._absent)

    def _paired(self, told: Told) -> Iterator[Finding]:
        """Hold an intent against its effect's story so far, and an outcome against its intent."""
        key = f"{told.type.rpartition('.')[0]}:{told.text('idem_key')}"
        state = self._effects.get(key)
        if told.type.endswith(".intent"):
            if state == "succeeded":
                yield tampered(told.index, "", "an effect that had succeeded was begun again")
            elif state == "failed" and not self._consent.repeatable(told):
                yield tampered(told.index, "", "a failed effect was begun again without a retry")
            self._effects[key] = "intended"
            return
        if state is None:
            yield self._absent(told.index, "an outcome without an intent before it")
        self._effects[key] = told.text("outcome")

    def _outcome(self, told: Told) -> Iterator[Finding]:
        yield from self._paired(told)
        if told.text("outcome") not in ("succeeded", "failed", "in doubt"):
            yield tampered(told.index, "", "its outcome is none")
        step = self._consent.step_of(told)
        if step is not None and step.get("manual") is True and told.text("outcome") == "succeeded":
            yield from self._said(told)

    def _said(self, told: Told) -> Iterator[Finding]:
        """Hold that a person says what only a person can know."""
        if not told.text("actor_ref").startswith("person:"):
            yield tampered(told.index, "", "no person said that this took place")

    def _ended(self, told: Told) -> Iterator[Finding]:
        """Hold that the run had neither ended nor lost its plan before the effect."""
        plan = self._consent.plan_of(told.text("plan_digest")) or {}
        for digest_of_plan in (told.text("plan_digest"), str(plan.get("authorised_by"))):
            ended = self._history.ended.get(digest_of_plan)
            if ended is not None:
                word = ended.type.partition(".")[2]
                yield tampered(told.index, "", f"its run was {word} by entry {ended.index}")
                return

    def _halted(self, told: Told) -> Iterator[Finding]:
        """Hold that no switch was pulled that surely covers the effect."""
        plan = self._consent.plan_of(told.text("plan_digest")) or {}
        scopes = ["global", f"service:{plan.get('service')}", f"runbook:{plan.get('runbook')}"]
        for scope in scopes:
            pulled = self._history.pulled.get(scope)
            if pulled is not None:
                reason = f"the kill switch ({scope}) was pulled by entry {pulled.index}"
                yield tampered(told.index, "", reason)
                return

    # What effects stand on.

    def _decided(self, told: Told) -> Iterator[Finding]:
        if told.body is None:
            return
        record = _record(told.body)
        if record is None:
            yield tampered(told.index, "", "the body holds no record of a decision")
            return
        id = told.text("decision_id")
        yield from self._copy(told, id, record)
        same = {"decision_id": "id", "plan_digest": "plan_digest", "policy_digest": "policy_digest"}
        for name, key in same.items():
            if told.text(name) != (record.get(key) or ""):
                yield tampered(told.index, "", f"header and record differ in {name}")
        if told.text("outcome") != ("allow" if record.get("allow") is True else "deny"):
            yield tampered(told.index, "", "header and record differ in what was decided")
        if record.get("allow") is True and record.get("errors"):
            yield tampered(told.index, "", "it allows although policies could not be evaluated")
        for name in ("input", "entities"):
            if _digest(record.get(name)) != record.get(f"{name}_digest"):
                yield tampered(told.index, "", f"the digest of the decision's {name} is wrong")

    def _copy(self, told: Told, id: str, record: Fields) -> Iterator[Finding]:
        file = self._source.decisions.get(id)
        if file is None:
            yield incomplete(told.index, f"decisions/{id}.json", "the record is not there")
        elif file != _canonical(record):
            reason = "it is not what the log holds of this decision"
            yield tampered(told.index, f"decisions/{id}.json", reason)

    def _planned(self, told: Told) -> Iterator[Finding]:
        if told.body is None:
            yield incomplete(told.index, "", "the plan is not there, so its digest is unchecked")
        elif "plan" not in told.body and not self._history.governed:
            return  # of a version that did not record plans; its effects are counted as such
        elif _digest(told.body.get("plan")) != told.text("plan_digest"):
            yield tampered(told.index, "", "the plan has not the digest that was approved")

    def _used(self, told: Told) -> Iterator[Finding]:
        glass = self._history.glasses.get(told.text("idem_key"))
        if glass is None:
            yield self._absent(told.index, "a broken glass was used that nobody had broken")
            return
        if glass.used is not None:
            yield tampered(
                told.index, "", f"the broken glass was used by {glass.used.index} before"
            )
        timely = told.timely and glass.broken.timely
        if timely and told.at - glass.broken.at > LIVES:
            yield tampered(told.index, "", "the broken glass had expired when it was used")

    def _given(self, told: Told) -> Iterator[Finding]:
        if told.text("actor_ref") == told.text("on_behalf_of"):
            yield tampered(told.index, "", "one person alone gave a standing authorisation")

    def _rotated(self, told: Told) -> Iterator[Finding]:
        if told.body is None:
            yield incomplete(told.index, "", "which key follows which cannot be read any more")
            return
        try:
            new = VerifierKey.parse(str(told.body.get("new")))
        except BadNote as error:
            yield tampered(told.index, "", f"the new key is none: {error}")
            return
        if new.id.hex() != told.text("idem_key"):
            yield tampered(told.index, "", "the new key has not the id in the header")


_CHECKS = {
    INTENT: Judge._intent,
    OUTCOME: Judge._outcome,
    "action.settled": Judge._said,
    "policy.decided": Judge._decided,
    "run.planned": Judge._planned,
    "glass.used": Judge._used,
    "authorisation.given": Judge._given,
    "key.rotate": Judge._rotated,
}


def parsed(body: bytes) -> Fields | None:
    """Return a body as an object, or None where it is none."""
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _record(body: Fields) -> Fields | None:
    record = body.get("decision")
    return record if isinstance(record, dict) else None


def _canonical(value: JSON) -> bytes | None:
    try:
        return canonical(value)
    except NotCanonical:
        return None


def _digest(value: JSON) -> str | None:
    try:
        return digest(value)
    except NotCanonical:
        return None
