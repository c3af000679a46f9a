"""When a search hit is worth showing: the best of nothing is still nothing.

A blended score orders the hits of one query and says nothing about how good the
best of them is. So what counts is what can be compared between queries: which of
the query's words a document shares, its raw BM25 score and its cosine. The
bounds were chosen by looking at the example incidents and runbooks against
alerts that do and do not concern them; they are a judgement, not a probability.
"""

from __future__ import annotations

import re

from bot.domain.alerts import AlertGroup
from bot.domain.documents import Hit

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
_ADDRESS = re.compile(r"\S*://\S*")


def query(group: AlertGroup) -> str:
    """Return what to search for: the alert's name and what its author wrote for people.

    Without web addresses, since their parts are not words about a fault.
    """
    words = (group.name, *(group.annotation(key) for key in _ANNOTATIONS), group.service or "")
    text = " ".join(dict.fromkeys(word for word in words if word))
    return " ".join(_ADDRESS.sub(" ", text).split())[:_LONGEST_QUERY]


def telling(hit: Hit) -> tuple[str, ...]:
    """Return the shared words that say something: no numbers, letters or everyday words."""
    return tuple(
        word
        for word in hit.matched
        if len(word) > 1 and not word.isdigit() and word.lower() not in _COMMON
    )


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
