"""What people type for ids, statuses, severities and roles."""

import pytest

from bot.domain.alerts import Severity
from bot.domain.errors import Refused
from bot.domain.incidents import IncidentStatus
from bot.domain.people import Role
from plugins.warroom import words

HOSTILE = ("", "  ", "sev9", "²", "٢", "-1", "<!channel>", "x" * 4000, "sev2\nsev1", "INC-", "\x00")


@pytest.mark.parametrize("word", ("INC-7", "inc-7", "Inc7", "INC-007"))
def test_an_incident_is_named_in_several_ways(word: str) -> None:
    assert words.incident_id(word) == "INC-7"


@pytest.mark.parametrize("word", (*HOSTILE, "7", "INC-7x", "INC-" + "9" * 40, "incident"))
def test_other_words_name_no_incident(word: str) -> None:
    assert words.incident_id(word) is None


@pytest.mark.parametrize("word", ("2", "sev2", "SEV-2", " Sev2 "))
def test_a_severity_is_written_in_several_ways(word: str) -> None:
    assert words.severity(word) is Severity.SEV2


@pytest.mark.parametrize(
    ("word", "meant"),
    (
        ("Monitoring", IncidentStatus.MONITORING),
        ("mitigated", IncidentStatus.MONITORING),
        (" resolved", IncidentStatus.RESOLVED),
    ),
)
def test_a_status_is_known_by_its_name(word: str, meant: IncidentStatus) -> None:
    assert words.status(word) is meant


@pytest.mark.parametrize(
    ("word", "meant"),
    (("commander", Role.COMMANDER), ("IC", Role.COMMANDER), ("comms", Role.COMMUNICATIONS)),
)
def test_a_role_is_known_by_its_names(word: str, meant: Role) -> None:
    assert words.role(word) is meant


@pytest.mark.parametrize("word", HOSTILE)
def test_what_is_not_understood_is_refused_with_the_choices(word: str) -> None:
    for parse, choice in (
        (words.status, "closed"),
        (words.severity, "sev4"),
        (words.role, "scribe"),
    ):
        with pytest.raises(Refused) as refused:
            parse(word)
        assert choice in refused.value.reason
        assert len(refused.value.reason) < 200
