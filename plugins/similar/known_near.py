"""Whether a cause somebody describes may be one that is known already.

The search answers this by words and meaning, but it is calibrated on alerts and
among many documents. So a plain rule stands beside it, which needs no encoder
and is the same on every machine: most of the telling words of the shorter of the
two accounts stand in the longer one, too. A false alarm costs one more look at a
form; a duplicate splits what is known of a cause in two.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from bot.domain.known_errors import Account, KnownError, same_title

LEAST_SHARED = 3  # words
LEAST_PART = 0.6  # of the words of the shorter account

_SHORTEST = 4  # letters of a telling word
_EVERYDAY_WORDS = """
after again also always because been before being cannot cause caused causes does down during
each error errors every fail failed failing fails from goes going have incident into more most
much only other over problem some still such than that their them then there these they this
until very were what when where which while will with would wrong
"""
_EVERYDAY = frozenset(_EVERYDAY_WORDS.split())
_ENDINGS = re.compile(r"(?:ing|ed|es|s)$")


def with_title(title: str, known: Collection[KnownError]) -> KnownError | None:
    """Return the known error that goes by a title already."""
    wanted = same_title(title)
    return next((one for one in known if same_title(one.title) == wanted), None)


def likest(account: Account, known: Collection[KnownError]) -> KnownError | None:
    """Return the known error whose words are most like an account's, if any are enough so."""
    words = telling(f"{account.title} {account.cause}")
    rated = [(_part(words, telling(f"{one.title} {one.cause}")), one) for one in known]
    good = [(part, one.number, one) for part, one in rated if part >= LEAST_PART]
    return max(good, key=lambda item: (item[0], item[1]))[2] if good else None


def telling(text: str) -> frozenset[str]:
    """Return the words of a text that say something, without the commonest endings."""
    words = same_title(text).split()
    return frozenset(
        _ENDINGS.sub("", word) for word in words if len(word) >= _SHORTEST and word not in _EVERYDAY
    )


def _part(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the overlap coefficient of Szymkiewicz and Simpson; 0 where too little is shared."""
    shared = len(one & other)
    return shared / min(len(one), len(other)) if shared >= LEAST_SHARED else 0.0
