"""Finds out what a runbook wants to know before anything is planned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bot.domain.actions import JSON, ActionFailed
from bot.domain.deciding import fact_name
from bot.domain.errors import Refused
from bot.domain.parameters import FACTS, substitute
from bot.domain.runbooks import Check
from bot.domain.runs import Fact
from bot.services.preconditions import LOOK_SECONDS
from bot.services.reading import Reader

_EXACT = 2**53 - 1  # up to here a float is the whole number it looks like (RFC 8785)


class Diagnosis:
    """Makes the checks of a page, one after the other."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def facts(
        self, checks: Sequence[Check], parameters: Mapping[str, JSON]
    ) -> tuple[Fact, ...]:
        """Make every check; what cannot be found out is a fact without a value."""
        return tuple([await self._look(check, parameters) for check in checks])

    async def _look(self, check: Check, parameters: Mapping[str, JSON]) -> Fact:
        try:
            arguments = substitute(check.arguments, parameters)
            seen = await self._reader.read(check.uses, arguments, timeout=LOOK_SECONDS)
        except (Refused, ActionFailed) as no:
            unknown = f"could not be found out: {no.reason}"
            return Fact(id=check.id, title=check.title, summary=unknown)
        ok = check.expect.holds(seen.value) if check.expect else None
        expected = f" (expected {check.expect})" if check.expect and not ok else ""
        return Fact(
            id=check.id,
            title=check.title,
            summary=f"{seen.summary}{expected}",
            ok=ok,
            value=known_value(seen.value),
        )


def known_value(value: float | None) -> JSON:
    """Return a measured number as expressions and arguments take it.

    A whole one becomes an integer, as a process id or a number of replicas has
    to be. What is no finite number is not known.
    """
    if value is None or not math.isfinite(value):
        return None
    whole = float(value).is_integer() and abs(value) <= _EXACT
    return int(value) if whole else value


def by_check(facts: Sequence[Fact]) -> Mapping[str, JSON]:
    """Return the values of facts as decisions know them."""
    return {fact.id: fact.value for fact in facts}


def fillings(parameters: Mapping[str, JSON], facts: Sequence[Fact]) -> Mapping[str, JSON]:
    """Return what `${…}` may stand for in a page: parameters, and what checks found."""
    found = {f"{FACTS}{fact_name(fact.id)}": fact.value for fact in facts}
    return {**parameters, **found}
