"""Train on some questions and ask others: the rounds of a cross-validation."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bot.search.encoder import Encoder
from bot.search.engine import HybridSearch
from bot.search.ranker import FALLBACK, Ranker
from bot.search.training.asking import Example, engine, examples
from bot.search.training.datasets import Dataset, Question
from bot.search.training.everyday import common
from bot.search.training.fitting import Lesson, fit, learnable, lessons, taught_by

FOLDS = 5
# The name all but gives the answer away, so it teaches less than what it goes with.
VARIANTS: Mapping[str, float] = {"name+desc": 0.3}

Chosen = Callable[[Dataset, Question], bool]


@dataclass(frozen=True, kw_only=True)
class Round:
    """A ranker without calibration, and what was asked of it, by the folder's name."""

    ranker: Ranker
    asked: Mapping[str, Sequence[Example]]


def fold(group: str) -> int:
    """Say in which part of a cross-validation a group is held out."""
    return zlib.crc32(group.encode()) % FOLDS


async def play(
    datasets: Sequence[Dataset],
    encoder: Encoder,
    *,
    taught: Chosen,
    asked: Chosen,
    extra: Sequence[Lesson] = (),
) -> Round:
    """Fit common terms and weights on what is taught, and ask what is to be asked.

    What is asked is asked twice, the second time with its answers hidden.
    """
    lectures = [[one for one in each.questions if taught(each, one)] for each in datasets]
    # The engine looks weights up at every question, so they may be fitted while it is open.
    weights = dict(FALLBACK.weights)
    ranker = Ranker(
        name="in training", weights=weights, common=common([part for part in lectures if part])
    )
    async with AsyncExitStack() as stack:
        desks = [
            await stack.enter_async_context(engine(each.documents, encoder, ranker=ranker))
            for each in datasets
        ]
        fitted = await _fitted(desks, lectures, extra)
        weights.clear()
        weights.update(fitted)
        heard = {
            each.name: await examples(
                desk, [one for one in each.questions if asked(each, one)], novel=True
            )
            for each, desk in zip(datasets, desks, strict=True)
        }
    return Round(ranker=ranker, asked=heard)


async def cross_validate(datasets: Sequence[Dataset], encoder: Encoder) -> list[Round]:
    """Hold out each fifth of the groups of all folders in turn."""
    return [
        await play(
            datasets,
            encoder,
            taught=lambda _, one, held=held: fold(one.group) != held,  # type: ignore[misc]
            asked=lambda _, one, held=held: fold(one.group) == held,  # type: ignore[misc]
        )
        for held in range(FOLDS)
    ]


async def leave_out(datasets: Sequence[Dataset], left: Dataset, encoder: Encoder) -> Round:
    """Train on all folders but one, and ask that one."""
    return await play(
        datasets,
        encoder,
        taught=lambda dataset, _: dataset.name != left.name,
        asked=lambda dataset, _: dataset.name == left.name,
    )


async def _fitted(
    desks: Sequence[HybridSearch], lectures: Sequence[Sequence[Question]], extra: Sequence[Lesson]
) -> dict[str, float]:
    learned, heard = list(extra), []
    for desk, questions in zip(desks, lectures, strict=True):
        seen = await examples(desk, [one for one in questions if one.answerable])
        learned += lessons(seen, VARIANTS)
        heard += seen
    return fit(learned, (*learnable(heard), *taught_by(extra)))
