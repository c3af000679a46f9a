"""The kill switch: anyone may pull it, and nothing runs until it is released."""

from __future__ import annotations

from bot.domain.errors import Refused
from bot.domain.ledger import Entry
from bot.domain.people import Caller
from bot.ports import Clock, Database, Halt


class SwitchService:
    """Pulls and releases the kill switch; the gate reads it in its own transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def state(self) -> Halt | None:
        """Return who pulled the switch, if it is pulled."""
        async with self._database.reading() as view:
            return await view.switches.halted()

    async def halt(self, reason: str, *, by: Caller) -> Halt:
        """Stop all effects from now on; pulling it twice keeps the first record."""
        now = self._clock.now()
        async with self._database.transaction(once=by.request) as tx:
            pulled = await tx.switches.halted()
            if pulled is not None:
                return pulled
            halt = Halt(by=by.person.name, at=now, reason=reason)
            await tx.switches.set(halt)
            await tx.ledger.append(
                Entry(type="switch.halted", actor=by.person.actor, at=now, body={"reason": reason})
            )
        return halt

    async def release(self, *, by: Caller) -> None:
        """Let effects happen again.

        Raises:
            Refused: it is not pulled, or a bot asks.
        """
        if by.person.bot:
            raise Refused("Only people release the kill switch.")
        async with self._database.transaction(once=by.request) as tx:
            if await tx.switches.halted() is None:
                raise Refused("The kill switch is not pulled.")
            await tx.switches.set(None)
            await tx.ledger.append(
                Entry(type="switch.released", actor=by.person.actor, at=self._clock.now())
            )
