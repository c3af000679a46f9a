"""How an action is met on its target, so that the contract can be proved on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from bot.domain.actions import JSON, Action, Arguments

Reached = Callable[[], Awaitable[None]]


class Unable(Exception):
    """What a subject cannot be made to do; the text says why."""


class Subject(ABC):
    """One action on a target, in a state in which its effect changes something.

    `others` are the actions an undo may name. `secret` is a marker that was
    planted in the settings, a password or a token, and must never be seen again.
    `settings` is what holds it. `patience` is the timeout in seconds that is
    enough to reach a target and not enough for one that hangs. `binds_state` says
    that what a dry run pins is something the effect itself changes, so that the
    same plan cannot take effect twice.
    """

    action: Action
    others: Sequence[Action] = ()
    secret: str = ""
    settings: object = None
    patience: float = 1.0
    timeout: float = 20.0
    binds_state: bool = True

    @abstractmethod
    def arguments(self) -> Arguments:
        """Return arguments of a call that takes effect."""

    @abstractmethod
    def forbidden(self) -> Sequence[tuple[Arguments, str]]:
        """Return arguments that are refused, each with a word that the refusal has to say."""

    async def state(self) -> JSON:
        """Return what of the world the action may change; equal values mean nothing changed."""
        return None

    async def reset(self) -> None:
        """Bring the world back to where it was when the test began."""
        raise Unable("its world cannot be brought back")

    async def disturb(self) -> None:
        """Change the world so that what a dry run saw does not hold any more."""
        raise Unable("its world cannot change between plan and effect")

    async def disturb_effect(self) -> None:
        """Change the world behind the effect, as somebody does who wants it otherwise."""
        await self.disturb()

    async def settle(self) -> None:  # noqa: B027  # most targets end at once
        """Wait until the target has ended what it was asked for before its caller went away."""

    def happened(self, before: JSON, now: JSON) -> bool | None:
        """Say whether the effect took place; None where it stands halfway."""
        return bool(before != now)

    def left(self) -> Sequence[str]:
        """Return what a call left running: processes, sessions, connections."""
        return ()

    def hanging(self) -> AbstractAsyncContextManager[Reached]:
        """Make the target hang; yield a function that returns when a call has reached it."""
        raise Unable("its target cannot be made to hang")

    def away(self) -> AbstractAsyncContextManager[None]:
        """Make the target unreachable, so that no call can even begin."""
        raise Unable("its target cannot be away")

    def leaking(self) -> AbstractAsyncContextManager[None]:
        """Make the target repeat the secret in whatever it answers."""
        raise Unable("its target never sees the secret")
