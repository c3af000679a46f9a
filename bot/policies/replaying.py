"""A recorded decision, made again from the documents it was made by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bot.domain.canonical import digest
from bot.domain.decisions import DecisionRecord
from bot.domain.errors import Refused
from bot.domain.policy import PolicyDecision
from bot.policies.cedar import from_documents

_SAME = (
    "allow",
    "reason",
    "quorum",
    "policies",
    "errors",
    "veto_seconds",
    "policy_digest",
    "schema_digest",
)


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What came of a replay; `differences` are sentences, empty where all is as recorded."""

    decision: PolicyDecision
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Say whether the decision came out as it was recorded."""
        return not self.differences


def replay(record: DecisionRecord, documents: Mapping[str, bytes]) -> Replayed:
    """Decide again what a record says was asked, by the documents in force then.

    A newer engine is no difference by itself: that it decides alike is what a
    replay shows.

    Raises:
        PolicyError: the documents cannot be used.
        Refused: the record holds no input, as with the built-in rules.
    """
    if not record.input:
        raise Refused(f"The decision {record.id} was not made by policy documents.")
    policy = from_documents(documents)
    decision = policy.judge(record.input, tuple(record.entities))
    return Replayed(decision=decision, differences=tuple(_differences(record, decision)))


def _differences(record: DecisionRecord, decision: PolicyDecision) -> Iterator[str]:
    if digest(dict(record.input)) != record.input_digest:
        yield "input: is not what its digest says"
    if digest([dict(entity) for entity in record.entities]) != record.entities_digest:
        yield "entities: are not what their digest says"
    for name in _SAME:
        then, now = getattr(record, name), getattr(decision, name)
        if then != now:
            yield f"{name}: recorded {_shown(then)}, now {_shown(now)}"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
