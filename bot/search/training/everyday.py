"""How common terms are in questions: "we are investigating" tells nothing of a cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bot.search.tokens import Splitter
from bot.search.training.datasets import Question

LEAST = 0.01  # a rarer term counts in full


def common(kinds: Sequence[Sequence[Question]]) -> dict[str, float]:
    """Map each common stem to the share of questions that have it, where they have it most.

    `kinds` are questions of one origin each: an alert's words are not everyday
    words only because status pages never use them.
    """
    splitter = Splitter()
    shares: dict[str, float] = {}
    for questions in kinds:
        counts = Counter(term for one in questions for term in set(splitter.terms(one.text)))
        for term, count in counts.items():
            shares[term] = max(shares.get(term, 0.0), count / len(questions))
    return {term: round(shares[term], 4) for term in sorted(shares) if shares[term] >= LEAST}
