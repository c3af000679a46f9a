"""What must hold, whatever happens: kept by the test itself, and not asked of the code.

The model keeps its own books of what people did and were told. When the lamp is
about to be touched, it works out from them whether anybody could have allowed
that, in the plainest way it can be said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

from bot.domain.actions import ActionCall
from bot.domain.approvals import Verdict
from bot.domain.effects import EffectRecord, EffectState
from bot.domain.people import BOT, Person, PersonId
from bot.domain.runs import Run, RunId, RunState
from bot.domain.switches import GLOBAL
from tests.services.gate_world import ANSWER_WITHIN, EXECUTE_WITHIN
from tests.services.governance_world import (
    DEPENDENTS,
    INC,
    LENA,
    PAGES,
    PLUGINS,
    POLICIES,
    RISKS,
    STEP_SECONDS,
    STRICT,
    TEAMS,
    GovernedWorld,
)

VETO = timedelta(seconds=120)
ENDED_WITHIN = 1.0  # seconds, from a pull of the switch to the end of what is under way
MOVE_WITHIN = 30.0  # seconds, for which one move may keep a worker
UNDER_WAY = (RunState.RUNNING, RunState.VERIFYING, RunState.IN_DOUBT)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who asked for what."""

    page: str
    service: str | None
    by: Person
    subject: str
    incident: str | None
    parent: str | None = None

    @property
    def key(self) -> str:
        """Return what only one run at a time may hold."""
        if self.page == "keyed":
            return "one"
        return f"service {self.service}" if self.service else f"subject {self.subject}"

    @property
    def touched(self) -> tuple[str, ...]:
        """Return the services that may feel it."""
        return (self.service, *DEPENDENTS[self.service]) if self.service else ()


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Who consented to which plan, and what they were then."""

    person: Person
    groups: frozenset[str]
    digest: str
    at: datetime


@dataclass(kw_only=True)
class Glass:
    """A broken glass, and the run it was used for."""

    human: str
    page: str
    service: str | None
    expires_at: datetime
    run: str | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An authorisation in advance."""

    page: str
    service: str | None
    until: datetime


@dataclass
class Model:
    """The test's own books. `sins` are what must never have happened."""

    world: GovernedWorld
    elapsed: Callable[[], float]
    sins: list[str] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    consents: dict[str, list[Consent]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    stopped: dict[str, float] = field(default_factory=dict)
    planned: dict[str, datetime] = field(default_factory=dict)
    began: dict[str, datetime] = field(default_factory=dict)
    pulled: dict[str, float] = field(default_factory=dict)
    wishes: dict[str, set[str]] = field(default_factory=dict)
    levels: dict[tuple[str, str | None], int] = field(default_factory=dict)
    glasses: dict[str, Glass] = field(default_factory=dict)
    authorised: dict[str, Standing] = field(default_factory=dict)
    grave: bool = True
    acknowledged: list[tuple[str, str, str]] = field(default_factory=list)
    under_way: dict[str, float] = field(default_factory=dict)
    foreseen: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    jumped: bool = False
    _version: int = -1

    # What is noticed between two moves.

    def look(self) -> None:
        """Note which runs there are, and when each was planned and began."""
        now, version = self.world.clock.now(), self.world.version
        if version == self._version:
            return
        self._version = version
        runs = {id: (due_at, json.loads(data)) for id, due_at, data in self.world.rows()}
        rolling_back = {
            run["parent"]
            for _, run in runs.values()
            if run["rollback"] and (run["state"] == "in doubt" or not RunState(run["state"]).over)
        }
        for id, (due_at, run) in runs.items():
            if id not in self.asked:
                parent = self.asked[run["parent"]]
                self.asked[id] = Asked(
                    page=parent.page, service=parent.service, by=BOT, subject=parent.subject,
                    incident=parent.incident, parent=run["parent"],
                )  # fmt: skip
            state = RunState(run["state"])
            if run["plan"] is not None:
                self.planned.setdefault(id, now)
            if state in UNDER_WAY:
                self.began.setdefault(id, now)
            attended = due_at is not None or id in rolling_back
            if not state.over and not attended:
                self.sins.append(f"{id} is {state} and waits for nothing")

    def foresee(self) -> None:
        """Judge what was announced and has not begun, before something else happens."""
        for effect in self.world.intended():
            if effect.key not in self.under_way:
                self.foreseen[effect.key, effect.attempts] = self._faults(effect)

    # What is done to the lamp.

    async def begins(self, call: ActionCall) -> None:
        """Hold an effect that is about to begin against everything that governs."""
        await self.world.announced(call)
        effect = await self.world.effect_of(call.key)
        if effect is None:
            self.sins.append(f"{call.key}: begun without an intent")
            return
        self.seen["effects begun"] += 1
        faults = self.foreseen.pop((effect.key, effect.attempts), None)
        faults = self._faults(effect) if faults is None else faults
        faults += self._stops(effect.run, effect.uses, patience=0.0)
        faults += self._late(effect)
        self.sins += [f"{call.key} ({effect.uses}): {fault}" for fault in faults]
        self.under_way[call.key] = self.elapsed()

    def touches(self, call: ActionCall) -> None:
        """Hold the very moment of an effect against the stops that were called meanwhile."""
        self.seen["effects"] += 1
        run, step = call.key.split(":")
        uses = next(s.uses for s in self._run(run).plan.steps if s.id == step)
        for stop in self._stops(run, uses, patience=ENDED_WITHIN):
            self.sins.append(f"{call.key} took effect {stop}")

    def ended(self) -> None:
        """Note that no handler is under way any more."""
        self.under_way.clear()
        self.foreseen.clear()

    def _run(self, id: str) -> Any:
        return self.world.run_now(RunId(id))

    # The stops.

    def _stops(self, id: str, uses: str, *, patience: float) -> list[str]:
        asked = self.asked[id]
        scopes = {GLOBAL, "file", f"runbook:{asked.page}", f"plugin:{PLUGINS[uses]}"}
        if asked.service:
            scopes |= {f"service:{asked.service}", f"team:{TEAMS[asked.service]}"}
        late = self.elapsed() - patience
        found = [f"while {s} is halted" for s in sorted(scopes) if self._since(s, late)]
        if id in self.stopped and self.stopped[id] <= late:
            found.append("after its run was stopped")
        return found

    def _since(self, scope: str, late: float) -> bool:
        return scope in self.pulled and self.pulled[scope] <= late

    def _late(self, effect: EffectRecord) -> list[str]:
        """An effect begins soon after its intent, and on a record that others hold."""
        if self.jumped:
            return []
        now, faults = self.world.clock.now(), []
        if now - effect.intended_at > timedelta(seconds=STEP_SECONDS):
            faults.append("begun past its deadline")
        confirmed = [t for t in self.world.covered_at if t >= effect.intended_at.timestamp()]
        if effect.risk >= 3 and not confirmed:
            faults.append("begun before its record was held elsewhere")
        return faults

    # Consent, freezes, keys.

    def _faults(self, effect: EffectRecord) -> list[str]:
        run, asked = self._run(effect.run), self.asked[effect.run]
        faults = []
        if effect.run in self.denied:
            faults.append("after a denial")
        faults += self._crowd(effect.run, asked)
        if RISKS.get(effect.uses, 1) == 0:
            return faults
        glass = self._glass(run, asked, effect)
        why = "glass" if glass else self._consent(run, asked, effect)
        if why.startswith("!"):
            faults.append(why[1:])
        self.seen[f"by {why}"] += 1
        if not glass:
            faults += self._frozen(asked, effect)
        return faults

    def _crowd(self, id: str, asked: Asked) -> list[str]:
        """One run at a time for one key."""
        found = []
        for other, _, data in self.world.rows():
            state = RunState(json.loads(data)["state"])
            same = other != id and self.asked.get(other, asked).key == asked.key
            if same and other in self.asked and state in UNDER_WAY:
                found.append(f"{other} of the same key is {state}")
        return found

    def _frozen(self, asked: Asked, effect: EffectRecord) -> list[str]:
        at, calendars = effect.intended_at, self.world.calendars
        found = []
        for window in calendars.windows:
            everything = not window.services and not window.teams
            hit = [s for s in asked.touched if s in window.services or TEAMS[s] in window.teams]
            if window.starts_at <= at < window.ends_at and (everything or hit):
                found.append(f"in a freeze of {hit or 'everything'}")
        if calendars.faults and self._risk(asked, effect) >= 2:
            found.append("with a calendar that cannot be read")
        return found

    def _risk(self, asked: Asked, effect: EffectRecord) -> int:
        if effect.uses == "lamp.off@1":
            return 1
        return max(RISKS.get(effect.uses, 1), *(int(s.risk or 0) for s in PAGES[asked.page].steps))

    def _glass(self, run: Run, asked: Asked, effect: EffectRecord) -> Glass | None:
        """Return the broken glass that a run goes by, and use it up for that run."""
        root, owner = run.id, asked
        if run.rollback and run.parent is not None:
            root, owner = run.parent, self.asked[run.parent]
        if run.parent and not run.rollback:
            return None
        if not run.rollback and not (self.grave and asked.incident == INC):
            return None
        for glass in self.glasses.values():
            fits = (glass.human, glass.page, glass.service) == (
                owner.by.human, owner.page, owner.service)  # fmt: skip
            mine = glass.run == root
            fresh = glass.run is None and self.began.get(root, effect.intended_at)
            if fits and (mine or (fresh and fresh < glass.expires_at)) and run.break_glass:
                glass.run = root
                return glass
        return None

    def _consent(self, run: Run, asked: Asked, effect: EffectRecord) -> str:
        """Say on what an effect stands; a fault begins with an exclamation mark."""
        if run.rollback:
            return self._rollback(run, effect)
        lost = self.world.chat.down and run.position > 0
        by = asked.by if lost or asked.by is BOT else self._now(asked.by)
        if by.guest or by.stranger or not by.active:
            return "!asked for by someone who may not"
        fault = self._expired(run, effect)
        if fault:
            return fault
        bot, risk, named = asked.by is BOT, self._risk(asked, effect), self._named(asked)
        standard = not bot and risk <= 2 and self._standing(asked, effect.intended_at)
        if (bot or standard) and not named:
            return self._by_itself(run, asked, effect) if bot else "standing authorisation"
        if bot and self._level(asked, effect) < 3:
            return "!the assistant acts without autonomy"
        lenient = bot or standard
        people = self._fitting(run, asked, lost=lost)
        return "consent" if self._filled(people, named, risk, lenient) else "!without consent"

    def _expired(self, run: Run, effect: EffectRecord) -> str:
        mine = self.consents.get(run.id, [])
        if not mine or run.position > 0:
            return ""
        late = effect.intended_at >= mine[-1].at + timedelta(seconds=EXECUTE_WITHIN)
        return "!on expired consent" if late else ""

    def _rollback(self, run: Run, effect: EffectRecord) -> str:
        parent = self._run(str(run.parent))
        done = {f"{parent.id}:{u.step}" for u in parent.undoes}
        if parent.state is not RunState.ROLLING_BACK or effect.uses != "lamp.off@1":
            return "!a rollback of nothing"
        if effect.arguments.get("of") not in done:
            return "!a rollback of what was not done"
        asked = self.asked[parent.id]
        mine = self.consents.get(parent.id, [])
        people = self._fitting(parent, asked, lost=self.world.chat.down)
        if len({c.person.human for c in mine}) != len({p.human for p, _ in people}):
            return "!a rollback on consent of people who may not give it any more"
        return "rollback"

    def _by_itself(self, run: Run, asked: Asked, effect: EffectRecord) -> str:
        level, risk = self._level(asked, effect), self._risk(asked, effect)
        if level >= 4 and risk <= 1:
            return "autonomy"
        if level < 3 or risk > 2:
            return "!the assistant acts without autonomy"
        if effect.intended_at < self.planned[run.id] + VETO:
            return "!before the time for a veto is over"
        return "veto"

    def _level(self, asked: Asked, effect: EffectRecord) -> int:
        """Return the level that a person gave and that was not lost since."""
        action = effect.uses.partition("@")[0]
        given = self.levels.get((action, asked.service), 2)
        return min(given, self.world.level_now(action, asked.service))

    def _standing(self, asked: Asked, at: datetime) -> bool:
        return any(
            (s.page, s.service) == (asked.page, asked.service) and at < s.until
            for s in self.authorised.values()
        )

    @staticmethod
    def _named(asked: Asked) -> tuple[str, ...]:
        return ("sre",) if asked.page == "sre" else ()

    # People.

    def _now(self, person: Person) -> Person:
        return self.world.chat.people[person.id]

    def groups_now(self, id: PersonId) -> frozenset[str]:
        """Return the groups that somebody belongs to."""
        return frozenset(g for g, m in self.world.chat.user_groups.items() if id in m)

    def _fitting(
        self, run: Run, asked: Asked, *, lost: bool
    ) -> Sequence[tuple[Person, frozenset[str]]]:
        """Return who consented to this very plan and may, as they are now."""
        found = []
        assert run.plan is not None
        for consent in self.consents.get(run.id, []):
            person = consent.person if lost else self._now(consent.person)
            groups = consent.groups if lost else self.groups_now(person.id)
            editor = asked.page == "edited" and person.human == LENA.human
            own = person.human == asked.by.human or editor
            outsider = person.bot or person.guest or person.stranger or not person.active
            if consent.digest == run.plan.digest and not own and not outsider:
                found.append((person, groups))
        return found

    def _filled(
        self,
        people: Sequence[tuple[Person, frozenset[str]]],
        named: tuple[str, ...],
        risk: int,
        lenient: bool,
    ) -> bool:
        """Say whether distinct people fill every seat, by trying every order."""
        if lenient:
            least = 0
        elif risk >= 3:
            least = 2
        else:
            least = 2 if self.world.policy.current is POLICIES[STRICT] else 1
        seats: list[str | None] = list(named)
        seats += [None] * (least if risk >= 3 else max(0, least - len(named)))
        for order in permutations(people, len(seats)):
            humans = {p.human for p, _ in order}
            sit = all(s is None or s in g for s, (_, g) in zip(seats, order, strict=True))
            free = [g for s, (_, g) in zip(seats, order, strict=True) if s is None]
            if len(humans) == len(seats) and sit and (risk < 3 or _apart(free)):
                return True
        return not seats

    # What people were told.

    def halted(self, scope: str) -> None:
        """Note that a switch was pulled, which takes back every wish for its release."""
        self.pulled.setdefault(scope, self.elapsed())
        self.wishes.pop(scope, None)

    def asked_release(self, scope: str, by: Person, *, released: bool) -> None:
        """Note a wish for a release, and hold a release against the wishes there were."""
        wishes = self.wishes.setdefault(scope, set())
        wishes.add(by.human)
        if by.bot or by.guest or by.stranger:
            self.sins.append(f"{by.name} had a say in the release of {scope}")
        if released and len(wishes) < 2:
            self.sins.append(f"{scope} was released by one person")
        if released:
            self.pulled.pop(scope, None)

    def approved(self, id: str, consent: Consent, verdict: Verdict) -> None:
        """Note a consent that was taken."""
        planned = self.planned.get(id)
        if planned is None or consent.at >= planned + timedelta(seconds=ANSWER_WITHIN):
            self.sins.append(f"{id}: a late answer was taken")
        self.consents.setdefault(id, []).append(consent)
        self.acknowledged.append(("approval.granted", id, consent.person.actor))
        self.seen[f"approval {verdict}"] += 1


def _apart(groups: Sequence[frozenset[str]]) -> bool:
    """Say whether each can stand for a team of its own."""
    teams = [sorted({t for t in TEAMS.values() if t in g or f"{t}-oncall" in g}) for g in groups]
    return any(len(set(choice)) == len(teams) for choice in _choices(teams))


def _choices(teams: Sequence[Collection[str]]) -> Sequence[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for each in teams:
        found = [(*left, team) for left in found for team in each]
    return found


# The ledger, read from its beginning.


def audit(entries: Sequence[Mapping[str, Any]], model: Model) -> list[str]:
    """Return what the ledger says that must not be, or does not say."""
    sins, allowed, used = [], {}, set()
    told = {(e["type"], (e["body"] or {}).get("run"), _actor(e)) for e in entries}
    sins += [f"lost from the ledger: {each}" for each in model.acknowledged if each not in told]
    for entry in entries:
        if entry["type"] == "policy.decided" and entry["outcome"] == "allow":
            allowed[entry["decision_id"]] = entry
        if entry["type"] != "action.intent":
            continue
        decided = allowed.get(entry.get("decision_id"))
        if decided is None or entry["decision_id"] in used:
            sins.append(f"{entry['idem_key']}: an intent without a decision of its own")
            continue
        used.add(entry["decision_id"])
        same = ("action", "plan_digest")
        if any(decided.get(name) != entry.get(name) for name in same):
            sins.append(f"{entry['idem_key']}: decided about something else")
    return sins + _braked(entries, model)


def _stopped(entry: Mapping[str, Any]) -> bool:
    """Say whether a person ended an effect, which tells nothing against the action."""
    return "stopped" in str((entry["body"] or {}).get("summary", ""))


def _actor(entry: Mapping[str, Any]) -> str:
    return str((entry["body"] or {}).get("actor") or entry["actor_ref"])


def _braked(entries: Sequence[Mapping[str, Any]], model: Model) -> list[str]:
    """Hold the ledger against breakers and the pace of all, as far as it tells by itself."""
    from bot.domain.breakers import BreakerRules
    from tests.services.governance_world import FLEET

    if model.jumped:
        return []
    rules, sins = BreakerRules(), []
    troubles: dict[tuple[str, str | None], list[datetime]] = {}
    opened: dict[tuple[str, str | None], datetime] = {}
    begun: list[tuple[datetime, str]] = []
    for entry in entries:
        if entry["type"] not in ("action.intent", "action.outcome", "breaker.closed"):
            continue
        at = datetime.fromisoformat(entry["ts"])
        if entry["type"] == "breaker.closed":
            key = entry["action"], entry["body"]["service"] or None
            opened.pop(key, None)
            troubles.pop(key, None)
            continue
        asked = model.asked[entry["body"]["run"]]
        key = entry["action"].partition("@")[0], asked.service
        if entry["type"] == "action.outcome":
            if _stopped(entry):
                continue
            if entry["outcome"] in (EffectState.FAILED, EffectState.IN_DOUBT):
                late = at - timedelta(seconds=rules.window)
                troubles[key] = [t for t in troubles.get(key, []) if t > late] + [at]
                if len(troubles[key]) >= rules.troubles:
                    opened[key] = at
            continue
        effect = entry["idem_key"]
        if asked.parent is None and entry["risk"]:
            if key in opened and at < opened[key] + timedelta(seconds=rules.rest):
                sins.append(f"{effect}: an intent while its breaker is open")
            late = at - timedelta(seconds=rules.fleet_window)
            if len({k for t, k in begun if t > late and k != effect}) >= FLEET:
                sins.append(f"{effect}: an intent beyond the pace of all")
        if entry["risk"]:
            begun.append((at, effect))
    return sins
