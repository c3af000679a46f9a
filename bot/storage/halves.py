"""Vectors of half-precision numbers (IEEE 754 binary16), as pgvector's `halfvec` takes them."""

from __future__ import annotations

import struct
import sys
from array import array

from psycopg.adapt import Dumper
from psycopg.pq import Format
from typing_extensions import override

MOST = 4000  # dimensions that pgvector's graph over `halfvec` holds
_WIDTH = 2  # bytes
_NOT_FINITE = 0x7C00  # every bit of the exponent
_SIZE = 0x7FFF  # every bit but the sign


class Halves(bytes):
    """A vector as little-endian binary16, one number after another."""

    @property
    def dimension(self) -> int:
        """Return how many numbers it has."""
        return len(self) // _WIDTH

    @property
    def fit(self) -> bool:
        """Say whether pgvector holds it: of a length that can be searched, and all finite.

        One without any direction, all zeros, is near nothing and so of no use.
        """
        if len(self) % _WIDTH or not 0 < self.dimension <= MOST:
            return False
        numbers = struct.unpack(f"<{self.dimension}H", self)
        if any(number & _NOT_FINITE == _NOT_FINITE for number in numbers):
            return False
        return any(number & _SIZE for number in numbers)


class HalvesDumper(Dumper):
    """Sends a vector as `halfvec_recv` reads it: big-endian, after its length and a zero.

    Its type has no fixed number: the server infers it from where it stands.
    """

    format = Format.BINARY

    @override
    def dump(self, obj: Halves) -> bytes:
        numbers = array("H", bytes(obj))
        if sys.byteorder == "little":
            numbers.byteswap()
        return struct.pack(">HH", obj.dimension, 0) + numbers.tobytes()
