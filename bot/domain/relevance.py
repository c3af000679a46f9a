"""When a search hit is worth showing: the best of nothing is still nothing.

A blended score orders the hits of one query and says nothing about how good the
best of them is. A calibrated confidence does, where there is one: then it alone
decides. Without one (see `Found.confidence`) what counts is what can be compared
between queries: which of the query's words a document shares, its raw BM25 score
and its cosine. The bounds were chosen by looking at the example incidents and
runbooks against alerts that do and do not concern them; they are a judgement,
not a probability.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bot.domain.alerts import AlertGroup
from bot.domain.documents import Because, Found, Hit, Query

LEAST_WORDS = 2
LEAST_LEXICAL = 5.0  # raw BM25
LEAST_COSINE = 0.3  # below it the shared words mean something else
ENOUGH_COSINE = 0.55  # from here on meaning alone is enough

# Words that every other alert has, so that sharing them tells nothing.
_COMMON_WORDS = """
above alert alerts all almost any been below by code down device eight error errors example five
for four from has have high host in instance is job last less level low many min minute minutes
more nine node of on one only or out over rate remaining sec second seconds service seven since
six target ten than the three threshold time to too total two up value was with
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_ANNOTATIONS = ("summary", "title", "description", "message")
_LONGEST_QUERY = 2_000
_ADDRESS = "://"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A hit that a person judges: what was searched, all that was found, and which one.

    `subject` is the alert group or incident it was searched for, or the words
    of a search that was for neither.
    """

    query: Query
    found: Found
    document: str
    subject: str


def query(group: AlertGroup) -> str:
    """Return what to search for: the alert's name and what its author wrote for people.

    Without web addresses, since their parts are not words about a fault.
    """
    words = (group.name, *(group.annotation(key) for key in _ANNOTATIONS), group.service or "")
    text = " ".join(dict.fromkeys(word for word in words if word))
    # Alerts may say megabytes without a space, so this is no search by a pattern.
    return " ".join(word for word in text.split() if _ADDRESS not in word)[:_LONGEST_QUERY]


def query_of(group: AlertGroup) -> Query:
    """Return what to search for, and what is known of the group besides.

    Every service that its alerts name counts, also where they differ.
    """
    return Query(
        text=query(group),
        names=labelled(group, "alertname"),
        services=labelled(group, "service"),
        at=group.first_seen,
    )


def labelled(group: AlertGroup, label: str) -> tuple[str, ...]:
    """Return every value of a label among a group's alerts, in order of the alphabet."""
    return tuple(sorted(filter(None, {alert.labels.get(label, "") for alert in group.alerts})))


def worth_showing(found: Found, names: Sequence[str]) -> tuple[Hit, ...]:
    """Return the hits that may be shown to somebody who did not ask, best first.

    Where the search is sure of its first hit, those after it may be shown as
    well; where it is calibrated and not sure, only what the same alert of the
    same service speaks for, which no calibration saw. `names` are those of the
    alert, for the rule that stands in while nothing is calibrated.
    """
    if found.sure:
        return found.hits
    if found.confidence is not None:
        return tuple(hit for hit in found.hits if vouched(hit))
    names = names or ("",)
    return tuple(hit for hit in found.hits if any(convincing(hit, name) for name in names))


def reasons(hit: Hit, *, told: Collection[Because] = ()) -> tuple[str, ...]:
    """Say why a hit was found, each reason once, without what is `told` elsewhere.

    Where no reason is given, the words it shares stand in.
    """
    if hit.reasons:
        left = (reason.text for reason in hit.reasons if reason.because not in told)
        return tuple(dict.fromkeys(left))
    words = ", ".join(telling(hit) or hit.matched)
    return (f"shares the words {words}" if words else "close in meaning",)


def vouched(hit: Hit) -> bool:
    """Say whether a hit is about the same alert of the same service."""
    return all(hit.signals.get(signal, 0.0) > 0 for signal in ("name", "service"))


def named(found: Found) -> bool:
    """Say whether the first hit goes by the alert's exact name, which nothing was calibrated on."""
    return bool(found.hits) and found.hits[0].signals.get("name", 0.0) > 0


def why(hit: Hit) -> str:
    """Say in one line why a hit was found."""
    return "; ".join(reasons(hit))


def telling(hit: Hit) -> tuple[str, ...]:
    """Return the shared words that say something: no numbers, letters or everyday words."""
    return tuple(word for word in hit.matched if says_something(word))


def says_something(word: str) -> bool:
    """Say whether sharing a word tells anything: no number, letter or everyday word does."""
    return len(word) > 1 and not word.isdigit() and word.lower() not in _COMMON


def convincing(hit: Hit, name: str) -> bool:
    """Say whether a hit is worth showing for an alert of this name.

    The alert's exact name in the document is enough. Otherwise the words have to
    agree and, once documents are compared by meaning, the meaning has to allow
    it; or the meaning alone is close enough.
    """
    if name in hit.matched or name in hit.document.names:
        return True
    if hit.dense is not None and hit.dense >= ENOUGH_COSINE:
        return True
    words = len(telling(hit)) >= LEAST_WORDS and hit.lexical >= LEAST_LEXICAL
    return words and (hit.dense is None or hit.dense >= LEAST_COSINE)
