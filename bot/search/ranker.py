"""How signals become one ranking, and a ranking a probability: weights, saved as JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)

FORMAT = "ranker/v1"
SHIPPED = Path(__file__).with_name("ranker.json")

SIGNALS = (
    "words",  # BM25 over weighted fields, with everyday words of alerts held down
    "gist_words",  # the same over title, names and the sections that say what it is about
    "tfidf",  # cosine of the terms
    "meaning",  # whitened cosine of the best chunk
    "gist",  # the same over the chunks that say what it is about
    "cosine",  # plain cosine of the best chunk
    "title",  # share of the title's terms, by rarity, that the query has
    "name",  # 1 where an exact name agrees, or stands in the text
    "service",  # 1 where a service agrees
    "dependency",  # 1/hops to a service that is concerned
    "entity",  # shared hosts, error codes and versions, 1 for the first, less for more
    "recent",  # 0.5 ** (age / 90 days)
    "accepted",  # what people said of it, -1 to 1
    "outcome",  # 1 where what was done then helped, -1 where it did not
)

# Scaled within a query's candidates; the others stand for themselves.
RELATIVE = frozenset(("words", "gist_words", "tfidf", "meaning", "gist", "cosine"))


# What folders of questions with known answers show; the rest is context.
TEXT = RELATIVE | {"title", "entity"}


class UnfitRanker(Exception):
    """A saved ranker cannot be used, for the reason given."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """From the evidence of a ranking to the probability that its first hit is right.

    A logistic regression over evidence (see `confidence.evidence`), bent by an
    isotonic curve through `knots` where there are any. `floor` and `ceiling`
    keep it from claiming more than its data can bear.
    """

    intercept: float
    coefficients: Mapping[str, float]
    knots: tuple[tuple[float, float], ...] = ()
    floor: float = 0.01
    ceiling: float = 0.99


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One thing a ranker was fitted on: a folder's name and sha256, or people's labels."""

    name: str
    sha256: str
    queries: int


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """Weights of signals, how common terms are in queries, and the calibration.

    `common` maps a stem to the share of queries that have it, in the kind of
    query that has it most. Without a calibration no confidence is claimed, nor
    with another encoder than the one it was calibrated with (`encoder`, the
    model's name; "" binds it to none).
    """

    name: str
    weights: Mapping[str, float]
    common: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    threshold: float = 0.5
    trained: tuple[Trained, ...] = ()
    encoder: str = ""

    def scores(self, scaled: Matrix) -> Scores:
        """Weigh scaled signals, columns in the order of SIGNALS, to one score per candidate."""
        return self._weighed(scaled, SIGNALS)

    def text_scores(self, scaled: Matrix) -> Scores:
        """Weigh what is in the texts alone, which is what confidence was calibrated on."""
        return self._weighed(scaled, TEXT)

    def _weighed(self, scaled: Matrix, names: Collection[str]) -> Scores:
        weights = [self.weights.get(name, 0.0) if name in names else 0.0 for name in SIGNALS]
        scores: Scores = (scaled @ np.array(weights, dtype=np.float32)).astype(np.float32)
        return scores


FALLBACK = Ranker(
    name="fixed",
    weights={
        "words": 0.6, "gist_words": 0.3, "meaning": 0.6, "gist": 0.2, "name": 2.0, "title": 0.5,
        "service": 0.5, "dependency": 0.3, "entity": 0.5, "recent": 0.1, "accepted": 0.5,
        "outcome": 0.1,
    },
)  # fmt: skip


def chosen(trained_here: Path | None = None) -> Ranker:
    """Return the ranker trained on this host where there is one, else the shipped one."""
    if trained_here is not None and trained_here.is_file():
        return read(trained_here)
    return shipped()


def shipped() -> Ranker:
    """Return the ranker that comes with the program."""
    return read(SHIPPED)


def read(path: Path) -> Ranker:
    """Return the ranker of a file, or the fixed one, with a warning, where it is unfit."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, UnfitRanker) as error:
        logger.warning("the fixed ranker decides; %s is unfit: %s", path.name, error)
        return FALLBACK


def to_json(ranker: Ranker) -> str:
    """Write a ranker down."""
    return json.dumps(
        {
            "format": FORMAT,
            "name": ranker.name,
            "encoder": ranker.encoder,
            "threshold": ranker.threshold,
            "weights": dict(ranker.weights),
            "calibrations": {
                kind: {
                    "intercept": c.intercept,
                    "coefficients": dict(c.coefficients),
                    "knots": [list(knot) for knot in c.knots],
                    "floor": c.floor,
                    "ceiling": c.ceiling,
                }
                for kind, c in ranker.calibrations.items()
            },
            "trained": [vars(trained) for trained in ranker.trained],
            "common": dict(ranker.common),
        },
        indent=1,
        allow_nan=False,
    )


def from_json(text: str) -> Ranker:
    """Read a ranker.

    Raises:
        UnfitRanker: it is not one, or has weights or signals this version does not know.
    """
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise UnfitRanker(f"its format is {stored['format']}, not {FORMAT}")
        ranker = _read(stored)
    except (
        ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise UnfitRanker(f"it cannot be read: {type(error).__name__}: {error}") from error
    if fault := _fault(ranker):
        raise UnfitRanker(fault)
    return ranker


def _fault(ranker: Ranker) -> str:
    """Say why a ranker cannot be used, "" where it can."""
    unknown = set(ranker.weights) - set(SIGNALS)
    if unknown:
        return f"it weighs signals that do not exist: {', '.join(sorted(unknown))}"
    if not 0 <= ranker.threshold <= 1:
        return "its threshold is no probability"
    numbers = [*ranker.weights.values(), *ranker.common.values()]
    for c in ranker.calibrations.values():
        numbers += [c.intercept, c.floor, c.ceiling, *c.coefficients.values(), *sum(c.knots, ())]
        falls = any(list(axis) != sorted(axis) for axis in zip(*c.knots, strict=True))
        if falls or not 0 <= c.floor <= c.ceiling <= 1:
            return "it has a calibration that is no curve from 0 to 1"
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.array(numbers, dtype=np.float32)).all()
    return "" if finite else "it has weights that are no numbers"


def _read(stored: Mapping[str, Any]) -> Ranker:
    return Ranker(
        name=str(stored["name"]),
        threshold=_number(stored["threshold"]),
        weights={str(k): _number(v) for k, v in stored["weights"].items()},
        common={str(k): _number(v) for k, v in stored["common"].items()},
        calibrations={str(k): _calibration(v) for k, v in stored["calibrations"].items()},
        trained=tuple(Trained(**trained) for trained in stored["trained"]),
        encoder=str(stored["encoder"]),
    )


def _calibration(stored: Mapping[str, Any]) -> Calibration:
    return Calibration(
        intercept=_number(stored["intercept"]),
        coefficients={str(k): _number(v) for k, v in stored["coefficients"].items()},
        knots=tuple((_number(x), _number(y)) for x, y in stored["knots"]),
        floor=_number(stored["floor"]),
        ceiling=_number(stored["ceiling"]),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{ascii(value)[:40]} is no number")
    return float(value)
