"""The kill switch: any member may pull it, and two people release it.

The gate reads it in its own transaction. There is one for everything and one
for each scope (`bot/domain/switches.py`); a file on the host is one more for
everything, which nobody releases from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.domain.actions import JSON
from bot.domain.errors import Refused
from bot.domain.events import Happening
from bot.domain.ledger import Entry, timestamp
from bot.domain.people import Caller, Person
from bot.domain.switches import (
    GLOBAL,
    Halt,
    Reach,
    ask_release,
    scope_of,
    standing_in_the_way,
)
from bot.ports import Clock, Database, Transaction
from bot.services.halt_file import NO_REASON, tidy


class SwitchService:
    """Pulls and releases switches. `by_file` looks for the file that is one."""

    def __init__(
        self, database: Database, clock: Clock, *, by_file: Callable[[], Halt | None] = lambda: None
    ) -> None:
        self._database = database
        self._clock = clock
        self._by_file = by_file

    async def state(self) -> Sequence[Halt]:
        """Return every pulled switch, the widest first, with the one by file."""
        async with self._database.reading() as view:
            halts = await self._standing(view)
        return sorted(halts, key=lambda halt: (halt.scope != GLOBAL, halt.scope, halt.at))

    async def epoch(self) -> int:
        """Return how often switches were pulled or released so far."""
        async with self._database.reading() as view:
            return await view.switches.epoch()

    async def standing(self, tx: Transaction, reach: Reach) -> Halt | None:
        """Return the switch that stands in a run's way, as the caller's transaction sees it."""
        return standing_in_the_way(await self._standing(tx), reach)

    async def _standing(self, tx: Transaction) -> Sequence[Halt]:
        by_file = self._by_file()
        return [*await tx.switches.pulled(), *([by_file] if by_file else [])]

    async def halt(self, reason: str, *, scope: str = GLOBAL, by: Caller) -> Halt:
        """Stop the effects of a scope from now on; pulling it twice keeps the first record.

        A second pull takes back any wish for its release: somebody still wants
        it to stand.

        Raises:
            Refused: it is no scope, or they are no full member of this workspace.
        """
        scope = scope_of(scope)
        _check_member(by.person)
        async with self._database.transaction(once=by.request) as tx:
            pulled = await _pulled(tx, scope)
            if pulled is not None and not pulled.releases:
                return pulled
            halt = replace(pulled, releases=()) if pulled else self._fresh(reason, scope, by)
            await tx.switches.pull(halt)
            await self._tell(tx, "halted", halt, by=by, body={"reason": _reason(reason)})
        return halt

    def _fresh(self, reason: str, scope: str, by: Caller) -> Halt:
        now = self._clock.now()
        return Halt(scope=scope, by=by.person.name, at=now, reason=_reason(reason))

    async def release(self, *, scope: str = GLOBAL, by: Caller) -> Halt | None:
        """Ask for effects to happen again; None once a second person has, and they do.

        Raises:
            Refused: it is not pulled, a file pulls it, or they may not or have
                asked already.
        """
        scope = scope_of(scope)
        by_file = self._by_file()
        if by_file is not None and by_file.scope == scope:
            raise Refused(
                f"The kill switch is pulled by {by_file.by}; to release it, remove {by_file.by} "
                "on the host."
            )
        async with self._database.transaction(once=by.request) as tx:
            halt = await _pulled(tx, scope)
            if halt is None:
                raise Refused(await _nothing_to_release(tx, scope))
            left = ask_release(halt, by.person)
            body: dict[str, JSON] = {"pulled_at": timestamp(halt.at)}
            if left is not None:
                await tx.switches.pull(left)
                await self._tell(tx, "release_asked", left, by=by, body=body)
                return left
            await tx.switches.release(scope)
            await self._tell(tx, "released", halt, by=by, body=body)
        return None

    async def _tell(
        self, tx: Transaction, change: str, halt: Halt, *, by: Caller, body: dict[str, JSON]
    ) -> None:
        now = self._clock.now()
        await tx.ledger.append(
            Entry(
                type=f"switch.{change}",
                actor=by.person.actor,
                at=now,
                outcome=halt.scope,
                body=body,
            )
        )
        await tx.outbox.add(
            Happening(
                kind="governance",
                subject=f"switch:{halt.scope}",
                change=change.replace("_", " "),
                at=now,
            )
        )


async def _pulled(tx: Transaction, scope: str) -> Halt | None:
    return next((halt for halt in await tx.switches.pulled() if halt.scope == scope), None)


async def _nothing_to_release(tx: Transaction, scope: str) -> str:
    """Say that a switch is not pulled, and which are: the name is easily forgotten."""
    others = ", ".join(sorted(halt.scope for halt in await tx.switches.pulled()))
    of = "" if scope == GLOBAL else f" of {scope}"
    return f"The kill switch{of} is not pulled{f'; pulled is that of {others}' if others else ''}."


def _check_member(person: Person) -> None:
    if person.bot:
        raise Refused("Only people pull the kill switch.")
    if person.guest or person.stranger or not person.active:
        raise Refused("Only full members of this workspace pull the kill switch.")


def _reason(text: str) -> str:
    return tidy(text) or NO_REASON
