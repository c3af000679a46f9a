"""Fit a ranker on folders of known answers and on what people said of hits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.search.encoder import Encoder
from bot.search.ranker import FALLBACK, Ranker, Trained, to_json
from bot.search.training.asking import Example
from bot.search.training.calibrating import (
    Outcome,
    calibrate,
    cross_validated,
    outcomes,
    threshold,
)
from bot.search.training.datasets import Dataset
from bot.search.training.judgements import Judged
from bot.search.training.rounds import VARIANTS, cross_validate, play


@dataclass(frozen=True, kw_only=True)
class Training:
    """A ranker, and how it did on questions that the rankers asked had not seen.

    `claimed` are confidences for `outcomes`, by curves fitted without them;
    `asked` are the examples behind them, by folder.
    """

    ranker: Ranker
    asked: dict[str, list[Example]]
    outcomes: Sequence[Outcome]
    claimed: Sequence[float]


async def train(
    datasets: Sequence[Dataset], encoder: Encoder, *, judged: Judged | None = None
) -> Training:
    """Fit weights, common terms, calibration and threshold; same input, same ranker.

    The weights are fitted on everything. The calibration is fitted on what
    rankers said of a fifth they had not learned from, five times, and the
    threshold chosen from curves cross-validated in turn, so neither flatters
    itself.
    """
    heard = judged or Judged()
    rounds = await cross_validate(datasets, encoder)
    asked = {
        each.name: [one for part in rounds for one in part.asked[each.name]] for each in datasets
    }
    seen = [one for each in datasets for one in outcomes(asked[each.name], each.kind, VARIANTS)]
    claimed = cross_validated(seen)
    final = await play(
        datasets,
        encoder,
        taught=lambda *_: True,
        asked=lambda *_: False,
        extra=heard.lessons,
    )
    ranker = replace(
        final.ranker,
        weights=dict(final.ranker.weights),
        calibrations=calibrate(seen),
        threshold=threshold(claimed, seen),
        trained=_record(datasets, heard),
        encoder=encoder.model,
    )
    return Training(
        ranker=replace(ranker, name=_named(ranker)), asked=asked, outcomes=seen, claimed=claimed
    )


def _record(datasets: Sequence[Dataset], heard: Judged) -> tuple[Trained, ...]:
    record = [
        Trained(name=each.name, sha256=each.sha256, queries=len(each.questions))
        for each in datasets
    ]
    if heard.labels:
        ids = json.dumps(sorted(label.id for label in heard.labels)).encode()
        record.append(
            Trained(
                name="people's labels",
                sha256=hashlib.sha256(ids).hexdigest(),
                queries=len(heard.labels),
            )
        )
    return tuple(record)


def _named(ranker: Ranker) -> str:
    """Name a ranker by what it is, so that a record of an answer says which one gave it."""
    content = to_json(replace(ranker, name=""))
    known = "fixed" if ranker.weights == FALLBACK.weights else "trained"
    return f"{known}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
