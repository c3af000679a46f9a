"""What a training has to answer for: how it did on questions it had not learned from."""

from __future__ import annotations

from collections.abc import Sequence

from bot.search.ranker import Ranker
from bot.search.training.asking import Answer
from bot.search.training.datasets import Dataset
from bot.search.training.evaluating import (
    BASELINE,
    DEFAULT,
    Evaluation,
    baseline,
    by_question,
    summarise,
    trust,
)
from bot.search.training.reports import TRUST_HEAD, summary, table, trust_row
from bot.search.training.training import Training


def cross_validated(dataset: Dataset, training: Training) -> Evaluation:
    """Evaluate what was said of questions held out: rankers and curves had not seen them."""
    given = answers_of(dataset, training)
    ways = {DEFAULT: by_question(given), BASELINE: baseline(dataset)}
    unseen = Ranker(name="cross-validated", weights={}, threshold=training.ranker.threshold)
    return summarise(dataset, unseen, given, ways)


def account(datasets: Sequence[Dataset], training: Training) -> str:
    """Write for the terminal what was fitted and how it did, cross-validated."""
    ranker = training.ranker
    weights = ", ".join(f"{name} {value:.2f}" for name, value in ranker.weights.items())
    parts = [
        f"{ranker.name}: {weights}; {len(ranker.common)} common terms",
        f"threshold {ranker.threshold:.2f}; cross-validated by group, five parts:",
        *(summary(cross_validated(each, training)) for each in datasets),
    ]
    if datasets:
        together = trust([one for each in datasets for one in answers_of(each, training)])
        parts.append(table(TRUST_HEAD, [trust_row("all folders", together)]))
    return "\n".join(parts)


def answers_of(dataset: Dataset, training: Training) -> list[Answer]:
    """Return what was said of held-out questions, with cross-validated confidence."""
    claimed = {
        id(one.example): sure for one, sure in zip(training.outcomes, training.claimed, strict=True)
    }
    return [
        Answer(
            question=one.question,
            found=one.best(one.scores),
            confidence=claimed.get(id(one)),
            threshold=training.ranker.threshold,
            novel=one.novel,
        )
        for one in training.asked[dataset.name]
    ]
