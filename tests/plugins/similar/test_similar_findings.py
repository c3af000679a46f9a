"""Past incidents that resemble an alert: found, worded, or honestly not found."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bot.domain.alerts import Alert, AlertGroup, AlertStatus, GroupId, Severity
from bot.domain.catalog import Catalog, PastIncident
from bot.domain.errors import NotFound
from bot.domain.events import IncidentChanged
from bot.domain.findings import Finding, FindingKind
from bot.domain.incidents import Incident, IncidentId, IncidentStatus
from bot.domain.people import Person, PersonId
from bot.domain.runs import Run, RunId, RunState
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.plugin import PluginContext
from bot.search.encoder import EncoderUnavailable
from bot.search.engine import HybridSearch
from plugins.similar.plugin import Similar, SimilarSettings
from plugins.similar.stories import age, first_sentence

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
DANA = Person(id=PersonId("U1"), name="Dana")
HUNG = PastIncident(
    id="EX-101",
    title="Checkout refused orders because its worker hung",
    service="checkout",
    severity="sev2",
    started_at=datetime(2026, 2, 11, tzinfo=UTC),
    resolved_after_minutes=23,
    summary="CheckoutHighErrorRate fired. The order queue was full.",
    cause="The worker hung.",
    resolution="The worker\nwas restarted. A timeout was added.",
    example=True,
)
CLOCK = PastIncident(
    id="EX-103",
    title="Sign-in failed because a clock was wrong",
    service="identity",
    severity="sev3",
    started_at=datetime(2026, 3, 27, tzinfo=UTC),
    resolved_after_minutes=50,
    summary="Tokens were refused.",
    cause="chrony was stopped.",
    resolution="chrony was started.",
)


def no_encoder(cache_directory: Path) -> Any:
    raise EncoderUnavailable("none in this test")


def alerts(name: str, first_seen: datetime = NOW, **annotations: str) -> AlertGroup:
    alert = Alert(
        fingerprint="f",
        status=AlertStatus.FIRING,
        labels={"alertname": name},
        annotations=annotations,
        starts_at=NOW,
    )
    return AlertGroup(
        id=GroupId("g1"),
        source="alertmanager",
        group_key="k",
        labels={},
        alerts=(alert,),
        first_seen=first_seen,
        last_seen=first_seen,
    )


OWN = Incident(
    id=IncidentId("INC-7"),
    number=7,
    title="Search answers slowly",
    severity=Severity.SEV2,
    status=IncidentStatus.RESOLVED,
    service="search",
    declared_by=DANA,
    declared_at=NOW - timedelta(days=3),
    groups=("g-old",),
)


class Judging:
    """Nobody has said anything yet."""

    async def acceptances(self) -> dict[str, Any]:
        return {}


class KnownErrors:
    """No cause has a name yet."""

    async def all(self) -> Sequence[Any]:
        return ()


class Records:
    """The services the plugin reads from, in memory."""

    def __init__(self, incidents: Sequence[Incident] = ()) -> None:
        self.incidents = incidents

    async def ended(self, *, below: int | None, limit: int) -> Sequence[Incident]:
        return [i for i in self.incidents if not i.status.open and below is None]

    async def get(self, id: str) -> Any:
        if id == "g-old":
            return alerts("SearchLatencyHigh")
        if id == OWN.id or id.startswith("incident:"):
            return None
        raise NotFound("There is no such group.")

    async def of(self, subject: Collection[str] | Incident) -> Sequence[Any]:
        if isinstance(subject, Incident):
            text = "the garbage collector paused for seconds"
            return [TimelineEntry(subject="INC-7", at=NOW, kind=TimelineKind.NOTE, text=text)]
        return [
            Run(
                id=RunId("r"),
                runbook="high-latency",
                title="Restart the search node",
                parameters={},
                requester=DANA,
                subject="INC-7",
                incident="INC-7",
                service="search",
                created_at=NOW,
                state=RunState.SUCCEEDED,
            )
        ]


@pytest.fixture
async def search(tmp_path: Path) -> AsyncIterator[HybridSearch]:
    search = HybridSearch(no_encoder, tmp_path)
    yield search
    await search.stop()


def plugin(search: HybridSearch, *incidents: Incident) -> Similar:
    records = Records(incidents)
    context = SimpleNamespace(
        search=search,
        knowledge=SimpleNamespace(incidents=(HUNG, CLOCK), runbooks={}, catalog=Catalog()),
        posts=records,
        judging=Judging(),
        known_errors=KnownErrors(),
        incidents=records,
        alerts=records,
        runs=records,
        timelines=records,
        postmortems=records,
        clock=SimpleNamespace(now=lambda: NOW),
    )
    return Similar(SimilarSettings(), cast(PluginContext, context))


async def only(similar: Similar, group: AlertGroup) -> Finding:
    (finding,) = await similar.findings(group)
    assert finding.kind is FindingKind.SIMILAR
    return finding


async def test_a_like_incident_is_claimed_with_its_age_and_what_resolved_it(
    search: HybridSearch,
) -> None:
    similar = plugin(search)
    await similar.start()
    finding = await only(similar, alerts("CheckoutHighErrorRate", summary="Orders fail"))
    assert finding.claim.startswith(
        "Checkout refused orders because its worker hung "
        "(EX-101, 9 months ago, resolved in 23 min, example): The worker was restarted"
    )
    assert finding.value == "EX-101"
    assert [evidence.kind for evidence in finding.evidence] == ["incident", "cause", "why"]
    assert {evidence.ref for evidence in finding.evidence} == {"EX-101"}
    assert finding.evidence[1].label == "cause: The worker hung"
    assert finding.confidence is None


async def test_the_evidence_says_when_only_words_were_compared(search: HybridSearch) -> None:
    similar = plugin(search)
    await similar.start()
    finding = await only(similar, alerts("CheckoutHighErrorRate"))
    assert "found by words only" in finding.evidence[-1].label


async def test_nothing_convincing_is_said_to_be_nothing(search: HybridSearch) -> None:
    similar = plugin(search)
    await similar.start()
    finding = await only(similar, alerts("UpsBatteryEmpty", summary="The battery is full of dust"))
    assert finding.claim == "No similar incident found"
    assert finding.evidence == ()
    assert "2 past incidents were searched" in finding.detail


async def test_incidents_that_began_later_are_not_past(search: HybridSearch) -> None:
    similar = plugin(search)
    await similar.start()
    early = alerts("CheckoutHighErrorRate", HUNG.started_at - timedelta(days=1))
    assert (await only(similar, early)).claim == "No similar incident found"


async def test_own_resolved_incidents_are_found_with_the_run_that_helped(
    search: HybridSearch,
) -> None:
    similar = plugin(search)
    await similar.start()
    event = IncidentChanged(id="e", at=NOW, change="resolved", incident=OWN)
    await similar.on_incident(event)
    await similar.on_incident(event)
    finding = await only(similar, alerts("SearchLatencyHigh"))
    assert finding.claim.startswith(
        "Search answers slowly (INC-7, 3 days ago): “Restart the search node” was run"
    )


async def test_own_incidents_are_remembered_over_a_restart(search: HybridSearch) -> None:
    similar = plugin(search, OWN)
    await similar.start()
    assert (await only(similar, alerts("SearchLatencyHigh"))).value == "INC-7"


async def test_an_open_incident_is_not_a_past_one(search: HybridSearch) -> None:
    open_one = replace(OWN, status=IncidentStatus.MONITORING)
    similar = plugin(search, open_one)
    await similar.start()
    await similar.on_incident(IncidentChanged(id="e", at=NOW, change="moved", incident=open_one))
    finding = await only(similar, alerts("SearchLatencyHigh"))
    assert finding.claim == "No similar incident found"


async def test_incidents_get_no_findings(search: HybridSearch) -> None:
    assert await plugin(search).findings(OWN) == ()


@pytest.mark.parametrize(
    ("days", "said"),
    (
        (0, "today"),
        (1, "1 day ago"),
        (13, "13 days ago"),
        (14, "2 weeks ago"),
        (31, "1 month ago"),
        (300, "10 months ago"),
        (800, "2 years ago"),
    ),
)
def test_ages_are_said_as_people_do(days: int, said: str) -> None:
    assert age(timedelta(days=days, hours=1)) == said


def test_a_sentence_is_one_line_and_not_endless() -> None:
    assert first_sentence("The worker\nwas restarted. More.") == "The worker was restarted"
    assert len(first_sentence("x" * 1000)) == 140


async def test_an_alert_does_not_resemble_its_own_incident(search: HybridSearch) -> None:
    """A group that fires again is looked into again, and its incident may have ended."""
    similar = plugin(search, OWN)
    await similar.start()
    again = replace(alerts("SearchLatencyHigh"), incident=OWN.id)
    assert (await only(similar, again)).value != OWN.id


async def test_an_incident_that_is_worked_on_again_is_no_past_one(search: HybridSearch) -> None:
    similar = plugin(search, OWN)
    await similar.start()
    reopened = replace(OWN, status=IncidentStatus.INVESTIGATING)
    await similar.on_incident(
        IncidentChanged(id="e", at=NOW, change="investigating", incident=reopened)
    )
    finding = await only(similar, alerts("SearchLatencyHigh"))
    assert finding.claim == "No similar incident found"
