"""`CedarPolicy`: decisions by the policies of a folder.

Consent needs an Allow *and* not a single error: Cedar skips a `forbid` that
cannot be evaluated, so an Allow beside an error may be one that somebody had
forbidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns
from types import MappingProxyType
from typing import Final

from cedarpy import is_authorized

from bot.domain.actions import JSON, Effect, Risk
from bot.domain.approvals import Place
from bot.domain.canonical import MAX_BYTES, NotCanonical, canonical
from bot.domain.people import BOT, Person, PersonId, Standing
from bot.domain.policy import Phase, PolicyDecision, PolicyRequest
from bot.policies.asking import ASSISTANT, READ, Asked, Entities, asked_of, entities_of, places_of
from bot.policies.documents import (
    SCHEMAS,
    Bundle,
    PolicyError,
    Problem,
    check,
    one_line,
    read,
)
from bot.policies.obligations import Rule, owned_by, together

ENGINE: Final = f"cedarpy {version('cedarpy')}"
IN_A_POLICY: Final = "error while evaluating policy"  # Cedar's words for what failed in one
ROOM: Final = MAX_BYTES - 16_384  # bytes of input that leave room for the rest of a ledger entry


def load(folder: Path) -> CedarPolicy:
    """Return the policies of a folder: `*.cedar` and `schema.cedarschema`.

    Raises:
        PolicyError: naming every mistake.
    """
    return from_documents(read(folder))


def from_documents(documents: Mapping[str, bytes]) -> CedarPolicy:
    """Return the policies of documents by name, as a folder or an archive held them.

    Raises:
        PolicyError: naming every mistake.
    """
    policy = CedarPolicy(check(documents))
    policy.rehearse()
    return policy


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What Cedar said: whether it allows, by which policies, and what it could not evaluate."""

    allow: bool
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class CedarPolicy:
    """The port `Policy`, by a checked bundle of documents."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    @property
    def digest(self) -> str:
        """Return the SHA-256 over the RFC 8785 JSON of the documents' names and SHA-256s."""
        return self._bundle.digest

    @property
    def schema_digest(self) -> str:
        """Return the SHA-256 of the schema."""
        return self._bundle.schema_digest

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Return the documents by name, as they were read."""
        return MappingProxyType(self._bundle.documents)

    @property
    def rules(self) -> Mapping[str, Rule]:
        """Return what each policy obliges to, by its id."""
        return MappingProxyType(self._bundle.rules)

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        started = perf_counter_ns()
        decision = self.judge(asked_of(request), entities_of(request))
        return replace(decision, microseconds=(perf_counter_ns() - started) // 1_000)

    def judge(self, asked: Asked, entities: Entities) -> PolicyDecision:
        """Decide what was asked in Cedar's own terms; the same input gives the same decision."""
        much = _beyond_record(asked, entities)
        if much is not None:
            return self._decision(allow=False, reason=much, errors=(much,))
        answer = self._evaluate(asked, entities)
        decision = self._weigh(asked, entities, answer)
        return replace(decision, asked=dict(asked), entities=entities)

    def rehearse(self) -> None:
        """Ask everything there is to ask once, so that a schema that does not fit shows now.

        Raises:
            PolicyError: the schema does not know what is asked here.
        """
        errors = {
            error
            for request in _every_kind()
            for error in self._evaluate(asked_of(request), entities_of(request)).errors
            if not error.startswith(IN_A_POLICY)
        }
        if errors:
            file = next(name for name in SCHEMAS if name in self.documents)
            reason = "does not know what is asked here: "
            raise PolicyError(Problem(file=file, reason=reason + error) for error in errors)

    def _evaluate(self, asked: Asked, entities: Entities) -> _Answer:
        bundle = self._bundle
        question: dict[str, JSON] = {
            part: asked.get(part) for part in ("principal", "action", "resource", "context")
        }
        known = [dict(entity) for entity in entities]
        try:
            result = is_authorized(question, bundle.policies, known, bundle.schema)
        except (ValueError, TypeError) as error:
            return _Answer(allow=False, errors=(one_line(error),))
        diagnostics = result.diagnostics
        return _Answer(
            allow=result.allowed,
            policies=tuple(sorted(diagnostics.reasons)),
            errors=tuple(sorted(one_line(error) for error in diagnostics.errors)),
        )

    def _weigh(self, asked: Asked, entities: Entities, answer: _Answer) -> PolicyDecision:
        if answer.errors:
            return self._refusal(f"Policy cannot be evaluated: {answer.errors[0]}.", answer)
        rules = [self._bundle.rules[id] for id in answer.policies]
        if not answer.allow:
            return self._refusal(_forbidden(rules) or _unpermitted(asked), answer)
        if _silent(rules, asked):
            return self._refusal("No policy says whose consent is needed.", answer)
        try:
            quorum = _quorum(rules, asked, entities)
        except ValueError as error:
            return self._refusal(f"The quorum cannot be told: {error}.", answer)
        return self._decision(
            allow=True,
            reason=_reason(rules),
            quorum=quorum,
            policies=answer.policies,
            veto_seconds=0 if quorum else max((r.veto_seconds for r in rules), default=0),
        )

    def _refusal(self, reason: str, answer: _Answer) -> PolicyDecision:
        return self._decision(
            allow=False, reason=reason, policies=answer.policies, errors=answer.errors
        )

    def _decision(
        self,
        *,
        allow: bool,
        reason: str,
        quorum: tuple[Place, ...] = (),
        policies: tuple[str, ...] = (),
        errors: tuple[str, ...] = (),
        veto_seconds: float = 0,
    ) -> PolicyDecision:
        return PolicyDecision(
            allow=allow,
            reason=reason,
            quorum=quorum,
            policies=policies,
            errors=errors,
            veto_seconds=veto_seconds,
            policy_digest=self.digest,
            schema_digest=self.schema_digest,
            engine=ENGINE,
        )


def _beyond_record(asked: Asked, entities: Entities) -> str | None:
    """Say why the input could not be put on record, or None; what cannot is not allowed."""
    try:
        size = len(canonical(dict(asked))) + len(canonical(list(entities)))
    except NotCanonical as error:
        return f"The request cannot be put on record: {error}."
    if size > ROOM:
        return f"The request cannot be put on record: it is larger than {ROOM} bytes."
    return None


def _silent(rules: Sequence[Rule], asked: Asked) -> bool:
    """Say whether no permit names anybody for what is more than reading, not even nobody."""
    harmless = asked["context"]["risk"] == 0 and asked["action"]["id"] == READ
    return not harmless and all(rule.quorum is None for rule in rules)


def _quorum(rules: Sequence[Rule], asked: Asked, entities: Entities) -> tuple[Place, ...]:
    """Return whose consent is needed; under a broken glass nobody's, which is reviewed afterwards.

    Raises:
        ValueError: the owner's consent is wanted where nobody owns the service,
            or the question is not one that was asked here.
    """
    if asked["context"]["break_glass"]:
        return ()
    resource = asked["resource"]
    team = next((e["attrs"]["team"] for e in entities if e["uid"] == resource), "")
    obligations = [owned_by(rule.quorum, team) for rule in rules if rule.quorum]
    return together(obligations, places_of(asked))


def _forbidden(rules: Sequence[Rule]) -> str:
    return " ".join(
        f"{rule.reason.removesuffix('.')} ({rule.id})." if rule.reason else f"{rule.id} forbids it."
        for rule in rules
    )


def _unpermitted(asked: Asked) -> str:
    who = "the assistant" if asked["principal"]["type"] == ASSISTANT else "people"
    action, risk = asked["action"]["id"], asked["context"]["risk"]
    return f"No policy permits {who} to {action} at R{risk} in this situation."


def _reason(rules: Sequence[Rule]) -> str:
    told = " ".join(dict.fromkeys(rule.reason for rule in rules if rule.reason))
    return told or f"Permitted by {', '.join(rule.id for rule in rules)}."


def _every_kind() -> Sequence[PolicyRequest]:
    """Return one request for each kind of requester and each action."""
    nobody = Person(id=PersonId("nobody"), name="")
    return [
        PolicyRequest(
            phase=Phase.PLAN,
            at=datetime(2026, 1, 1, tzinfo=UTC),
            requester=Standing(person=person),
            requester_ref="nobody",
            runbook="",
            actions=(),
            risk=Risk.R0,
            effects=frozenset({effect}),
        )
        for person in (nobody, BOT)
        for effect in Effect
    ]
