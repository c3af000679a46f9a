"""Failures that may pass, failures that stay, and doubts: told apart by what is certain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import ActionFailed, OutcomeUnknown, Transient
from plugins.http.exchange import seconds_to_wait
from plugins.http.targets import origin
from tests.plugins.http.services import Service, asking, limits, offered

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as made:
        yield made


@pytest.mark.parametrize(
    ("status", "transient"),
    (
        (404, None),
        (409, Transient.CONFLICT),
        (412, Transient.CONFLICT),
        (429, Transient.RATE_LIMITED),
    ),
)
async def test_a_refused_request_has_changed_nothing(
    service: Service, status: int, transient: Transient | None
) -> None:
    service.status = status
    for method in ("POST", "PUT", "GET"):
        with pytest.raises(ActionFailed, match=str(status)) as refused:
            await offered(limits(service))["http.request@1"].handler(asking(service, method=method))
        assert refused.value.transient is transient


@pytest.mark.parametrize("method", ("POST", "PUT", "PATCH", "DELETE"))
@pytest.mark.parametrize("status", (408, 499, 500, 502, 503, 504, 302))
async def test_an_error_of_the_other_side_is_a_doubt_for_whatever_may_change_it(
    service: Service, method: str, status: int
) -> None:
    service.status, service.headers = status, {"Retry-After": "1"}
    with pytest.raises(OutcomeUnknown, match=str(status)):
        await offered(limits(service))["http.request@1"].handler(asking(service, method=method))
    assert service.count == 1


@pytest.mark.parametrize(
    ("status", "transient"),
    ((503, Transient.UNAVAILABLE), (504, Transient.TIMEOUT), (500, None), (302, None)),
)
@pytest.mark.parametrize("method", ("GET", "HEAD"))
async def test_a_request_that_only_reads_has_changed_nothing_whatever_comes(
    service: Service, method: str, status: int, transient: Transient | None
) -> None:
    service.status = status
    with pytest.raises(ActionFailed, match=str(status)) as failed:
        await offered(limits(service))["http.request@1"].handler(asking(service, method=method))
    assert failed.value.transient is transient


async def test_a_status_without_a_pointer_is_an_answer(service: Service) -> None:
    service.status = 503
    get = offered(limits(service))["http.get@1"].handler
    assert (await get(asking(service))).value == 503
    with pytest.raises(ActionFailed) as failed:
        await get(asking(service, pointer="/count"))
    assert failed.value.transient is Transient.UNAVAILABLE


async def test_an_answer_that_breaks_off_is_a_doubt_only_for_what_changes(
    service: Service,
) -> None:
    service.breaks = True
    known = offered(limits(service))
    with pytest.raises(ActionFailed) as failed:
        await known["http.get@1"].handler(asking(service))
    assert failed.value.transient is Transient.UNREACHABLE
    with pytest.raises(OutcomeUnknown):
        await known["http.request@1"].handler(asking(service, method="POST"))


async def test_a_late_answer_is_a_doubt_only_for_what_changes(service: Service) -> None:
    service.gate.clear()
    known = offered(limits(service))
    with pytest.raises(ActionFailed) as failed:
        await known["http.get@1"].handler(replace(asking(service), timeout=0.2))
    assert failed.value.transient is Transient.TIMEOUT
    late = replace(asking(service, method="POST"), timeout=0.2)
    with pytest.raises(OutcomeUnknown, match="no answer"):
        await known["http.request@1"].handler(late)


async def test_who_is_not_reached_has_got_nothing(service: Service) -> None:
    closed, unknown = origin("http://service.test:1"), origin("http://other.test")
    known = offered(limits(service, closed, unknown))
    for url in ("http://service.test:1/", "http://other.test/"):
        for uses, more in (("http.get@1", {}), ("http.request@1", {"method": "POST"})):
            made = replace(asking(service), arguments={"url": url, **more})
            with pytest.raises(ActionFailed) as failed:
                await known[uses].handler(made)
            assert failed.value.transient is Transient.UNREACHABLE


@pytest.mark.parametrize("method", ("GET", "POST"))
async def test_the_wait_that_is_asked_for_is_told(service: Service, method: str) -> None:
    service.status, service.headers = 429, {"Retry-After": "30"}
    with pytest.raises(ActionFailed, match="answered 429, and asks to be tried again in 30 s"):
        await offered(limits(service))["http.request@1"].handler(asking(service, method=method))


@pytest.mark.parametrize(
    ("text", "seconds"),
    (
        ("0", 0.0),
        ("120", 120.0),
        ("999999999999", 86_400.0),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2099 11:00:00 GMT", 86_400.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Sat, 99 Nov 2026 12:00:00 GMT", None),
    ),
)
def test_a_wait_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert seconds_to_wait(text, NOW) == seconds


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_a_wait(text: str) -> None:
    found = seconds_to_wait(text, NOW)
    assert found is None or 0 <= found <= 86_400
