"""Slack-looking ids, timestamps and tokens that come out the same in every run."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import count

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _letters(seed: str, length: int) -> str:
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "big")
    out = ""
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        out += _ALPHABET[digit]
    return out


class Mint:
    """Make ids and timestamps.

    Named things (people, the app) get an id derived from their name, so that a recorded run can
    be compared with the next one; everything else is numbered. Timestamps follow the clock but
    never repeat or go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._numbers: Iterator[int] = count(1)
        self._last_microsecond = 0

    def named(self, prefix: str, name: str) -> str:
        """Give the id that belongs to a name."""
        return prefix + "0" + _letters(f"{prefix}:{name}", 9)

    def next(self, prefix: str) -> str:
        """Give an id nobody has yet."""
        return prefix + "0" + _letters(f"{prefix}#{next(self._numbers)}", 9)

    def short(self) -> str:
        """Give a block or action id as Slack fills them in."""
        return _letters(f"short#{next(self._numbers)}", 5).lower()

    def secret(self, purpose: str) -> str:
        """Give 32 hexadecimal digits for a token; practice secrets protect nothing."""
        return hashlib.sha256(f"secret:{purpose}".encode()).hexdigest()[:32]

    def ts(self) -> str:
        """Give a message timestamp: seconds, a dot, six digits; unique and rising."""
        self._last_microsecond = max(int(self.clock() * 1_000_000), self._last_microsecond + 100)
        seconds, rest = divmod(self._last_microsecond, 1_000_000)
        return f"{seconds}.{rest:06d}"

    def now(self) -> int:
        """Give the time in whole seconds."""
        return int(self.clock())
