"""Hold the shipped default against BM25 on one folder, and its confidence against the truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bot.search.encoder import Encoder
from bot.search.ranker import Ranker
from bot.search.training.asking import Answer, answers, engine, examples, signals_of
from bot.search.training.baseline import Baseline
from bot.search.training.calibrating import NOVEL
from bot.search.training.datasets import Dataset, Question
from bot.search.training.measures import (
    DEPTH,
    MEASURES,
    Bin,
    Figure,
    auroc,
    bootstrap,
    calibration_error,
    figures_of,
    named,
    reliability,
)

DEFAULT = "default"
BASELINE = "bm25"
FEWEST = 30  # questions below which a group's figures say nothing

Found = Mapping[str, Sequence[str]]
"""The best ids by the id of the question."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Several ways to search on the same questions; `gains` are paired, way minus BM25."""

    questions: int
    groups: int
    ways: Mapping[str, Mapping[str, Figure]]
    gains: Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far the confidence can be trusted.

    `error` (expected calibration error) and `bins` are of a mixture in which a
    quarter of the weight are novel cases: questions without an answer, and the
    others once more with their answers hidden. So is `precision_novel`;
    `precision` is of the folder as it is. `shown` is the share of answerable
    questions that get an answer, `alarms` that of novel cases that do.
    `auroc_dead` tells questions with an answer from those without one,
    `auroc_right` right from wrong first hits.
    """

    claims: int
    error: float | None
    bins: Sequence[Bin]
    auroc_dead: float | None
    auroc_right: float | None
    precision: float | None
    precision_novel: float | None
    shown: float
    alarms: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One folder, measured. `seen` says that the ranker was trained on this very folder."""

    name: str
    documents: int
    ranker: str
    threshold: float
    seen: bool
    variants: Mapping[str, Compared]
    trust: Mapping[str, Trust]
    overall: Trust
    by: Mapping[str, Compared] = field(default_factory=dict)
    too_small: Mapping[str, int] = field(default_factory=dict)


async def evaluate(
    dataset: Dataset,
    encoder: Encoder,
    ranker: Ranker,
    *,
    signals: Sequence[str] = (),
    by: str = "",
) -> Evaluation:
    """Ask everything of the engine with a ranker, and of BM25; nothing is fitted.

    With `signals`, each of those that tell candidates apart also ranks alone;
    with `by`, the values of a field are compared, too.
    """
    async with engine(dataset.documents, encoder, ranker=ranker) as search:
        given = await answers(search, dataset)
        seen = await examples(search, dataset.questions) if signals else []
    ways = {DEFAULT: by_question(given), BASELINE: baseline(dataset)}
    for signal in (name for name in signals_of(seen) if name in signals) if seen else ():
        ways[signal] = {one.question.id: one.alone(signal) for one in seen}
    evaluation = summarise(dataset, ranker, given, ways)
    if not by:
        return evaluation
    large, small = grouped(dataset, by, ways)
    return replace(evaluation, by=large, too_small=small)


def summarise(
    dataset: Dataset, ranker: Ranker, given: Sequence[Answer], ways: Mapping[str, Found]
) -> Evaluation:
    """Put the figures of a folder together."""
    variants = {
        variant: [one for one in dataset.questions if one.variant == variant and one.answerable]
        for variant in dataset.variants
    }
    return Evaluation(
        name=dataset.name,
        documents=len(dataset.documents),
        ranker=ranker.name,
        threshold=ranker.threshold,
        seen=any(trained.sha256 == dataset.sha256 for trained in ranker.trained),
        variants={name: compare(asked, ways) for name, asked in variants.items() if asked},
        trust={
            variant: trust([one for one in given if one.question.variant == variant])
            for variant in dataset.variants
        },
        overall=trust(given),
    )


def by_question(given: Sequence[Answer]) -> Found:
    """Return what was found for each question as it was asked, its answers not hidden."""
    return {
        one.question.id: one.found for one in given if one.question.answerable and not one.novel
    }


def baseline(dataset: Dataset) -> Found:
    """Ask BM25 everything that has an answer."""
    bm25 = Baseline(dataset.documents)
    return {one.id: bm25.find(one, limit=DEPTH) for one in dataset.questions if one.answerable}


def compare(asked: Sequence[Question], ways: Mapping[str, Found]) -> Compared:
    """Measure ways to search on the same questions, and each one's lead over BM25."""
    groups = [one.group for one in asked]
    values = {
        way: np.array([figures_of(found[one.id], one.relevant) for one in asked])
        for way, found in ways.items()
    }
    bar = values[BASELINE]
    return Compared(
        questions=len(asked),
        groups=len(set(groups)),
        ways={way: named(bootstrap(each, groups)) for way, each in values.items()},
        gains={
            way: named(bootstrap(each - bar, groups))
            for way, each in values.items()
            if way != BASELINE
        },
    )


def trust(given: Sequence[Answer]) -> Trust:
    """Measure the confidence of answers, each variant weighing the same."""
    sure = [(one, one.confidence or 0.0) for one in given]
    weights = _weights(given)
    shown = [(one, w) for (one, p), w in zip(sure, weights, strict=True) if p >= one.threshold]
    asked = [(one, p) for one, p in sure if not _hidden(one)]
    answered = [one for one, _ in asked if one.question.answerable]
    bins = reliability([p for _, p in sure], [float(one.right) for one, _ in sure], weights)
    claims = sum(one.confidence is not None for one in given)
    novel = sum(one.novel for one in given)
    return Trust(
        claims=claims,
        error=calibration_error(bins) if claims else None,
        bins=bins if claims else (),
        auroc_dead=_auroc(asked, positive=lambda one: one.question.answerable),
        auroc_right=_auroc(asked, positive=lambda one: one.right),
        precision=_precision([(one, 1.0) for one, _ in shown if not _hidden(one)]),
        precision_novel=_precision(shown),
        shown=sum(not one.novel for one, _ in shown) / max(len(answered), 1),
        alarms=sum(one.novel for one, _ in shown) / novel if novel else None,
    )


def grouped(
    dataset: Dataset, field_name: str, ways: Mapping[str, Found]
) -> tuple[dict[str, Compared], dict[str, int]]:
    """Compare within each value of a field, and count the values that are too rare for it.

    The field is looked for in the question, then in its right documents. A list
    counts for each of its values.
    """
    parts: dict[str, list[Question]] = defaultdict(list)
    for one in dataset.questions:
        for value in sorted(_values(dataset, one, field_name)) if one.answerable else ():
            parts[value].append(one)
    large = {name: part for name, part in sorted(parts.items()) if len(part) >= FEWEST}
    small = {name: len(part) for name, part in sorted(parts.items()) if len(part) < FEWEST}
    return {name: compare(part, ways) for name, part in large.items()}, small


def _values(dataset: Dataset, one: Question, name: str) -> frozenset[str]:
    rows = (one.row,) if name in one.row else tuple(dataset.rows[id_] for id_ in one.relevant)
    values = [row[name] for row in rows if row.get(name) not in (None, "")]
    flat = [part for value in values for part in (value if isinstance(value, list) else [value])]
    return frozenset(str(part) for part in flat if isinstance(part, str | int | float))


def _hidden(one: Answer) -> bool:
    """Say whether the answers were there and were hidden: the folder itself has no such case."""
    return one.novel and one.question.answerable


def _weights(given: Sequence[Answer]) -> list[float]:
    """Give each variant the same mass, a quarter of it for novel cases."""
    counts: dict[tuple[str, bool], int] = defaultdict(int)
    for one in given:
        counts[one.question.variant, one.novel] += 1
    return [
        (NOVEL if one.novel else 1 - NOVEL) / counts[one.question.variant, one.novel]
        for one in given
    ]


def _auroc(
    asked: Sequence[tuple[Answer, float]], *, positive: Callable[[Answer], bool]
) -> float | None:
    return auroc(
        [p for one, p in asked if positive(one)], [p for one, p in asked if not positive(one)]
    )


def _precision(shown: Sequence[tuple[Answer, float]]) -> float | None:
    total = sum(weight for _, weight in shown)
    return sum(weight for one, weight in shown if one.right) / total if total else None


def figures(evaluation: Evaluation) -> dict[str, dict[str, dict[str, float]]]:
    """Return every mean by variant, way and measure, as `--json` prints them."""
    return {
        variant: {
            way: {measure: round(each[measure].value, 6) for measure in MEASURES}
            for way, each in compared.ways.items()
        }
        for variant, compared in evaluation.variants.items()
    }
