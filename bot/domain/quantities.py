"""Quantities as Kubernetes writes them: `512Mi`, `2Gi`, `1500m`, `3`.

Source: the Kubernetes API documentation, "Quantity". Read are numbers of zero or more
without a sign, since no page asks for less than nothing, with a binary suffix (Ki = 1,024),
a decimal one (k = 1,000, m = 0.001) or an exponent. Kubernetes caps what exceeds 2⁶³ - 1;
here that is refused, so that nobody approves another number than the one that counts.
"""

from __future__ import annotations

import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"([0-9]{1,19}(?:\.[0-9]{1,9})?)(?:([KMGTPE]i|[numkMGTPE])|[eE]([+-]?[0-9]{1,2}))?"
)
_LARGEST = 2**63 - 1
_FACTORS = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}


def parse_quantity(text: str) -> int | float:
    """Return the number of a quantity, in its unit (bytes, cores): a whole one as int.

    Raises:
        ValueError: the text is not of that form, or the number is too large.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text[:60]}" is not a quantity such as 512Mi, 2Gi, 1500m or 3')
    factor = Fraction(10) ** int(found[3]) if found[3] else _FACTORS[found[2] or ""]
    value = Fraction(found[1]) * factor
    if value > _LARGEST:
        raise ValueError(f'"{text}" is more than 2⁶³ - 1')
    return int(value) if value.denominator == 1 else float(value)
