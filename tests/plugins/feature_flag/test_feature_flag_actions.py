"""Flags that are read and set, and services that answer in every way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from bot.domain.actions import ActionFailed, Happened, OutcomeUnknown, Transient
from plugins.feature_flag.plugin import FeatureFlagSettings
from plugins.feature_flag.templates import filled, state_at
from tests.plugins.feature_flag.flags import Flags, asking, offered, settings

OFF = asking(enabled=False, expected=True)


async def test_a_flag_is_one_or_zero(flags: Flags) -> None:
    get = offered(settings(flags))["feature_flag.get@1"].handler
    assert (await get(asking())).value == 1.0
    flags.enabled["checkout-v2"] = False
    result = await get(asking())
    assert (result.value, result.summary) == (0.0, "checkout-v2 is off")


async def test_a_flag_is_turned_off_and_back_on(flags: Flags) -> None:
    action = offered(settings(flags))["feature_flag.set@1"]
    assert action.dry_run is not None
    assert action.undo is not None
    seen = await action.dry_run(asking(enabled=False))
    assert seen.diff == "- checkout-v2: on\n+ checkout-v2: off"
    result = await action.handler(OFF)
    assert flags.enabled["checkout-v2"] is False
    method, path, headers, body = flags.seen[-1]
    assert (method, path, body) == ("PUT", "/api/flags/checkout-v2", {"enabled": False})
    assert headers["If-Match"] == '"1"'
    undo = action.undo(OFF, result)
    assert undo is not None
    assert undo.arguments == {"flag": "checkout-v2", "enabled": True}


async def test_somebody_elses_change_in_between_is_a_conflict(flags: Flags) -> None:
    flags.tricks = ["somebody else"]
    with pytest.raises(ActionFailed) as conflict:
        await offered(settings(flags))["feature_flag.set@1"].handler(OFF)
    assert conflict.value.transient is Transient.CONFLICT
    assert flags.enabled["checkout-v2"] is True


@pytest.mark.parametrize("etags", ("weak", "none"))
async def test_without_a_strong_etag_nothing_is_demanded(flags: Flags, etags: str) -> None:
    flags.etags = etags
    await offered(settings(flags))["feature_flag.set@1"].handler(OFF)
    assert "If-Match" not in flags.seen[-1][2]
    assert flags.enabled["checkout-v2"] is False


async def test_a_flag_that_is_as_wanted_is_left_alone(flags: Flags) -> None:
    flags.enabled["checkout-v2"] = False
    await offered(settings(flags))["feature_flag.set@1"].handler(OFF)
    assert [method for method, *_ in flags.seen] == ["GET"]


@pytest.mark.parametrize(
    ("status", "transient"),
    (
        ("400", None),
        ("403", None),
        ("409", Transient.CONFLICT),
        ("412", Transient.CONFLICT),
        ("429", Transient.RATE_LIMITED),
    ),
)
async def test_what_the_service_refuses_has_changed_nothing(
    flags: Flags, status: str, transient: Transient | None
) -> None:
    flags.tricks = [status]
    with pytest.raises(ActionFailed, match=status) as refused:
        await offered(settings(flags))["feature_flag.set@1"].handler(OFF)
    assert refused.value.transient is transient


@pytest.mark.parametrize("status", ("408", "499"))
async def test_a_no_out_of_impatience_is_a_doubt(flags: Flags, status: str) -> None:
    flags.tricks = [status]
    with pytest.raises(OutcomeUnknown, match=status):
        await offered(settings(flags))["feature_flag.set@1"].handler(OFF)


async def test_what_is_packed_is_not_unpacked(flags: Flags) -> None:
    """A thousand bytes may be a gigabyte, and unpacking it holds everybody up."""
    flags.looks = ["packed"]
    with pytest.raises(ActionFailed, match="has nothing at"):
        await offered(settings(flags))["feature_flag.get@1"].handler(asking())
    assert [headers["Accept-Encoding"] for _, _, headers, _ in flags.seen] == ["identity"]


@pytest.mark.parametrize("trick", ("500", "503", "lost"))
async def test_an_error_of_the_service_is_a_doubt_that_a_look_resolves(
    flags: Flags, trick: str
) -> None:
    action = offered(settings(flags))["feature_flag.set@1"]
    assert action.reconcile is not None
    assert (await action.reconcile(OFF)).happened is Happened.NO
    flags.tricks = [trick]
    with pytest.raises(OutcomeUnknown):
        await action.handler(OFF)
    assert (await action.reconcile(OFF)).happened is Happened.YES


@pytest.mark.parametrize(
    ("look", "reason", "transient"),
    (
        ("302", "answered 302", None),
        ("429", "answered 429", Transient.RATE_LIMITED),
        ("500", "answered 500", None),
        ("503", "answered 503", Transient.UNAVAILABLE),
        ("504", "answered 504", Transient.TIMEOUT),
        ("huge", "has nothing at", None),
        ("deep", "has nothing at", None),
        ("text", "no true or false", None),
    ),
)
async def test_a_look_that_shows_no_flag_is_a_failure(
    flags: Flags, look: str, reason: str, transient: Transient | None
) -> None:
    for uses, call in (("feature_flag.get@1", asking()), ("feature_flag.set@1", OFF)):
        flags.looks = [look]
        with pytest.raises(ActionFailed, match=reason) as failed:
            await offered(settings(flags))[uses].handler(call)
        assert failed.value.transient is transient
    assert flags.enabled["checkout-v2"] is True


async def test_a_flag_the_service_does_not_know_is_not_off(flags: Flags) -> None:
    gone = replace(asking(), arguments={"flag": "gone"})
    with pytest.raises(ActionFailed, match="404"):
        await offered(settings(flags))["feature_flag.get@1"].handler(gone)


async def test_without_a_plan_nothing_is_set(flags: Flags) -> None:
    with pytest.raises(ActionFailed, match="without a dry run"):
        await offered(settings(flags))["feature_flag.set@1"].handler(asking(enabled=False))
    assert flags.enabled["checkout-v2"] is True


async def test_without_settings_there_is_nothing_to_ask() -> None:
    action = offered(FeatureFlagSettings(flags=("a",)))["feature_flag.get@1"]
    with pytest.raises(ActionFailed, match=r"plugins\.feature_flag\.url"):
        await action.handler(replace(asking(), arguments={"flag": "a"}))


async def test_a_name_with_special_characters_stays_one_part_of_the_path(flags: Flags) -> None:
    flags.enabled["shop:v2"] = True
    made = settings(flags, flags=["shop:v2"])
    await offered(made)["feature_flag.get@1"].handler(
        replace(asking(), arguments={"flag": "shop:v2"})
    )
    assert flags.seen[0][1] == "/api/flags/shop%3Av2"


@pytest.mark.parametrize(
    "wrong",
    (
        {"flags": ["a/b"]},
        {"flags": ["../x"]},
        {"flags": [""]},
        {"flags": ["a b"]},
        {"path": "/flags"},
        {"path": "flags/{flag}"},
        {"path": "/flags/{flag}\r\nHost: evil"},
        {"url": "ftp://flags"},
        {"url": "https://user@flags"},
        {"method": "DELETE"},
        {"body": {"enabled": True}},
        {"header": "X-Bad\r\n"},
    ),
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeatureFlagSettings.model_validate(wrong)


def test_a_body_may_be_a_list_and_its_places_are_whole_texts() -> None:
    body = [{"op": "replace", "path": "/on", "value": "{enabled}"}, "is {enabled}", "{flag}"]
    assert filled(body, flag="f", enabled=True) == [
        {"op": "replace", "path": "/on", "value": True},
        "is {enabled}",
        "f",
    ]


@pytest.mark.parametrize(
    ("document", "pointer", "found"),
    (
        (True, "", True),
        ({"a": {"b/c": [False]}}, "/a/b~1c/0", False),
        ({"~": True}, "/~0", True),
    ),
)
def test_a_pointer_leads_to_the_state(document: Any, pointer: str, found: bool) -> None:
    assert state_at(document, pointer) is found


@pytest.mark.parametrize("document", (1, "true", None, {}, []))
def test_only_true_and_false_are_states(document: Any) -> None:
    with pytest.raises(ActionFailed):
        state_at(document, "")
