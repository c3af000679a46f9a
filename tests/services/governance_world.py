"""A world in which everything governs: services, teams, pages, policy, calendars, switches.

The store, the engine and the policies are the real ones; the database lies in
memory and is emptied between two histories, so that a history costs
milliseconds. What is done to the lamp is held against the model before it is done.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.domain.actions import ActionCall, ActionFailed, ActionResult, Risk
from bot.domain.alerts import Severity
from bot.domain.breakers import BreakerRules
from bot.domain.catalog import Catalog, Service
from bot.domain.effects import EffectRecord
from bot.domain.freezes import Window, WindowKind
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.limits import Limits
from bot.domain.people import ChannelId, Person, PersonId
from bot.domain.runbooks import ApprovalGroup, OnFailure, Runbook
from bot.domain.runs import Run, RunId
from bot.domain.switches import GLOBAL, Halt
from bot.policies.cedar import CedarPolicy, from_documents
from bot.ports import ChatError, Claim, Database
from bot.services.actions import ActionGate
from bot.services.brakes import Brakes
from bot.services.engine import Pace, RunWorker
from bot.services.governing import Governor, Rules
from bot.services.planning import Expiries, Planner
from bot.services.policies import ActivePolicy
from bot.services.registry import Registry
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.storage.codec import Codec
from bot.storage.ledger import UNKEYED
from tests.fakes import NOON, FakeCalendars, FakeChat
from tests.services.gate_world import (
    ANSWER_WITHIN,
    DANA,
    EXECUTE_WITHIN,
    LEASE,
    MARCUS,
    PRIYA,
    ROBOT,
    SHINES,
    Lamp,
    World,
    lamp_actions,
    runbook,
    step,
)

LENA = Person(id=PersonId("U4"), name="Lena")
OMAR = Person(id=PersonId("U5"), name="Omar")
DANA_TOO = Person(id=PersonId("U6"), name="Dana (second account)", account="U1")
LENA_TOO = Person(id=PersonId("U7"), name="Lena (second account)", account="U4")
GUEST = Person(id=PersonId("U8"), name="Gus", guest=True)
STRANGER = Person(id=PersonId("U9"), name="Stran", stranger=True)
PEOPLE = (DANA, PRIYA, MARCUS, LENA, OMAR, DANA_TOO, LENA_TOO, GUEST, STRANGER, ROBOT)
GROUPS = {
    "shop": (DANA, DANA_TOO, PRIYA),
    "shop-oncall": (DANA, PRIYA),
    "data": (MARCUS, OMAR),
    "data-oncall": (MARCUS,),
    "front": (LENA, LENA_TOO, OMAR),
    "sre": (PRIYA, MARCUS, DANA),
}
SERVICES = {
    "db": Service(name="db", team="data", description="", tier=1),
    "api": Service(name="api", team="shop", description="", tier=1, depends_on=("db",)),
    "web": Service(name="web", team="front", description="", tier=2, depends_on=("api",)),
}
DEPENDENTS = {"db": ("api", "web"), "api": ("web",), "web": ()}
TEAMS = {name: service.team for name, service in SERVICES.items()}

CHANNEL = ChannelId("C-alerts")
INC = IncidentId("INC-1")
FLEET = 8
_RUNS, _EFFECTS = Codec(Run), Codec(EffectRecord)
STEP_SECONDS = 5.0
SHIPPED = Path(__file__).parents[2] / "knowledge" / "policies"


def _page(id: str, *steps: Any, groups: tuple[str, ...] = (), **changes: Any) -> Runbook:
    named = tuple(ApprovalGroup(group=group, count=1) for group in groups)
    made = runbook(*steps, approval={Risk.R1: named} if named else {})
    return replace(made, id=id, title=id, digest=id.encode().hex().ljust(64, "0"), **changes)


_BACK = OnFailure.ROLLBACK
_ON = OnFailure.CONTINUE
PAGES = {
    page.id: page
    for page in (
        _page("lamp", step("a")),
        _page("duo", step("a"), step("b", "lamp.set@1", arguments={"value": 2})),
        _page("back", *(step(i, on_failure=_BACK) for i in "abc")),
        _page("blind", step("a", "lamp.blind@1", on_failure=_ON), step("b", on_failure=_ON)),
        _page("wide", step("a", "lamp.wide@1")),
        _page("broad", step("a", "lamp.set@1", arguments={"value": 1}, risk=Risk.R2)),
        _page("proved", step("a", verify=SHINES, on_failure=_BACK), step("b", on_failure=_BACK)),
        _page("looked", step("a", "lamp.look@1")),
        _page("sre", step("a"), groups=("sre",)),
        _page("edited", step("a"), step("b"), editor="lena@example.com"),
        _page("keyed", step("a"), limits=Limits(concurrency_key="one")),
    )
}
RISKS = {"lamp.look@1": 0, "lamp.wide@1": 3}
PLUGINS = {f"lamp.{n}@1": "walls" if n == "wide" else "lamps" for n in
           ("on", "off", "blind", "set", "wide", "look")}  # fmt: skip


def _policies() -> tuple[CedarPolicy, ...]:
    """Return the shipped policy, the same in other words, and one that wants two for one."""
    shipped = {p.name: p.read_bytes() for p in SHIPPED.iterdir() if p.suffix != ".md"}
    other = {**shipped, "people.cedar": shipped["people.cedar"] + b"\n// A word.\n"}
    one, two = b'@quorum("1 anyone + runbook")', b'@quorum("2 anyone + runbook")'
    strict = {name: text.replace(one, two) for name, text in shipped.items()}
    return tuple(from_documents(documents) for documents in (shipped, other, strict))


POLICIES = _policies()
STRICT = 2


class Target(Lamp):
    """A lamp that says when it is about to be touched, and when it is."""

    def __init__(self) -> None:
        super().__init__()
        self.touched: Callable[[ActionCall], None] = lambda _: None

    @override
    async def handle(self, call: ActionCall) -> ActionResult:
        """Behave as the test wants, and count what really took effect."""
        self.calls.append(call.key)
        assert self.before is not None
        await self.before(call)
        behave = self.behaviour.pop(0) if self.behaviour else None

        def do() -> None:
            self.touched(call)
            self.done[call.key] += 1

        if behave is not None:
            return await behave(call, do)
        do()
        return ActionResult(summary="done", value=1.0)


class Patchy(FakeChat):
    """A chat platform that may be down."""

    down = False

    @override
    def _called(self, method: str) -> None:
        if self.down:
            raise ChatError("down")


class GovernedWorld(World):
    """Everything that governs, and a lamp. Use `begin` before each history."""

    chat: Patchy
    lamp: Target
    policy: ActivePolicy

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "tocsin.db")
        self.halt_file = False
        self.chat = Patchy(self.clock)
        self.policy = ActivePolicy(POLICIES[0])
        self.switches = SwitchService(self.database, self.clock, by_file=self._by_file)
        self.brakes = Brakes(BreakerRules(fleet=FLEET))
        self.runs = RunService(
            self.database,
            self.clock,
            emergencies=self.emergencies,
            brakes=self.brakes,
            alerts_channel=lambda: CHANNEL,
        )
        self.lamp = Target()
        self.registry = Registry(lamp_actions(self.lamp))
        self.catalog = Catalog(services=SERVICES)
        self._raw = sqlite3.connect(self.path, isolation_level=None)
        names = self._raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        kept = ("alembic_version", "sqlite_sequence")
        self._tables = [n for (n,) in names.fetchall() if n not in kept]
        self.announced = self._announced
        self.begin()

    def begin(self) -> None:
        """Make everything as it was in the beginning."""
        self.clock.set(NOON)
        self._raw.execute("BEGIN IMMEDIATE")
        for table in self._tables:
            self._raw.execute(f"DELETE FROM {table}")
        self._raw.execute("COMMIT")
        self.lamp.done.clear()
        self.lamp.calls.clear()
        self.lamp.behaviour.clear()
        self.lamp.unannounced.clear()
        self.lamp.seen, self.lamp.answers = 1.0, True
        self.chat.people = {p.id: p for p in PEOPLE}
        self.chat.user_groups = {g: [p.id for p in members] for g, members in GROUPS.items()}
        self.chat.addresses = {"lena@example.com": LENA.id}
        self.chat.down = False
        self.calendars = FakeCalendars()
        self.policy.current = POLICIES[0]
        self.halt_file = False
        self.anchors = True
        self.covered_at: list[float] = []

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def _by_file(self) -> Halt | None:
        if not self.halt_file:
            return None
        return Halt(scope=GLOBAL, by="the file halt", at=self.clock.now(), reason="by hand")

    async def declare(self, severity: Severity) -> None:
        """Let the incident be as grave as this."""
        async with self.database.transaction() as tx:
            await tx.incidents.save(
                Incident(
                    id=INC,
                    number=1,
                    title="All is dark",
                    severity=severity,
                    status=IncidentStatus.INVESTIGATING,
                    service="api",
                    declared_by=DANA,
                    declared_at=NOON,
                )
            )

    async def ask_for(
        self, page: str, *, service: str | None, by: Person, subject: str, incident: str | None
    ) -> Any:
        """Ask for a run of a page."""
        return await self.runs.request(
            PAGES[page],
            {},
            subject=subject,
            labels={},
            incident=incident,
            service=service,
            by=self.caller(by),
        )

    async def _covered(self) -> None:
        """Have the record confirmed elsewhere, which takes its time and may fail."""
        await asyncio.sleep(0.5)
        if not self.anchors:
            raise ActionFailed("nobody confirms the record")
        self.covered_at.append(self.clock.now().timestamp())

    @property
    @override
    def governor(self) -> Governor:
        """Return what stands above plans."""
        return Governor(
            Rules(
                policy=self.policy,
                catalog=self.catalog,
                calendars=self.calendars,
                switches=self.switches,
                brakes=self.brakes,
                autonomy=self.autonomy,
                emergencies=self.emergencies,
                privacy=UNKEYED,
                plugin_of=PLUGINS,
            )
        )

    @override
    def worker(self, database: Database | None = None, **pace: Any) -> RunWorker:
        """Return a worker that has just been started: it remembers nothing."""
        database, governor = database or self.database, self.governor
        gate = ActionGate(
            database,
            self.clock,
            registry=self.registry,
            governor=governor,
            people=self.people,
            covered=self._covered,
        )
        planner = Planner(
            database,
            gate,
            governor=governor,
            people=self.people,
            runbooks=PAGES,
            expiries=Expiries(answer_within=ANSWER_WITHIN, execute_within=EXECUTE_WITHIN),
        )
        return RunWorker(
            database,
            self.clock,
            gate=gate,
            planner=planner,
            governor=governor,
            pace=Pace(lease=LEASE, **pace),
        )

    def freeze(self, *, seconds: float, service: str = "", team: str = "") -> None:
        """Let a change freeze begin now; for everything, unless one is named."""
        now = self.clock.now()
        self.calendars.windows.append(
            Window(
                kind=WindowKind.FREEZE,
                title="freeze",
                starts_at=now,
                ends_at=now + timedelta(seconds=seconds),
                services=frozenset([service] if service else []),
                teams=frozenset([team] if team else []),
                source="test",
            )
        )

    def rows(self, columns: str = "id, due_at, data") -> list[tuple[Any, ...]]:
        """Return the rows of all runs as they are stored."""
        return self._raw.execute(f"SELECT {columns} FROM runs ORDER BY rowid").fetchall()

    def run_now(self, id: RunId) -> Run:
        """Return a run as it is stored."""
        [(data,)] = self._raw.execute("SELECT data FROM runs WHERE id = ?", (id,)).fetchall()
        return _RUNS.load(data)

    def intended(self) -> list[EffectRecord]:
        """Return the effects that were announced and have no outcome."""
        found = self._raw.execute("SELECT data FROM effects WHERE state = 'intended'").fetchall()
        return [_EFFECTS.load(data) for (data,) in found]

    async def effect_of(self, key: str) -> EffectRecord | None:
        """Return the record of an effect by its key."""
        async with self.database.reading() as view:
            return await view.effects.get(key)

    def level_now(self, action: str, service: str | None) -> int:
        """Return the autonomy that is stored for an action on a service."""
        name = f"{action}|{service or ''}"
        query = "SELECT data FROM keyed WHERE kind = 'autonomy' AND key = ?"
        found = self._raw.execute(query, (name,)).fetchall()
        return int(json.loads(found[0][0])["level"]) if found else 2

    @override
    async def claim(self) -> Claim | None:
        """Claim what is due, as a worker does; look first whether anything may be."""
        now = self.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")
        query = "SELECT 1 FROM runs WHERE due_at <= ? LIMIT 1"
        if self._raw.execute(query, (now,)).fetchone() is None:
            return None
        return await super().claim()

    @override
    def ledger(self) -> list[Mapping[str, Any]]:
        """Return every entry, oldest first."""
        found = self._raw.execute("SELECT leaf, body FROM ledger_entries ORDER BY seq")
        return [json.loads(leaf) | {"body": json.loads(body)} for leaf, body in found.fetchall()]

    @property
    def version(self) -> int:
        """Return a number that changes with everything that is committed."""
        return int(self._raw.execute("PRAGMA data_version").fetchone()[0])
