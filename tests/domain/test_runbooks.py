"""What fits an alert, and what values a run may take."""

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.catalog import Catalog, Service
from bot.domain.errors import Refused
from bot.domain.parameters import (
    Parameter,
    ParameterKind,
    parse_duration,
    resolve,
    substitute,
    typed,
)
from bot.domain.runbooks import Expectation, Match, Review, Runbook, alert_names, matches


def runbook(*parameters: Parameter, match: Match | None = None) -> Runbook:
    return Runbook(
        id="cache-full",
        version=1,
        title="The cache is full",
        owner="storage",
        review=Review(by="dana", at=date(2026, 1, 1), max_age_days=180),
        match=match or Match(),
        parameters=parameters,
        approval={},
        diagnose=(),
        steps=(),
        sections={},
        path="runbooks/cache-full.md",
        digest="0" * 64,
    )


def parameter(kind: ParameterKind, **more: Any) -> Parameter:
    return Parameter(name="x", kind=kind, **more)


def test_an_alert_name_is_the_reason_of_a_match() -> None:
    page = runbook(match=Match(alerts=("CacheFull",)))
    assert matches(page, {"alertname": "CacheFull"}) == "alert CacheFull"
    assert matches(page, {"alertname": "Other"}) is None
    assert matches(page, {}) is None


def test_every_criterion_that_is_given_must_hold() -> None:
    page = runbook(match=Match(alerts=("CacheFull",), labels={"env": "production"}))
    assert matches(page, {"alertname": "CacheFull", "env": "production"}) == "alert CacheFull"
    assert matches(page, {"alertname": "CacheFull", "env": "staging"}) is None


def test_an_alert_of_another_service_does_not_match_but_one_without_does() -> None:
    page = runbook(match=Match(alerts=("QueueBacklog",), services=("checkout",)))
    assert matches(page, {"alertname": "QueueBacklog", "service": "search"}) is None
    assert matches(page, {"alertname": "QueueBacklog"}) == "alert QueueBacklog"


def test_labels_or_a_service_alone_can_be_the_reason() -> None:
    by_label = runbook(match=Match(labels={"team": "storage", "kind": "cache"}))
    labels = {"team": "storage", "kind": "cache"}
    assert matches(by_label, labels) == "label team=storage, kind=cache"
    by_service = runbook(match=Match(services=("checkout",)))
    assert matches(by_service, {"service": "checkout"}) == "service checkout"
    assert matches(by_service, {"alertname": "A"}) is None


def test_tags_alone_match_nothing() -> None:
    assert matches(runbook(match=Match(tags=("cache",))), {"alertname": "cache"}) is None


def test_of_several_alternatives_one_has_to_fit() -> None:
    either = (Match(alerts=("DiskFull",)), Match(labels={"kind": "disk"}, services=("db",)))
    page = runbook(match=Match(any=either))
    assert matches(page, {"alertname": "DiskFull"}) == "alert DiskFull"
    assert matches(page, {"alertname": "Other", "kind": "disk"}) == "label kind=disk"
    assert matches(page, {"kind": "disk", "service": "web"}) is None
    assert matches(page, {"alertname": "Other"}) is None
    assert alert_names(page.match) == ("DiskFull",)


def test_alternatives_and_criteria_beside_them_must_both_hold() -> None:
    either = (Match(alerts=("DiskFull",)), Match(alerts=("DiskSlow",)))
    page = runbook(match=Match(labels={"env": "prod"}, services=("db",), any=either))
    assert matches(page, {"alertname": "DiskSlow", "env": "prod"}) == "label env=prod"
    assert matches(page, {"alertname": "DiskSlow", "env": "test"}) is None
    assert matches(page, {"alertname": "Other", "env": "prod"}) is None
    assert matches(page, {"alertname": "DiskSlow", "env": "prod", "service": "web"}) is None
    narrowed = runbook(match=Match(services=("db",), any=either))
    assert matches(narrowed, {"alertname": "DiskSlow"}) == "alert DiskSlow"
    assert matches(narrowed, {"alertname": "DiskSlow", "service": "web"}) is None


def test_what_not_when_says_is_excluded_and_what_it_cannot_tell_is_not() -> None:
    match = Match(alerts=("DiskFull",), not_when='labels.env in ["test", "stage"]')
    page = runbook(match=match)
    assert matches(page, {"alertname": "DiskFull", "env": "prod"}) == "alert DiskFull"
    assert matches(page, {"alertname": "DiskFull", "env": "stage"}) is None
    assert matches(page, {"alertname": "DiskFull"}) == "alert DiskFull"


@given(st.text(max_size=60))
def test_no_label_makes_a_condition_mean_something_else(text: str) -> None:
    page = runbook(match=Match(alerts=("A",), not_when='labels.env == "test"'))
    fits = matches(page, {"alertname": "A", "env": text}) is not None
    assert fits is (text != "test")


def test_what_a_person_gives_counts_before_the_label_and_that_before_the_default() -> None:
    page = runbook(parameter(ParameterKind.INTEGER, label="keys", default=1))
    assert resolve(page, {"keys": "2"}, {"x": "3"}) == {"x": 3}
    assert resolve(page, {"keys": "2"}, {}) == {"x": 2}
    assert resolve(page, {"keys": "2"}, {"x": "  "}) == {"x": 2}
    assert resolve(page, {}, {}) == {"x": 1}


def test_a_missing_value_is_refused_by_name_and_an_optional_one_is_none() -> None:
    needed = runbook(parameter(ParameterKind.STRING, label="disk"))
    with pytest.raises(Refused, match=r'"x" needs a value .*no label "disk"'):
        resolve(needed, {}, {})
    assert resolve(runbook(parameter(ParameterKind.STRING, required=False)), {}, {}) == {"x": None}


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(Refused, match='no parameter "y"'):
        resolve(runbook(), {}, {"y": "1"})


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    (
        (ParameterKind.STRING, "/var/lib", "/var/lib"),
        (ParameterKind.INTEGER, "-12", -12),
        (ParameterKind.NUMBER, "0.25", 0.25),
        (ParameterKind.DURATION, "5m", 300),
        (ParameterKind.DURATION, "250ms", 0.25),
        (ParameterKind.SERVICE, "postgres-main", "postgres-main"),
    ),
)
def test_a_value_takes_its_type(kind: ParameterKind, text: str, value: object) -> None:
    assert typed(parameter(kind), text) == value
    assert type(typed(parameter(kind), text)) is type(value)


@pytest.mark.parametrize(
    ("wanted", "text", "reason"),
    (
        (parameter(ParameterKind.INTEGER), "1.5", "not a whole number"),
        (parameter(ParameterKind.INTEGER), "1" * 30, "not a whole number"),
        (parameter(ParameterKind.NUMBER), "nan", "not a finite number"),
        (parameter(ParameterKind.NUMBER), "1e999", "not a finite number"),
        (parameter(ParameterKind.NUMBER), "many", "not a number"),
        (parameter(ParameterKind.DURATION), "5 minutes", "not a duration"),
        (parameter(ParameterKind.DURATION), "0s", "not a duration"),
        (parameter(ParameterKind.ENUM, values=("a", "b")), "c", "not one of a, b"),
        (parameter(ParameterKind.SERVICE), "../etc", "not the name of a service"),
        (parameter(ParameterKind.STRING), "--force", "begins with a dash"),
        (parameter(ParameterKind.STRING), "a\nb", "line break"),
        (parameter(ParameterKind.STRING), "safe\u202eexe", "invisible character"),
        (parameter(ParameterKind.STRING), "x" * 501, "longer than 500"),
        (parameter(ParameterKind.STRING, pattern="[a-z]+"), "abc; rm", "does not match"),
    ),
)
def test_a_value_that_does_not_fit_is_refused(wanted: Parameter, text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refusal:
        typed(wanted, text)
    assert 'Parameter "x"' in refusal.value.reason
    assert len(refusal.value.reason) < 200


def test_a_placeholder_takes_the_whole_value_with_its_type() -> None:
    arguments = {"args": ["evict", "${keys}"], "deep": {"n": "${keys}"}, "text": "n=${keys}"}
    assert substitute(arguments, {"keys": 5}) == {
        "args": ["evict", 5],
        "deep": {"n": 5},
        "text": "n=${keys}",
    }


def test_an_argument_whose_parameter_is_none_is_left_out() -> None:
    assert substitute({"a": "${x}", "b": None}, {"x": None}) == {"b": None}


def test_a_placeholder_without_a_parameter_is_refused() -> None:
    with pytest.raises(Refused, match='no parameter "x"'):
        substitute({"a": "${x}"}, {})


@given(st.text())
def test_a_substituted_value_is_never_read_as_a_placeholder_again(text: str) -> None:
    assert substitute({"a": "${x}"}, {"x": text}) == {"a": text}


@given(st.text(max_size=30) | st.from_regex(r"[0-9]{1,10}(ms|s|m|h|d)", fullmatch=True))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    if re.fullmatch(r"[0-9]{1,9}(ms|s|m|h|d)", text) and int(text.rstrip("mshd")) > 0:
        assert parse_duration(text) > 0
    else:
        with pytest.raises(ValueError, match="is not a duration"):
            parse_duration(text)


def test_an_expectation_holds_for_numbers_within_all_its_bounds() -> None:
    assert Expectation(below=0.05).holds(0.0)
    assert not Expectation(below=0.05).holds(0.05)
    assert Expectation(above=1, below=3).holds(2)
    assert not Expectation(above=1, below=3).holds(3)
    assert Expectation(equals=1).holds(1.0)
    assert not Expectation(equals=1).holds(0)


@pytest.mark.parametrize("value", (None, float("nan")))
def test_an_expectation_never_holds_without_a_value(value: float | None) -> None:
    for expectation in (Expectation(below=1), Expectation(above=-1), Expectation()):
        assert not expectation.holds(value)


def test_an_expectation_reads_like_a_sentence() -> None:
    assert str(Expectation(below=0.05)) == "below 0.05"
    assert str(Expectation(above=1, below=3)) == "above 1 and below 3"


def test_a_review_is_stale_the_day_after_its_age() -> None:
    review = Review(by="dana", at=date(2026, 1, 1), max_age_days=30)
    assert not review.stale(date(2026, 1, 31))
    assert review.stale(date(2026, 2, 1))


def catalog(**needs: tuple[str, ...]) -> Catalog:
    return Catalog(
        services={
            name: Service(name=name, team="t", description="d", tier=1, depends_on=others)
            for name, others in needs.items()
        }
    )


def test_dependencies_are_told_nearest_first() -> None:
    shop = catalog(web=("cart", "search"), cart=("cache",), search=("index",), cache=(), index=())
    assert shop.dependencies("web") == ("cart", "search", "cache", "index")
    assert shop.dependents("cache") == ("cart", "web")
    assert shop.dependencies("unknown") == ()
    assert shop.cycle() is None


def test_a_circle_of_dependencies_is_named() -> None:
    shop = catalog(front=("a",), a=("b",), b=("c",), c=("a",), lone=())
    assert shop.cycle() == ("a", "b", "c", "a")
    assert catalog(a=("a",)).cycle() == ("a", "a")
    assert shop.dependencies("a") == ("b", "c")


def test_a_very_long_chain_of_dependencies_is_no_trouble() -> None:
    chain = catalog(**{f"s{n}": (f"s{n + 1}",) for n in range(1200)})
    assert chain.cycle() is None
    assert len(chain.dependencies("s0")) == 1200
