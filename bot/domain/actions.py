"""What the assistant can do to systems: actions, their risk, and what came of them.

An action is a named, versioned, typed operation. Nothing here runs one: only
the gate (`bot/services/actions.py`) calls a handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, StrEnum
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


class Transient(StrEnum):
    """Why an action failed that may work when it is tried again. Runbooks name these."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate-limited"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, kw_only=True)
class Output:
    """A line of what an action prints while it works, or how far it is (0 to 1)."""

    line: str = ""
    progress: float | None = None


Report = Callable[[Output], None]


def _unheard(output: Output) -> None:
    """Drop what is printed where nobody listens."""


@dataclass(frozen=True, kw_only=True)
class ActionCall:
    """One call of an action, as its handler sees it.

    `key` is the idempotency key of the effect: the same for every attempt at
    the same effect, so that a target which remembers keys can refuse a second.
    `timeout` is in seconds. `report` takes what the handler prints while it
    works; it returns at once, redacts, and caps.
    """

    key: str
    arguments: Arguments
    timeout: float
    report: Report = field(default=_unheard, compare=False, repr=False)


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
    raises, and a timeout, leaves the effect in doubt. `transient` says that the
    same call may work later, and why it did not now.
    """

    def __init__(self, reason: str, *, transient: Transient | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.transient = transient


class OutcomeUnknown(Exception):
    """An action that was begun and got no clear answer: it may have taken effect."""


Handler = Callable[[ActionCall], Awaitable[ActionResult]]


@dataclass(frozen=True, kw_only=True)
class Action:
    """One entry of the registry of actions.

    `risk` is a floor that a runbook may raise and never lower. `arguments` is a
    JSON Schema; a call that does not fit is refused before anything happens.
    `reconcile` answers, after a crash, whether the effect took place; without
    it a non-idempotent effect in doubt always goes to a person. `undo` gets the
    call and its result and names the call that reverses it, or None.
    `transient` are the failures after which it may be tried again. A `manual`
    action is done by a person, who then says so; its handler is never called. A
    `waiting` one does nothing: its step's verification is what is waited for.
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
    transient: frozenset[Transient] = frozenset()
    manual: bool = False
    waiting: bool = False

    @property
    def reference(self) -> str:
        """Return the name runbooks use: `name@major`."""
        return f"{self.name}@{self.version}"
