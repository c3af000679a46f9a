"""Why a document was found, in the words a card can show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.documents import Acceptance, Because, Document, Outcome, Query, Reason
from bot.search.surroundings import aware

_MOST_WORDS = 4
_CLOSE = 0.45  # a plain cosine from which on texts are about the same
_RECENT_DAYS = 90


@dataclass(frozen=True, kw_only=True)
class Related:
    """What a document has to do with a query besides its words."""

    names: Collection[str] = ()
    services: Collection[str] = ()
    dependency: str = ""
    entities: Collection[str] = ()
    acceptance: Acceptance = field(default_factory=Acceptance)


def reasons(
    document: Document,
    query: Query,
    related: Related,
    *,
    matched: Sequence[str],
    cosine: float | None,
    tells: Callable[[str], bool],
) -> tuple[Reason, ...]:
    """Return the reasons, the most telling first; `tells` says whether sharing a word does."""
    told = (
        _name(related.names, document.names),
        _words([word for word in matched if tells(word) and word not in related.names]),
        _meaning(cosine),
        _service(related.services),
        Reason(because=Because.DEPENDENCY, text=related.dependency) if related.dependency else None,
        _entities(related.entities),
        _accepted(related.acceptance),
        _outcome(document.outcome),
        _recent(document.created_at, query.at),
    )
    return tuple(reason for reason in told if reason is not None)


def _name(names: Collection[str], own: Collection[str]) -> Reason | None:
    if not names:
        return None
    text = "same alert name" if set(names) & set(own) else f"tells of {', '.join(sorted(names))}"
    return Reason(because=Because.NAME, text=text)


def _words(telling: Sequence[str]) -> Reason | None:
    if not telling:
        return None
    shown = ", ".join(telling[:_MOST_WORDS])
    words = "word" if len(telling) == 1 else "words"
    return Reason(because=Because.WORDS, text=f"shares the {words} {shown}")


def _meaning(cosine: float | None) -> Reason | None:
    if cosine is None or cosine < _CLOSE:
        return None
    return Reason(because=Because.MEANING, text="close in meaning")


def _service(services: Collection[str]) -> Reason | None:
    if not services:
        return None
    return Reason(because=Because.SERVICE, text=f"same service {', '.join(sorted(services)[:2])}")


def _entities(entities: Collection[str]) -> Reason | None:
    if not entities:
        return None
    return Reason(because=Because.ENTITY, text=f"both name {', '.join(sorted(entities)[:2])}")


def _accepted(acceptance: Acceptance) -> Reason | None:
    if acceptance.useful <= acceptance.useless:
        return None
    times = "once" if acceptance.useful == 1 else f"{acceptance.useful} times"
    return Reason(because=Because.ACCEPTED, text=f"called useful {times}")


def _outcome(outcome: Outcome) -> Reason | None:
    if outcome is Outcome.UNKNOWN:
        return None
    return Reason(because=Because.OUTCOME, text=f"what was done then {outcome.value}")


def _recent(created: datetime | None, at: datetime | None) -> Reason | None:
    if created is None or at is None:
        return None
    days = (aware(at) - aware(created)).days
    if not 0 <= days <= _RECENT_DAYS:
        return None
    when = "within a day" if days == 0 else "a day ago" if days == 1 else f"{days} days ago"
    return Reason(because=Because.RECENT, text=when)
