"""What the assistant can do to systems: actions, their risk, and what came of them.

An action is a named, versioned, typed operation. Nothing here runs one: only
the gate (`bot/services/actions.py`) calls a handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, TypeAlias

from bot.domain.errors import TocsinError

# What JSON can carry. Its shape is checked by JSON Schema where it comes in.
JSON: TypeAlias = Any
Arguments: TypeAlias = Mapping[str, JSON]


class Effect(Enum):
    """What an action does to the world."""

    READ = "read"
    MUTATE = "mutate"
    DESTRUCTIVE = "destructive"


class Risk(IntEnum):
    """How much an action can hurt, from reading (R0) to destruction (R4)."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4

    @property
    def meaning(self) -> str:
        """Say the class in words a person on call understands."""
        return _MEANINGS[self]


_MEANINGS = {
    Risk.R0: "reads only",
    Risk.R1: "reversible, one instance",
    Risk.R2: "reversible, service-wide",
    Risk.R3: "hard to undo, or several services",
    Risk.R4: "destructive: data or security",
}


@dataclass(frozen=True, kw_only=True)
class ActionCall:
    """One call of an action, as its handler sees it.

    `key` is the idempotency key of the effect: the same for every attempt at
    the same effect, so that a target which remembers keys can refuse a second.
    `timeout` is in seconds.
    """

    key: str
    arguments: Arguments
    timeout: float


@dataclass(frozen=True, kw_only=True)
class ActionResult:
    """What an action reports: one line for people, data for the record.

    `value` is the number a verification compares, where the action has one.
    """

    summary: str
    value: float | None = None
    data: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What an action would change, found without changing it.

    `diff` is shown to approvers as it is; `pinned` arguments are merged into
    the frozen plan, so that the effect is bound to the state that was seen (an
    expected generation, a resource version). `targets` are what it would touch,
    by name, of `out_of` there are, where the action can tell.
    """

    diff: str
    pinned: Arguments = field(default_factory=dict)
    targets: tuple[str, ...] = ()
    out_of: int | None = None


class Happened(Enum):
    """Whether an effect whose outcome was lost took place."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Reconciliation:
    """What a look at the world says about an effect in doubt."""

    happened: Happened
    detail: str


@dataclass(frozen=True, kw_only=True)
class Undo:
    """The call that takes an effect back: an action by reference, and arguments."""

    uses: str
    arguments: Arguments


class ActionFailed(TocsinError):
    """An action that certainly did not take effect, with the reason.

    A handler raises it (or `Refused`) only when it knows. Anything else that it
    raises, and a timeout, leaves the effect in doubt.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Handler = Callable[[ActionCall], Awaitable[ActionResult]]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One entry of the registry of actions.

    `risk` is a floor that a runbook may raise and never lower. `arguments` is a
    JSON Schema; a call that does not fit is refused before anything happens.
    `reconcile` answers, after a crash, whether the effect took place; without
    it a non-idempotent effect in doubt always goes to a person. `undo` gets the
    call and its result and names the call that reverses it, or None.
    """

    name: str
    version: int
    summary: str
    effect: Effect
    risk: Risk
    idempotent: bool
    arguments: Mapping[str, JSON]
    handler: Handler
    dry_run: Callable[[ActionCall], Awaitable[DryRun]] | None = None
    reconcile: Callable[[ActionCall], Awaitable[Reconciliation]] | None = None
    undo: Callable[[ActionCall, ActionResult], Undo | None] | None = None

    @property
    def reference(self) -> str:
        """Return the name runbooks use: `name@major`."""
        return f"{self.name}@{self.version}"
