"""Reads the expressions of a page, and says what is wrong with one where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.domain.deciding import fact_name
from bot.domain.expressions import ExpressionError, ValueKind, check, parse
from bot.domain.parameters import FACTS, Parameter
from bot.domain.runbooks import Check
from bot.knowledge.fields import Fields

LABELS: Mapping[str, ValueKind] = {"labels.*": ValueKind.TEXT}
LONGEST = 1000

_WRITTEN = {True: "true", False: "false"}


class Conditions:
    """Reads expressions over certain names, each with what is known of its values."""

    def __init__(self, kinds: Mapping[str, ValueKind]) -> None:
        self._kinds = kinds

    @classmethod
    def of(cls, parameters: Iterable[Parameter], checks: Iterable[Check]) -> Conditions:
        """Return a reader of conditions over a page's parameters and what its checks find."""
        facts = {f"{FACTS}{fact_name(check.id)}": ValueKind.MEASURED for check in checks}
        return cls({**facts, **{f"params.{p.name}": p.kind.values for p in parameters}})

    def read(self, part: Fields, key: str, *, default: str | None = None) -> str:
        """Read the text of an expression; a plain true or false is one too."""
        plain = part.truth(key)
        if plain is not None:
            return _WRITTEN[plain]
        text = part.text(key, default=default, longest=LONGEST)
        if text and len(text) <= LONGEST:
            self._checked(part, key, text)
        return text

    def read_changing(self, part: Fields, key: str) -> str:
        """Read an expression that has to look at a fact, since all else stays as it is."""
        text = self.read(part, key)
        if text and not _looks_at_facts(text):
            part.note(key, "looks at no fact, so that it would never change; use facts.…")
        return text

    def _checked(self, part: Fields, key: str, text: str) -> None:
        try:
            check(parse(text), self._kinds)
        except ExpressionError as error:
            reason = f"cannot be understood at character {error.position + 1}: {error.reason}"
            part.note(key, reason)


def _looks_at_facts(text: str) -> bool:
    """Say whether an expression does; one that cannot be read is blamed for that only."""
    try:
        return any(name.startswith(FACTS) for name in parse(text).names)
    except ExpressionError:
        return True
