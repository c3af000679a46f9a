"""What the rules remember of the entries before: decisions, plans, answers, brakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from bot.domain.actions import JSON

Fields: TypeAlias = Mapping[str, JSON]


@dataclass(frozen=True, kw_only=True)
class Told:
    """An entry as the rules see it; `body` is None where it is not there to be read."""

    index: int
    header: Fields
    body: Fields | None

    @property
    def type(self) -> str:
        """Return what happened."""
        return str(self.header["type"])

    def text(self, name: str) -> str:
        """Return a field of the header, empty where it does not apply."""
        return str(self.header.get(name, ""))

    @property
    def at(self) -> datetime:
        """Return the entry's time."""
        return datetime.fromisoformat(str(self.header["ts"]))

    @property
    def timely(self) -> bool:
        """Say whether the time is the one the entry claims, so that spans can be measured."""
        return "skew" not in self.header


@dataclass(kw_only=True)
class Glass:
    """A broken glass, and the run that used it."""

    broken: Told
    used: Told | None = None


@dataclass(kw_only=True)
class History:
    """The state of things right before an entry, as the entries before it tell.

    Plans, answers, denials and the ends of runs are by the plan's digest;
    decisions, glasses and authorisations by their ids. Only those ends are held
    after which a run never goes on. `erased` is the newest erasure: people who are
    erased go by another pseudonym afterwards. `governed` is whether a policy was
    adopted or asked yet.
    """

    decisions: dict[str, Told] = field(default_factory=dict)
    plans: dict[str, Told] = field(default_factory=dict)
    granted: dict[str, dict[str, Told]] = field(default_factory=dict)
    denied: dict[str, Told] = field(default_factory=dict)
    ended: dict[str, Told] = field(default_factory=dict)
    glasses: dict[str, Glass] = field(default_factory=dict)
    authorisations: dict[str, Told] = field(default_factory=dict)
    revoked: dict[str, Told] = field(default_factory=dict)
    pulled: dict[str, Told] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    erased: int = -1
    governed: bool = False

    def remember(self, told: Told) -> None:
        """Take an entry in."""
        keep = _KEPT.get(told.type)
        if keep is not None:
            keep(self, told)

    def _decided(self, told: Told) -> None:
        self.decisions[told.text("decision_id")] = told
        self.governed = True

    def _planned(self, told: Told) -> None:
        self.plans.setdefault(told.text("plan_digest"), told)

    def _granted(self, told: Told) -> None:
        by = self.granted.setdefault(told.text("plan_digest"), {})
        by.setdefault(told.text("actor_ref"), told)

    def _denied(self, told: Told) -> None:
        self.denied.setdefault(told.text("plan_digest"), told)

    def _ended(self, told: Told) -> None:
        self.ended.setdefault(told.text("plan_digest"), told)

    def _broken(self, told: Told) -> None:
        self.glasses.setdefault(told.text("idem_key"), Glass(broken=told))

    def _used(self, told: Told) -> None:
        glass = self.glasses.get(told.text("idem_key"))
        if glass is not None and glass.used is None:
            glass.used = told

    def _given(self, told: Told) -> None:
        self.authorisations[told.text("idem_key")] = told

    def _revoked(self, told: Told) -> None:
        self.revoked[told.text("idem_key")] = told

    def _halted(self, told: Told) -> None:
        self.pulled[told.text("outcome")] = told

    def _released(self, told: Told) -> None:
        self.pulled.pop(told.text("outcome"), None)

    def _erased(self, told: Told) -> None:
        self.erased = told.index

    def _adopted(self, _told: Told) -> None:
        self.governed = True


_KEPT = {
    "policy.decided": History._decided,
    "policy.adopted": History._adopted,
    "run.planned": History._planned,
    "approval.granted": History._granted,
    "approval.denied": History._denied,
    "run.superseded": History._ended,
    "run.cancelled": History._ended,
    "run.expired": History._ended,
    "glass.broken": History._broken,
    "glass.used": History._used,
    "authorisation.given": History._given,
    "authorisation.revoked": History._revoked,
    "switch.halted": History._halted,
    "switch.released": History._released,
    "privacy.erased": History._erased,
}
