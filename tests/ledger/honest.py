"""Honest logs, written by the real gate over the real database, and exported.

What people do is drawn at random from a seed; what the bot makes of it is its
own business. Nothing here writes a row by hand.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.domain.actions import ActionCall, ActionFailed, ActionResult
from bot.domain.alerts import Severity
from bot.domain.errors import Refused, TocsinError
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.ledger import Entry
from bot.domain.notes import VerifierKey
from bot.domain.people import Person, PersonId
from bot.domain.runs import RunId
from bot.ledger.anchors.files import FileAnchor
from bot.ledger.bundles import BundleReport, Evidence, Scope, export_bundle
from bot.ledger.signing import FileKey, verify_ed25519
from bot.ledger.subjects import SubjectKeys
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.checkpoints import CheckpointService
from bot.services.emergencies import EmergencyService
from bot.services.governing import Governor
from bot.services.privacy import PrivacyService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.storage.sqlite import SqliteDatabase
from tests.services.gate_world import DANA, MARCUS, PRIYA, World, step
from tests.services.sealing import ORIGIN, QUICK, key

EVERYTHING = Scope()
LEE = Person(id=PersonId("U4"), name="Lee")
TARGET = "light -"


class HonestWorld(World):
    """A world whose ledger is encrypted, signed and anchored."""

    def __init__(self, folder: Path, signer: FileKey | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "unused.db")
        self.unused = self.database
        self.folder = folder
        self.path = folder / "tocsin.db"
        self.keys = SubjectKeys(folder / "keys")
        self.database = SqliteDatabase(self.path, self.clock, self.keys)
        self.database.open()
        self.chat.people |= {LEE.id: LEE}
        self.signer = signer or key()
        self.switches = SwitchService(self.database, self.clock)
        self.brakes = Brakes(self.brakes.rules)
        self.autonomy = AutonomyService(self.database, self.clock)
        self.emergencies = EmergencyService(self.database, self.clock)
        self.runs = RunService(
            self.database, self.clock, emergencies=self.emergencies, brakes=self.brakes
        )
        self.privacy = PrivacyService(
            self.database, self.clock, self.keys, archive=self.database.archive
        )
        self.anchor = FileAnchor(folder / "anchor")
        self.checkpoints = CheckpointService(
            self.database,
            self.database.archive,
            self.clock,
            signer=self.signer,
            verify=verify_ed25519,
            origin=ORIGIN,
            anchors=[self.anchor],
            every_entries=10_000,
            every_seconds=600,
            pace=QUICK,
        )

    @property
    @override
    def governor(self) -> Governor:
        """Return what stands above plans, with pseudonyms from the keys."""
        return Governor(replace(super().governor.rules, privacy=self.keys))

    @property
    def trusted(self) -> VerifierKey:
        """Return the key that an auditor of this log trusts."""
        return self.signer.verifier

    @property
    def evidence(self) -> Evidence:
        """Return what an export is made of."""
        return Evidence(
            database=self.database,
            archive=self.database.archive,
            calendars=self.calendars,
            anchors=[self.anchor],
        )

    async def seal(self) -> None:
        """Sign what there is, and have it anchored."""
        await self.checkpoints.ensure_covered(await self.database.archive.size())

    async def export(
        self, scope: Scope = EVERYTHING, *, redact: bool = False, name: str = "b.tar"
    ) -> Path:
        """Seal, and export; return the bundle."""
        await self.seal()
        await self.written(scope, redact=redact, name=name)
        return self.folder / name

    async def written(self, scope: Scope, *, redact: bool, name: str) -> BundleReport:
        """Export what is sealed."""
        return await export_bundle(self.folder / name, self.evidence, scope=scope, redact=redact)

    async def note(self, *, incident: str | None = "INC-1", by: str = "person:U1") -> None:
        """Append an entry that nothing depends on."""
        async with self.database.transaction() as tx:
            await tx.ledger.append(
                Entry(
                    type="alert.opened",
                    actor=by,
                    at=self.clock.now(),
                    incident=incident,
                    body={"name": "HighLatency"},
                )
            )

    async def declare(self, severity: Severity = Severity.SEV1) -> IncidentId:
        """Let there be an incident."""
        async with self.database.transaction() as tx:
            number = await tx.incidents.next_number()
            incident = Incident(
                id=IncidentId(f"INC-{number}"),
                number=number,
                service="",
                title="Dark",
                severity=severity,
                status=IncidentStatus.INVESTIGATING,
                declared_by=DANA,
                declared_at=self.clock.now(),
            )
            await tx.incidents.save(incident)
        return incident.id

    async def during(self, incident: str, *steps: Any, by: Person = DANA, **changes: Any) -> RunId:
        """Ask for a run that belongs to an incident."""
        from tests.services.gate_world import runbook

        self.book = runbook(*steps, **changes)
        caller = self.caller(by)
        run = await self.runs.request(
            self.book,
            {},
            subject=f"group of {caller.request}",
            labels={},
            incident=incident,
            service=None,
            by=caller,
        )
        return run.id


@asynccontextmanager
async def honest(folder: Path, signer: FileKey | None = None) -> AsyncIterator[HonestWorld]:
    """Run an honest world in a folder."""
    world = HonestWorld(folder, signer)
    try:
        await world.checkpoints.start()
        yield world
    finally:
        await world.checkpoints.stop()
        await world.database.close()
        await world.unused.close()


async def fail(call: ActionCall, do: Callable[[], None]) -> ActionResult:
    """Do nothing and say so."""
    raise ActionFailed("the lamp is broken")


async def vanish(call: ActionCall, do: Callable[[], None]) -> ActionResult:
    """Break off after the effect."""
    do()
    raise ConnectionError("gone")


class Story:
    """What people do, drawn at random; `acts` many times."""

    def __init__(self, world: HonestWorld, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.incident: IncidentId | None = None
        self.rotations = 0

    async def tell(self, acts: int) -> None:
        """Do as many things as asked for; what is refused is part of it."""
        self.incident = await self.world.declare()
        choices: Sequence[Callable[[], Awaitable[object]]] = (
            *[self.world.note] * 6,
            *[self.approved] * 4,
            self.denied,
            self.broken,
            self.rolled_back,
            self.halted,
            self.under_glass,
            self.erased,
            self.rotated,
            *[self.world.seal] * 3,
            self.later,
        )
        for _ in range(acts):
            try:
                await self.random.choice(choices)()
            except TocsinError:
                continue

    async def run(self, uses: str = "lamp.on@1", **changes: Any) -> RunId:
        """Ask for a run, by somebody, and let it be planned."""
        by = self.random.choice([DANA, LEE])
        incident = str(self.incident) if self.random.random() < 0.7 else "INC-9"
        id = await self.world.during(incident, step(uses=uses, **changes), by=by)
        await self.world.move()
        return id

    async def approved(self) -> None:
        uses = self.random.choice(["lamp.on@1", "lamp.wide@1", "lamp.set@1"])
        arguments = {"value": self.random.randrange(9)} if uses == "lamp.set@1" else {}
        id = await self.run(uses, arguments=arguments)
        await self.world.approve(id, PRIYA)
        if uses == "lamp.wide@1":
            await self.world.approve(id, MARCUS)
        await self.world.work(patience=0)

    async def denied(self) -> None:
        id = await self.run()
        await self.world.deny(id)

    async def broken(self) -> None:
        id = await self.run()
        await self.world.approve(id)
        self.world.lamp.behaviour = [self.random.choice([fail, vanish])]
        await self.world.work()
        self.world.lamp.behaviour = []

    async def rolled_back(self) -> None:
        from bot.domain.runbooks import OnFailure

        one = step("one")
        two = step("two", "lamp.off@1", on_failure=OnFailure.ROLLBACK)
        id = await self.world.during(str(self.incident), one, two)
        await self.world.move()
        await self.world.approve(id)
        while self.world.lamp.behaviour == [] and await self.world.move():
            effect = await self.world.effect(id, "one")
            if effect is not None and effect.ended_at is not None:
                self.world.lamp.behaviour = [fail]
        self.world.lamp.behaviour = self.world.lamp.behaviour[:1]
        await self.world.work()
        self.world.lamp.behaviour = []

    async def halted(self) -> None:
        scope = self.random.choice(["global", "runbook:light", "service:checkout"])
        await self.world.switches.halt("look first", scope=scope, by=self.world.caller(DANA))
        await self.world.note()
        await self.world.switches.release(scope=scope, by=self.world.caller(PRIYA))
        await self.world.switches.release(scope=scope, by=self.world.caller(MARCUS))

    async def under_glass(self) -> None:
        assert self.incident is not None
        glass = await self.world.emergencies.break_glass(
            "light",
            None,
            incident=self.incident,
            typed=TARGET,
            reason="nobody else is awake at this hour",
            by=self.world.caller(LEE),
        )
        await self.world.during(str(self.incident), step(), by=LEE)
        await self.world.work()
        await self.world.emergencies.review(
            glass.id, note="it was the right thing to do", by=self.world.caller(MARCUS)
        )

    async def erased(self) -> None:
        who = self.random.choice(["person:U2", "person:U4"])
        await self.world.privacy.erase(who, "they asked for it", by="person:U3")

    async def rotated(self) -> None:
        self.rotations += 1
        fresh = key(100 + self.rotations)
        await self.world.checkpoints.rotate(fresh, by="person:U3")
        self.world.signer = fresh

    async def later(self) -> None:
        self.world.clock.advance(seconds=self.random.choice([1, 60, 86_400, -86_400]))


async def refused(act: Awaitable[object]) -> str:
    """Return why something was refused."""
    try:
        await act
    except Refused as no:
        return no.reason
    raise AssertionError("it was not refused")
