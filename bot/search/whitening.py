"""Spread sentence vectors evenly before they are compared, so that likeness tells more.

Sentence vectors lie in a narrow cone: what all of them share drowns what sets
them apart. Taking away their mean and evening out their variance helps (Su et
al. 2021, "Whitening Sentence Representations", arXiv:2103.15316). Full
whitening overfits few vectors, so the variance is evened out in part only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

# Measured on the development sets: -0.5 would be full whitening, 0 only centring.
_POWER = -0.375
# Fewer vectors say nothing about 384 directions; they are compared as they are.
_FEWEST = 32
_STALE_AFTER = 0.25  # of the number of vectors it was made of
_BUFFERED = 512  # vectors whose outer products are summed up at once
_NO_LENGTH = 1e-9


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A query brought to the side of raw vectors: `(v @ along - offset) / length(v)`.

    That is the whitened cosine with a raw vector whose whitened length is known,
    without whitening the vector itself.
    """

    along: Vectors
    offset: float


@dataclass(frozen=True, kw_only=True)
class Whitening:
    """A map of raw unit vectors to whitened unit vectors, made of `count` vectors."""

    mean: Vectors
    matrix: Vectors
    count: int

    def apply(self, vectors: Vectors) -> Vectors:
        """Whiten vectors, one per row, to unit length."""
        return self.measured(vectors)[0]

    def query(self, vector: Vectors) -> Vectors:
        """Whiten one vector to unit length, with less ado; zero stays zero."""
        moved = ((vector - self.mean) @ self.matrix).astype(np.float32, copy=False)
        length = math.sqrt(moved @ moved)
        moved *= np.float32(1 / length if length >= _NO_LENGTH else 0)
        return moved

    def measured(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Whiten vectors and return with them one divided by the length each had then.

        What coincides with the mean has no direction: it stays zero, with a
        factor of zero.
        """
        moved = (vectors - self.mean) @ self.matrix
        lengths = np.linalg.norm(moved, axis=1)
        none = lengths < _NO_LENGTH
        inverse = np.where(none, 0, 1 / np.where(none, 1, lengths)).astype(np.float32)
        return (moved * inverse[:, None]).astype(np.float32, copy=False), inverse

    def direction(self, whitened: Vectors) -> Direction:
        """Bring a whitened query to the side of raw vectors."""
        along = (self.matrix @ whitened).astype(np.float32, copy=False)
        return Direction(along=along, offset=float(self.mean @ along))

    def stale(self, count: int) -> bool:
        """Say whether so many vectors came or went that another map should be made."""
        if count < _FEWEST and self.count < _FEWEST:
            return False
        return abs(count - self.count) > _STALE_AFTER * self.count


class Moments:
    """Count, sum and sum of outer products of vectors that come and go.

    They are kept in float64 and updated for hundreds of vectors at once:
    one by one an update costs half a millisecond. What is taken away must be
    exactly what was added, or it leaves its shadow.
    """

    def __init__(self, dimension: int) -> None:
        self.count = 0
        self._sum: Sums = np.zeros(dimension)
        self._products: Sums = np.zeros((dimension, dimension))
        self._come: list[Vectors] = []
        self._gone: list[Vectors] = []
        self._buffered = 0

    def add(self, vectors: Vectors) -> None:
        """Count vectors in."""
        self.count += len(vectors)
        self._come.append(vectors)
        self._noted(len(vectors))

    def subtract(self, vectors: Vectors) -> None:
        """Count vectors out that were counted in before."""
        self.count -= len(vectors)
        self._gone.append(vectors)
        self._noted(len(vectors))

    def whitening(self) -> Whitening:
        """Make the map for the vectors counted now.

        With fewer than 32 of them, or all the same, it leaves vectors as they are.
        Adding the mean of the variances to each of them is the shrinkage that
        keeps directions without variance from being blown up.
        """
        self._flush()
        if self.count < _FEWEST:
            return unchanged(len(self._sum), count=self.count)
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        variances, directions = np.linalg.eigh(covariance)
        variances = np.maximum(variances, 0)
        if variances.mean() * len(variances) < _NO_LENGTH:
            return unchanged(len(self._sum), count=self.count)
        matrix = directions * (variances + variances.mean()) ** _POWER
        return Whitening(
            mean=mean.astype(np.float32), matrix=matrix.astype(np.float32), count=self.count
        )

    def _noted(self, vectors: int) -> None:
        self._buffered += vectors
        if self._buffered >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        """Bring the sums up to date, in slices that fit the processor's cache."""
        self._sum_up(self._come, sign=1)
        self._sum_up(self._gone, sign=-1)
        if not self.count:
            # Nothing is left, so neither may rounding errors be.
            self._sum[:] = 0
            self._products[:] = 0
        self._come, self._gone, self._buffered = [], [], 0

    def _sum_up(self, parts: Sequence[Vectors], *, sign: int) -> None:
        if not parts:
            return
        vectors = np.concatenate(parts).astype(np.float64)
        self._sum += sign * vectors.sum(axis=0)
        self._products += sign * (vectors.T @ vectors)


def unchanged(dimension: int, *, count: int) -> Whitening:
    """Return the map that leaves unit vectors as they are."""
    return Whitening(
        mean=np.zeros(dimension, dtype=np.float32),
        matrix=np.eye(dimension, dtype=np.float32),
        count=count,
    )
