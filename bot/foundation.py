"""What there is before any plugin: the store, the chat platform, services, and what governs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from bot import governance
from bot import knowledge as pages
from bot.domain.alerts import AlertGroup
from bot.domain.freezes import Calendars
from bot.domain.incidents import Incident
from bot.domain.messages import Button
from bot.domain.people import ChannelId
from bot.domain.redaction import Redactor
from bot.domain.runbooks import Runbook
from bot.ledger.bundles import Evidence
from bot.ledger.signing import verify_ed25519
from bot.llm import configured
from bot.loader import AnyPlugin
from bot.plugin import Channels, Knowledge, Place, PluginContext
from bot.ports import Anchor, Chat, Clock, LedgerArchive, Privacy
from bot.prompts import JinjaPrompts
from bot.search.encoder import encoder_named
from bot.search.engine import HybridSearch
from bot.services.alerts import AlertService
from bot.services.autonomy import AutonomyService
from bot.services.brakes import Brakes
from bot.services.checkpoints import CheckpointService
from bot.services.emergencies import EmergencyService
from bot.services.feedback import FeedbackService
from bot.services.governing import Rules
from bot.services.halt_file import HaltFile
from bot.services.incidents import IncidentService
from bot.services.judging import JudgingService
from bot.services.known_errors import KnownErrorService
from bot.services.outputs import OutputService
from bot.services.people import PeopleService
from bot.services.policies import ActivePolicy, PolicyService
from bot.services.postmortems import PostmortemService
from bot.services.posts import PostService
from bot.services.privacy import PrivacyService
from bot.services.proposals import ProposalService
from bot.services.records import RecordService
from bot.services.runs import RunService
from bot.services.switches import SwitchService
from bot.services.timelines import TimelineService
from bot.settings import Settings
from bot.slack.app import SlackAdapter
from bot.storage.stores import Store, store_at


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment."""
        return datetime.now(UTC)


@dataclass
class Room:
    """What is known only later: the channel that speaks for alerts, the buttons on offer."""

    alerts: ChannelId | None = None
    offered: Callable[[Place, AlertGroup | Incident], Sequence[Button]] = lambda *_: ()


@dataclass(frozen=True, kw_only=True)
class Core:
    """Services and ports, before any plugin."""

    settings: Settings
    database: Store
    archive: LedgerArchive
    clock: Clock
    slack: SlackAdapter
    search: HybridSearch
    context: PluginContext
    pages: pages.Knowledge
    runbooks: dict[str, Runbook]
    room: Room
    policy: ActivePolicy
    privacy: Privacy
    redactor: Redactor
    privacy_service: PrivacyService
    brakes: Brakes
    anchors_client: httpx.AsyncClient
    evidence: Evidence


def lay(settings: Settings, clock: Clock, redactor: Redactor | None = None) -> Core:
    """Make everything that does not depend on which plugins are enabled.

    `redactor` takes secrets out of what actions print and answer.

    Raises:
        KnowledgeError: a page in the knowledge folder has a fault.
        PolicyError: a policy has one.
        SettingsError: a key or certificate cannot be used.
    """
    known = pages.load(settings.bot.knowledge)
    privacy = governance.subject_keys(settings)
    nearest = settings.search.nearest
    database = store_at(settings.database, clock, privacy, nearest=nearest)
    slack = SlackAdapter(settings.slack, clock, governance.accounts_of(settings))
    search = HybridSearch(
        encoder_named(settings.search.model),
        settings.bot.data / "cache",
        ranker_file=settings.bot.data / "ranker.json",
        database=database,
        nearest=nearest,
    )
    room = Room()
    runbooks = dict(known.runbooks)
    policy = ActivePolicy(governance.policy_in(settings.bot.knowledge))
    brakes = Brakes(governance.breaker_rules(settings))
    client = httpx.AsyncClient(timeout=10, follow_redirects=False, trust_env=False)
    parts = _Parts(
        database=database,
        chat=slack.chat,
        search=search,
        known=Knowledge(runbooks=runbooks, catalog=known.catalog, incidents=known.incidents),
        room=room,
        policy=policy,
        brakes=brakes,
        anchors=governance.anchors_of(settings, client, chat=slack.chat, clock=clock),
        calendars=governance.calendars_of(settings, clock),
        redactor=redactor or Redactor(()),
        privacy=privacy,
    )
    return Core(
        settings=settings,
        database=database,
        archive=database.archive,
        clock=clock,
        slack=slack,
        search=search,
        context=_context(settings, clock, parts),
        pages=known,
        runbooks=runbooks,
        room=room,
        policy=policy,
        privacy=privacy,
        redactor=parts.redactor,
        privacy_service=PrivacyService(database, clock, privacy, archive=database.archive),
        brakes=brakes,
        anchors_client=client,
        evidence=Evidence(
            database=database,
            archive=database.archive,
            calendars=parts.calendars,
            anchors=parts.anchors,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the context of plugins is made from."""

    database: Store
    chat: Chat
    search: HybridSearch
    known: Knowledge
    room: Room
    policy: ActivePolicy
    brakes: Brakes
    anchors: Sequence[Anchor]
    calendars: Calendars
    redactor: Redactor
    privacy: Privacy


def _context(settings: Settings, clock: Clock, parts: _Parts) -> PluginContext:
    prompts, database, room = JinjaPrompts(), parts.database, parts.room
    model = configured(settings.llm)
    emergencies = EmergencyService(database, clock)
    return PluginContext(
        alerts=AlertService(database, clock),
        incidents=IncidentService(database, clock),
        runs=RunService(
            database,
            clock,
            emergencies=emergencies,
            brakes=parts.brakes,
            alerts_channel=lambda: room.alerts,
            redact=parts.redactor,
        ),
        outputs=OutputService(database, clock, parts.redactor),
        feedback=FeedbackService(database, clock, parts.privacy),
        judging=JudgingService(database, clock, parts.privacy),
        known_errors=KnownErrorService(database, clock),
        proposals=ProposalService(
            database, clock, data=settings.bot.data, services=tuple(parts.known.catalog.services)
        ),
        timelines=TimelineService(database, clock),
        postmortems=PostmortemService(
            database, clock, prompts, model, runbooks=tuple(parts.known.runbooks.values())
        ),
        posts=PostService(database, parts.chat),
        people=PeopleService(parts.chat, parts.known.catalog),
        switches=SwitchService(database, clock, by_file=HaltFile(settings.halt_file)),
        autonomy=AutonomyService(database, clock),
        emergencies=emergencies,
        policies=PolicyService(
            database,
            clock,
            active=parts.policy,
            proposed=lambda: governance.policy_in(settings.bot.knowledge),
            compile=governance.policy_of,
        ),
        records=RecordService(database, database.archive),
        checkpoints=CheckpointService(
            database,
            database.archive,
            clock,
            signer=governance.Signing(settings),
            verify=verify_ed25519,
            origin=settings.ledger.origin,
            anchors=parts.anchors,
            every_entries=settings.ledger.checkpoint_entries,
            every_seconds=settings.ledger.checkpoint_seconds,
        ),
        calendars=parts.calendars,
        policy=parts.policy,
        breaker_rules=governance.breaker_rules(settings),
        security_contact=settings.brakes.security_contact,
        knowledge=parts.known,
        channels=lambda: Channels(alerts=room.alerts),
        search=parts.search,
        chat=parts.chat,
        clock=clock,
        prompts=prompts,
        model=model,
        offers=lambda place, subject: room.offered(place, subject),  # noqa: PLW0108  # set later
    )


def rules_of(core: Core, plugins: Sequence[AnyPlugin]) -> Rules:
    """Return everything that governs effects."""
    context = core.context
    return Rules(
        policy=core.policy,
        catalog=context.knowledge.catalog,
        calendars=context.calendars,
        switches=context.switches,
        brakes=core.brakes,
        autonomy=context.autonomy,
        emergencies=context.emergencies,
        privacy=core.privacy,
        plugin_of={action.reference: p.name for p in plugins for action in p.actions()},
        ledger_fault=lambda: context.checkpoints.fault,
    )
